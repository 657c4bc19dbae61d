package daemon

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/edge"
	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/netns"
	"greenroom/internal/plan"
	"greenroom/internal/run"
)

// needNetworks is asked by every test whose stage has a network of its own.
func needNetworks(t *testing.T) {
	t.Helper()
	needRoot(t)
	n := netns.At(filepath.Join(t.TempDir(), "network"))
	if err := n.Make(); err != nil {
		missing(t, err.Error())
	}
	must(t, n.Remove())
}

// withData is the app with a staging that gets production's data.
func withData() sources {
	return withPostgres().
		saying("environments:\n  production:\n", "environments:\n  staging: {rollout: {watch: 200ms, drain: 1s}}\n  production:\n    after: staging\n").
		saying("timeout: 1m}", "timeout: 1m, "+patient+"}")
}

// registerData puts the policy in force, with production's data in staging.
func (h *house) registerData(s sources, notIsolated string) {
	h.Helper()
	d := app.Data{From: "production", Mask: "mask.yaml", Rules: mask.Rules{Tables: map[string]mask.TableRules{
		"entries": {Columns: map[string]mask.Rule{"id": {Use: "keep"}, "release": {Use: "keep"}}},
	}}, NotIsolated: notIsolated}
	r := h.registration(s)
	for i := range r.Policy.Environments {
		if r.Policy.Environments[i].Name == "staging" {
			r.Policy.Environments[i].Data = &d
		}
	}
	registered, err := h.client.Register(h.ctx(), r)
	must(h, err)
	if registered.Pending {
		_, err = h.client.Apply(h.ctx(), r, false)
		must(h, err)
	}
}

// tries is a line of shell that tries an address, and writes what came of it into a file of the environment's.
func (h *house) tries(what, address string) string {
	return fmt.Sprintf("bin/app try tcp %s >%s/%s-$GREENROOM_ENVIRONMENT 2>&1", address, h.control, what)
}

