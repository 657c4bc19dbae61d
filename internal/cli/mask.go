package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"greenroom/internal/atomicfile"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) maskCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mask",
		Short: "Say what becomes of production's data outside it, column by column",
		Long: `Staging can have a copy of production's data that shows nobody's name. What
becomes of each column stands in mask.yaml, beside greenroom.yaml. A column that
stands nowhere in it stops the copy, so nothing leaves by mistake.

  greenroom mask init     write it for a database that is there
  greenroom mask check    does it name every column? for CI, too`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.maskInitCommand(), s.maskCheckCommand())
	return cmd
}

// maskSource is which file, and which database it is about.
type maskSource struct{ file, database, environment string }

func (s *shell) maskFlags(cmd *cobra.Command, from *maskSource) {
	cmd.Flags().StringVar(&from.file, "file", "", "the file of rules (default: the one that greenroom.yaml names, or mask.yaml)")
	cmd.Flags().StringVar(&from.database, "database", "", `another database: its URL, an SQLite file, or "env" for DATABASE_URL`)
	cmd.Flags().StringVarP(&from.environment, "environment", "e", "", "the environment whose database is read (default: production)")
	must(cmd.RegisterFlagCompletionFunc("environment", s.completeEnvironments()))
	must(cmd.RegisterFlagCompletionFunc("file", completeFiles))
}

func (s *shell) maskInitCommand() *cobra.Command {
	var from maskSource
	var add, dry bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write mask.yaml: a rule for every column of production",
		Long: `Reads the structure of production's database, never its values, and writes a
rule for every column: what looks personal by its name or type is masked; keys,
numbers, times, booleans and enumerations are kept; texts, JSON, bytes and
arrays that nobody can judge by their names are replaced until you say
otherwise. Each line says why.

A file that is there stays as it is. With --add, rules for what is new are put
into it, and every line that people wrote stays.`,
		Example: "  greenroom mask init\n  greenroom mask init --add         # after a migration\n  greenroom mask init --database postgres://localhost/shop_dev --dry-run",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.maskInit(cmd.Context(), from, add, dry) },
	}
	s.maskFlags(cmd, &from)
	cmd.Flags().BoolVar(&add, "add", false, "put rules for what is new into the file that is there")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the file, write nothing")
	return cmd
}

func (s *shell) maskCheckCommand() *cobra.Command {
	var from maskSource
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Does mask.yaml say what becomes of every column?",
		Long: `Holds mask.yaml against the structure of production's database, or of another
one: in CI, of the one that the tests have migrated. It reads no values, and
with --database it needs no Greenroom that runs.

Exit code 0: every column has a rule that it can have. 1: some have none, and
the lines to add are printed; or a rule can't be what it says. A rule for what
the database does not have is told, and no fault: the column may come with the
next migration, or have gone with the last.`,
		Example: "  greenroom mask check\n  greenroom mask check --database env       # DATABASE_URL, in CI\n  greenroom mask check --database app.db    # an SQLite file",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.maskCheck(cmd.Context(), from) },
	}
	s.maskFlags(cmd, &from)
	return cmd
}

// shape reads the structure of the database that a person means, and what to call that.
func (s *shell) shape(ctx context.Context, from maskSource) (shape mask.Shape, of string, err error) {
	address := from.database
	switch address {
	case "":
		c, app, err := s.reach(ctx)
		if err != nil {
			return shape, "", unreached(err, "greenroom up; or name a database: --database env takes DATABASE_URL")
		}
		defer c.Close()
		shape, err = c.Shape(ctx, app, from.environment)
		return shape, cmp.Or(from.environment, "production"), err
	case "env":
		if address = s.Getenv("DATABASE_URL"); address == "" {
			return shape, "", problem.New(problem.Invalid, "DATABASE_URL is not set").WithHint("set it, or name the database: --database URL")
		}
	}
	shape, err = s.DatabaseShape(ctx, address)
	if p := problem.From(err); p != nil && p.Code == problem.Unavailable && p.Hint == "" {
		err = p.WithHint("see that it is up, and that this user may read it: psql URL")
	}
	return shape, "the database", err // not its address, which may hold a password
}

func (s *shell) maskInit(ctx context.Context, from maskSource, add, dry bool) error {
	file, err := s.MaskFile(s.dir, from.file)
	if err != nil {
		return err
	}
	if file.There && !add && !dry {
		return problem.New(problem.Invalid, "%s is there already", file.File).
			WithHint("greenroom mask init --add puts rules for what is new into it; greenroom mask check tells what is missing")
	}
	shape, of, err := s.shape(ctx, from)
	if err != nil {
		return err
	}
	p := proposal{MaskFile: file, of: of, shape: shape}
	if err := p.propose(s.Deps, add); err != nil {
		return err
	}
	if !dry && len(p.added.Tables) > 0 {
		if err := atomicfile.Write(file.File, p.after, 0o644); err != nil {
			return problem.New(problem.Invalid, "%s could not be written: %w", file.File, err)
		}
	}
	switch {
	case s.json():
		return s.emit(map[string]any{"file": file.File, "written": !dry && len(p.added.Tables) > 0, "content": string(p.after), "notes": orEmpty(p.notes)})
	case dry:
		s.print("%s", p.after)
		return nil
	}
	s.print("%s", p.page(s.Out))
	if !file.Named && !file.There {
		s.print("\n  to give it to staging, add to that environment in greenroom.yaml:\n      data: {from: production, mask: %s}\n", term.Clean(file.Name))
	}
	s.next("greenroom mask check")
	return nil
}

