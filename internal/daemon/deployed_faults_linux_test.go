package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// rollingBack gives the team another rollback command.
func (c *team) rollingBack(command string) {
	was := "rollback: echo back $GREENROOM_RELEASE >>CONTROL_FOLDER/commands; echo $GREENROOM_RELEASE >CONTROL_FOLDER/live"
	if !strings.Contains(c.sources.definition, was) {
		c.Fatal("it rolls back otherwise")
	}
	c.sources.definition = strings.Replace(c.sources.definition, was, "rollback: "+command, 1)
}

func (c *team) takeDown(volumes bool) error {
	events, err := c.client.Down(c.ctx(), api.EnvironmentsRequest{App: appUnderTest, Volumes: volumes})
	if err == nil {
		_, err = drain(events)
	}
	return err
}

// A release that is live and needs a moment to answer is not judged before it had it.
func TestADeployedReleaseMayComeSlowly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var mu sync.Mutex
	last, asked := "", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		now, _ := os.ReadFile(filepath.Join(h.control, "live")) //nolint:errcheck // before the first there is none
		if string(now) != last {
			last, asked = string(now), 0
		}
		if asked++; asked <= 25 { // for half a second
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	c := &team{h, sources{definition: strings.ReplaceAll(ownDeploy, "URL", server.URL), version: "v1"}}
	c.live(c.sources)
	second := c.build(c.sources.as("v2", ""))
	c.wantOutcome(c.promote(second), plan.Succeeded)
	c.wantLive(second)
}

// What is gone is deployed anew whenever somebody asks for it, whatever was known of it a moment ago.
func TestUpDeploysAgainAndAgain(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	first := c.live(c.sources)
	c.wantCommands("deploy " + first.Short())
	for range 2 {
		must(t, os.Remove(filepath.Join(c.control, "live")))
		must(t, c.upAgain())
		c.wantCommands("deploy " + first.Short())
		c.wantLive(first)
	}
}

// What a deploy began whose supervisor was killed is ended before anybody goes back.
func TestNobodyDeploysBesideTheWayBack(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	first := c.live(c.sources)
	next := c.sources.as("v2", "")
	next.definition = strings.Replace(next.definition, "  run: >-\n", `  run: >-
    { until [ -e CONTROL_FOLDER/go ]; do sleep 0.01; done; echo $GREENROOM_RELEASE >CONTROL_FOLDER/live; } & echo $! >CONTROL_FOLDER/child; wait;
`, 1)
	begun := c.begin(c.build(next))
	var child proc.Identity
	c.eventually("the command runs", func() string {
		text, err := os.ReadFile(filepath.Join(c.control, "child"))
		if err != nil {
			return err.Error()
		}
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err != nil {
			return err.Error()
		}
		child, err = proc.Identify(pid)
		must(t, err)
		return ""
	})
	c.eventually("its supervisor is known", func() string { // the command may be at work before that is written down
		for _, s := range c.replicas() {
			if s.Deploy && s.PID != 0 && s.Release != string(first) {
				must(t, syscall.Kill(s.PID, syscall.SIGKILL))
				return ""
			}
		}
		return "none of the new release's deploy is"
	})
	c.wantOutcome(c.await(begun.ID), plan.RolledBack, "supervisor") // also where it died before it could say that it had begun
	if child.Alive() {
		t.Error("what the killed deploy had begun goes on beside the old release")
		c.tellAll("go")
	}
	c.wantLive(first)
}

// A rollback command that ended with 0 and did nothing is run again.
func TestTheWayBackIsTriedAgain(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.rollingBack("echo back >>CONTROL_FOLDER/commands; [ ! -e CONTROL_FOLDER/tried ] || echo $GREENROOM_RELEASE >CONTROL_FOLDER/live; touch CONTROL_FOLDER/tried")
	first := c.live(c.sources)
	c.commands()
	second := c.sources.as("v2", "")
	second.definition = strings.Replace(second.definition, "    [ -e CONTROL_FOLDER/idle ]", "    echo 000000000000 >CONTROL_FOLDER/live; exit 1;\n    [ -e CONTROL_FOLDER/idle ]", 1)
	id := c.build(second)
	c.wantOutcome(c.promote(id), plan.RolledBack)
	c.wantCommands("deploy "+id.Short(), "back", "back")
	c.wantLive(first)
}