// TestSecluded rehearses on a stage that is to get production's data: nothing of it comes out of its network, and all of it
// is reached inside.
func TestSecluded(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	decoy, err := netns.NewDecoy("tcp", "127.0.0.1:0")
	must(t, err)
	defer decoy.Close()
	at := decoy.Try.Address
	hold := filepath.Join(h.control, "hold")
	s := withData().
		saying("run: bin/app migrate", "run: '"+h.tries("migrates", at)+"; bin/app migrate'").
		saying("run: CONTROL=CONTROL_FOLDER bin/app journey,", "run: '"+h.tries("checks", at)+"; CONTROL=CONTROL_FOLDER bin/app journey',").
		saying("checks:\n", "checks:\n  a-hold: {run: 'while [ -e "+hold+" ]; do sleep 0.05; done', timeout: 2m}\n").
		saying("except:\n", "except:\n      a-hold: {because: it only waits, until: 2099-12-31}\n")
	h.up(s)
	h.registerData(s, "")
	live := h.build(s)
	h.toBoth(live)
	for _, what := range []string{"migrates", "checks"} {
		if got := h.said(what + "-production"); got != "" {
			t.Fatalf("from production the decoy can't be reached, so nothing is tested: %s", got)
		}
	}

	// The database server itself tries, too, and fails the migration when it gets through.
	next := h.build(s.as("v2", "CREATE TABLE reach (line text);\n"+
		"COPY reach FROM PROGRAM '"+built.app+" try tcp "+at+" 2>&1 || true';\n"+
		"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM reach WHERE line LIKE '%refused%') THEN RAISE EXCEPTION 'the server got out'; END IF; END $$"))
	must(t, os.WriteFile(hold, nil, 0o600))
	rehearsal := h.rehearse(next)
	h.awaitStep(rehearsal.ID, "check-a-hold")
	stage := h.stage()
	h.part(t, "what a service can reach", func() { h.wantSecluded(stage, at) })
	h.part(t, "after the death of each part", func() { h.killParts(stage, at) })
	h.part(t, "after the death of the control plane", func() {
		broker := h.processWith("supervise", filepath.Join(string(h.home.Replicas()), h.brokerOf(stage).ID))
		must(h, syscall.Kill(broker, syscall.SIGKILL)) // so that nobody is left who would start it again
		h.killDaemon()
		h.start()
		h.awaitStep(rehearsal.ID, "check-a-hold")
		h.eventually("the stage answers", func() string {
			out, err := readAll(http.Get(stage.address))
			if err != nil {
				return err.Error() + out
			}
			return ""
		})
		h.wantSecluded(stage, at)
	})
	must(t, os.Remove(hold))
	h.wantOutcome(h.await(rehearsal.ID), plan.Succeeded)
	report, err := h.client.Report(h.ctx(), appUnderTest, rehearsal.ID)
	must(t, err)
	if report.Verdict != evidence.Pass || report.Isolation == nil || !report.Isolation.Isolated || len(report.Isolation.Faults()) > 0 {
		t.Errorf("the report: %s, %+v, %v", report.Verdict, report.Isolation, report.Results)
	}
	if !slices.ContainsFunc(report.Notes, func(n string) bool { return strings.HasPrefix(n, "isolated: ") }) {
		t.Errorf("the notes are %q", report.Notes)
	}
	for _, what := range []string{"addresses outside the machine", "listeners of the machine", "addresses of other environments", evidence.OwnServices} {
		if !slices.ContainsFunc(report.Isolation.Facts, func(f evidence.Fact) bool { return f.What == what }) {
			t.Errorf("nothing was tried of %s: %+v", what, report.Isolation.Facts)
		}
	}
	for _, what := range []string{"migrates", "checks"} {
		if got := h.said(what + "-rehearsal"); !strings.Contains(got, "refused") {
			t.Errorf("what %s on the stage could reach the machine: %q", what, got)
		}
	}
	h.wantUp(live)
	h.wantNoNetwork()

	stray := netns.At(h.home.Network("nobodys", "stage"))
	must(t, stray.Make())
	h.eventually("a network that belongs to no stage is taken away", func() string {
		there, err := stray.Exists()
		if left, readErr := os.ReadDir(h.home.Networks()); there || err != nil || readErr != nil || len(left) > 0 {
			return fmt.Sprintf("%v, %v, %v, %v", there, err, left, readErr)
		}
		return ""
	})
	h.wantNoNetwork()
}

// said is what was written into a file of the control folder.
func (h *house) said(file string) string {
	h.Helper()
	b, err := os.ReadFile(filepath.Join(h.control, file))
	must(h, err)
	return strings.TrimSpace(string(b))
}

// stage is the rehearsal's, as the intruder in it sees it.
func (h *house) stage() place {
	h.Helper()
	p := place{name: "rehearsal", folder: h.home.Environment(appUnderTest, "rehearsal"), home: h.home, password: "app"}
	table, err := edge.NewClient(h.home.Edge()).Table(h.ctx())
	must(h, err)
	for _, r := range table.Routes {
		if r.Name == appUnderTest+"/rehearsal" {
			p.address = "http://" + r.Listen[0]
		}
	}
	for _, s := range h.replicas() {
		if s.Environment == "rehearsal" {
			if to := map[string]*driver.Status{"web": &p.web, "worker": &p.worker, "db": &p.db}[s.Service]; to != nil {
				*to = s
			}
		}
	}
	if p.address == "" || p.web.PID == 0 || p.db.PID == 0 {
		h.Fatalf("the stage does not run: %+v", p)
	}
	return p
}

