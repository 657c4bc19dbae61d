package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// copyWords are what the commands of snapshots and of backups say differently.
type copyWords struct {
	kind                               api.CopyKind
	short, long                        string
	create, createLong                 string
	list, verify, verifyLong, verified string
	restore, restoreLong, restoreUsage string
	remove                             string
}

var snapshotWords = copyWords{
	kind:  api.CopySnapshot,
	short: "Masked copies of an environment's data, made to leave it",
	long: `A snapshot is a copy of one moment of an environment's database in which the
mask has changed what nobody outside may see, value by value, before anything
was written. Staging rehearses on it, also on another machine: export and import
carry it there.`,
	create: "Take a masked copy",
	createLong: `Copies the database of one moment while writes go on, masked as the environment
says that gets the copy (data: {from: production, mask: mask.yaml}). A table or
column that no rule names stops it before a value is read. What was written is
searched for values that the mask should have changed. Ctrl-C stops it, and
nothing is left.`,
	list:   "The snapshots that there are",
	verify: "Load a snapshot into a server of its own and count it",
	verifyLong: `Loads the snapshot on a stage that is thrown away afterwards, and compares every
table with what was written. A rehearsal does the same with the snapshot that it
takes.`,
	verified: "it was loaded, and every table came out as it went in",
	restore:  "Make an environment's data what a snapshot holds",
	restoreLong: `Shows the maintenance page, stops the services, backs the database up, makes it
what the snapshot holds, and starts the services again. What fails is taken
back. The environment that the snapshot is of takes none: its data would be
masked. One that was masked by other rules than those in force is refused.`,
	restoreUsage: "  greenroom snapshot restore latest --environment staging \\\n    --because \"try the import\"",
	remove:       "Remove a snapshot for good",
}

var backupWords = copyWords{
	kind:  api.CopyBackup,
	short: "Raw copies of an environment's data, which never leave it",
	long: `A backup is a raw copy of an environment's database. Each promotion takes one
before it migrates. It is for the environment that it is of, and for nobody
else.`,
	create: "Take a backup",
	createLong: `Copies the database of one moment while writes go on, and reads the copy back to
its end. Ctrl-C stops it, and nothing is left.`,
	list:   "The backups that there are",
	verify: "Restore a backup beside the database and read all of it",
	verifyLong: `Restores the backup into a database of its own in the same server, reads all of
it, and throws it away. The environment's own data is not touched; its server
has the work.`,
	verified: "it was restored beside the database, and read to its end",
	restore:  "Make the data what a backup holds, and lose what came later",
	restoreLong: `Shows the maintenance page, stops the services, backs up what is there,
restores, and starts the release that was live when the backup was taken,
because that one can live on its schema. What was written since is lost;
--dry-run shows the plan. What fails before the page is gone is taken back.`,
	restoreUsage: "  greenroom backup restore r41 --environment production \\\n    --because \"orders were deleted\"",
	remove:       "Remove a backup for good",
}

func (s *shell) snapshotCommand() *cobra.Command { return s.copyCommand(snapshotWords) }
func (s *shell) backupCommand() *cobra.Command   { return s.copyCommand(backupWords) }

func (s *shell) copyCommand(w copyWords) *cobra.Command {
	cmd := &cobra.Command{
		Use: string(w.kind), Short: w.short, Long: w.long, Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.copyCreate(w), s.copyList(w), s.copyVerify(w), s.copyRestore(w), s.copyRemove(w))
	if w.kind == api.CopySnapshot {
		cmd.AddCommand(s.copyExport(w), s.copyImport())
	} else {
		cmd.AddCommand(s.refuseExport())
	}
	return cmd
}

func (s *shell) copyCreate(w copyWords) *cobra.Command {
	return &cobra.Command{
		Use: "create ENVIRONMENT", Short: w.create, Long: w.createLong,
		Example:           fmt.Sprintf("  greenroom %s create production", w.kind),
		Args:              takes(1, "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeEnvironments()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
				r := api.CopyRequest{App: app, Environment: args[0], Kind: w.kind}
				id, err := s.copying(ctx, func() (api.Stream[api.Event], error) { return c.TakeCopy(ctx, r) })
				if err != nil {
					return err
				}
				r.ID = id
				return s.copyShow(ctx, c, r)
			})
		},
	}
}

// withApp does something with the daemon and the app that the repository is of.
func (s *shell) withApp(ctx context.Context, do func(context.Context, *api.Client, string) error) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return s.orApply(ctx, c, app, do(ctx, c, app))
}

// copying shows the work on a copy and returns its id.
func (s *shell) copying(ctx context.Context, begin func() (api.Stream[api.Event], error)) (id string, err error) {
	interrupted := problem.New(problem.Interrupted, "interrupted: nothing of it is left")
	events, err := begin()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", interrupted
	case err != nil:
		return "", err
	}
	err = s.showAll(func(yield func(api.Event, error) bool) {
		for e, err := range events {
			if e.Step != "" {
				id = e.Step
			}
			if !yield(e, err) {
				return
			}
		}
	})
	if ctx.Err() != nil {
		return id, interrupted
	}
	return id, err
}

// copyShow shows one copy.
func (s *shell) copyShow(ctx context.Context, c *api.Client, r api.CopyRequest) error {
	v, err := s.copyNamed(ctx, c, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(v)
	}
	s.print("%s", copyPage(s.Out, v))
	return nil
}

