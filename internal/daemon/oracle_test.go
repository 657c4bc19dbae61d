package daemon

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/driver/process"
	"greenroom/internal/edge"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// The invariants of FAULTS.md, asked of everything that takes part: the store, the edge, the driver, the kernel's table
// of processes and the database itself.

// wantSound fails the test when an invariant does not hold of production, in which this release is live.
func (h *house) wantSound(live release.Digest) {
	h.Helper()
	if s := h.status(); s.Live == nil || s.Live.Digest != live {
		h.Fatalf("the store says that %v is live, want %s", s.Live, live.Short())
	}
	if v, err := h.client.Status(h.ctx(), appUnderTest); err != nil || len(v.Apps[0].Runs) > 0 { // I3
		h.Fatalf("runs are under way: %v, %v", v.Apps[0].Runs, err)
	}
	h.eventually("what runs is what is recorded (I1, I2)", func() string {
		all := h.replicas()
		for _, wrong := range []string{h.wrongReplicas(all, live), h.wrongRoutes(all, live), h.wrongProcesses(all)} {
			if wrong != "" {
				return wrong
			}
		}
		return ""
	})
	h.wantSchemaProven()
}

// replicas are all that the driver knows of production.
func (h *house) replicas() []driver.Status {
	h.Helper()
	d, err := process.New(process.Options{Dir: h.home.Replicas(), Supervise: []string{"nobody"}})
	must(h, err)
	all, err := d.List(context.Background(), driver.Filter{App: appUnderTest})
	must(h, err)
	return all
}

// wrongReplicas says what runs that should not, or does not that should.
func (h *house) wrongReplicas(all []driver.Status, live release.Digest) string {
	want := map[string]int{}
	for _, s := range h.made[live].Services {
		want[s.Name] = max(1, s.Replicas)
	}
	got := map[string]int{}
	for _, s := range all {
		if s.Environment == "staging" {
			continue
		}
		if s.Environment != "production" || s.Release != "" && s.Release != string(live) {
			return fmt.Sprintf("%s runs", s.ID)
		}
		if s.Phase == driver.Healthy {
			got[s.Service]++
		}
	}
	if !maps.Equal(want, got) {
		return fmt.Sprintf("healthy are %v, want %v", got, want)
	}
	return ""
}

// wrongRoutes says where the edge's table is not what production is now.
func (h *house) wrongRoutes(all []driver.Status, live release.Digest) string {
	t, err := edge.NewClient(h.home.Edge()).Table(context.Background())
	if err != nil {
		return err.Error()
	}
	address := map[string]string{}
	for _, s := range all {
		address[s.ID] = s.Listen.Address
	}
	for _, r := range t.Routes {
		if strings.HasPrefix(r.Name, appUnderTest+"/staging") {
			continue
		}
		if len(r.Pools) != 1 || r.Pools[0].Release != string(live) || r.Pools[0].Weight != 100 || r.Hold > 0 || r.Maintenance != nil {
			return fmt.Sprintf("the route %s is %+v", r.Name, r)
		}
		for _, b := range r.Pools[0].Backends {
			if address[b.ID] != b.Address {
				return fmt.Sprintf("the route %s leads to %s for %s, which is on %q", r.Name, b.Address, b.ID, address[b.ID])
			}
		}
	}
	if len(t.Routes) == 0 {
		return "the edge has no route"
	}
	return ""
}

// wrongProcesses names a process of this house that belongs to nothing that is recorded.
func (h *house) wrongProcesses(all []driver.Status) string {
	known := func(pid int) bool {
		command, environment := commandOf(pid), environmentOf(pid)
		for _, s := range all {
			folder := filepath.Join(string(h.home.Replicas()), s.ID)
			if strings.Contains(command, folder+"\x00") || strings.Contains("\x00"+environment, "\x00"+process.Marker+"="+folder+"\x00") {
				return true
			}
			if s.Release == "" && strings.Contains(command, "postgres") { // the server's own children hide their command
				return true
			}
		}
		return strings.Contains(command, "\x00daemon\x00") || strings.Contains(command, "\x00edge\x00")
	}
	for _, p := range h.processes() {
		if !known(p.PID) && p.Alive() {
			return fmt.Sprintf("process %d belongs to nobody: %s", p.PID, commandLine(p.PID))
		}
	}
	return ""
}