// wantSecluded has a service of the stage try what it must not reach, and what it must.
func (h *house) wantSecluded(p place, decoy string) {
	h.Helper()
	production := h.place("production")
	for name, line := range map[string]string{
		"a listener of the machine":  "bin/app try tcp " + decoy,
		"production":                 "bin/app try tcp " + strings.TrimPrefix(production.address, "http://"),
		"production's database":      "bin/app try tcp " + production.db.Listen.Address,
		"a service of production":    "bin/app try tcp " + production.web.Listen.Address,
		"an address outside":         "bin/app try tcp 192.0.2.1:443",
		"an address outside by IPv6": "bin/app try tcp '[2001:db8::1]:443'",
		"the API":                    "bin/app try socket " + h.home.Socket(),
		"the edge's socket":          "bin/app try socket " + h.home.Edge() + "/admin.sock",
		"its own broker":             "bin/app try socket " + netns.At(h.home.Network(appUnderTest, p.name)).Broker(),
		"what lies in /run":          "ls /run/*",
		"the machine's network":      "nsenter --net=/proc/1/ns/net true",
		"its own network's file":     "ls " + h.home.Network(appUnderTest, p.name),
	} {
		if out, ok := p.run(h, line); ok || !kept.MatchString(out) {
			h.Errorf("it could reach %s: %s", name, out)
		}
	}
	for name, line := range map[string]string{
		"itself":             "bin/app try tcp 127.0.0.1:$PORT",
		"its front door":     "bin/app try tcp " + strings.TrimPrefix(p.address, "http://"),
		"its own balancer":   "bin/app try tcp $WEB_HOST:$WEB_PORT",
		"its own database":   p.network("app", "app"),
		"only one interface": `test "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo`,
		"no route":           `test -z "$(tail -n +2 /proc/net/route)"`,
	} {
		if out, ok := p.run(h, line); !ok {
			h.Errorf("it could not reach %s: %s", name, out)
		}
	}
	if out, err := readAll(http.Get(p.address)); err != nil || out != "v2" && out != "v1" {
		h.Errorf("from outside the stage answers %q, %v", out, err)
	}
}

// kept is what those hear who can't get out.
var kept = regexp.MustCompile(`(?i)refused|unreachable|denied|not permitted|no such file|cannot assign`)

// killParts kills each part that stands between the machine and the stage. Each comes back, and the stage is where it was.
func (h *house) killParts(p place, decoy string) {
	h.Helper()
	broker := h.brokerOf(p)
	for name, pid := range map[string]int{"broker": broker.PID, "edge": h.processWith("edge"), "replica": p.web.PID} {
		must(h, syscall.Kill(pid, syscall.SIGKILL))
		h.eventually("the stage answers after the death of the "+name, func() string {
			if out, ok := p.run(h, "bin/app try tcp $WEB_HOST:$WEB_PORT"); !ok {
				return out
			}
			return ""
		})
	}
	if after := h.brokerOf(p); after.PID == broker.PID {
		h.Errorf("the broker was not started again: process %d", after.PID)
	}
	h.eventually("what was started again gets nowhere", func() string {
		out, ok := p.run(h, "bin/app try tcp "+decoy)
		if ok {
			h.Errorf("it can get out: %s", out)
		} else if !kept.MatchString(out) {
			return out
		}
		return ""
	})
}

func (h *house) brokerOf(p place) driver.Status {
	h.Helper()
	for _, s := range h.replicas() {
		if s.Environment == p.name && s.Service == "broker" {
			return s
		}
	}
	h.Fatal("the stage has no broker")
	return driver.Status{}
}

// wantNoNetwork fails the test when anything is left of a stage's network.
func (h *house) wantNoNetwork() {
	h.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	must(h, err)
	if strings.Contains(string(b), string(h.home)) {
		h.Errorf("something is still mounted:\n%s", b)
	}
	if left, err := os.ReadDir(h.home.Networks()); err != nil || len(left) > 0 {
		h.Errorf("left of the networks: %v, %v", left, err)
	}
	for _, s := range h.replicas() {
		if s.Environment == "rehearsal" {
			h.Errorf("%s still runs", s.ID)
		}
	}
}

