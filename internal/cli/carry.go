package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) copyExport(w copyWords) *cobra.Command {
	return &cobra.Command{
		Use: "export SNAPSHOT FILE", Short: "Write a snapshot to a file, to carry it to another machine",
		Long: `Writes a snapshot as one file, signed by the Greenroom that took it: to a file
that only you can read, or to standard output ("-"). The file is there as a
whole or not at all; a bit that flipped since the snapshot was taken stops it,
and so do other rules of the mask than those in force. Ctrl-C stops it, and
nothing is left.

A backup is raw, and never leaves.`,
		Example:           "  greenroom snapshot export latest production.snapshot\n  greenroom snapshot export latest - | \\\n    ssh staging greenroom --app shop snapshot import -",
		Args:              takes(2, "SNAPSHOT", "FILE"),
		ValidArgsFunction: completeInTurn(s.completeCopies(w.kind), completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
				v, err := s.exportable(ctx, c, api.CopyRequest{App: app, Kind: w.kind, ID: args[0]})
				if err != nil {
					return err
				}
				return s.carryOff(ctx, c, app, v, args[1])
			})
		},
	}
}

// refuseExport is `backup export`, for whoever tries: it is not in the help.
func (s *shell) refuseExport() *cobra.Command {
	cmd := s.copyExport(backupWords)
	cmd.Use, cmd.Hidden = "export BACKUP FILE", true
	return cmd
}

// exportable finds the copy that is to leave. A backup is found as well, for the daemon says why it stays.
func (s *shell) exportable(ctx context.Context, c *api.Client, r api.CopyRequest) (api.CopyView, error) {
	v, err := s.copyNamed(ctx, c, r)
	if p := problem.From(err); p == nil || p.Code != problem.NotFound {
		return v, err
	}
	backups, e := c.Copies(ctx, r.App, "", api.CopyBackup)
	if i := slices.IndexFunc(backups, func(v api.CopyView) bool { return v.ID == r.ID }); e == nil && i >= 0 {
		return backups[i], nil
	}
	return v, err
}

// carryOff brings a copy to a file.
func (s *shell) carryOff(ctx context.Context, c *api.Client, app string, v api.CopyView, to string) error {
	p := term.NewProgress(s.Err)
	defer p.Close()
	const step = "export"
	archive, err := c.ExportCopy(ctx, api.CopyRequest{App: app, Environment: v.Environment, Kind: v.Kind, ID: v.ID})
	if err != nil {
		return stopped(ctx, err)
	}
	p.Start(step, "write the snapshot "+term.Clean(v.ID)+" of "+term.Clean(v.Environment)+" to "+term.Clean(to))
	counted := &counted{r: s.watched(archive, p, step, v.Size)}
	if to == "-" {
		_, err = io.Copy(s.Out, counted)
	} else {
		err = writePrivate(to, counted)
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		p.End(step, term.Fail, "")
		return stopped(ctx, err)
	}
	p.End(step, term.Pass, bytesOf(counted.n))
	if to == "-" {
		return nil
	}
	if s.json() {
		return s.emit(map[string]any{"id": v.ID, "environment": v.Environment, "file": to, "bytes": counted.n})
	}
	s.next("greenroom snapshot import %s, where it is to go", term.Clean(to))
	return nil
}

// writePrivate writes a file that only this user can read, and removes what a killed command left beside it: that may be
// large. Of two that write the same file at the same time, one says that it could not.
func writePrivate(name string, from io.Reader) error {
	if err := atomicfile.Sweep(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Invalid, "%s could not be written: %w", name, withoutPath(err))
	}
	return writeFile(name, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// stopped is what a person who pressed Ctrl-C is told.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return problem.New(problem.Interrupted, "interrupted: nothing of it is left").WithHint("the same again, when there is time")
	}
	return err
}

// watched shows in a terminal how far a reader is; of is how much there will be, 0 where nobody knows.
func (s *shell) watched(r io.Reader, p *term.Progress, step string, of int64) io.Reader {
	if !s.Err.Live {
		return r
	}
	return &watched{r: r, tell: func(n int64) {
		text := bytesOf(n)
		if of > 0 {
			text += " of " + bytesOf(of)
		}
		p.Say(step, text)
	}}
}

type watched struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	w.tell(w.n)
	return n, err
}

func (s *shell) copyImport() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Take a snapshot that another Greenroom exported",
		Long: `Takes a snapshot that "greenroom snapshot export" wrote: from a file, or from
standard input ("-"). It is taken when a key has signed it that the policy in
force trusts with its environment, and when it is masked by the rules that are
in force here; both are looked at before any of it is kept. What is damaged or
cut off leaves nothing, and so does Ctrl-C. Rehearsals use the newest.`,
		Example:           "  greenroom snapshot import production.snapshot\n  ssh production greenroom --app shop snapshot export latest - | \\\n    greenroom snapshot import -",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
				return s.bringIn(ctx, c, app, args[0])
			})
		},
	}
}

func (s *shell) bringIn(ctx context.Context, c *api.Client, app, from string) error {
	archive, err := s.open(from)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // only read from
	p := term.NewProgress(s.Err)
	defer p.Close()
	const step = "import"
	p.Start(step, "take the snapshot in "+term.Clean(from))
	v, err := c.ImportCopy(ctx, app, s.watched(archive, p, step, sizeOf(archive)))
	if err != nil {
		p.End(step, term.Fail, "")
		return stopped(ctx, err)
	}
	p.End(step, term.Pass, bytesOf(v.Size))
	if s.json() {
		return s.emit(v)
	}
	s.print("%s", copyPage(s.Out, v))
	s.next("greenroom rehearse")
	return nil
}

// sizeOf is how long a file is, 0 where that is not known.
func sizeOf(r io.Reader) int64 {
	f, ok := r.(*os.File)
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// completeCopies completes the ids of copies.
func (s *shell) completeCopies(kind api.CopyKind) completer {
	return s.completeWith(func(ctx context.Context, c *api.Client, app string) []cobra.Completion {
		names := []cobra.Completion{cobra.CompletionWithDesc("latest", "the newest "+string(kind))}
		copies, err := c.Copies(ctx, app, "", kind)
		if err != nil {
			return names
		}
		for _, v := range copies {
			names = append(names, cobra.CompletionWithDesc(v.ID, v.Environment))
		}
		return names
	})
}