// Nobody probes for a promotion that needs a person.
func TestProbingEndsWithTheRun(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	c := &team{newHouse(t), sources{definition: strings.ReplaceAll(ownDeploy, "URL", server.URL), version: "v1"}}
	c.rollingBack("exit 7")
	c.live(c.sources)
	second := c.sources.as("v2", "")
	second.definition = strings.Replace(second.definition, "    [ -e CONTROL_FOLDER/idle ]", "    exit 1;\n    [ -e CONTROL_FOLDER/idle ]", 1)
	c.wantOutcome(c.promote(c.build(second)), plan.NeedsOperator, "going back failed")
	c.eventually("nobody asks any more", func() string {
		before := asked.Load()
		time.Sleep(300 * time.Millisecond) // of 15 questions
		if more := asked.Load() - before; more > 0 {
			return fmt.Sprintf("%d questions came", more)
		}
		return ""
	})
}

// stopping gives the team a stop command.
func (c *team) stopping(command string) {
	c.sources = c.sources.saying("status: {run:", "stop: "+command+"\nstatus: {run:")
}

// A stop command that ended with 0 and did nothing is not believed.
func TestTheStopCommandLies(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.stopping("echo stop >>CONTROL_FOLDER/commands")
	first := c.live(c.sources)
	if p := problem.From(c.takeDown(false)); p == nil || !strings.Contains(p.Message, first.Short()+" is still live in production, as its status command says") {
		t.Errorf("down: %v", p)
	}
	c.wantCommands("deploy "+first.Short(), "stop")
	must(t, os.Remove(filepath.Join(c.control, "live"))) // by hand
	must(t, c.takeDown(false))
}

// A kill between the word that an environment is to be down and its team's stop command: the next control plane has it run, once.
func TestStoppedAfterAKill(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.stopping("echo stop >>CONTROL_FOLDER/commands; rm -f CONTROL_FOLDER/live")
	first := c.live(c.sources)
	c.dieAt("wanted/down")
	if err := c.takeDown(false); err == nil {
		t.Fatal("it was stopped")
	}
	c.awaitDeath()
	c.start()
	c.eventually("it is stopped", func() string {
		if all := c.replicas(); len(all) > 0 {
			return fmt.Sprintf("there is %+v", all)
		}
		return ""
	})
	c.wantCommands("deploy "+first.Short(), "stop")
	must(t, c.takeDown(false))
	must(t, c.upAgain())
	c.wantLive(first)
}

// A way back that always fails is tried three times, and that is told.
func TestTheWayBackFails(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.rollingBack("echo back >>CONTROL_FOLDER/commands; exit 7")
	c.live(c.sources)
	c.commands()
	second := c.sources.as("v2", "")
	second.definition = strings.Replace(second.definition, "    [ -e CONTROL_FOLDER/idle ]", "    exit 1;\n    [ -e CONTROL_FOLDER/idle ]", 1)
	id := c.build(second)
	c.wantOutcome(c.promote(id), plan.NeedsOperator, "tried 3 times: going back failed, and which release users see is not sure")
	c.wantCommands("deploy "+id.Short(), "back", "back", "back")
}

