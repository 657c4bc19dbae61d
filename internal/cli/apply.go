package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/term"
)

func (s *shell) applyCommand() *cobra.Command {
	var dry, yes bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the policy in the definition the one in force",
		Long: `Reads the definition, shows how its policy differs from the one in force, and
makes it the one in force: who may do what, what the gates ask for, which keys
are trusted, which differences are accepted. Every release is judged by the
policy in force, never by one that it brings along.

What follows from a change stands beside it: whether it weakens the gate, or
makes rehearsals worthless. It asks before it does anything; --yes answers for
you.`,
		Example: "  greenroom apply --dry-run         # only tell what would change\n  greenroom apply\n  greenroom apply --yes --output json",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.apply(cmd.Context(), dry, yes) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would change, change nothing")
	yesFlag(cmd, &yes)
	return cmd
}

func (s *shell) apply(ctx context.Context, dry, yes bool) error {
	d, err := s.Load(ctx, s.dir)
	if err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r := api.Registration{App: d.App.Name, Repository: d.Dir, Policy: d.App.Policy}
	would, err := c.Apply(ctx, r, true)
	if err != nil {
		return err
	}
	for _, past := range pastDays(d.App.Policy, time.Now()) {
		s.warn("%s", past)
	}
	if dry || !would.Changed {
		return s.applied(d, would)
	}
	if !s.json() {
		s.print("%s", changesPage(s.Out, would))
	}
	if err := s.confirm(ctx, "Make this the policy of "+d.App.Name+"?", yes); err != nil {
		return err
	}
	did, err := c.Apply(ctx, r, false)
	if err != nil {
		return err
	}
	if !s.json() && did.Before != would.Before { // somebody else was faster; what is true now is told
		s.warn("another policy was applied in between: this is what changed")
		s.print("%s", changesPage(s.Out, did))
	}
	return s.applied(d, did)
}

// applied tells the end of an apply.
func (s *shell) applied(d Definition, a api.Applied) error {
	switch {
	case s.json():
		return s.emit(a)
	case !a.Changed:
		s.print("%s the policy of %s is in force as it is in %s: nothing to change\n", s.Out.Mark(term.Pass), term.Clean(d.App.Name), term.Clean(d.Dir))
	case a.Dry:
		s.print("%s\nnothing was done (--dry-run)\n", changesPage(s.Out, a))
		s.next("greenroom apply")
	default:
		s.print("%s the policy of %s is in force as it is in %s\n", s.Out.Mark(term.Pass), term.Clean(d.App.Name), term.Clean(d.Dir))
		s.later(a.Later)
		if len(a.Void) > 0 {
			s.next("greenroom rehearse %s", a.Void[0].Short())
		}
	}
	return nil
}

// later tells which environments run with the configuration of before.
func (s *shell) later(environments []string) {
	if len(environments) > 0 {
		s.warn("what runs in %s keeps its configuration until it is started next: by a promotion, or greenroom down ENVIRONMENT && greenroom up ENVIRONMENT",
			strings.Join(environments, ", "))
	}
}

// pastDays tells what a policy accepts only until a day that is past.
func pastDays(p app.Policy, now time.Time) (past []string) {
	tell := func(path string, until time.Time) {
		if !until.IsZero() && !now.Before(until) {
			past = append(past, fmt.Sprintf("%s ended on %s: it counts no more", path, until.UTC().Format(time.DateOnly)))
		}
	}
	for _, e := range p.Environments {
		tell("environments."+e.Name+".scale", e.Scale.Until)
		for _, d := range e.Differences {
			tell("environments."+e.Name+".differences."+d.Fact, d.Until)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Gates)) {
		for _, check := range slices.Sorted(maps.Keys(p.Gates[name].Except)) {
			tell("gates."+name+".except."+check, p.Gates[name].Except[check].Until)
		}
	}
	return past
}