// proposal is what is to be written, and what of it is new.
type proposal struct {
	MaskFile
	of    string
	shape mask.Shape
	after []byte
	added mask.Rules
	notes []mask.Note // of what is added
}

// propose makes the rules: all anew, or those for what the file that is there does not name.
func (p *proposal) propose(deps Deps, add bool) (err error) {
	if !p.There || !add {
		p.added, p.notes = mask.Propose(p.shape)
		p.after = mask.Format(p.added, p.notes)
		return nil
	}
	merged, notes := mask.Merge(p.Rules, p.shape)
	p.added, p.notes = mask.Added(p.Rules, merged), notes
	p.after, err = deps.AddRules(p.Content, p.Name, p.added, notes)
	return err
}

func (s *shell) maskCheck(ctx context.Context, from maskSource) error {
	file, err := s.MaskFile(s.dir, from.file)
	if err != nil {
		return err
	}
	if !file.There {
		return problem.New(problem.NotFound, "there is no %s", file.File).WithHint("greenroom mask init")
	}
	shape, of, err := s.shape(ctx, from)
	if err != nil {
		return err
	}
	c := checked{File: file.File, name: file.Name, of: of}
	if err := c.check(file.Rules, shape); err != nil {
		return err
	}
	if from == (maskSource{}) && len(c.Missing)+len(c.Wrong) == 0 {
		if c.Next, err = s.afterCheck(ctx, file); err != nil {
			return err
		}
	}
	if s.json() {
		err = s.emit(c)
	} else {
		s.print("%s", c.page(s.Out))
	}
	if err == nil && len(c.Missing)+len(c.Wrong) > 0 {
		return silently(problem.Fail, "%s does not say what becomes of everything", file.Name)
	}
	return err
}

// afterCheck is what is to be done with rules that say enough: they have to be given to an environment, and be in force. Asked
// of another database than production's, as in CI, the rules are all that was asked about.
func (s *shell) afterCheck(ctx context.Context, file MaskFile) (next string, err error) {
	if !file.Named {
		return fmt.Sprintf("add `data: {from: production, mask: %s}` to staging in greenroom.yaml, then greenroom apply", file.Name), nil
	}
	c, app, err := s.reach(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if s.dataUnapplied(ctx, c, app) {
		return toApply, nil
	}
	return "", nil
}

// checked is a file of rules that was held against a database.
type checked struct {
	File    string       `json:"file"`
	Tables  int          `json:"tables"`
	Columns int          `json:"columns"`
	Missing []maskRemark `json:"missing"`        // no rule names it
	Wrong   []maskRemark `json:"wrong"`          // it can't have the rule that it has
	Unused  []maskRemark `json:"unused"`         // a rule names it, and it is not there
	Next    string       `json:"next,omitempty"` // what puts the rules in force; "" where they are, or where nobody could tell

	name, of string
}

// maskRemark is one thing that was found.
type maskRemark struct {
	Table  string   `json:"table"`
	Column string   `json:"column,omitempty"`
	What   string   `json:"what"`
	Add    []string `json:"add,omitempty"` // lines of the file
}

// check sorts what mask has against the rules. No value is masked, so any key will do.
func (c *checked) check(rules mask.Rules, shape mask.Shape) error {
	for _, t := range shape.Tables {
		c.Columns += len(t.Columns)
	}
	c.Tables = len(shape.Tables)
	c.Missing, c.Wrong, c.Unused = []maskRemark{}, []maskRemark{}, []maskRemark{}
	for _, f := range mask.Unused(rules, shape) {
		c.Unused = append(c.Unused, maskRemark{Table: f.Table, Column: f.Column, What: f.What})
	}
	_, err := mask.Compile(rules, make(mask.Key, 32), shape)
	var faults *mask.Faults
	if err != nil && !errors.As(err, &faults) {
		return err
	}
	if faults == nil {
		return nil
	}
	for _, f := range faults.List {
		r := maskRemark{Table: f.Table, Column: f.Column, What: f.What, Add: f.Add}
		if f.Missed {
			c.Missing = append(c.Missing, r)
		} else {
			c.Wrong = append(c.Wrong, r)
		}
	}
	return nil
}

// columnsOf is how many columns rules name.
func columnsOf(r mask.Rules) int {
	n := 0
	for t := range maps.Values(r.Tables) {
		n += len(t.Columns)
	}
	return n
}
