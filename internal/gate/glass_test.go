package gate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func TestBreak(t *testing.T) {
	because := Glass{Because: "the sale begins"}
	loud := Glass{Because: "the sale begins", HalfMigrated: true}
	for _, c := range []struct {
		name       string
		harm       func(w *world)
		glass      Glass
		overridden []string
		code       problem.Code
		want       string
	}{
		{"no reason", func(w *world) { w.found = w.found[1:] }, Glass{}, nil, problem.Invalid, "needs a reason"},
		{"a blank reason", func(w *world) { w.found = w.found[1:] }, Glass{Because: " \t"}, nil, problem.Invalid, "needs a reason"},
		{"a yes", func(*world) {}, because, nil, "", ""},
		{"a check", func(w *world) { w.found = w.found[1:] }, because, []string{"check unit"}, "", ""},
		{"several", func(w *world) { w.found = w.found[2:]; w.After.Healthy = false }, because,
			[]string{"live in staging", "live in staging for 30 min", "check unit", "check checkout"}, "", ""},
		{"known to be bad", func(w *world) { w.KnownBad = &KnownBad{Reason: "5 % errors", At: noon} }, because, []string{"not known to be bad"}, "", ""},
		{"a log with a fault", func(w *world) { w.LogFault = "entry 7 of the log is missing" }, because, []string{demandLog, "a rehearsal"}, "", ""},
		{"a question that makes no sense", func(w *world) { w.Release = "" }, loud, nil, problem.Blocked, "makes no sense"},
		{"an environment that nobody knows", func(w *world) { w.Environment = "moon" }, loud, nil, problem.Blocked, "makes no sense"},
		{"walls that the policy wants up", func(w *world) {
			w.Services = []app.Service{{Name: "agent", Container: &app.Container{Privileged: true}}}
		}, loud, nil, problem.Blocked, "does not accept privileged of agent, and nobody but the policy can"},
		{"half-migrated, in silence", func(w *world) { w.Schema = SchemaHalfMigrated }, because, nil, problem.Blocked, "does not skip that in silence"},
		{"a schema that nobody knows, in silence", func(w *world) { w.Schema = "" }, because, nil, problem.Blocked, "does not skip that in silence"},
		{"half-migrated, and said so", func(w *world) { w.Schema = SchemaHalfMigrated }, loud, []string{demandSchema}, "", ""},
		{"not half-migrated, and said so", func(w *world) { w.of("unit").Result.Verdict = evidence.Fail }, loud, []string{"check unit"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.harm(w)
			overridden, err := Decide(w.ask()).Break(c.glass)
			var names []string
			for _, m := range overridden {
				names = append(names, m.Name)
			}
			if !slices.Equal(names, c.overridden) {
				t.Errorf("overridden: %q, want %q", names, c.overridden)
			}
			var p *problem.Error
			switch {
			case c.code == "" && err != nil:
				t.Error(err)
			case c.code != "" && (!errors.As(err, &p) || p.Code != c.code || !strings.Contains(p.Message, c.want)):
				t.Errorf("got %v, want %s with %q", err, c.code, c.want)
			}
		})
	}
	if _, err := (Decision{}).Break(loud); err == nil {
		t.Error("a decision that nobody took was broken past")
	}
}
