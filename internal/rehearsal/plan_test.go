package rehearsal

import (
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/release"
)

func TestMake(t *testing.T) {
	full := app.Contents{
		Migrations: &app.Migrations{Run: "migrate"},
		Checks:     []app.Check{{Name: "buy", Run: "buy", Journey: true}, {Name: "unit", Run: "unit", AtBuild: true}},
	}
	own := app.Contents{Deploy: &app.Deploy{Run: app.Command{Run: "./deploy.sh"}}, Checks: full.Checks}
	for _, c := range []struct {
		name     string
		contents app.Contents
		old      release.Digest
		want     string
	}{
		{"first", full, "", "baseline stage migration new check-buy report down"},
		{"against a release", full, release.Of([]byte("old")),
			"baseline stage old before migration old-on-new new check-buy rollback report down"},
		{"without migrations or checks", app.Contents{}, release.Of([]byte("old")),
			"baseline stage old before old-on-new new rollback report down"},
		{"a team's own deploy, first", own, "", "baseline stage new check-buy report give"},
		{"a team's own deploy", own, release.Of([]byte("old")), "baseline stage old before new check-buy rollback report give"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Make(Facts{App: "shop", New: release.Of([]byte("new")), Old: c.old, NewContents: c.contents, OldContents: c.contents, Where: "staging"})
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range p.Steps {
				names = append(names, s.Name)
				if (&Rehearsals{}).Actions()[s.Action] == nil {
					t.Errorf("step %s asks for %s, which nobody carries out", s.Name, s.Action)
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("steps %s, want %s", got, c.want)
			}
			for _, last := range p.Steps[len(p.Steps)-2:] {
				if !last.Always {
					t.Errorf("%s is left out when the rehearsal stops", last.Name)
				}
			}
		})
	}
}
