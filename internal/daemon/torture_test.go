package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/driver"
	"greenroom/internal/driver/process"
	"greenroom/internal/release"
)

// TestTorture kills whatever is there, at random, while people promote, go back, rehearse and stop, and customers use the
// app; then it asks the model whether what was seen can be (see judge).
//
//	make torture KILLS=500 SEED=42
//
// The same seed asks for the same and kills the same. Without KILLS nothing is tortured.
func TestTorture(t *testing.T) {
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("KILLS"), "0"))
	must(t, err)
	if kills == 0 {
		t.Skip("SKIPPED: make torture KILLS=100 runs it")
	}
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	fmt.Printf("make torture KILLS=%d SEED=%d\n", kills, seed)
	needPostgres(t)
	x := newTorture(t)
	began := time.Now()
	for n := 0; x.deaths < kills; n++ {
		x.round(roundOf(seed, n))
		if wrong := judge(x.history.all()); len(wrong) > 0 {
			t.Fatalf("SEED=%d, after %d kills, in round %d:\n%s", seed, x.deaths, n, strings.Join(wrong, "\n"))
		}
		fmt.Printf("%d kills in %d rounds, %s\n", x.deaths, n+1, time.Since(began).Round(time.Second))
	}
	fmt.Printf("nothing that can't be:\n%s", tally(x.history.all()))
}

// shapes are the schemas that releases make, each out of any other, so that any release can follow any.
var shapes = []struct{ name, migrate string }{
	{"bare", "DROP TABLE IF EXISTS notes, half, whole"},
	{"notes", "DROP TABLE IF EXISTS half, whole;\nCREATE TABLE IF NOT EXISTS notes (note text)"},
	{"slow", "DROP TABLE IF EXISTS half, whole;\nSELECT pg_sleep(1);\nCREATE TABLE IF NOT EXISTS notes (note text)"},
	{"apart", "DROP TABLE IF EXISTS notes;\nCREATE TABLE IF NOT EXISTS half (note text);\nSELECT pg_sleep(1);\n" +
		"CREATE TABLE IF NOT EXISTS whole (note text)"},
}

// The environments. Production's gate asks for a rehearsal, staging's for nothing.
const (
	inProduction = "production"
	inStaging    = "staging"
)

// endless bounds everything that has to end: reaching it is a violation.
const endless = 4 * time.Minute

// torture is a house, and what is done to it.
type torture struct {
	*house
	history   history
	driver    driver.Driver // another one over the same folder
	sources   sources
	releases  map[string][]*artifact.Built // by environment; those that people ask for
	versions  map[release.Digest]string    // a release's own name for itself
	customers map[string]*customers
	address   map[string]string
	deaths    int
	healing   sync.WaitGroup // of kills that may still be felt

	// How far what Greenroom and the app have written was noted.
	seq      int64
	runs     map[string]bool
	journeys map[string]time.Time
}

// newTorture is a house with two environments in which a release is live, and customers.
func newTorture(t testing.TB) *torture {
	h := newHouse(t)
	x := &torture{house: h, releases: map[string][]*artifact.Built{}, versions: map[release.Digest]string{},
		customers: map[string]*customers{}, address: map[string]string{},
		runs: map[string]bool{}, journeys: map[string]time.Time{}}
	var err error
	x.driver, err = process.New(process.Options{Dir: x.home.Replicas(), Supervise: []string{"nobody"}})
	must(t, err)
	t.Cleanup(x.keepHistory)
	const rollout = "    rollout: {steps: [50%, 100%], watch: 300ms, max_errors: 1%, drain: 5s}\n"
	x.sources = withPostgres().saying(exceptAll, "").saying("timeout: 1m}", "timeout: 1m, "+patient+"}").saying("  production:\n", "  staging:\n    scale: 1\n"+rollout+"  production:\n").
		saying("    stop_grace_period: 3s\n", "    stop_grace_period: 3s\n    healthcheck: {start_period: 15s}\n") // a sick one has less to wait
	x.up(x.sources)
	for env, name := range map[string]string{inProduction: "p", inStaging: "s"} {
		for shape := range shapes {
			x.imports(x.make(env, name+shapes[shape].name, shape))
		}
	}
	x.commands(inStaging, []command{{Verb: verbPromote}})
	x.commands(inProduction, []command{{Verb: verbRehearse}, {Verb: verbPromote}})
	for _, e := range x.allStatus().Environments {
		x.address[e.Name] = e.Address
	}
	x.customers[inProduction] = x.customersEvery(x.address[inProduction], 17*time.Millisecond, x.noting(inProduction))
	x.customers[inStaging] = x.customersEvery(x.address[inStaging], 40*time.Millisecond, x.noting(inStaging))
	return x
}

