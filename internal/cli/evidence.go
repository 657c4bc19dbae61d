package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) evidenceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence",
		Short: "What is signed about a release: show, verify, export, import",
		Long: `Evidence is a signed statement: this check gave this verdict about this release,
on this stage, against this baseline. It is an in-toto statement in a DSSE
envelope, which anybody can verify with the public key alone.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.evidenceShowCommand(), s.evidenceVerifyCommand(), s.evidenceExportCommand(), s.evidenceImportCommand())
	return cmd
}

func (s *shell) evidenceShowCommand() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "show RELEASE",
		Short: "Everything that is signed about a release, and what of it counts",
		Long: `Lists everything that is signed about a release, the oldest first: what it says,
who signed it, when, and where it doesn't count, why not. --full prints the
statements themselves.`,
		Example:           "  greenroom evidence show latest\n  greenroom evidence show 3f2a91c0 --full\n  greenroom evidence show latest --output json",
		Args:              takes(1, "RELEASE"),
		ValidArgsFunction: completeInTurn(s.completeReleases()),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.evidenceShow(cmd.Context(), args[0], full) },
	}
	cmd.Flags().BoolVar(&full, "full", false, "print the statements as well")
	return cmd
}

func (s *shell) evidenceShow(ctx context.Context, name string, full bool) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return err
	}
	list, err := c.Evidence(ctx, app, string(r.Digest))
	if err != nil {
		return err
	}
	switch {
	case s.json():
		return s.emit(list)
	case full:
		s.print("%s", statementsPage(s.Out, list))
	default:
		s.print("%s", evidencePage(s.Out, list, time.Now()))
	}
	if len(list.Items) == 0 {
		s.next("greenroom rehearse %s", r.Digest.Short())
	}
	return nil
}

func (s *shell) evidenceExportCommand() *cobra.Command {
	var out string
	var baseline bool
	cmd := &cobra.Command{
		Use:   "export RELEASE|ENVIRONMENT",
		Short: "Write what is signed about a release, or what an environment is",
		Long: `Writes everything that is signed about a release as JSON lines: one DSSE
envelope around an in-toto statement a line, byte for byte as it was signed.

With --baseline it writes what an environment is (its release, schema,
configuration), signed: what staging on another machine rehearses against. There
it is taken with greenroom evidence import.`,
		Example:           "  greenroom evidence export latest > evidence.jsonl\n  greenroom evidence export latest --out evidence.jsonl\n  greenroom evidence export production --baseline --out production.json",
		Args:              takes(1, "RELEASE"),
		ValidArgsFunction: completeInTurn(s.completeSides()),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.evidenceExport(cmd.Context(), args[0], out, baseline)
		},
	}
	cmd.Flags().StringVar(&out, "out", "-", "the file to write; - is standard output")
	cmd.Flags().BoolVar(&baseline, "baseline", false, "of an environment: what it is now")
	must(cmd.RegisterFlagCompletionFunc("out", completeFiles))
	return cmd
}

// exported is what is to be written, and the keys that signed it.
type exported struct {
	envelopes [][]byte
	signers   []evidence.KeyID
}

func (s *shell) evidenceExport(ctx context.Context, name, out string, baseline bool) error {
	x, err := s.exported(ctx, name, baseline)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		for _, e := range x.envelopes {
			if _, err := fmt.Fprintf(w, "%s\n", e); err != nil {
				return err
			}
		}
		return nil
	}
	if out == "-" {
		return write(s.Out)
	}
	if err := writeFile(out, 0o644, write); err != nil {
		return err
	}
	if s.json() {
		return s.emit(map[string]any{"file": out, "envelopes": len(x.envelopes)})
	}
	s.print("%s %s in %s\n", s.Out.Mark(term.Pass), count(len(x.envelopes), "envelope", "envelopes"), term.Clean(out))
	if baseline {
		s.next("greenroom evidence import %s, where its releases are rehearsed", term.Clean(out))
		return nil
	}
	var keys strings.Builder
	for _, id := range x.signers {
		fmt.Fprintf(&keys, " --key \"$(greenroom key show %s)\"", shortKey(id))
	}
	s.next("greenroom evidence verify %s%s", term.Clean(out), keys.String())
	return nil
}

// exported is what is signed about a release, or what an environment is. Evidence that is gone stops it: an export that
// leaves something out in silence would be a lie.
func (s *shell) exported(ctx context.Context, name string, baseline bool) (exported, error) {
	c, app, err := s.reach(ctx)
	if err != nil {
		return exported{}, err
	}
	defer c.Close()
	if baseline {
		envelope, err := c.Standing(ctx, app, name)
		return exported{envelopes: [][]byte{envelope}}, err
	}
	r, err := s.resolve(ctx, c, app, name)
	if p := problem.From(err); p != nil && p.Code == problem.NotFound && slices.Contains(environmentNames(ctx, c, app), name) {
		return exported{}, problem.New(problem.Invalid, "%s is an environment: what it is now is exported with --baseline", name).
			WithHint("greenroom evidence export %s --baseline", name)
	}
	if err != nil {
		return exported{}, err
	}
	list, err := c.Evidence(ctx, app, string(r.Digest))
	if err != nil {
		return exported{}, err
	}
	if len(list.Items) == 0 {
		return exported{}, problem.New(problem.NotFound, "nothing is signed about %s yet", r.Digest.Short()).WithHint("greenroom rehearse %s", r.Digest.Short())
	}
	return exportedOf(list)
}

func exportedOf(list api.EvidenceList) (x exported, err error) {
	for _, item := range list.Items {
		if len(item.Envelope) == 0 {
			return exported{}, problem.New(problem.Fail, "evidence about %s that was recorded (number %d of the log) is gone", list.Release.Short(), item.Seq).
				WithHint("greenroom evidence show %s", list.Release.Short())
		}
		x.envelopes = append(x.envelopes, item.Envelope)
	}
	for _, k := range list.Keys {
		x.signers = append(x.signers, k.ID)
	}
	return x, nil
}

func (s *shell) evidenceImportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Take what another Greenroom says of an environment that it runs",
		Long: `Takes what "greenroom evidence export ENVIRONMENT --baseline" wrote on the
machine where that environment is: rehearsals here run against it from then on,
and gates judge by it. It counts when the policy in force trusts the key that
signed it for that environment.

A release with its evidence is taken with greenroom release import.`,
		Example:           "  greenroom evidence import production.json\n  ssh production greenroom evidence export production --baseline |\n    greenroom evidence import -",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.evidenceImport(cmd.Context(), args[0]) },
	}
}

func (s *shell) evidenceImport(ctx context.Context, name string) error {
	b, err := s.readEnvelopes(name)
	if err != nil {
		return err
	}
	if len(b.envelopes) != 1 || b.bundle {
		return problem.New(problem.Invalid, "%s is not what an environment's Greenroom says of it", name).
			WithHint("greenroom evidence export ENVIRONMENT --baseline, there; greenroom release import FILE for a release")
	}
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	v, err := c.TakeStanding(ctx, app, b.envelopes[0])
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(v)
	}
	s.print("%s", standingPage(s.Out, v, time.Now()))
	if !v.Known && v.Release != "" {
		s.next("greenroom release import FILE, with %s: rehearsals compare with it", v.Release.Short())
	}
	return nil
}