// wrongPorts names a port that is kept for a release that is not live.
func (h *house) wrongPorts(live release.Digest) string {
	db := h.store()
	defer db.Close()
	rows, err := db.Query(`SELECT key FROM numbers WHERE key LIKE 'replica:%' AND key NOT LIKE '%.server' OR key LIKE 'route:%@%'`)
	must(h, err)
	defer rows.Close()
	for rows.Next() {
		var key string
		must(h, rows.Scan(&key))
		if !strings.Contains(key, live.Short()) {
			return "a port is kept for " + key
		}
	}
	must(h, rows.Err())
	return ""
}

// wantSchemaProven fails the test when the schema that is recorded is not the one that the database has (I4).
func (h *house) wantSchemaProven() {
	h.Helper()
	recorded, state := h.recordedSchema()
	if read := h.readSchema(); recorded != read || state != "proven" {
		h.Fatalf("the schema is recorded as %s (%s), and read is %s", recorded, state, read)
	}
}

// recordedSchema is the fingerprint that the store has.
func (h *house) recordedSchema() (fingerprint, state string) {
	h.Helper()
	db := h.store()
	defer db.Close()
	must(h, db.QueryRow("SELECT schema, schema_state FROM environments WHERE name = 'production'").Scan(&fingerprint, &state))
	return fingerprint, state
}

// store is the daemon's state file, to look into.
func (h *house) store() *sql.DB {
	h.Helper()
	db, err := sql.Open("sqlite", "file:"+h.home.Store()+"?mode=ro&_pragma=busy_timeout(5000)")
	must(h, err)
	return db
}

func (h *house) readSchema() string {
	h.Helper()
	db, err := postgres.Open(postgres.Config{URL: h.databaseURL()})
	must(h, err)
	h.eventually("the database answers", func() string { // one that was killed recovers first
		if err := db.Ping(h.ctx()); err != nil {
			return err.Error()
		}
		return ""
	})
	read, err := db.Fingerprint(h.ctx())
	must(h, err)
	return read
}

// databaseURL is how production's services reach their PostgreSQL.
func (h *house) databaseURL() string {
	h.Helper()
	for _, s := range h.replicas() {
		if s.Environment == "production" && s.Release == "" {
			return "postgres://app:app@" + s.Listen.Address + "/app?sslmode=disable"
		}
	}
	h.Fatal("production has no database server")
	return ""
}

// wantAudited fails the test when the history says nothing of the run's beginning or end (I10).
func (h *house) wantAudited(run api.RunView) {
	h.Helper()
	entries, err := h.client.History(h.ctx(), api.HistoryQuery{App: appUnderTest, Limit: 30})
	must(h, err)
	for _, what := range []string{"running", string(run.Outcome)} {
		action := string(run.Plan.Kind) + " " + what
		if !slices.ContainsFunc(entries, func(e api.HistoryEntry) bool {
			return e.Run == run.ID && strings.TrimSpace(e.Action+" "+string(e.Outcome)) == action
		}) {
			h.Fatalf("the history has no %q of %s", action, run.ID)
		}
	}
}

// steps are the steps of the plan to make a release live, those that satisfy.
func (h *house) steps(r release.Digest, satisfy func(plan.Step) bool) []plan.Step {
	h.Helper()
	v, err := h.client.Plan(h.ctx(), toProduction(r))
	must(h, err)
	return slices.DeleteFunc(v.Plan.Steps, func(s plan.Step) bool { return !satisfy(s) })
}