// TestNotSecluded has a stage that can have no network of its own: production's data stays away from it, unless the
// definition accepts that.
func TestNotSecluded(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	defer h.takeName(t, "rehearsal")() // without a user of its own
	s := withData()
	h.up(s)
	h.registerData(s, "")
	r := h.build(s)
	got := h.await(h.rehearse(r).ID)
	if got.Outcome == plan.Succeeded || !strings.Contains(got.Reason, "not isolated") || !strings.Contains(got.Reason, "no system user of its own") {
		t.Fatalf("it ended %s: %s", got.Outcome, got.Reason)
	}
	h.wantNoNetwork()

	h.registerData(s, "this machine is a laptop")
	got = h.await(h.rehearse(r).ID)
	report, err := h.client.Report(h.ctx(), appUnderTest, got.ID)
	must(t, err)
	if got.Outcome != plan.Succeeded || report.Isolation == nil || report.Isolation.Isolated || report.Isolation.Accepted != "this machine is a laptop" {
		t.Errorf("it ended %s (%s): %+v", got.Outcome, got.Reason, report.Isolation)
	}
	if !slices.ContainsFunc(report.Notes, func(n string) bool {
		return strings.HasPrefix(n, "not isolated: it has no system user") && strings.HasSuffix(n, "(accepted, because this machine is a laptop)")
	}) {
		t.Errorf("the notes are %q", report.Notes)
	}
	h.wantNoNetwork()
}

// TestSecludedKilled kills the control plane after the effect of each step of one rehearsal, before that is recorded. The
// stage is isolated all the same, and nothing is left of it.
func TestSecludedKilled(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	s := withData()
	h.up(s)
	h.registerData(s, "")
	h.toBoth(h.build(s))
	next := h.build(s.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	dry, err := h.client.Plan(h.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(next)})
	must(t, err)
	begun := h.dieAround(dry.Plan.Steps, []run.Point{run.AfterDo}, func() api.RunView { return h.rehearse(next) })
	h.wantOutcome(h.await(begun.ID), plan.Succeeded)
	report, err := h.client.Report(h.ctx(), appUnderTest, begun.ID)
	must(t, err)
	if report.Verdict != evidence.Pass || report.Isolation == nil || !report.Isolation.Isolated {
		t.Errorf("the report: %s, %+v, %v", report.Verdict, report.Isolation, report.Results)
	}
	h.wantNoNetwork()
}

// TestTrialIsSecluded: a snapshot is tried where nothing leads out, also where the stage that rehearsals have is none that
// gets data.
func TestTrialIsSecluded(t *testing.T) {
	t.Parallel()
	needNetworks(t)
	needPostgres(t)
	h := newHouse(t)
	s := onCopy()
	s.definition = strings.Replace(s.definition, "  staging:\n    data: {from: production, mask: mask.yaml}\n", "  qa:\n    data: {from: production, mask: mask.yaml}\n  staging:\n", 1)
	h.onACopy(s)
	request := api.CopyRequest{App: appUnderTest, Environment: "production", Kind: api.CopySnapshot}
	taken, err := h.client.TakeCopy(h.ctx(), request)
	must(t, err)
	_, err = drain(taken)
	must(t, err)
	views, err := h.client.Copies(h.ctx(), appUnderTest, "production", api.CopySnapshot)
	must(t, err)
	if len(views) != 1 {
		t.Fatalf("%+v", views)
	}
	request.ID = views[0].ID
	verified, err := h.client.VerifyCopy(h.ctx(), request)
	must(t, err)
	network := netns.At(h.home.Network(appUnderTest, app.TrialName))
	var secluded atomic.Bool
	var looking sync.WaitGroup
	ended := make(chan struct{})
	looking.Go(func() { // all the time: what is told comes late on a busy machine
		for {
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if there, err := network.Exists(); err == nil && there {
				secluded.Store(true)
			}
		}
	})
	_, err = drain(verified)
	close(ended)
	looking.Wait()
	must(t, err)
	if !secluded.Load() {
		t.Error("the data was let in without a network of its own")
	}
	if there, err := network.Exists(); err != nil || there {
		t.Errorf("the network is there afterwards: %t, %v", there, err)
	}
}