// Half of the machines have the new release, and the old one answers at the other half.
func TestHalfOfTheMachines(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]struct{ status, says string }{
		"told by the status":    {`if [ -e CONTROL_FOLDER/half ]; then echo '1 of 2 machines has it'; exit 1; fi; cat CONTROL_FOLDER/live`, "exit code 1: 1 of 2 machines has it"},
		"noticed by the probes": {"cat CONTROL_FOLDER/live", "answers badly: probed at 50/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			half, asked := filepath.Join(h.control, "half"), atomic.Int64{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if _, err := os.Stat(half); err == nil && asked.Add(1)%2 == 0 {
					w.WriteHeader(http.StatusBadGateway)
				}
			}))
			t.Cleanup(server.Close)
			s := sources{definition: strings.ReplaceAll(ownDeploy, "URL", server.URL), version: "v1"}
			s = s.saying("{run: cat CONTROL_FOLDER/live, timeout: 20s}", "{run: \""+with.status+"\", timeout: 20s}").saying("watch: 200ms", "watch: 3s").
				saying("rollback: echo", "rollback: rm CONTROL_FOLDER/half; echo")
			c := &team{h, s}
			first := c.live(s)
			next := s.as("v2", "").saying("    [ -e CONTROL_FOLDER/idle ]", "    touch CONTROL_FOLDER/half;\n    [ -e CONTROL_FOLDER/idle ]")
			ended := c.wantOutcome(c.promote(c.build(next)), plan.RolledBack)
			if !strings.Contains(ended.Reason, with.says) {
				t.Errorf("the reason is %s", ended.Reason)
			}
			c.wantLive(first)
		})
	}
}

// Who asks after what is live has the secrets of now.
func TestSecretsOfTheStatusCommand(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.sources = c.sources.saying("  files: [VERSION]", "  files: [VERSION]\n  secrets: [TOKEN]").
		saying("{run: cat CONTROL_FOLDER/live,", `{run: "echo $TOKEN >CONTROL_FOLDER/token; cat CONTROL_FOLDER/live",`)
	c.up(c.sources)
	name := api.SecretName{App: appUnderTest, Environment: "production", Name: "TOKEN"}
	must(t, c.client.SecretSet(c.ctx(), name, []byte("of-yesterday")))
	first := c.build(c.sources)
	c.wantOutcome(c.promote(first), plan.Succeeded)
	must(t, c.client.SecretSet(c.ctx(), name, []byte("of-today")))
	c.eventually("it asks with the new secret", func() string {
		text, err := os.ReadFile(filepath.Join(c.control, "token"))
		if strings.TrimSpace(string(text)) != "of-today" {
			return fmt.Sprintf("it asks with %s (%v)", text, err)
		}
		return ""
	})
	c.wantLive(first)
	c.wantCommands("deploy " + first.Short())
}

// What a team deployed is not Greenroom's to run, nor the other way round, whatever the definition says by now.
func TestAnotherDriver(t *testing.T) {
	t.Parallel()
	blocked := func(h *house, s sources) {
		t.Helper()
		_, err := h.client.Apply(h.ctx(), h.registration(s), false)
		if p := problem.From(err); p == nil || p.Code != problem.Blocked || !strings.Contains(p.Message, "has another driver") {
			t.Errorf("another driver: %v, want that it is blocked", err)
		}
	}
	c := newTeam(t)
	first := c.live(c.sources)
	c.part(t, "of Greenroom's", func() {
		s := withPostgres()
		s.version = "v2"
		blocked(c.house, s)
		c.wantLive(first)
	})
	c.part(t, "of the team's", func() {
		needPostgres(t)
		h := newHouse(t)
		live := h.live(withPostgres())
		blocked(h, c.sources.as("v3", ""))
		h.wantUp(live)
	})
}

// The data of what is still live stay, and those of what is gone go.
func TestDownWithTheDataOfATeam(t *testing.T) {
	t.Parallel()
	c := newTeam(t)
	c.sources = c.sources.saying("{run: cat CONTROL_FOLDER/live, timeout: 20s}",
		`{run: "while [ -e CONTROL_FOLDER/mute ]; do sleep 0.1; done; cat CONTROL_FOLDER/live", timeout: 5s}`)
	c.live(c.sources)
	folder := c.home.Environment(appUnderTest, "production")
	if p := problem.From(c.takeDown(true)); p == nil || !strings.Contains(p.Message, "is still live in production") {
		t.Errorf("down with the data of what is live: %v", p)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(filepath.Join(c.control, "live")))
	c.tellAll("mute")
	wantProblem(t, c.takeDown(true), problem.Inconclusive, "is live in production is not known", "its status command gave no answer within 5 s")
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(filepath.Join(c.control, "mute")))
	must(t, c.takeDown(true))
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder: %v, want that it is gone", err)
	}
}
