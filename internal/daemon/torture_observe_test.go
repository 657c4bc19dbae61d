package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/api"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/edge"
	"greenroom/internal/plan"
	"greenroom/internal/proc"
)

// observe looks at everything once nobody asks for anything any more, and notes it. It gives the reconciliation the time
// that it may take; what is wrong then, the model says.
func (x *torture) observe(round int) {
	x.operate(inStaging)
	x.operate(inProduction)
	x.healing.Wait()
	began := time.Now()
	var o observed
	for {
		o = x.look()
		o.Round, o.Waited = round, time.Since(began)
		if len(o.wrong()) == 0 || o.Waited > settleWithin {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for env, c := range x.customers {
		b := c.cut()
		x.history.note(event{Recorded: &recorded{Environment: env, Prefix: b.prefix, Counts: c.recorded(x, b.prefix)}})
	}
	x.noteAudit()
	x.noteJourneys()
	x.history.note(event{Observed: &o})
}

// settleWithin is how long what runs may take to be what is recorded, once nothing is killed any more: one reconciliation
// is made every reconcileEvery, and what it starts may take its time on a busy machine.
const settleWithin = 90 * time.Second

// look asks all who take part how things stand.
func (x *torture) look() observed {
	o := observed{Environments: map[string]standing{}, Used: x.used(), Disk: x.disk(), TwoWorkers: x.twoWorkers()}
	status := x.allStatus()
	for _, r := range status.Runs {
		o.Unfinished = append(o.Unfinished, fmt.Sprintf("%s (%s of %s)", r.ID, r.Kind, r.Environment))
	}
	all := x.replicas()
	table, err := edge.NewClient(x.home.Edge()).Table(context.Background())
	if err != nil {
		o.Strangers = append(o.Strangers, "the edge: "+err.Error())
	}
	var live []string
	for _, e := range status.Environments {
		s := x.standing(e, all)
		if e.Live != nil {
			live = append(live, e.Live.Digest.Short())
			s.Routes = wrongRoutes(table, all, appUnderTest+"/"+e.Name, string(e.Live.Digest))
		}
		o.Environments[e.Name] = s
	}
	for _, s := range all {
		if _, known := o.Environments[s.Environment]; !known {
			o.Strangers = append(o.Strangers, s.ID+" runs")
		}
	}
	for _, r := range table.Routes {
		if !slices.ContainsFunc(status.Environments, func(e api.EnvironmentStatus) bool {
			return r.Name == appUnderTest+"/"+e.Name || strings.HasPrefix(r.Name, appUnderTest+"/"+e.Name+"/")
		}) {
			o.Strangers = append(o.Strangers, "the route "+r.Name)
		}
	}
	if wrong := x.wrongProcesses(all); wrong != "" {
		o.Strangers = append(o.Strangers, wrong)
	}
	o.Ports = x.keptPorts(live)
	return o
}

// standing is how an environment stands.
func (x *torture) standing(e api.EnvironmentStatus, all []driver.Status) standing {
	s := standing{State: e.State, SchemaState: e.Schema, Healthy: map[string]int{}, Wanted: map[string]int{}}
	if e.Live == nil {
		return s
	}
	s.Live = e.Live.Digest
	for _, service := range e.Services {
		s.Wanted[service.Name] = service.Wanted
	}
	for _, r := range all {
		switch {
		case r.Environment != e.Name:
		case r.Release != "" && r.Release != string(s.Live):
			s.Others = append(s.Others, r.ID)
		case r.Phase == driver.Healthy:
			s.Healthy[r.Service]++
		}
	}
	s.Schema, _, _ = x.schemaOf(e.Name)
	s.Read, _ = x.fingerprint(e.Name) // "" is told as such
	return s
}

// wrongRoutes says how the routes of an environment differ from all to its live release.
func wrongRoutes(t edge.Table, all []driver.Status, name, live string) (wrong []string) {
	address := map[string]string{}
	for _, s := range all {
		address[s.ID] = s.Listen.Address
	}
	found := false
	for _, r := range t.Routes {
		if r.Name != name && !strings.HasPrefix(r.Name, name+"/") {
			continue
		}
		found = found || r.Name == name
		if len(r.Pools) != 1 || r.Pools[0].Release != live || r.Pools[0].Weight != 100 || r.Hold > 0 || r.Maintenance != nil {
			wrong = append(wrong, fmt.Sprintf("the route %s is %+v", r.Name, r))
			continue
		}
		for _, b := range r.Pools[0].Backends {
			if address[b.ID] != b.Address {
				wrong = append(wrong, fmt.Sprintf("the route %s leads to %s for %s, which is on %q", r.Name, b.Address, b.ID, address[b.ID]))
			}
		}
	}
	if !found {
		wrong = append(wrong, "there is no route "+name)
	}
	return wrong
}

// keptPorts are ports that are kept for releases that are live nowhere.
func (x *torture) keptPorts(live []string) (kept []string) {
	db := x.store()
	defer db.Close()
	rows, err := db.Query(`SELECT key FROM numbers WHERE key LIKE 'replica:%' AND key NOT LIKE '%.server' OR key LIKE 'route:%@%'`)
	must(x, err)
	defer rows.Close()
	for rows.Next() {
		var key string
		must(x, rows.Scan(&key))
		if !slices.ContainsFunc(live, func(l string) bool { return strings.Contains(key, l) }) {
			kept = append(kept, "a port is kept for "+key)
		}
	}
	must(x, rows.Err())
	return kept
}

// schemaOf is what the store says of an environment's schema.
func (x *torture) schemaOf(env string) (fingerprint, state string, err error) {
	db := x.store()
	defer db.Close()
	err = db.QueryRow("SELECT schema, schema_state FROM environments WHERE name = ?", env).Scan(&fingerprint, &state)
	return fingerprint, state, err
}

// fingerprint is that of the schema that an environment's database has.
func (x *torture) fingerprint(env string) (string, error) {
	url, err := x.databaseOf(env)
	if err != nil {
		return "", err
	}
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return db.Fingerprint(ctx)
}

// databaseOf is how services of an environment reach its PostgreSQL.
func (x *torture) databaseOf(env string) (string, error) {
	for _, s := range x.replicas() {
		if s.Environment == env && s.Release == "" {
			return "postgres://app:app@" + s.Listen.Address + "/app?sslmode=disable", nil
		}
	}
	return "", fmt.Errorf("%s has no database server", env)
}

// used is what the processes of each part have.
func (x *torture) used() map[string]used {
	all := map[string]used{}
	for _, p := range x.processes() {
		words := strings.Split(commandOf(p.PID), "\x00")
		name := "service"
		switch {
		case p.PID == x.process.Process.Pid:
			name = "daemon"
		case slices.Contains(words, "supervise"):
			name = "supervisor"
		case slices.Contains(words, "edge"):
			name = "edge"
		case strings.HasPrefix(filepath.Base(words[0]), "postgres"):
			name = "postgres"
		}
		u := all[name]
		u.Processes++
		u.Descriptors = max(u.Descriptors, descriptors(p))
		u.Memory = max(u.Memory, resident(p))
		all[name] = u
	}
	return all
}

func descriptors(p proc.Identity) int {
	names, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.PID), "fd")) // none where it is gone
	return len(names)
}

