package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	xterm "github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// maxSecret is the longest value, in bytes.
const maxSecret = 64 << 10

func (s *shell) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Set, list and remove secrets, per environment",
		Long: `A service names its secrets in the Compose file; here they get their values, one
per environment, encrypted where they are kept. A value is read from standard
input or asked for without an echo, never taken from the command line, and never
shown again.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.secretSetCommand(), s.secretListCommand(), s.secretRemoveCommand())
	return cmd
}

func (s *shell) environmentFlag(cmd *cobra.Command, to *string, required bool) {
	cmd.Flags().StringVarP(to, "environment", "e", "", "the environment")
	must(cmd.RegisterFlagCompletionFunc("environment", s.completeEnvironments()))
	if required {
		cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
			if *to == "" { // not MarkFlagRequired: that knows nothing of GREENROOM_ENVIRONMENT
				return usage(cmd, "--environment is missing: a secret belongs to one")
			}
			return nil
		}
	}
}

func (s *shell) secretSetCommand() *cobra.Command {
	var environment string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Give a secret its value, from standard input or a hidden prompt",
		Long: `Reads the value from standard input, or asks for it without an echo on a
terminal, and keeps it encrypted. One end of line at its end is not part of it.
Services get the new value when they start next.`,
		Example: "  greenroom secret set STRIPE_KEY --environment production\n  pass show stripe | greenroom secret set STRIPE_KEY -e production",
		Args:    takes(1, "NAME"),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.secretSet(cmd.Context(), environment, args[0]) },
	}
	s.environmentFlag(cmd, &environment, true)
	return cmd
}

func (s *shell) secretSet(ctx context.Context, environment, name string) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	value, err := s.readSecret(name, environment)
	if err != nil {
		return err
	}
	if err := c.SecretSet(ctx, api.SecretName{App: app, Environment: environment, Name: name}, value); err != nil {
		return err
	}
	if err := s.secretDone(environment, name, "set"); err != nil || s.json() {
		return err
	}
	s.print("  what runs there gets it when it is started next: by a promotion, or greenroom down %[1]s && greenroom up %[1]s\n", term.Clean(environment))
	return nil
}

// readSecret asks for a value where a person sits, and reads it where none does.
func (s *shell) readSecret(name, environment string) ([]byte, error) {
	var value []byte
	var err error
	if f, ok := s.In.(*os.File); ok && xterm.IsTerminal(f.Fd()) {
		_, _ = fmt.Fprintf(s.Err, "%s in %s: ", term.Clean(name), term.Clean(environment)) // the prompt is no result
		value, err = xterm.ReadPassword(f.Fd())
		_, _ = fmt.Fprintln(s.Err)
	} else {
		value, err = io.ReadAll(io.LimitReader(s.In, maxSecret+2))
	}
	if err != nil {
		return nil, problem.New(problem.Invalid, "the value could not be read: %w", err)
	}
	value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	switch {
	case len(value) == 0:
		return nil, problem.New(problem.Invalid, "the value is empty").WithHint("to remove it: greenroom secret rm %s --environment %s", name, environment)
	case len(value) > maxSecret:
		return nil, problem.New(problem.Invalid, "the value is longer than %s", bytesOf(maxSecret))
	}
	return value, nil
}

func (s *shell) secretListCommand() *cobra.Command {
	var environment string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Which secrets there are, and which are missing; never their values",
		Long: `Lists the secrets that services name and those that have a value, per
environment: set or missing, by whom, when.`,
		Example: "  greenroom secret list\n  greenroom secret list --environment production",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, app, err := s.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.SecretList(cmd.Context(), app, environment)
			if err != nil {
				return err
			}
			if s.json() {
				return s.emit(orEmpty(list))
			}
			s.print("%s", secretsPage(s.Out, list))
			return nil
		},
	}
	s.environmentFlag(cmd, &environment, false)
	return cmd
}

func (s *shell) secretRemoveCommand() *cobra.Command {
	var environment string
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Aliases: []string{"remove"},
		Short:   "Forget a secret's value",
		Long: `Forgets the value of a secret in an environment. One that services of a running
environment need is kept: stop the environment first.`,
		Example: "  greenroom secret rm STRIPE_KEY --environment qa",
		Args:    takes(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, app, err := s.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SecretRemove(cmd.Context(), api.SecretName{App: app, Environment: environment, Name: args[0]}); err != nil {
				return err
			}
			return s.secretDone(environment, args[0], "removed")
		},
	}
	s.environmentFlag(cmd, &environment, true)
	return cmd
}

func (s *shell) secretDone(environment, name, what string) error {
	if s.json() {
		return s.emit(map[string]string{"environment": environment, "name": name, "done": what})
	}
	s.print("%s %s is %s in %s\n", s.Out.Mark(term.Pass), term.Clean(name), what, term.Clean(environment))
	return nil
}
