// Package demo tells the whole story on the bundled shop, on this machine: a live production with customers, a release
// that its rehearsal stops, the repaired one that goes live without a failed request, a migration that would have stopped
// all orders and its safe form, and one that goes bad once live.
// It plays a user: everything it does goes through the definition, the builder and the API, as the commands do, and
// every act says what it expects and fails when something else happens.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"greenroom/examples"
	"greenroom/internal/account"
	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/cli"
	"greenroom/internal/daemon"
	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// farewell is how long cleaning up may take after the story was interrupted.
const farewell = time.Minute

// story is one telling.
type story struct {
	program   daemon.Program
	screen    term.Screen
	progress  *term.Progress
	home      home.Home
	shop      string // the shop's repository
	client    *api.Client
	customers *customers
	app       string
}

// Tell tells the story. It returns nil only when each act went as told.
func Tell(ctx context.Context, p daemon.Program, o cli.DemoOptions) (err error) {
	dir, err := folder(o.Home)
	if err != nil {
		return err
	}
	s := &story{
		program: p, screen: o.Screen, home: home.Home(filepath.Join(dir, "greenroom")), shop: filepath.Join(dir, "shop"), app: "shop",
	}
	s.say("%s\n", s.screen.Paint(term.Bold, "Greenroom: nothing goes live unrehearsed"))
	s.tell("  %s\n", s.screen.Paint(term.Dim, "everything below happens on this machine, in "+dir))
	s.progress = term.NewProgress(o.Screen)
	defer func() {
		err = errors.Join(err, s.cleanUp(context.WithoutCancel(ctx), dir))
	}()
	for _, act := range []func(context.Context) error{s.opening, s.stopped, s.promoted, s.rewritten, s.rolledBack} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return s.curtain(ctx, o.Exit)
}

// folder is a new folder of the demo's own, which the database server's user can pass through.
func folder(in string) (string, error) {
	if in != "" {
		if err := os.MkdirAll(in, 0o711); err != nil {
			return "", problem.New(problem.Invalid, "--home %s: %w", in, err)
		}
	}
	dir, err := os.MkdirTemp(in, "greenroom-demo-")
	if err != nil {
		return "", problem.New(problem.Unavailable, "the demo needs a folder: %w", err)
	}
	return dir, os.Chmod(dir, 0o711) // #nosec G302 -- see above
}

// say prints a line above the live ones.
func (s *story) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.progress != nil {
		s.progress.Print(text)
		return
	}
	_, _ = fmt.Fprint(s.screen, text) // nobody is left to tell
}

// tell is say for sentences: on a terminal they are broken between words. What is to be copied is said.
func (s *story) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.screen.Live {
		text = term.Fold(text, s.screen.Width())
	}
	s.say("%s", text)
}

// act announces one.
func (s *story) act(title string) { s.say("\n%s", s.block("", term.Bold, title)) }

// block is a sentence, broken between words where the screen ends.
func (s *story) block(indent string, ink term.Ink, text string) string {
	var b strings.Builder
	for _, line := range term.Wrap(text, s.screen.Width()-len(indent)) {
		b.WriteString(indent + s.screen.Paint(ink, line) + "\n")
	}
	return b.String()
}

// step does one thing and shows it. What do returns is what there is to say about it.
func (s *story) step(text string, do func(say func(string)) (string, error)) error {
	s.progress.Start(text, text)
	detail, err := do(func(line string) {
		if s.screen.Live {
			s.progress.Say(text, line)
		}
	})
	if err != nil {
		s.progress.End(text, term.Fail, problem.From(err).Message)
		return err
	}
	s.progress.End(text, term.Pass, detail)
	return nil
}

