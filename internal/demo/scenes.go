package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"greenroom/examples"
	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// up starts Greenroom, registers the shop, and starts its environments, which are empty yet.
func (s *story) up(ctx context.Context) error {
	if err := s.program.EnsureDaemon(ctx, s.home); err != nil {
		return err
	}
	var err error
	if s.client, err = api.Dial(ctx, s.home.Socket(), s.program.Version); err != nil {
		return err
	}
	d, err := s.program.Load(ctx, s.shop)
	if err != nil {
		return err
	}
	if _, err := s.client.Register(ctx, api.Registration{App: d.App.Name, Repository: s.shop, Policy: d.App.Policy}); err != nil {
		return err
	}
	events, err := s.client.Up(ctx, api.EnvironmentsRequest{App: s.app})
	if err != nil {
		return err
	}
	for _, err := range events {
		if err != nil {
			return err
		}
	}
	return nil
}

// change makes the repository the next release of the story and builds it.
func (s *story) change(ctx context.Context, name string) (release.Digest, error) {
	if err := examples.Apply(s.shop, name); err != nil {
		return "", err
	}
	if err := s.commit(ctx, name); err != nil {
		return "", err
	}
	if err := s.apply(ctx); err != nil {
		return "", err
	}
	return s.build(ctx, name)
}

// build builds what the repository holds; its unit tests are part of that.
func (s *story) build(ctx context.Context, name string) (id release.Digest, err error) {
	err = s.step(fmt.Sprintf("build %s and run its unit tests", name), func(say func(string)) (string, error) {
		d, err := s.program.Load(ctx, s.shop)
		if err != nil {
			return "", err
		}
		built, err := s.program.Build(ctx, d, func(e api.Event) { say(e.Text) })
		if err != nil {
			return "", err
		}
		r, err := s.client.Import(ctx, built.Info, built.Layout)
		if err = errors.Join(err, built.Layout.Close()); err != nil {
			return "", err
		}
		id = r.Digest
		said := "release " + id.Short()
		for _, st := range built.Statements {
			if st.Result.Verdict != evidence.Pass {
				return "", untold("check %s at build: %s: %s", st.Result.Check, st.Result.Verdict, st.Result.Summary)
			}
			said += fmt.Sprintf("; %s: %s", st.Result.Check, st.Result.Summary)
		}
		return said, nil
	})
	return id, err
}

// looks is how often a rehearsal is tried on a machine that is too busy to look closely enough.
const looks = 3

// rehearse puts a release through a rehearsal, expects that verdict, and shows what was found. One that could not decide
// is done again, as a person would.
func (s *story) rehearse(ctx context.Context, r release.Digest, want evidence.Verdict) (rep evidence.Report, err error) {
	text := "the dress rehearsal of " + r.Short()
	for n := 1; ; n++ {
		rep, err = s.rehearseOnce(ctx, text, r, want, n == looks)
		if err != nil || rep.Verdict == want {
			return rep, err
		}
		text = "could not decide on this busy machine, so once more: the dress rehearsal of " + r.Short()
	}
}

// rehearseOnce does it once. Unless it is the last time, it may also end without a decision.
func (s *story) rehearseOnce(ctx context.Context, text string, r release.Digest, want evidence.Verdict, last bool) (rep evidence.Report, err error) {
	err = s.step(text, func(say func(string)) (string, error) {
		run, err := s.run(ctx, api.RunRequest{Kind: plan.Rehearsal, App: s.app, Release: string(r)}, say)
		if err != nil {
			return "", err
		}
		if rep, err = s.client.Report(ctx, s.app, run.ID); err != nil {
			return "", err
		}
		if rep.Verdict != want && (last || rep.Verdict != evidence.Inconclusive) {
			s.say("%s", term.Indent("    ", s.findings(rep)))
			return "", untold("the rehearsal ended with %s, not %s", rep.Verdict, want)
		}
		return s.findings(rep), nil
	})
	return rep, err
}

// findings are the results of a rehearsal, a line each.
func (s *story) findings(r evidence.Report) string {
	var rows [][]string
	for _, result := range r.Results {
		mark := map[evidence.Verdict]string{evidence.Pass: "✓", evidence.Fail: "✗"}[result.Verdict]
		if mark == "" {
			mark = "?"
		}
		rows = append(rows, []string{mark + " " + result.Check, result.Summary})
	}
	return fmt.Sprintf("%s\n%s", r.Verdict, s.columns(rows))
}

