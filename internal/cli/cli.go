// Package cli is the commands: one file each. A command reads like a sentence, tells what it is doing while it does it,
// and when it fails says what happened, why, and the next command to run.
package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"greenroom/internal/problem"
)

const rootHelp = `Greenroom runs a team's environments, from development over QA and staging to
production, out of one definition, puts every release through a dress rehearsal,
and lets production take only what was rehearsed.

A first day:
  greenroom init                       write greenroom.yaml from compose.yaml
  greenroom up                         start Greenroom and the environments
  greenroom build                      build a release; prints its id
  greenroom rehearse                   the dress rehearsal of the latest release
  greenroom promote latest production  make it live; or hear why not

A release is named by its id (or the beginning of it), "latest", or a git ref.
Every option can be set in the environment as well: --output json is
GREENROOM_OUTPUT=json. NO_COLOR is honoured.

Exit codes, the same for every command:
  0  done, or pass                     3  inconclusive: it could not be decided
  1  fail                              4  blocked by a gate, or by policy
  2  usage or definition is wrong      130  interrupted`

// Main runs the command line args (without the program's name) and returns the exit code. Errors have been told by
// then. When ctx ends, the command stops as its help says.
func Main(ctx context.Context, args []string, streams Streams, deps Deps) int {
	s := &shell{Deps: deps, Streams: streams}
	root := s.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var p *problem.Error
	if !errors.As(err, &p) && !s.entered { // cobra's own errors: usage
		err = usage(root, "%s", firstLine(err.Error()))
	}
	s.tell(err)
	return problem.ExitCode(err)
}

// New is the tree of commands, for whoever wants to read it (documentation, tests).
func New(deps Deps, streams Streams) *cobra.Command {
	return (&shell{Deps: deps, Streams: streams}).root()
}

func (s *shell) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "greenroom",
		Short:             "Nothing goes live unrehearsed",
		Long:              rootHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              unknownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: s.enter,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%s", firstLine(err.Error())) })
	root.CompletionOptions.HiddenDefaultCmd = false

	f := root.PersistentFlags()
	f.StringVarP(&s.dir, "dir", "C", ".", "folder of the repository")
	f.StringVar(&s.home, "home", "", "state folder of Greenroom (default: the user's XDG state folder)")
	f.StringVar(&s.app, "app", "", "app (default: that of the definition in the repository)")
	f.StringVarP(&s.output, "output", "o", "text", "form of the output: text or json")
	mustComplete(root, "output", "text", "json")

	// Options take the width of the narrowest usual terminal, as the texts do.
	root.SetUsageTemplate(strings.NewReplacer(".FlagUsages ", ".FlagUsagesWrapped 80 ",
		`Use "{{.CommandPath}} [command] --help" for more information about a command.`, "{{.CommandPath}} COMMAND --help tells more.").
		Replace(root.UsageTemplate()))

	s.commands(root)
	return root
}

// commands adds them, in groups: what one does, what proves it, and what one looks at.
func (s *shell) commands(root *cobra.Command) {
	const first, proof, rest = "first", "proof", "rest"
	root.AddGroup(&cobra.Group{ID: first, Title: "From development to production:"},
		&cobra.Group{ID: proof, Title: "What is signed, and by whom:"}, &cobra.Group{ID: rest, Title: "To look around:"})
	for _, c := range []*cobra.Command{s.demoCommand(), s.initCommand(), s.upCommand(), s.downCommand(), s.buildCommand(),
		s.rehearseCommand(), s.explainCommand(), s.promoteCommand(), s.rollbackCommand(), s.applyCommand(), s.breakGlassCommand()} {
		c.GroupID = first
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{s.evidenceCommand(), s.releaseCommand(), s.keyCommand(), s.auditCommand()} {
		c.GroupID = proof
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{s.statusCommand(), s.releasesCommand(), s.reportCommand(), s.historyCommand(), s.logsCommand(),
		s.diffCommand(), s.dbCommand(), s.maskCommand(), s.snapshotCommand(), s.backupCommand(), s.secretCommand(), s.serviceCommand(), s.stateCommand(),
		s.schemaCommand(), s.versionCommand()} {
		c.GroupID = rest
		root.AddCommand(c)
	}
	root.SetHelpCommandGroupID(rest)
	root.SetCompletionCommandGroupID(rest)
	root.AddCommand(s.processes()...)
	root.AddCommand(notBuilt()...)
}

// enter runs before every command: options from the environment, then their values are checked.
func (s *shell) enter(cmd *cobra.Command, _ []string) error {
	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || wrong != nil {
			return
		}
		name := "GREENROOM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := s.Getenv(name)
		if v == "" {
			return
		}
		if err := cmd.Flags().Set(f.Name, v); err != nil {
			wrong = problem.New(problem.Invalid, "%s=%q: %w", name, v, err).WithHint("%s --help", cmd.CommandPath())
		}
	})
	if wrong != nil {
		return wrong
	}
	if s.output != "text" && s.output != "json" {
		return usage(cmd, "--output %s: the forms are text and json", s.output)
	}
	s.entered = true
	return nil
}

// usage is a fault in what was typed.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return problem.New(problem.Invalid, format, args...).WithHint("%s --help", cmd.CommandPath())
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	p := problem.New(problem.Invalid, "there is no command %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return p.WithHint("%s %s", cmd.CommandPath(), like[0])
	}
	return p.WithHint("%s --help", cmd.CommandPath())
}

// takes checks the number of arguments, and names the one that is missing.
func takes(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(cmd, "%s is missing: %s", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usage(cmd, "%q is one argument too many: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