// opening brings the first release live everywhere, and lets the customers in.
func (s *story) opening(ctx context.Context) error {
	s.act("Opening night: version 1 goes live")
	err := s.step("write the shop into a repository of its own", func(func(string)) (string, error) {
		if err := examples.Materialise(s.shop); err != nil {
			return "", err
		}
		return "", s.commit(ctx, examples.Base, "init", "-q", "-b", "main")
	})
	if err != nil {
		return err
	}
	if err := s.step("start Greenroom and the environments dev, qa, staging and production", func(func(string)) (string, error) {
		return "", s.up(ctx)
	}); err != nil {
		return err
	}
	r, err := s.build(ctx, examples.Base)
	if err != nil {
		return err
	}
	if _, err := s.rehearse(ctx, r, evidence.Pass); err != nil {
		return err
	}
	for _, env := range []string{"dev", "qa", "staging", "production"} {
		if _, err := s.promote(ctx, r, env, plan.Succeeded); err != nil {
			return err
		}
	}
	return s.step("let customers in: 40 a second, who look, fill carts, pay and never stop", func(func(string)) (string, error) {
		return "", s.letIn(ctx)
	})
}

// stopped is the release that breaks the payment: green everywhere but in the journey of the rehearsal.
func (s *story) stopped(ctx context.Context) error {
	s.act("Act one: a discount in the cart breaks the payment")
	before, err := s.live(ctx, "production")
	if err != nil {
		return err
	}
	r, err := s.change(ctx, examples.Broken)
	if err != nil {
		return err
	}
	report, err := s.rehearse(ctx, r, evidence.Fail)
	if err != nil {
		return err
	}
	if err := broken(report); err != nil {
		return err
	}
	if err := s.refused(ctx, r, "explain says no, and promote is refused"); err != nil {
		return err
	}
	return s.step("production never saw it", func(func(string)) (string, error) {
		now, err := s.live(ctx, "production")
		if err == nil && now != before {
			err = untold("production has %s, not %s", now.Short(), before.Short())
		}
		return "", err
	})
}

// broken says whether the rehearsal found what it should: healthy, and the customer's journey fails.
func broken(r evidence.Report) error {
	for _, result := range r.Results {
		switch {
		case result.Check == "start" && result.Verdict != evidence.Pass:
			return untold("the broken release is not even healthy: %s", result.Summary)
		case result.Check == "buy" && result.Verdict != evidence.Fail:
			return untold("the journey buy did not find the fault: %s", result.Verdict)
		}
	}
	return nil
}

// promoted is the repaired release: rehearsed, promoted, and the proof.
func (s *story) promoted(ctx context.Context) error {
	s.act("Act two: the repaired release goes live, and nobody notices")
	r, err := s.toStaging(ctx, examples.Fixed)
	if err != nil {
		return err
	}
	seen := s.customers.total()
	run, err := s.promote(ctx, r, "production", plan.Succeeded)
	if err != nil {
		return err
	}
	if err := s.prove(run, seen); err != nil {
		return err
	}
	return s.verify(ctx, r)
}

// toStaging builds the next release of the story, which passes its rehearsal, and promotes it as far as staging.
func (s *story) toStaging(ctx context.Context, name string) (release.Digest, error) {
	r, err := s.change(ctx, name)
	if err != nil {
		return r, err
	}
	if _, err := s.rehearse(ctx, r, evidence.Pass); err != nil {
		return r, err
	}
	for _, env := range []string{"dev", "qa", "staging"} {
		if _, err := s.promote(ctx, r, env, plan.Succeeded); err != nil {
			return r, err
		}
	}
	return r, nil
}

// prove shows what the switch did to the users, as the edge and as the customers counted it.
func (s *story) prove(run api.RunView, before report) error {
	m := run.Measurement
	if m == nil {
		return untold("the promotion was not measured")
	}
	now := s.customers.total()
	failed := now.Failed - before.Failed
	s.tell("  %s %s requests during the switch, %s; longest gap between answers %s\n", s.screen.Mark(term.Pass),
		term.Number(m.Requests), s.screen.Paint(term.Green, fmt.Sprintf("%d failed", m.Failed)), term.Duration(m.LongestGap))
	s.say("%s", s.block("    ", term.Dim, fmt.Sprintf("the customers counted for themselves: %d requests, %d failed, %d orders, %d booked twice",
		now.Requests-before.Requests, failed, now.Orders-before.Orders, now.Twice-before.Twice)))
	if m.Failed > 0 || failed > 0 || now.Twice > before.Twice || m.Requests == 0 {
		return untold("requests failed during the switch")
	}
	return nil
}

