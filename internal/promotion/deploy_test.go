package promotion

import (
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// own is an app that its team deploys.
func own(back bool) app.Contents {
	d := &app.Deploy{Run: app.Command{Run: "./deploy.sh", Timeout: time.Minute}, Status: app.Command{Run: "./status.sh", Timeout: time.Second}}
	if back {
		d.Rollback = &app.Command{Run: "./rollback.sh", Timeout: 2 * time.Minute}
	}
	return app.Contents{Deploy: d, Checks: []app.Check{{Name: "buy", Run: "buy", Journey: true, Production: true}}}
}

func ownFacts(kind plan.Kind, back bool) Facts {
	f := facts(true, app.StartFirst, true)
	f.Kind, f.NewContents, f.OldContents = kind, own(back), own(back)
	f.Environment.URL, f.Environment.Rollout.Steps = "https://shop.example", []int{100}
	return f
}

func TestMakeForATeamsOwnDeploy(t *testing.T) {
	unwatched := ownFacts(plan.Promotion, true)
	unwatched.Environment.Rollout.Watch, unwatched.NewContents.Checks = 0, nil
	for name, c := range map[string]struct {
		f           Facts
		steps, says string
	}{
		"promotion": {ownFacts(plan.Promotion, true), "prepare gate way-back deploy live verify watch measure", "by its deploy command, for at most 1 min: ./deploy.sh"},
		"rollback":  {ownFacts(plan.Rollback, true), "prepare way-back deploy live verify watch measure", "by its rollback command, for at most 2 min: ./rollback.sh"},
		"rollback without a command of its own": {ownFacts(plan.Rollback, false), "prepare way-back deploy live verify watch measure",
			"by its deploy command, for at most 1 min: ./deploy.sh"},
		"neither watched nor proven": {unwatched, "prepare gate way-back deploy live measure", "./deploy.sh"},
	} {
		p := Make(c.f)
		if err := p.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range p.Steps {
			if want := 2*time.Minute + 12*time.Second; s.Name == "deploy" && s.UndoTime < want && strings.Contains(name, "promotion") {
				t.Errorf("%s: it may take %s to go back, want at least %s", name, s.UndoTime, want)
			}
		}
		var names []string
		said := ""
		for _, s := range p.Steps {
			names = append(names, s.Name)
			said += s.Says + "\n"
			if (&Promotions{}).Actions()[s.Action] == nil {
				t.Errorf("%s: step %s asks for %s, which nobody carries out", name, s.Name, s.Action)
			}
		}
		if got := strings.Join(names, " "); got != c.steps {
			t.Errorf("%s: steps %s, want %s", name, got, c.steps)
		}
		if !strings.Contains(said, c.says) || !strings.Contains(said, "the database is the team's own, and not backed up") || strings.Contains(said, "back up the") {
			t.Errorf("%s: it says\n%s", name, said)
		}
	}
}

func TestPossible(t *testing.T) {
	good := ownFacts(plan.Promotion, true)
	ours := facts(true, app.StartFirst, true)
	toTheTeam, fromTheTeam, policy := good, ours, good
	toTheTeam.OldContents, fromTheTeam.OldContents, policy.Environment.URL = ours.OldContents, good.OldContents, ""
	first := good
	first.Old, first.OldContents = "", app.Contents{}
	for name, c := range map[string]struct {
		f    Facts
		says string
	}{
		"the team's": {good, ""}, "ours": {ours, ""}, "the first": {first, ""},
		"from ours to the team's": {toTheTeam, "is run by Greenroom, and " + release.Of([]byte("new")).Short() + " is deployed by its team"},
		"from the team's to ours": {fromTheTeam, "is deployed by its team, and"},
		"another policy":          {policy, "the policy in force has another driver"},
	} {
		err := c.f.Possible()
		if p := problem.From(err); c.says == "" && err != nil || c.says != "" && (p == nil || p.Code != problem.Blocked || !strings.Contains(p.Message, c.says)) {
			t.Errorf("%s: %v, want that it says %q", name, err, c.says)
		}
	}
}
