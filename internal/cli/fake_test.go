package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/mask"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// The releases that the fake daemon knows. What happens to each is in its name.
var (
	good   = fakeRelease("good", "main", "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	broken = fakeRelease("broken", "cart\x1b]0;pwned\x07", "2222222aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	unsure = fakeRelease("unsure", "flaky", "")
	sour   = fakeRelease("sour", "tax", "4444444aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	stuck  = fakeRelease("stuck", "drop", "")
)

func fakeRelease(name, ref, commit string) api.ReleaseView {
	return api.ReleaseView{App: "shop", Digest: release.Of([]byte(name)), Ref: ref, Commit: commit, By: "ada",
		BuiltAt: time.Now().Add(-3 * time.Hour), Size: 12_345_678}
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fake is a daemon with one app, shop.
type fake struct {
	mu       sync.Mutex
	asked    []string      // what acted, in the order in which it was asked
	up       bool          // environments run
	stop     func()        // ends the server
	slow     bool          // runs do not end until they are cancelled
	reached  chan struct{} // closed when somebody watches a slow run
	away     int           // so many event streams are cut off
	secrets  map[string]string
	cancel   chan struct{}
	noApp    bool
	released []api.ReleaseView
	policy   app.Policy // in force
	log      []evidence.Entry
	envelope map[release.Digest][][]byte // that are signed, by release
	glass    []api.GlassView             // broken in production
}

var _ api.Backend = (*fake)(nil)

func newFake() *fake {
	return &fake{up: true, stop: func() {}, cancel: make(chan struct{}), reached: make(chan struct{}),
		secrets: map[string]string{}, released: []api.ReleaseView{good, broken, unsure, sour, stuck},
		policy: inForce(), log: fakeLog(), envelope: map[release.Digest][][]byte{good.Digest: fakeEvidence()}}
}

func (f *fake) did(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func (f *fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "1.2.3", API: api.Protocol, PID: 1}, nil
}

func (f *fake) Register(_ context.Context, r api.Registration) (api.Registered, error) {
	f.did("register %s", r.App)
	pending := r.Policy.Digest() != f.policy.Digest()
	return api.Registered{Policy: f.policy.Digest(), Changed: !pending, Pending: pending}, nil
}

func events(es ...api.Event) api.Stream[api.Event] {
	return func(yield func(api.Event, error) bool) {
		for i, e := range es {
			e.Seq = int64(i + 1)
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fake) Up(_ context.Context, r api.EnvironmentsRequest) (api.Stream[api.Event], error) {
	f.did("up %s %v", r.App, r.Environments)
	return events(api.Event{Step: "dev", State: plan.Started, Text: "start dev"},
		api.Event{Step: "dev", Text: "web-1 is healthy"}, api.Event{Step: "dev", State: plan.Done}), nil
}

func (f *fake) Down(_ context.Context, r api.EnvironmentsRequest) (api.Stream[api.Event], error) {
	f.did("down %s %v %v%s", r.App, r.Environments, r.Everything, map[bool]string{true: " with data"}[r.Volumes])
	f.up = len(r.Environments) > 0
	return events(api.Event{Step: "dev", State: plan.Started, Text: "stop dev"}, api.Event{Step: "dev", State: plan.Done}), nil
}

func (f *fake) StateBackup(context.Context) (io.ReadCloser, error) {
	f.did("state backup")
	return io.NopCloser(strings.NewReader("a state")), nil
}

func (f *fake) Shutdown(context.Context) error {
	f.did("shutdown")
	f.stop()
	return nil
}

func (f *fake) Import(_ context.Context, info api.ReleaseInfo, layout io.Reader) (api.ReleaseView, error) {
	b, err := io.ReadAll(layout)
	if err != nil {
		return api.ReleaseView{}, err
	}
	f.did("import %s", b)
	return api.ReleaseView{App: info.App, Digest: info.Digest, Ref: info.Ref, Commit: info.Commit, Size: int64(len(b))}, nil
}

func (f *fake) Packed(context.Context, string, string) (release.Artifact, error) {
	return release.Artifact{}, problem.New(problem.NotFound, "no release has it")
}

func (f *fake) Releases(_ context.Context, _ string, limit int) ([]api.ReleaseView, error) {
	return f.released[:min(limit, len(f.released))], nil
}

func (f *fake) Resolve(_ context.Context, _, name string) (api.ReleaseView, error) {
	for _, r := range f.released {
		hex := strings.TrimPrefix(string(r.Digest), "sha256:")
		if name == "latest" || strings.HasPrefix(hex, strings.TrimPrefix(name, "sha256:")) || name == r.Commit || name == r.Ref {
			return r, nil
		}
	}
	return api.ReleaseView{}, problem.New(problem.NotFound, "shop has no release %q", name).WithHint("greenroom releases")
}

func decision(d release.Digest, env string) gate.Decision {
	demands := []gate.Demand{{Name: "a schema that is known", Answer: gate.Yes, Reason: "the schema is the recorded one"},
		{Name: "check unit", Answer: gate.Yes, Reason: "passed in r1: 12 tests passed", Proof: fakeProof(true)}}
	allowed := d != broken.Digest
	if !allowed {
		demands = append(demands,
			gate.Demand{Name: "check checkout", Answer: gate.No, Reason: "it failed: TestPay: got \x1b[31m500", Next: "greenroom rehearse " + d.Short(), Proof: fakeProof(false)},
			gate.Demand{Name: "live in staging", Answer: gate.Unknown, Reason: "staging could not be asked"})
	}
	_ = env
	return gate.Decision{Allowed: allowed, Demands: demands}
}

func (f *fake) planOf(r api.RunRequest) plan.Plan {
	p := plan.Plan{Format: plan.Format, Kind: r.Kind, App: "shop", Environment: r.Environment,
		Release: release.Digest(r.Release), From: good.Digest, Because: r.Because, Steps: []plan.Step{
			{Name: "backup", Says: "back up the database"}, {Name: "switch", Says: "move the traffic in steps of 10%, 50%, 100%"}}}
	if r.Release == "" {
		p.Release = sour.Digest
	}
	if r.Kind == plan.Rehearsal {
		p.Environment = "stage-1"
	}
	if r.Kind == plan.Restore {
		p.Steps[1] = plan.Step{Name: "restore", Says: "make the data what the backup r7 holds"}
	}
	return p
}

func (f *fake) Plan(_ context.Context, r api.RunRequest) (api.PlanView, error) {
	if r.Environment == "nowhere" {
		return api.PlanView{}, problem.New(problem.NotFound, "shop has no environment nowhere").WithHint("greenroom status")
	}
	if r.Kind == plan.Rollback && r.Environment == "staging" {
		return api.PlanView{}, problem.New(problem.Blocked, "there is no release to go back to in staging").WithHint("greenroom history")
	}
	p := f.planOf(r)
	return api.PlanView{Plan: p, Decision: decision(p.Release, r.Environment)}, nil
}

func (f *fake) Start(ctx context.Context, r api.RunRequest) (api.RunView, error) {
	f.did("start %s %s %s%s", r.Kind, r.Environment, r.Because, map[bool]string{true: " past the gate"}[r.BreakGlass])
	p := f.planOf(r)
	if r.BreakGlass {
		f.glass = []api.GlassView{fakeGlass()}
		f.glass[0].Because = r.Because
	}
	return api.RunView{ID: string(r.Kind) + "-" + string(p.Release), Plan: p, Queue: 1, By: api.Actor(ctx)}, nil
}

func (f *fake) Run(_ context.Context, id string) (api.RunView, error) {
	kind, digest, _ := strings.Cut(id, "-")
	p := f.planOf(api.RunRequest{Kind: plan.Kind(kind), Release: digest, Environment: "production"})
	r := api.RunView{ID: id, Plan: p, Outcome: plan.Succeeded, Verdict: verdictOf(p.Release)}
	if p.Kind == plan.Rehearsal {
		if p.Release == stuck.Digest {
			r.Verdict, r.Outcome, r.Reason, r.Hint = "", plan.Stopped, "the stage's database did not start", "greenroom logs db"
		}
		return r, nil
	}
	r.Measurement = &api.Measurement{Requests: 12345, LongestGap: 12 * time.Millisecond, SlowestSecond: 34 * time.Millisecond, Journeys: true}
	switch p.Release {
	case sour.Digest:
		if p.Kind == plan.Promotion {
			r.Outcome, r.Reason, r.Hint = plan.RolledBack, "3.1% of the answers were errors", "greenroom logs web --environment production"
			r.Measurement.Failed = 41
		}
	case stuck.Digest:
		r.Outcome, r.Reason, r.Hint = plan.NeedsOperator, "the schema is half-migrated", "greenroom rollback production"
	}
	return r, nil
}

func verdictOf(d release.Digest) evidence.Verdict {
	switch d {
	case broken.Digest:
		return evidence.Fail
	case unsure.Digest:
		return evidence.Inconclusive
	default:
		return evidence.Pass
	}
}

func (f *fake) Events(ctx context.Context, id string, after int64) (api.Stream[api.Event], error) {
	if f.slow {
		return func(yield func(api.Event, error) bool) {
			yield(api.Event{Seq: 1, Step: "backup", State: plan.Started, Text: "back up the database"}, nil)
			close(f.reached)
			<-ctx.Done()
		}, nil
	}
	all := []api.Event{
		{Step: "backup", State: plan.Started, Text: "back up the database"},
		{Step: "backup", Text: "12 MB\x1b[2J"},
		{Step: "backup", State: plan.Done},
		{Step: "switch", State: plan.Started, Text: "move the traffic"},
	}
	if strings.HasSuffix(id, string(sour.Digest)) {
		all = append(all, api.Event{Step: "switch", State: plan.Failed, Text: "3.1% of the answers were errors"},
			api.Event{Step: "switch", State: plan.Undoing, Text: "move the traffic"}, api.Event{Step: "switch", State: plan.Undone})
	} else {
		all = append(all, api.Event{Step: "switch", State: plan.Done, Text: "100%"})
	}
	f.mu.Lock()
	cut := f.away > 0
	f.away--
	f.mu.Unlock()
	return func(yield func(api.Event, error) bool) {
		for i, e := range all {
			if e.Seq = int64(i + 1); e.Seq <= after {
				continue
			}
			if !yield(e, nil) {
				return
			}
			if cut && i == 1 {
				panic("the connection breaks") // which the server turns into a lost connection
			}
		}
	}, nil
}

func (f *fake) Cancel(_ context.Context, id string) error {
	f.did("cancel %s", id)
	return nil
}

func fakeReport(d release.Digest) evidence.Report {
	r := evidence.Report{Run: "r1", App: "shop", Release: d, Old: good.Digest, Stage: "stage-1", Verdict: verdictOf(d),
		Duration: 92 * time.Second, Started: at, Notes: []string{"not isolated: the stage can reach the network"}}
	r.Results = []evidence.Result{
		{Check: "unit", Verdict: evidence.Pass, Summary: "12 tests passed", Passed: 12, Duration: 3100 * time.Millisecond},
		{Check: "checkout", Verdict: verdictOf(d), Duration: 4 * time.Second},
	}
	switch d {
	case broken.Digest:
		r.Results[1].Summary = "1 of 3 tests failed"
		r.Results[1].Failures = []evidence.Failure{{Name: "TestPay\x1b[31m", Message: "got 500\nwant 200\nin cart.go\nline 12\nline 13"}}
		r.Results = append(r.Results, evidence.Result{Check: "smoke-ü", Verdict: evidence.Fail, Summary: "exit code 1",
			Output: "connecting\nno route\x07", Duration: 120 * time.Millisecond})
	case unsure.Digest:
		r.Results[1].Output = ""
	default:
		r.Results[1].Summary = "3 tests passed"
	}
	return r
}

func (f *fake) Report(_ context.Context, _, name string) (evidence.Report, error) {
	_, digest, isRun := strings.Cut(name, "-")
	if !isRun {
		digest = name
	}
	switch release.Digest(digest) {
	case good.Digest, broken.Digest, unsure.Digest:
		return fakeReport(release.Digest(digest)), nil
	default:
		return evidence.Report{}, problem.New(problem.NotFound, "%s was not rehearsed", name).WithHint("greenroom rehearse")
	}
}

func (f *fake) Explain(_ context.Context, _, rel, env string) (api.Explanation, error) {
	r, err := f.Resolve(context.Background(), "", rel)
	return api.Explanation{Release: r, Environment: env, Decision: decision(r.Digest, env), Live: env == "qa"}, err
}

func (f *fake) Status(_ context.Context, app string) (api.StatusView, error) {
	v := fakeStatus(time.Now())
	if f.noApp {
		v.Apps = nil
	}
	if !f.up {
		for i := range v.Apps[0].Environments {
			v.Apps[0].Environments[i].State = api.EnvironmentDown
		}
	}
	if !f.noApp {
		v.Apps[0].Environments[2].Glass = f.glass
	}
	if app == "" && !f.noApp && f.up {
		v.Apps = append(v.Apps, api.AppStatus{Name: "blog", Repository: "/src/blog"})
	}
	return v, nil
}

func fakeStatus(now time.Time) api.StatusView {
	live, latest := good, broken
	live.Live = []string{"production"}
	latest.Verdict = evidence.Fail
	return api.StatusView{Version: "1.2.3", Home: "/state", Apps: []api.AppStatus{{Name: "shop", Repository: "/src/shop",
		Latest: &latest,
		Environments: []api.EnvironmentStatus{
			{Name: "dev", State: api.EnvironmentEmpty, Address: "http://127.0.0.1:4001", Schema: gate.SchemaNone},
			{Name: "staging", State: api.EnvironmentTrouble, Reason: "1 of 4 replicas is away", Address: "http://127.0.0.1:4002",
				Live: &live, Since: now.Add(-90 * time.Second), Schema: gate.SchemaHalfMigrated,
				Services: []api.ServiceStatus{{Name: "db", Healthy: 1, Wanted: 1}, {Name: "web", Healthy: 3, Wanted: 4, Reason: "web-2 exited: exit code 1"}},
				Traffic:  api.Traffic{Requests: 1200, Failed: 3}},
			{Name: "production", State: api.EnvironmentUp, Address: "http://127.0.0.1:4003", Hosts: []string{"shop.example.com"},
				Live: &live, Since: now.Add(-26 * time.Hour), Schema: gate.SchemaProven,
				Services: []api.ServiceStatus{{Name: "web", Healthy: 10, Wanted: 10}}, Traffic: api.Traffic{Requests: 30000}},
		},
		Runs: []api.RunSummary{{ID: "r7", Kind: plan.Promotion, Environment: "staging", Release: broken.Digest,
			Step: "watch", By: "ada", Since: now.Add(-12 * time.Second)},
			{ID: "r8", Kind: plan.Rehearsal, Release: unsure.Digest, Queue: 1, By: "bob", Since: now.Add(-2 * time.Second)}},
	}}}
}

func (f *fake) History(_ context.Context, q api.HistoryQuery) ([]api.HistoryEntry, error) {
	es := fakeHistory()
	return es[:min(q.Limit, len(es))], nil
}

func fakeHistory() []api.HistoryEntry {
	return []api.HistoryEntry{
		{Seq: 9, At: at, Run: "r5", By: "ada", Action: "promotion", Environment: "production", Release: sour.Digest, Outcome: plan.RolledBack, Text: "3.1% errors\x1b[2J"},
		{Seq: 8, At: at.Add(-time.Hour), By: "bob", Action: "secret set", Environment: "qa", Text: "STRIPE_KEY"},
		{Seq: 1, At: at.Add(-2 * time.Hour), Run: "r1", By: "ada", Action: "promotion", Environment: "production", Release: good.Digest, Outcome: plan.Succeeded},
	}
}

// longHistory is too wide for most terminals.
func longHistory() []api.HistoryEntry {
	h := fakeHistory()
	h[0].Text = "3.1% of all answers were errors, and no more than 1% may be in the first five minutes after the traffic has moved"
	h[1].Seq, h[1].By, h[1].Environment = 12345, "somebody-with-a-long-name", "the-environment-of-the-people-in-the-office"
	h[2].At = h[2].At.AddDate(-1, 0, 0)
	return h
}

func (f *fake) Logs(ctx context.Context, q api.LogQuery) (api.Stream[api.LogLine], error) {
	f.did("logs %s %s %d %v", q.Environment, q.Service, q.Tail, q.Follow)
	return func(yield func(api.LogLine, error) bool) {
		texts := []string{"listening on 8080", "\x1b]0;pwned\x07GET /"}
		if q.Service == "quiet" {
			texts = nil
		}
		for i, text := range texts {
			if !yield(api.LogLine{Service: "web", Replica: i, Text: text, At: at}, nil) {
				return
			}
		}
		if q.Follow {
			close(f.reached)
			<-ctx.Done()
		}
	}, nil
}

func fakeDiff() api.DiffView {
	return api.DiffView{A: "staging", B: "production", Sections: []api.DiffSection{
		{Name: "configuration", Facts: []api.DiffFact{
			{Name: "PORT", State: api.DiffSame, A: "8080", B: "8080"},
			{Name: "PAYMENT_URL", State: api.DiffDeclared, A: "http://127.0.0.1:9000", B: "https://pay", Because: "the sandbox", Until: at},
			{Name: "DEBUG", State: api.DiffUndeclared, A: "1\x1b[2J"}}},
		{Name: "services", Facts: []api.DiffFact{{Name: "web image", State: api.DiffChanged, A: "1", B: "2"}}},
		{Name: "checks", Facts: []api.DiffFact{{Name: "unit", State: api.DiffSame, A: "x", B: "x"}}},
	}}
}

func (f *fake) Diff(_ context.Context, _, a, _ string) (api.DiffView, error) {
	if a == "a-branch" {
		return api.DiffView{}, problem.New(problem.NotFound, "nothing is called a-branch")
	}
	return fakeDiff(), nil
}

func (f *fake) Shape(_ context.Context, _, environment string) (mask.Shape, error) {
	f.did("shape %s", environment)
	if environment == "dev" {
		return mask.Shape{}, problem.New(problem.Unavailable, "nothing is live in dev").WithHint("greenroom promote latest dev")
	}
	return fakeShape(), nil
}

// fakeShape is a database in which something of every kind is.
func fakeShape() mask.Shape {
	return mask.Shape{Tables: []mask.Table{
		{Name: "customers", Rows: 3000, Columns: []mask.Column{
			{Name: "id", Type: "bigint", Kind: mask.KindNumber, NotNull: true, Unique: true, Key: true},
			{Name: "email", Type: "text", Kind: mask.KindText, NotNull: true, Unique: true},
			{Name: "phone", Type: "text", Kind: mask.KindText}, {Name: "born", Type: "date", Kind: mask.KindTime},
			{Name: "note", Type: "text", Kind: mask.KindText}, {Name: "active", Type: "boolean", Kind: mask.KindBoolean},
			{Name: "shape", Type: "box\x1b[2J", Kind: mask.KindOther, NotNull: true}}},
		{Name: "orders", Rows: 9000, Columns: []mask.Column{
			{Name: "id", Type: "bigint", Kind: mask.KindNumber, NotNull: true, Unique: true, Key: true},
			{Name: "customer", Type: "bigint", Kind: mask.KindNumber, NotNull: true, Refers: "customers.id"},
			{Name: "placed", Type: "timestamp with time zone", Kind: mask.KindTime, NotNull: true},
			{Name: "extra\x1b[2J", Type: "jsonb", Kind: mask.KindJSON}}},
	}}
}

func (f *fake) SecretSet(_ context.Context, s api.SecretName, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[s.Environment+"/"+s.Name] = string(value)
	return nil
}

func fakeSecrets() []api.SecretView {
	return []api.SecretView{{Environment: "production", Name: "STRIPE_KEY", Set: true, By: "ada", At: at, Services: []string{"web", "worker"}},
		{Environment: "qa", Name: "STRIPE_KEY", Services: []string{"web"}}}
}

func (f *fake) SecretList(context.Context, string, string) ([]api.SecretView, error) {
	return fakeSecrets(), nil
}

func (f *fake) SecretRemove(_ context.Context, s api.SecretName) error {
	f.did("remove %s/%s", s.Environment, s.Name)
	return nil
}