// make builds a release for an environment. What is built once too often takes the place of the oldest.
func (x *torture) make(env, version string, shape int) *artifact.Built {
	x.Helper()
	s := x.sources.as(version, shapes[shape].migrate)
	if shapes[shape].name == "apart" {
		s.migrate = "-- apart\n" + s.migrate
	}
	dir := x.write(s)
	b, err := artifact.Build(x.ctx(), artifact.BuildOptions{Repository: dir, App: x.load(dir), Env: os.Environ()})
	must(x, err)
	must(x, os.RemoveAll(dir))
	x.history.note(event{Release: &made{Digest: b.Release.Digest(), Version: version}})
	x.versions[b.Release.Digest()] = version
	pool := append(x.releases[env], &b)
	x.releases[env] = pool[max(0, len(pool)-len(shapes)):]
	return &b
}

// round does what it says, and returns when all stands still and was looked at.
func (x *torture) round(r round) {
	x.history.note(event{Round: &r})
	var built *artifact.Built
	if r.Build {
		built = x.make(inProduction, fmt.Sprintf("p%s%d", shapes[r.Shape].name, r.Number), r.Shape)
	}
	over := make(chan struct{})
	var people sync.WaitGroup
	people.Go(func() {
		if built != nil {
			x.imports(built)
		}
		x.commands(inProduction, r.Production)
	})
	people.Go(func() { x.commands(inStaging, r.Staging) })
	go func() {
		people.Wait()
		close(over)
	}()
	for _, k := range r.Kills {
		x.kill(r.Number, k, over)
	}
	select {
	case <-over:
	case <-time.After(2 * endless):
		x.history.note(event{Stuck: "the commands of the round"})
		x.Fatal("the commands of the round do not end")
	}
	x.observe(r.Number)
}

// noting is what customers tell of a request.
func (x *torture) noting(env string) func(time.Time, string, error) {
	return func(sent time.Time, id string, err error) {
		r := request{Environment: env, Sent: sent, Write: id}
		if err != nil {
			r.Failed = err.Error()
		}
		x.history.note(event{Request: &r})
	}
}

// keepHistory writes the history of a torture that found something.
func (x *torture) keepHistory() {
	if !x.Failed() && os.Getenv("HISTORY") == "" {
		return
	}
	dir := cmp.Or(os.Getenv("HISTORY"), os.TempDir())
	file := filepath.Join(dir, fmt.Sprintf("torture-%d.jsonl", os.Getpid()))
	x.history.write(x, file)
	fmt.Printf("the history is in %s\n", file)
	for _, log := range []string{x.home.Log(), filepath.Join(x.home.Edge(), "edge.log")} {
		if b, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(file+"."+filepath.Base(log), b, 0o600) // for who looks into it
		}
	}
}

// allStatus is how the app stands.
func (x *torture) allStatus() api.AppStatus {
	x.Helper()
	v, err := x.client.Status(x.ctx(), appUnderTest)
	must(x, err)
	return v.Apps[0]
}

// tally tells what was done, for a person.
func tally(events []event) string {
	counts := map[string]int{}
	for _, e := range events {
		switch {
		case e.Killed != nil:
			counts["killed: "+string(e.Killed.Part)]++
		case e.Run != nil:
			counts[fmt.Sprintf("%s: %s %s", e.Run.Kind, e.Run.Outcome, e.Run.Verdict)]++
		case e.Request != nil && e.Request.Failed != "":
			counts["requests that failed in "+e.Request.Environment]++
		case e.Request != nil:
			counts["requests answered in "+e.Request.Environment]++
		case e.Command != nil && e.Command.Code != "":
			counts[fmt.Sprintf("%s refused: %s", e.Command.Verb, e.Command.Code)]++
		}
	}
	var b strings.Builder
	for env, share := range read(events).excused() {
		fmt.Fprintf(&b, "  %5.0f%%  of the time a failed request to %s would have been excused\n", 100*share, env)
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "  %6d  %s\n", counts[what], what)
	}
	return b.String()
}
