package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// shell is what every command has: what was handed in, and the options that all of them take.
type shell struct {
	Deps
	Streams

	dir, home, app, output string

	entered bool // the command line was understood, a command runs
}

// json says whether a program reads the output.
func (s *shell) json() bool { return s.output == "json" }

// progressScreen is where progress is shown: not where a program reads the result.
func (s *shell) progressScreen() term.Screen {
	if s.json() {
		return s.Err
	}
	return s.Out
}

// print writes lines for a person. An output that is gone is no reason to stop what is being done.
func (s *shell) print(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Out, format, args...)
}

// emit writes v as JSON.
func (s *shell) emit(v any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return problem.New(problem.Internal, "the output could not be written: %w", err)
	}
	return nil
}

// folder is the state folder.
func (s *shell) folder() (home.Home, error) {
	if s.home == "" {
		return home.Default()
	}
	abs, err := filepath.Abs(s.home)
	if err != nil {
		return "", problem.New(problem.Invalid, "--home %s: %w", s.home, err)
	}
	return home.Home(abs), nil
}

// connect reaches the daemon. The caller closes the client.
func (s *shell) connect(ctx context.Context) (*api.Client, error) {
	h, err := s.folder()
	if err != nil {
		return nil, err
	}
	return api.Dial(ctx, h.Socket(), s.Version)
}

// unreached is err, with another hint where it says that no Greenroom runs here.
func unreached(err error, hint string) error {
	if !errors.Is(err, api.ErrNotRunning) {
		return err
	}
	return problem.From(err).WithHint("%s", hint)
}

// appName is the app that a command is about.
func (s *shell) appName() (string, error) {
	if s.app != "" {
		return s.app, nil
	}
	return s.AppName(s.dir)
}

// reach is connect and appName: what most commands begin with.
func (s *shell) reach(ctx context.Context) (*api.Client, string, error) {
	name, err := s.appName()
	if err != nil {
		return nil, "", err
	}
	c, err := s.connect(ctx)
	return c, name, err
}

// told is an error about which everything has been said already: only its exit code is left.
type told struct{ problem *problem.Error }

func (t told) Error() string { return t.problem.Error() }

// Unwrap lets the code be found.
func (t told) Unwrap() error { return t.problem }

// silently is the exit code of a problem, whose words the output has said.
func silently(code problem.Code, format string, args ...any) error {
	return told{problem.New(code, format, args...)}
}

// tell says what happened, why, and the next command.
func (s *shell) tell(err error) {
	if _, ok := err.(told); ok { //nolint:errorlint // told is never wrapped: the command returns it as its last act
		return
	}
	p := problem.From(err)
	if s.json() {
		_ = json.NewEncoder(s.Err).Encode(map[string]any{ // nobody is left to tell
			"code": p.Code, "message": p.Message, "hint": p.Hint, "exit": problem.ExitCode(p)})
		return
	}
	if p.Code == problem.Interrupted && p.Hint == "" {
		_, _ = fmt.Fprintln(s.Err, "interrupted")
		return
	}
	message := strings.TrimRight(term.CleanBlock(p.Message), "\n")
	head, rest, _ := strings.Cut(message, "\n")
	_, _ = fmt.Fprintf(s.Err, "%s %s\n%s", s.Err.Mark(term.Fail), s.Err.Paint(term.Bold, head), term.Indent("  ", rest))
	if p.Hint != "" {
		_, _ = fmt.Fprintf(s.Err, "  next: %s\n", term.Clean(p.Hint))
	}
}

// next names the command that comes naturally now.
func (s *shell) next(format string, args ...any) {
	s.print("  next: %s\n", fmt.Sprintf(format, args...))
}
