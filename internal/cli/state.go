package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Back up Greenroom itself, and restore it on another machine",
		Long: `The state is everything that Greenroom keeps: releases and their evidence, the
log of what happened, its signing keys, secrets, and each environment's database
and files.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.stateBackupCommand(), s.stateRestoreCommand())
	return cmd
}

func (s *shell) stateBackupCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything with which another machine can take over",
		Long: `Writes the whole state to a file, while everything goes on. Databases are copied
as of one moment each; other files of services as they are in that moment, also
while they are written to.

The file holds the secrets and the private signing key: keep it as you keep
production's data. One that is there already is not replaced without --force.`,
		Example:           "  greenroom state backup /backup/greenroom-2026-11-23.tar",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.stateBackup(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there already")
	return cmd
}

func (s *shell) stateBackup(ctx context.Context, to string, force bool) (err error) {
	if _, err := os.Lstat(to); err == nil && !force {
		return problem.New(problem.Invalid, "%s is there already", to).WithHint("another name, or the same with --force")
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	p := term.NewProgress(s.Err)
	defer p.Close()
	const step = "backup"
	p.Start(step, "write the state to "+term.Clean(to))
	archive, err := c.StateBackup(ctx)
	if err != nil {
		p.End(step, term.Fail, "")
		return err
	}
	counted := &counted{r: archive}
	err = writeFile(to, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, counted)
		return err
	})
	if err = errors.Join(err, archive.Close()); err != nil {
		p.End(step, term.Fail, "")
		return err
	}
	p.End(step, term.Pass, bytesOf(counted.n))
	if s.json() {
		return s.emit(map[string]any{"file": to, "bytes": counted.n})
	}
	s.next("greenroom state restore %s, on the machine that takes over", term.Clean(to))
	return nil
}

func (s *shell) stateRestoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Make this machine's empty Greenroom what a backup holds",
		Long: `Restores what "greenroom state backup" wrote into a state folder that has no
state yet. Environments that were up start with the next "greenroom up", or with
the service; their databases are filled before anybody uses them. See that the
Greenroom which it was made of is stopped: two of them would both be production.`,
		Example:           "  greenroom state restore /backup/greenroom-2026-11-23.tar\n  greenroom up",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.stateRestore(cmd.Context(), args[0]) },
	}
}

func (s *shell) stateRestore(ctx context.Context, from string) error {
	h, err := s.folder()
	if err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return problem.New(problem.Invalid, "%s could not be read: %w", from, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	p := term.NewProgress(s.Err)
	defer p.Close()
	const step = "restore"
	p.Start(step, "restore "+term.Clean(from)+" into "+term.Clean(string(h)))
	if err := s.RestoreState(ctx, h, f); err != nil {
		p.End(step, term.Fail, "")
		return err
	}
	p.End(step, term.Pass, "")
	if s.json() {
		return s.emit(map[string]any{"home": string(h)})
	}
	s.next("greenroom up")
	return nil
}