// rolledBack is the release that passes everything and goes bad once real customers use it.
func (s *story) rolledBack(ctx context.Context) error {
	s.act("Act four: a release passes everything, and goes bad once it is live")
	before, err := s.live(ctx, "production")
	if err != nil {
		return err
	}
	r, err := s.toStaging(ctx, examples.Doomed)
	if err != nil {
		return err
	}
	if failed := s.customers.total().Failed; failed > 0 {
		return untold("%d requests of customers failed before act four's release was live", failed)
	}
	if _, err := s.promote(ctx, r, "production", plan.RolledBack); err != nil {
		return err
	}
	now, err := s.live(ctx, "production")
	if err != nil {
		return err
	}
	if now != before {
		return untold("production has %s after the rollback, not %s", now.Short(), before.Short())
	}
	return s.refused(ctx, r, "somebody promotes it again: refused, it is remembered as bad")
}

// curtain leaves everything up for the person to play with, or ends.
func (s *story) curtain(ctx context.Context, exit bool) error {
	total := s.customers.total()
	s.act("Each act went as told")
	s.tell("  the customers made %d requests in all and %d orders; %d failed, all while act four's release had traffic\n",
		total.Requests, total.Orders, total.Failed)
	if exit {
		return nil
	}
	v, err := s.client.Status(ctx, s.app)
	if err != nil {
		return err
	}
	s.say("\n  It stays up for you to play with:\n")
	for _, e := range v.Apps[0].Environments {
		s.say("    %s %s\n", term.Pad(e.Name, 11), e.Address)
	}
	s.say("\n    cd %s\n    export GREENROOM_HOME=%s\n    %s status\n\n  Ctrl-C ends it and takes everything away.\n", s.shop, s.home, s.program.Path)
	<-ctx.Done()
	return nil
}

// cleanUp takes away everything that the demo made.
func (s *story) cleanUp(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	s.customers.leave()
	var errs []error
	s.progress.Start("clean", "take everything away")
	if s.client != nil {
		events, err := s.client.Down(ctx, api.EnvironmentsRequest{Everything: true})
		if err == nil {
			for _, err = range events {
				if err != nil {
					break
				}
			}
		}
		errs = append(errs, err, s.client.Shutdown(ctx), s.awaitGone(ctx))
		s.client.Close()
	}
	if err := artifact.RemoveTree(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	errs = append(errs, account.New(s.home).Remove(ctx))
	mark := term.Pass
	if errors.Join(errs...) != nil {
		mark = term.Fail
	}
	s.progress.End("clean", mark, "")
	s.progress.Close()
	return errors.Join(errs...)
}

// awaitGone returns when the daemon does not answer any more.
func (s *story) awaitGone(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.program.Gone(s.home) {
			return nil
		}
		select {
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "Greenroom in %s does not end", s.home)
		case <-tick.C:
		}
	}
}

// commit commits all of the shop as that release.
func (s *story) commit(ctx context.Context, name string, first ...string) error {
	commands := [][]string{
		{"add", "-A"},
		{"-c", "user.name=Greenroom demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false", "commit", "-q", "-m", name},
		{"-c", "tag.gpgsign=false", "tag", name},
	}
	if len(first) > 0 {
		commands = append([][]string{first}, commands...)
	}
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = s.shop
		if out, err := cmd.CombinedOutput(); err != nil {
			return problem.New(problem.Unavailable, "git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

// untold says that something did not go as told.
func untold(format string, args ...any) error {
	return problem.New(problem.Fail, "this did not go as told: "+format, args...)
}
