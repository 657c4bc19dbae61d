package cli

import (
	"context"

	"github.com/spf13/cobra"

	"greenroom/internal/term"
)

func (s *shell) keyRotateCommand() *cobra.Command {
	var because string
	var builder bool
	cmd := &cobra.Command{
		Use:   "rotate --because REASON",
		Short: "Give this Greenroom a new key; what the old one signed counts",
		Long: `Makes a new key, hands the log over to it with the old one's last signature, and
destroys the private half of the old one. What that signed before counts as
before.

Other Greenrooms that trust this one have to be told the new key: greenroom key
show.

--builder is about another key: the one that you sign with what you build. It
takes no Greenroom, and nobody trusts the new one before you build with it here,
or somebody puts it into a definition.`,
		Example: "  greenroom key rotate --because \"once a year\"\n  greenroom key rotate --builder",
		Args:    takes(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if builder {
				return s.rotateBuilder()
			}
			return s.keyRotate(cmd.Context(), because)
		},
	}
	becauseFlag(cmd, &because)
	cmd.Flags().BoolVar(&builder, "builder", false, "the key that you sign with what you build")
	return cmd
}

func (s *shell) keyRotate(ctx context.Context, because string) error {
	because, err := s.reason(ctx, because, "the rotation")
	if err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	k, err := c.RotateKey(ctx, because)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(k)
	}
	s.print("%s this Greenroom signs with %s from now on\n  %s\n", s.Out.Mark(term.Pass), term.Clean(string(k.ID)), term.Clean(k.Public))
	s.next("greenroom key trust %s --as NAME, where this Greenroom is trusted", term.Clean(k.Public))
	return nil
}

func (s *shell) rotateBuilder() error {
	public, err := s.RotateBuilder()
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(map[string]string{"public": public})
	}
	s.print("%s you sign with %s what you build from now on\n", s.Out.Mark(term.Pass), term.Clean(public))
	s.next("greenroom build")
	return nil
}
