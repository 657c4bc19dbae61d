package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

// guard is a Guard that remembers what it was asked.
type guard struct {
	asked []string
	no    app.Right // "": nothing is refused; "*": everything
}

func (g *guard) May(_ context.Context, right app.Right, name string) error {
	g.asked = append(g.asked, fmt.Sprintf("%s in %q", right, name))
	return g.answer(right)
}

func (g *guard) MayRun(_ context.Context, right app.Right, run string) error {
	g.asked = append(g.asked, fmt.Sprintf("%s on %q", right, run))
	return g.answer(right)
}

func (g *guard) answer(right app.Right) error {
	if g.no == right || g.no == "*" {
		return problem.New(problem.Blocked, "no")
	}
	return nil
}

// TestNothingPassesAGuardThatRefuses takes the methods from the interface: a new one is here without being named.
func TestNothingPassesAGuardThatRefuses(t *testing.T) {
	for _, m := range methods() {
		t.Run(m.Name, func(t *testing.T) {
			f, g := &fake{}, &guard{no: "*"}
			_, _, err := invoke(t, Guarded(f, g), m)
			if err == nil || problem.From(err).Code != problem.Blocked {
				t.Errorf("it answered %v", err)
			}
			if len(f.calls) != 0 || len(g.asked) == 0 {
				t.Errorf("the guard was asked %q, the backend %v", g.asked, f.calls)
			}
		})
	}
}

func TestEverythingPassesAGuardThatAllows(t *testing.T) {
	for _, m := range methods() {
		t.Run(m.Name, func(t *testing.T) {
			f, g := &fake{}, &guard{}
			args, _, err := invoke(t, Guarded(f, g), m)
			if err != nil {
				t.Fatal(err)
			}
			if asked := f.last(); asked.Method != m.Name || len(f.calls) != 1 {
				t.Fatalf("%s became %v", m.Name, f.calls)
			}
			if d := cmp.Diff(args, f.last().Args); d != "" {
				t.Errorf("arguments (-sent +arrived):\n%s", d)
			}
		})
	}
}

// TestEveryMethodHasARight keeps the table and the interface together.
func TestEveryMethodHasARight(t *testing.T) {
	var names []string
	for _, m := range methods() {
		names = append(names, m.Name)
		if !slices.ContainsFunc(rows(), func(row string) bool { return row == m.Name || strings.HasPrefix(row, m.Name+"/") }) {
			t.Errorf("%s has no right: put it into the table", m.Name)
		}
	}
	for _, row := range rows() {
		method, _, _ := strings.Cut(row, "/")
		if !slices.Contains(names, method) {
			t.Errorf("%s is in the table, and there is no such method", row)
		}
		if known := append(slices.Clone(app.Rights), RightRead, RightOwner); !slices.Contains(known, rights[row]) {
			t.Errorf("%s needs %q, which is no right", row, rights[row])
		}
	}
	if got := right("Nothing"); got != RightOwner {
		t.Errorf("what has no row needs %s", got)
	}
}

func rows() []string {
	var all []string
	for row := range rights {
		all = append(all, row)
	}
	return all
}

