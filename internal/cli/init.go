package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) initCommand() *cobra.Command {
	var force, dry bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented greenroom.yaml from the compose.yaml here",
		Long: `Reads the Compose file in the folder and writes a commented greenroom.yaml
beside it. It says which services can run here, which can't and why, and what to
add. Services are containers where the file has images or builds and a Docker
Engine answers, else plain processes.

A greenroom.yaml that exists stays as it is, unless --force is given.`,
		Example: "  greenroom init\n  greenroom init --dry-run          # print it, write nothing\n  greenroom init -C services/shop",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.init(cmd, force, dry) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a greenroom.yaml that exists")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the file, write nothing")
	return cmd
}

func (s *shell) init(cmd *cobra.Command, force, dry bool) error {
	d, err := s.Draft(cmd.Context(), s.dir)
	if err != nil {
		return err
	}
	if !dry {
		if err := writeDraft(d, force); err != nil {
			return err
		}
	}
	if s.json() {
		return s.emit(map[string]any{"file": d.File, "written": !dry, "content": string(d.Content), "findings": d.Findings})
	}
	if dry {
		s.print("%s", d.Content)
		return nil
	}
	s.print("%s wrote %s\n%s", s.Out.Mark(term.Pass), term.Clean(d.File), findingsPage(s.Out, d.Findings))
	s.next("%s", afterDraft(d.Findings))
	return nil
}

// afterDraft is what to do with what was found: greenroom up says no as long as anything is left.
func afterDraft(findings []Finding) string {
	var todo []string
	if slices.ContainsFunc(findings, func(f Finding) bool { return f.Add != "" }) {
		todo = append(todo, "make these additions")
	}
	if n := len(slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Runs || f.Add != "" })); n > 0 {
		todo = append(todo, "change "+count(n, "line that can't stay", "lines that can't stay"))
	}
	return strings.Join(append(todo, "greenroom up"), ", then ")
}

// findingsPage tells of each part whether it runs, and what to add, ready to be copied: with the file's own indentation.
func findingsPage(out term.Screen, findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		mark := term.Pass
		if !f.Runs {
			mark = term.Fail
		}
		fmt.Fprintf(&b, "  %s %s: %s\n", out.Mark(mark), term.Clean(f.Subject), term.Clean(f.Text))
		if f.Add == "" {
			continue
		}
		where := "below"
		if f.Replaces {
			where = "in place of"
		}
		fmt.Fprintf(&b, "    %s line %d of %s:\n%s", where, f.Line, term.Clean(f.File), term.Indent("", term.CleanBlock(f.Add)))
	}
	return b.String()
}

func writeDraft(d Draft, force bool) error {
	_, err := os.Stat(d.File)
	switch {
	case err == nil && !force:
		return problem.New(problem.Invalid, "%s exists already", d.File).
			WithHint("greenroom up; or greenroom init --force to write it anew")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Invalid, "%s: %w", d.File, err)
	}
	if err := atomicfile.Write(d.File, d.Content, 0o644); err != nil {
		return problem.New(problem.Invalid, "%s could not be written: %w", d.File, err)
	}
	return nil
}