// nameWidth is the most that names take beside their sentences, in cells: a longer one stands on a line of its own.
const nameWidth = 26

// columns are rows of a name and a sentence, which goes on below itself where the terminal ends.
func (s *story) columns(rows [][]string) string {
	name := 0
	for _, row := range rows {
		if w := term.Width(row[0]); w <= nameWidth {
			name = max(name, w)
		}
	}
	var b strings.Builder
	for _, row := range rows {
		first := row[0]
		if term.Width(first) > nameWidth {
			b.WriteString(first + "\n")
			first = ""
		}
		for _, line := range term.Wrap(term.Clean(row[1]), s.screen.Width()-name-7) { // a step's details are four cells in
			b.WriteString(strings.TrimRight(term.Pad(first, name+2)+line, " ") + "\n")
			first = ""
		}
	}
	return b.String()
}

// promote promotes a release and expects that outcome.
func (s *story) promote(ctx context.Context, r release.Digest, env string, want plan.Outcome) (run api.RunView, err error) {
	err = s.step(fmt.Sprintf("promote %s to %s", r.Short(), env), func(say func(string)) (string, error) {
		if run, err = s.run(ctx, api.RunRequest{Kind: plan.Promotion, App: s.app, Release: string(r), Environment: env}, say); err != nil {
			return "", err
		}
		if run.Outcome != want {
			return "", untold("the promotion ended as %q, not %q: %s", run.Outcome, want, run.Reason)
		}
		if want == plan.RolledBack {
			return fmt.Sprintf("rolled back by itself: %s", run.Reason), nil
		}
		return "", nil
	})
	return run, err
}

// run starts a run and follows it to its end.
func (s *story) run(ctx context.Context, r api.RunRequest, say func(string)) (api.RunView, error) {
	started, err := s.client.Start(ctx, r)
	if err != nil {
		return api.RunView{}, err
	}
	events, err := s.client.Events(ctx, started.ID, 0)
	if err != nil {
		return api.RunView{}, err
	}
	for e, err := range events {
		if err != nil {
			return api.RunView{}, err
		}
		if e.Text != "" && e.State != plan.Failed {
			say(e.Text)
		}
	}
	return s.client.Run(ctx, started.ID)
}

// refused asks for what must not be, and expects a no with a reason.
func (s *story) refused(ctx context.Context, r release.Digest, text string) error {
	return s.step(text, func(func(string)) (string, error) {
		x, err := s.client.Explain(ctx, s.app, string(r), "production")
		if err != nil {
			return "", err
		}
		if x.Decision.Allowed {
			return "", untold("production would take %s", r.Short())
		}
		_, err = s.client.Start(ctx, api.RunRequest{Kind: plan.Promotion, App: s.app, Release: string(r), Environment: "production"})
		if p := problem.From(err); p == nil || p.Code != problem.Blocked {
			return "", untold("the promotion was not refused: %v", err)
		}
		var rows [][]string
		for _, m := range gate.Alike(x.Decision.Missing()) {
			rows = append(rows, []string{"no: " + m.Name, m.Reason})
		}
		return s.columns(rows), nil
	})
}

// live is what an environment runs.
func (s *story) live(ctx context.Context, env string) (release.Digest, error) {
	v, err := s.client.Status(ctx, s.app)
	if err != nil {
		return "", err
	}
	for _, e := range v.Apps[0].Environments {
		if e.Name == env && e.Live != nil {
			return e.Live.Digest, nil
		}
	}
	return "", untold("%s has no release", env)
}

// letIn starts the customers at production's address.
func (s *story) letIn(ctx context.Context) error {
	v, err := s.client.Status(ctx, s.app)
	if err != nil {
		return err
	}
	for _, e := range v.Apps[0].Environments {
		if e.Name == "production" {
			s.customers, err = enter(s.shop, e.Address, s.ticker)
			return err
		}
	}
	return untold("there is no production")
}

// ticker shows what the customers see, on a terminal.
func (s *story) ticker(second, all report) {
	if !s.screen.Live {
		return
	}
	const name = "customers"
	s.progress.Start(name, fmt.Sprintf("customers: %d requests a second, %d ms at the 99th percentile; %d orders, %d failed so far",
		second.Requests, int(second.P99+0.5), all.Orders, all.Failed))
}
