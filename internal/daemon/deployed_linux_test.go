package daemon

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// ownDeploy is an app that its team deploys itself: what is live is what stands in a file. Each command writes down that it
// was run. A deploy waits while there is a file slow and none called go, and does nothing while there is one called idle.
const ownDeploy = `app: app
driver: command
deploy:
  run: >-
    echo deploy $GREENROOM_RELEASE >>CONTROL_FOLDER/commands;
    while [ -e CONTROL_FOLDER/slow ] && [ ! -e CONTROL_FOLDER/go ]; do sleep 0.01; done;
    [ -e CONTROL_FOLDER/idle ] || echo $GREENROOM_RELEASE >CONTROL_FOLDER/live
  files: [VERSION]
rollback: echo back $GREENROOM_RELEASE >>CONTROL_FOLDER/commands; echo $GREENROOM_RELEASE >CONTROL_FOLDER/live
status: {run: cat CONTROL_FOLDER/live, timeout: 20s}
environments:
  production:
    url: URL
    probe: {path: /, rate: 50}
    rollout: {watch: 200ms}
gates:
  production:
    except:
      rollback: {because: the promotion itself is tested, until: 2099-12-31}
`

// team is a house whose app is deployed by its team.
type team struct {
	*house
	sources sources
}

func newTeam(t *testing.T) *team {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	s := sources{definition: strings.ReplaceAll(ownDeploy, "URL", server.URL), version: "v1"}
	return &team{newHouse(t), s}
}

// commands are those that were run since the last time that somebody asked.
func (c *team) commands() []string {
	c.Helper()
	file := filepath.Join(c.control, "commands")
	text, err := os.ReadFile(file)
	must(c, err)
	must(c, os.Remove(file))
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (c *team) wantCommands(want ...string) {
	c.Helper()
	if got := c.commands(); !slices.Equal(got, want) {
		c.Errorf("these commands were run: %q, want %q", got, want)
	}
}

func (c *team) wantLive(r release.Digest) {
	c.Helper()
	text, err := os.ReadFile(filepath.Join(c.control, "live"))
	must(c, err)
	if got := strings.TrimSpace(string(text)); got != r.Short() {
		c.Errorf("%s is live, want %s", got, r.Short())
	}
	if s := c.status(); s.Live == nil || s.Live.Digest != r {
		c.Errorf("the status has %+v as live, want %s", s.Live, r.Short())
	}
}

// every selects all steps.
func every(plan.Step) bool { return true }

// TestKillWhileATeamDeploys kills the control plane at every step of a promotion by a team's own command, forth and back, and in
// the midst of the command. Whatever happens, a command that is under way or has worked is not run a second time.
func TestKillWhileATeamDeploys(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	first := c.live(c.sources)
	c.wantCommands("deploy " + first.Short())
	second := c.build(c.sources.as("v2", ""))

	c.part(t, "forth", func() {
		points := []run.Point{run.BeforeDo, run.AfterDo, run.DoRecorded}
		begun := c.dieAround(c.steps(second, every), points, func() api.RunView { return c.begin(second) })
		ended := c.wantOutcome(c.await(begun.ID), plan.Succeeded)
		c.wantCommands("deploy " + second.Short())
		c.wantLive(second)
		if m := ended.Measurement; m == nil || m.Probed == nil || !m.Probed.Interrupted {
			t.Errorf("its measurement is %+v: want that it says that probes are missing", m)
		}
	})
	c.part(t, "in the midst", func() {
		c.tellAll("slow")
		begun := c.begin(first)
		c.eventually("the command runs", func() string {
			if _, err := os.Stat(filepath.Join(c.control, "commands")); err != nil {
				return err.Error()
			}
			return ""
		})
		c.killDaemon()
		c.start()
		c.awaitText(begun.ID, "the command is under way already")
		c.tellAll("go")
		c.wantOutcome(c.await(begun.ID), plan.Succeeded)
		c.wantCommands("deploy " + first.Short())
		c.wantLive(first)
	})
	c.part(t, "back", func() {
		c.tellAll("idle") // it ends with 0, and deploys nothing
		back := c.steps(second, func(s plan.Step) bool { return s.Name == "way-back" || s.Name == "deploy" })
		slices.Reverse(back)
		points := []run.Point{run.BeforeUndo, run.AfterUndo, run.UndoRecorded}
		begun := c.dieAround(back, points, func() api.RunView { return c.begin(second) })
		c.wantOutcome(c.await(begun.ID), plan.RolledBack, "names another release as live: "+first.Short())
		c.wantLive(first)
		if got := c.commands(); got[0] != "deploy "+second.Short() || len(got) > 2 || got[len(got)-1] != "back "+first.Short() {
			t.Errorf("these commands were run: %q", got)
		}
	})
}

// tellAll makes a file that the team's commands look for.
func (c *team) tellAll(name string) {
	c.Helper()
	must(c, os.WriteFile(filepath.Join(c.control, name), nil, 0o644))
}
