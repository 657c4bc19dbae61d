package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) reportCommand() *cobra.Command {
	var html string
	var full bool
	cmd := &cobra.Command{
		Use:   "report [RELEASE|RUN]",
		Short: "The report of a rehearsal that has ended, here or as a page",
		Long: `Shows the report of a rehearsal again: the last one of a release (the latest,
where none is named), or that of a run. Where the release has been promoted
since, it tells how long its migration then took.

With --html it is written as one page for a browser, which needs nothing beside
it and asks nobody for anything; - writes the page to standard output. The exit
code is 0, whatever the report's verdict.`,
		Example:           "  greenroom report\n  greenroom report 3f2a91c0 --full\n  greenroom report --html report.html\n  greenroom report --output json",
		Args:              takes(0, "RELEASE|RUN"),
		ValidArgsFunction: completeInTurn(s.completeReleases()),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "latest"
			if len(args) == 1 {
				name = args[0]
			}
			return s.report(cmd.Context(), name, html, full)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "show all of the migration, also where it is well")
	htmlFlag(cmd, &html)
	return cmd
}

func htmlFlag(cmd *cobra.Command, html *string) {
	cmd.Flags().StringVar(html, "html", "", "write the report as a page for a browser to this file")
	must(cmd.RegisterFlagCompletionFunc("html", completeFiles))
}

func (s *shell) report(ctx context.Context, name, html string, full bool) error {
	if html != "" && html != "-" {
		if err := writable(html); err != nil {
			return err
		}
	}
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	report, err := s.findReport(ctx, c, app, name)
	if err != nil {
		return err
	}
	if html == "-" {
		return s.ReportPage(s.Out, report)
	}
	if err := s.writePage(html, report); err != nil {
		return err
	}
	switch {
	case s.json():
		return s.emit(report)
	case html != "":
		s.print("%s the report of run %s is in %s\n", s.Out.Mark(term.Pass), term.Clean(report.Run), term.Clean(html))
	default:
		s.print("%s", reportPage(s.Out, report, full))
	}
	return nil
}

// runName is how runs are called. A branch may be called so, too.
var runName = regexp.MustCompile(`^r[0-9]+$`)

// findReport finds the last report of a release, or that of a run, by a name that a person typed.
func (s *shell) findReport(ctx context.Context, c *api.Client, app, name string) (evidence.Report, error) {
	r, err := s.resolve(ctx, c, app, name)
	if err != nil {
		if report, unknown := c.Report(ctx, app, name); unknown == nil {
			return report, nil
		}
		if p := problem.From(err); runName.MatchString(name) && p != nil && p.Code == problem.NotFound {
			return evidence.Report{}, problem.New(problem.NotFound, "%s has no rehearsal %s that has ended, and no release of that name",
				term.Clean(app), name).WithHint("greenroom report, which is that of the latest release")
		}
		return evidence.Report{}, err
	}
	return c.Report(ctx, app, string(r.Digest))
}

// writable says whether a file can be made there.
func writable(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return problem.New(problem.Invalid, "%s is a folder, and the page needs a file", name)
	}
	dir := filepath.Dir(name)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return problem.New(problem.Invalid, "%s can't be written: there is no folder %s", name, dir).WithHint("mkdir -p %s", dir)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".try-*")
	if err != nil {
		return problem.New(problem.Invalid, "%s can't be written: nothing can be made in the folder %s: %w", name, dir, withoutPath(err))
	}
	if err := f.Close(); err != nil {
		return problem.New(problem.Invalid, "%s can't be written: %w", name, err)
	}
	return os.Remove(f.Name())
}

// writePage writes the report's page to that file; "" is none.
func (s *shell) writePage(html string, r evidence.Report) error {
	if html == "" {
		return nil
	}
	return writeFile(html, 0o644, func(w io.Writer) error { return s.ReportPage(w, r) })
}