// copyNamed finds a copy by its id, or the newest as latest.
func (s *shell) copyNamed(ctx context.Context, c *api.Client, r api.CopyRequest) (api.CopyView, error) {
	all, err := c.Copies(ctx, r.App, r.Environment, r.Kind)
	if err != nil {
		return api.CopyView{}, err
	}
	if r.ID == "latest" && len(all) > 0 {
		return all[0], nil
	}
	for _, v := range all {
		if v.ID == r.ID {
			return v, nil
		}
	}
	if r.ID == "latest" {
		return api.CopyView{}, problem.New(problem.NotFound, "there is no %s yet", r.Kind).WithHint("%s", "greenroom "+string(r.Kind)+" create "+cmp.Or(r.Environment, "production"))
	}
	return api.CopyView{}, problem.New(problem.NotFound, "there is no %s %q", r.Kind, r.ID).WithHint("%s", "greenroom "+string(r.Kind)+" list")
}

func (s *shell) copyList(w copyWords) *cobra.Command {
	return &cobra.Command{
		Use: "list [ENVIRONMENT]", Aliases: []string{"ls"}, Short: w.list,
		Long:              w.list + ", the newest first: of one environment, or of all.",
		Example:           fmt.Sprintf("  greenroom %[1]s list\n  greenroom %[1]s list production --output json", w.kind),
		Args:              takes(0, "ENVIRONMENT"),
		ValidArgsFunction: completeInTurn(s.completeEnvironments()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
				all, err := c.Copies(ctx, app, strings.Join(args, ""), w.kind)
				if err != nil {
					return err
				}
				if s.json() {
					return s.emit(orEmpty(all))
				}
				s.print("%s", copiesPage(s.Out, w.kind, all, time.Now()))
				return nil
			})
		},
	}
}

// onCopy does something with the copy that is named, of that environment or of any ("").
func (s *shell) onCopy(cmd *cobra.Command, w copyWords, of, id string, do func(context.Context, *api.Client, api.CopyRequest) error) error {
	return s.withApp(cmd.Context(), func(ctx context.Context, c *api.Client, app string) error {
		v, err := s.copyNamed(ctx, c, api.CopyRequest{App: app, Environment: of, Kind: w.kind, ID: id})
		if err != nil {
			return err
		}
		return do(ctx, c, api.CopyRequest{App: app, Environment: v.Environment, Kind: w.kind, ID: v.ID})
	})
}

func (s *shell) copyVerify(w copyWords) *cobra.Command {
	name := strings.ToUpper(string(w.kind))
	return &cobra.Command{
		Use: "verify " + name, Short: w.verify, Long: w.verifyLong,
		Example: fmt.Sprintf("  greenroom %s verify latest", w.kind),
		Args:    takes(1, name),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.onCopy(cmd, w, "", args[0], func(ctx context.Context, c *api.Client, r api.CopyRequest) error {
				if _, err := s.copying(ctx, func() (api.Stream[api.Event], error) { return c.VerifyCopy(ctx, r) }); err != nil {
					return err
				}
				if !s.json() {
					s.print("%s %s\n", s.Out.Mark(term.Pass), w.verified)
				}
				return s.copyShow(ctx, c, r)
			})
		},
	}
}

func (s *shell) copyRestore(w copyWords) *cobra.Command {
	var o runOptions
	var to string
	name := strings.ToUpper(string(w.kind))
	cmd := &cobra.Command{
		Use: "restore " + name, Short: w.restore, Long: w.restoreLong, Example: w.restoreUsage,
		Args: takes(1, name),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := "" // a snapshot may be of any environment, a backup is of the one that it goes to
			if w.kind == api.CopyBackup {
				if from = to; to == "" && args[0] == "latest" {
					return usage(cmd, "--environment is missing: whose latest backup")
				}
			}
			return s.onCopy(cmd, w, from, args[0], func(ctx context.Context, c *api.Client, of api.CopyRequest) error {
				if to == "" && w.kind == api.CopyBackup {
					to = of.Environment
				}
				if to == "" {
					return usage(cmd, "--environment is missing: where the snapshot goes")
				}
				return s.restore(ctx, c, api.RunRequest{Kind: plan.Restore, App: of.App, Environment: to, Because: o.because, Copy: &of}, o)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.because, "because", "", "the reason, kept in the log")
	s.environmentFlag(cmd, &to, false)
	return cmd
}

func (s *shell) restore(ctx context.Context, c *api.Client, r api.RunRequest, o runOptions) error {
	if o.dry {
		return s.dryRun(ctx, c, r)
	}
	if _, err := c.Plan(ctx, r); err != nil { // what is wrong is said before a reason is asked for
		return err
	}
	because, err := s.reason(ctx, r.Because, "the restore")
	if err != nil {
		return err
	}
	r.Because = because
	return s.carryOut(ctx, c, r, o)
}

func (s *shell) copyRemove(w copyWords) *cobra.Command {
	name := strings.ToUpper(string(w.kind))
	return &cobra.Command{
		Use: "rm " + name, Aliases: []string{"remove"}, Short: w.remove,
		Long:    w.remove + ". One that a run under way may need yet is kept.",
		Example: fmt.Sprintf("  greenroom %s rm 20261126-093000.000", w.kind),
		Args:    takes(1, name),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "latest" { // of any environment, and by the time it is typed perhaps another one
				return problem.New(problem.Invalid, "what is removed for good is named by its id").WithHint("%s", "greenroom "+string(w.kind)+" list")
			}
			return s.onCopy(cmd, w, "", args[0], func(ctx context.Context, c *api.Client, r api.CopyRequest) error {
				if err := c.RemoveCopy(ctx, r); err != nil {
					return err
				}
				if s.json() {
					return s.emit(map[string]string{"id": r.ID, "environment": r.Environment, "done": "removed"})
				}
				s.print("%s the %s %s of %s is removed\n", s.Out.Mark(term.Pass), w.kind, term.Clean(r.ID), term.Clean(r.Environment))
				return nil
			})
		},
	}
}
