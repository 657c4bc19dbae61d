package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	xterm "github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// yesFlag is the word that stands in for a person's.
func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask; needed where nobody sits at a terminal")
}

// becauseFlag is the reason that is kept with what is done.
func becauseFlag(cmd *cobra.Command, because *string) {
	cmd.Flags().StringVar(because, "because", "", "the reason, kept with what is done")
}

// atTerminal says whether a person can be asked.
func (s *shell) atTerminal() bool {
	f, ok := s.In.(*os.File)
	return ok && xterm.IsTerminal(f.Fd())
}

// confirm asks a person, whose yes is the word yes. Where nobody can be asked, yes has to be said beforehand.
func (s *shell) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	if !s.atTerminal() {
		return problem.New(problem.Invalid, "nobody is here to be asked: %s", term.Clean(question)).WithHint("the same with --yes")
	}
	answer, err := s.ask(ctx, question+" [yes/no] ")
	if err != nil {
		return err
	}
	if answer != "yes" && answer != "y" {
		_, _ = fmt.Fprintln(s.Err, "nothing was done") // nobody is left to tell
		return silently(problem.Interrupted, "the answer was no")
	}
	return nil
}

// reason is the one that was given, or that a person gives when asked. what says what needs one.
func (s *shell) reason(ctx context.Context, given, what string) (string, error) {
	given = strings.TrimSpace(given)
	if given == "" && s.atTerminal() {
		var err error
		if given, err = s.ask(ctx, "Why? (it is kept with "+what+") "); err != nil {
			return "", err
		}
	}
	if given == "" {
		return "", problem.New(problem.Invalid, "a reason is missing: it is kept with %s", what).
			WithHint("the same with --because \"what happened\"")
	}
	return given, nil
}

// ask reads a line from the terminal. Ctrl-C ends the asking.
func (s *shell) ask(ctx context.Context, prompt string) (string, error) {
	_, _ = fmt.Fprint(s.Err, term.Clean(prompt)) // a prompt is no result
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // it may outlive the command: a read from a terminal can't be taken back
		line, err := bufio.NewReader(s.In).ReadString('\n')
		answered <- answer{strings.TrimSpace(line), err}
	}()
	select {
	case <-ctx.Done():
		return "", problem.From(ctx.Err())
	case a := <-answered:
		if a.err != nil {
			return "", problem.New(problem.Interrupted, "nobody answered")
		}
		return a.line, nil
	}
}
