package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// runOptions are those of every command that starts a run.
type runOptions struct {
	because     string
	dry, detach bool
	snapshot    string // that a rehearsal is held on
}

func (o *runOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "print the plan, write nothing")
	cmd.Flags().BoolVar(&o.detach, "detach", false, "start it and do not wait for its end")
}

func (s *shell) rehearseCommand() *cobra.Command {
	var o runOptions
	var html string
	cmd := &cobra.Command{
		Use:   "rehearse [RELEASE]",
		Short: "The dress rehearsal of a release; prints the report",
		Long: `Puts a release (the latest, where none is named) through its dress rehearsal: on
a stage with a database of its own it migrates, runs the journeys of the release
that is live on the new schema, all checks of the new one, goes back, and runs
the journeys again. The report is one page, and the gate's evidence. With --html
it is written as a page for a browser as well, whatever the verdict: one file
that needs nothing beside it.

Where the definition has data for the stage, a masked copy of production's is
taken for it; --snapshot uses one that there is already. Where production is on
another machine, that is the newest that was imported.

Two rehearsals queue. Ctrl-C cancels it: the stage is taken down. With --detach
it goes on by itself.`,
		Example:           "  greenroom rehearse\n  greenroom rehearse 3f2a91c0\n  greenroom rehearse my-branch --output json\n  greenroom rehearse --dry-run\n  greenroom rehearse --html report.html\n  greenroom rehearse --snapshot latest",
		Args:              takes(0, "RELEASE"),
		ValidArgsFunction: completeInTurn(s.completeReleases()),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "latest"
			if len(args) == 1 {
				name = args[0]
			}
			if err := pageable(cmd, html, o); err != nil {
				return err
			}
			return s.rehearse(cmd.Context(), name, html, o)
		},
	}
	o.flags(cmd)
	htmlFlag(cmd, &html)
	cmd.Flags().StringVar(&o.snapshot, "snapshot", "", "the snapshot to rehearse on: an id, or latest")
	must(cmd.RegisterFlagCompletionFunc("snapshot", s.completeCopies(api.CopySnapshot)))
	return cmd
}

// pageable says beforehand what would keep the page from being written: nobody wants to hear it after the rehearsal.
func pageable(cmd *cobra.Command, html string, o runOptions) error {
	switch {
	case html == "":
		return nil
	case html == "-":
		return problem.New(problem.Invalid, "--html -: the report is on standard output, so the page needs a file").
			WithHint("greenroom rehearse --html report.html; greenroom report RELEASE --html - writes the page alone")
	case o.dry || o.detach:
		return usage(cmd, "--html is for a rehearsal that is waited for; greenroom report RELEASE --html FILE writes the page of one that has ended")
	default:
		return writable(html)
	}
}

func (s *shell) rehearse(ctx context.Context, name, html string, o runOptions) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	release, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return err
	}
	r := api.RunRequest{Kind: plan.Rehearsal, App: app, Release: string(release.Digest), Snapshot: o.snapshot}
	if s.dataUnapplied(ctx, c, app) {
		s.warn("a rehearsal takes what is in force: %s", toApply)
	}
	if o.dry {
		return s.dryRun(ctx, c, r)
	}
	run, err := c.Start(ctx, r)
	if err != nil {
		return err
	}
	if o.detach {
		return s.detached(run)
	}
	run, err = s.follow(ctx, c, run)
	if ctx.Err() != nil {
		return s.cancel(ctx, c, run)
	}
	if err != nil {
		return err
	}
	return s.rehearsed(ctx, c, app, run, html)
}

// cancelTime is how long a cancelled command takes to tell the daemon.
const cancelTime = 5 * time.Second

// cancel asks the daemon to stop a run: the person pressed Ctrl-C, so ctx has ended.
func (s *shell) cancel(ctx context.Context, c *api.Client, run api.RunView) error {
	late, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	if err := c.Cancel(late, run.ID); err != nil {
		return err
	}
	return problem.New(problem.Interrupted, "interrupted: the rehearsal stops and its stage is taken down").
		WithHint("greenroom status")
}

// rehearsed shows the report of a rehearsal that has ended, and writes its page to the file html, where that is named.
func (s *shell) rehearsed(ctx context.Context, c *api.Client, app string, run api.RunView, html string) error {
	if run.Cancelled {
		return problem.New(problem.Interrupted, "the rehearsal was cancelled")
	}
	if run.Verdict == "" { // it did not come to its end
		reason := run.Reason
		if reason == "" {
			reason = "it ended as " + string(run.Outcome)
		}
		return problem.New(problem.Inconclusive, "the rehearsal could not be finished: %s", reason).WithHint("%s", run.Hint)
	}
	report, err := c.Report(ctx, app, run.ID)
	if err != nil {
		return err
	}
	unwritten := s.writePage(html, report)
	fault := cmp.Or(verdictEnd(report.Verdict, "the rehearsal"), unwritten)
	if unwritten != nil && fault != unwritten { //nolint:errorlint // which of the two is it
		s.tell(unwritten) // the verdict is the exit code, and nobody else tells of this
	}
	if s.json() {
		return cmp.Or(s.emit(report), fault)
	}
	s.print("\n%s\n", reportPage(s.Out, report, false))
	if html != "" && unwritten == nil {
		s.print("  page: %s\n", term.Clean(html))
	}
	switch {
	case report.Verdict == evidence.Pass:
		s.next("greenroom promote %s %s", report.Release.Short(), whereNext(ctx, c, app, report.Release))
		if report.Mask != nil && report.Mask.Stops() {
			s.print("  then, once it is live and is to stay: put the lines above into %s, and greenroom apply\n", term.Clean(report.Mask.File))
		}
	case run.Hint != "": // it did not come to its end
		s.next("%s", term.Clean(run.Hint))
	case report.Verdict == evidence.Inconclusive:
		s.next("greenroom rehearse %s; when it can't decide again, repair what it says", report.Release.Short())
	default:
		s.next("repair it, then greenroom build && greenroom rehearse")
	}
	return fault
}

// whereNext is the first environment in which the release is not live.
func whereNext(ctx context.Context, c *api.Client, app string, r release.Digest) string {
	v, err := c.Status(ctx, app)
	if err == nil && len(v.Apps) == 1 {
		for _, e := range v.Apps[0].Environments {
			if e.Live == nil || e.Live.Digest != r {
				return term.Clean(e.Name)
			}
		}
	}
	return "ENVIRONMENT"
}

// dryRun shows a plan, and what the gate says.
func (s *shell) dryRun(ctx context.Context, c *api.Client, r api.RunRequest) error {
	v, err := c.Plan(ctx, r)
	if err != nil {
		return s.noWay(r, err)
	}
	if s.json() {
		if err := s.emit(v); err != nil {
			return err
		}
	} else {
		s.print("%s", planPage(s.Out, v.Plan))
		if r.Kind != plan.Rehearsal {
			s.print("\n%s", decisionPage(s.Out, term.Clean(r.App)+" "+v.Plan.Release.Short(), r.Environment, v.Decision))
		}
		s.print("\nnothing was done (--dry-run)\n")
	}
	if !v.Decision.Allowed && r.Kind != plan.Rehearsal {
		return silently(problem.Blocked, "the gate says no")
	}
	return nil
}

// detached tells where to look for a run that goes on by itself.
func (s *shell) detached(run api.RunView) error {
	if s.json() {
		return s.emit(run)
	}
	s.print("%s %s goes on by itself (%s)\n", s.Out.Mark(term.Pass), sentence(run.Plan), term.Clean(run.ID))
	s.next("greenroom status")
	return nil
}