// TestWhichRightIsAsked tells what the guard hears of requests whose right depends on what they ask for.
func TestWhichRightIsAsked(t *testing.T) {
	run := func(r RunRequest) func(Backend) error {
		return func(b Backend) error { _, err := b.Start(t.Context(), r); return err }
	}
	for _, c := range []struct {
		name string
		do   func(Backend) error
		want []string
	}{
		{"promotion", run(RunRequest{Kind: plan.Promotion, App: "shop"}), []string{`promote in "shop"`}},
		{"rollback", run(RunRequest{Kind: plan.Rollback, App: "shop"}), []string{`rollback in "shop"`}},
		{"rehearsal", run(RunRequest{Kind: plan.Rehearsal, App: "shop"}), []string{`rehearse in "shop"`}},
		{"breaking the glass", run(RunRequest{Kind: plan.Promotion, App: "shop", BreakGlass: true}),
			[]string{`promote in "shop"`, `break-glass in "shop"`}},
		{"breaking it in a rollback", run(RunRequest{Kind: plan.Rollback, App: "shop", BreakGlass: true}),
			[]string{`rollback in "shop"`, `break-glass in "shop"`}},
		{"half-migrated", run(RunRequest{Kind: plan.Promotion, App: "shop", HalfMigrated: true}),
			[]string{`promote in "shop"`, `break-glass in "shop"`}},
		{"a kind that is none", run(RunRequest{Kind: "glass", App: "shop"}), []string{`owner in "shop"`}},
		{"no kind", run(RunRequest{App: "shop"}), []string{`owner in "shop"`}},
		{"cancel", func(b Backend) error { return b.Cancel(t.Context(), "r1") }, []string{`rollback on "r1"`}},
		{"review", func(b Backend) error { return b.Review(t.Context(), "r1", "") }, []string{`break-glass on "r1"`}},
		{"down", func(b Backend) error { _, err := b.Down(t.Context(), EnvironmentsRequest{App: "shop"}); return err },
			[]string{`operate in "shop"`}},
		{"down, all", func(b Backend) error {
			_, err := b.Down(t.Context(), EnvironmentsRequest{Everything: true})
			return err
		},
			[]string{`owner in ""`}},
		{"down, with the data", func(b Backend) error {
			_, err := b.Down(t.Context(), EnvironmentsRequest{App: "shop", Volumes: true})
			return err
		}, []string{`owner in "shop"`}},
		{"up, all", func(b Backend) error {
			_, err := b.Up(t.Context(), EnvironmentsRequest{App: "shop", Everything: true})
			return err
		}, []string{`owner in "shop"`}},
		{"apply", func(b Backend) error { _, err := b.Apply(t.Context(), Registration{App: "shop"}, false); return err },
			[]string{`apply in "shop"`}},
		{"apply, dry", func(b Backend) error { _, err := b.Apply(t.Context(), Registration{App: "shop"}, true); return err },
			[]string{`read in "shop"`}},
		{"register", func(b Backend) error { _, err := b.Register(t.Context(), Registration{App: "shop"}); return err },
			[]string{`operate in "shop"`}},
		{"import", func(b Backend) error {
			_, err := b.Import(t.Context(), ReleaseInfo{App: "shop"}, strings.NewReader(""))
			return err
		}, []string{`build in "shop"`}},
		{"a database's shape", func(b Backend) error { _, err := b.Shape(t.Context(), "shop", ""); return err }, []string{`apply in "shop"`}},
		{"status", func(b Backend) error { _, err := b.Status(t.Context(), ""); return err }, []string{`read in ""`}},
		{"a key", func(b Backend) error { _, err := b.RevokeKey(t.Context(), "SHA256:x", ""); return err }, []string{`apply in ""`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, g := &fake{}, &guard{}
			if err := c.do(Guarded(f, g)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, g.asked); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			// Each of the rights alone is enough for a no.
			for _, asked := range c.want {
				f, g := &fake{}, &guard{no: app.Right(strings.Fields(asked)[0])}
				if err := c.do(Guarded(f, g)); problem.From(err) == nil || len(f.calls) != 0 {
					t.Errorf("without %s: %v, and the backend was asked %v", asked, err, f.calls)
				}
			}
		})
	}
}

// TestEveryRouteIsGuarded goes through the routes themselves: over the wire nothing reaches the backend, either.
func TestEveryRouteIsGuarded(t *testing.T) {
	f := &fake{}
	socket, _ := serveBackend(t, Guarded(f, &guard{no: "*"}), t.Output())
	c := newClient(socket, "1.2.3")
	t.Cleanup(c.Close)
	for _, m := range methods() {
		if _, _, err := invoke(t, c, m); err == nil || problem.ExitCode(err) != 4 {
			t.Errorf("%s answered %v", m.Name, err)
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("the backend was asked %v", f.calls)
	}
}