func resident(p proc.Identity) int64 {
	for line := range strings.Lines(procFile(p.PID, "status")) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

// disk is what each folder has that could grow without a bound.
func (x *torture) disk() map[string]int64 {
	return map[string]int64{
		"runs": x.size(x.home.Runs()), "uploads": x.size(x.home.Uploads()), "replicas": x.size(x.home.Replicas()),
		"edge": x.size(x.home.Edge()), "log": x.size(x.home.Log()), "store": x.size(x.home.Store()),
	}
}

// noteAudit notes what is new in the log, and each run that it tells of, once that has ended.
func (x *torture) noteAudit() {
	entries, err := x.client.History(x.ctx(), api.HistoryQuery{App: appUnderTest, Limit: 5000})
	must(x, err)
	slices.Reverse(entries)
	for _, e := range entries {
		if e.Seq <= x.seq {
			continue
		}
		x.seq = e.Seq
		x.history.note(event{At: e.At, Audit: &e})
		if e.Run != "" && !x.runs[e.Run] {
			x.noteRun(e.Run)
		}
	}
}

func (x *torture) noteRun(id string) {
	v, err := x.client.Run(x.ctx(), id)
	must(x, err)
	r := ran{
		ID: v.ID, Kind: v.Plan.Kind, Environment: v.Plan.Environment, Release: v.Plan.Release, From: v.Plan.From, Created: v.Created,
		Ended: v.Ended, Outcome: v.Outcome, Verdict: v.Verdict, Reason: v.Reason, Hint: v.Hint, Cancelled: v.Cancelled,
	}
	for _, e := range v.Journal {
		r.Journal = append(r.Journal, journalled{Step: e.Step, State: e.State, At: e.At, Error: e.Error})
	}
	x.runs[id] = v.Outcome != plan.Outcome("") // else it is stuck, and noted again
	x.history.note(event{Run: &r})
}

// noteJourneys notes the journeys that the app has seen since the last time.
func (x *torture) noteJourneys() {
	for env := range x.customers {
		url, err := x.databaseOf(env)
		must(x, err)
		conn, err := pgx.Connect(x.ctx(), url)
		must(x, err)
		rows, err := conn.Query(x.ctx(), "SELECT id, release FROM entries WHERE id LIKE 'journey-%' ORDER BY id")
		must(x, err)
		for rows.Next() {
			var id, version string
			must(x, rows.Scan(&id, &version))
			nanos, err := strconv.ParseInt(strings.TrimPrefix(id, "journey-"), 10, 64)
			must(x, err)
			if at := time.Unix(0, nanos); at.After(x.journeys[env]) {
				x.journeys[env] = at
				x.history.note(event{At: at, Journey: &witness{Environment: env, Version: version}})
			}
		}
		must(x, rows.Err())
		must(x, conn.Close(x.ctx()))
	}
}
