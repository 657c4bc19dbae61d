package promotion

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

func contents(order app.Order, production bool) app.Contents {
	return app.Contents{
		Services: []app.Service{
			{Name: "db", Kind: app.KindPostgres, Replicas: 1},
			{Name: "web", Kind: app.KindProcess, Replicas: 10, Port: 8080, Public: true, Order: order, Protocol: app.HTTP},
			{Name: "worker", Kind: app.KindProcess, Replicas: 1, Order: app.StopFirst},
		},
		Database:   &app.Database{Engine: app.Postgres, Service: "db"},
		Migrations: &app.Migrations{Run: "bin/migrate", Service: "web"},
		Checks:     []app.Check{{Name: "buy", Run: "buy", Journey: true, Production: production}},
	}
}

func facts(old bool, order app.Order, production bool) Facts {
	f := Facts{
		Kind: plan.Promotion, App: "shop", Policy: "p", New: release.Of([]byte("new")),
		Environment: app.Environment{Name: "production", Rollout: app.Rollout{Steps: []int{10, 50, 100}, Watch: time.Second, Drain: time.Second}},
		NewContents: contents(order, production),
	}
	if old {
		f.Old, f.OldContents = release.Of([]byte("old")), contents(order, production)
	}
	return f
}

func TestMake(t *testing.T) {
	long := 3 * time.Second
	downtime := facts(true, app.StartFirst, true)
	downtime.Downtime = &long
	seeded := facts(false, app.StartFirst, true)
	seeded.NewContents.Migrations.Seed = "seed"
	production := facts(false, app.StartFirst, true)
	production.Production, production.NewContents.Migrations.Seed = true, "seed"
	worker := facts(true, app.StartFirst, true)
	worker.NewContents.Migrations = &app.Migrations{AtStart: "worker", Service: "worker"}
	web := facts(true, app.StartFirst, true)
	web.NewContents.Migrations = &app.Migrations{AtStart: "web", Service: "web"}
	rollback := facts(true, app.StartFirst, true)
	rollback.Kind = plan.Rollback
	stays := facts(true, app.StartFirst, true)
	stays.Stays = []string{"worker"}
	held := facts(true, app.StopFirst, true)
	held.Stays = []string{"worker"}
	stopped := downtime
	stopped.Stays = []string{"worker"}
	for _, c := range []struct {
		name string
		f    Facts
		want string
	}{
		{"a first release", facts(false, app.StartFirst, true),
			"prepare gate way-back migrate start candidate gate-again share-100 live verify watch measure"},
		{"a first release outside production is seeded", seeded,
			"prepare gate way-back migrate seed start candidate gate-again share-100 live verify watch measure"},
		{"production never is", production,
			"prepare gate way-back migrate start candidate gate-again share-100 live verify watch measure"},
		{"both side by side", facts(true, app.StartFirst, true),
			"prepare gate backup way-back migrate start candidate gate-again share-10 share-50 stop-workers start-workers share-100 live verify drain watch retire measure"},
		{"without a production journey", facts(true, app.StartFirst, false),
			"prepare gate backup way-back migrate start gate-again share-10 share-50 stop-workers start-workers share-100 live drain watch retire measure"},
		{"must not run twice", facts(true, app.StopFirst, true),
			"prepare gate backup way-back gate-hold hold drain stop-old migrate start candidate gate-again share-100 live resume verify watch retire measure"},
		{"a worker that migrates as it starts", worker,
			"prepare gate backup way-back stop-workers migrate start candidate gate-again share-10 share-50 start-workers share-100 live verify drain watch retire measure"},
		{"what migrates as it starts and may run twice", web,
			"prepare gate backup way-back migrate start candidate gate-again share-10 share-50 stop-workers start-workers share-100 live verify drain watch retire measure"},
		{"downtime accepted", downtime,
			"prepare gate way-back maintenance drain stop-old backup migrate start candidate gate-again share-100 live open verify watch retire measure"},
		{"what did not change stays", stays,
			"prepare gate backup way-back migrate stay start candidate gate-again share-10 share-50 share-100 live verify drain watch retire measure"},
		{"also while the others are exchanged", held,
			"prepare gate backup way-back gate-hold hold drain stop-old migrate stay start candidate gate-again share-100 live resume verify watch retire measure"},
		{"but not while nobody may write", stopped,
			"prepare gate way-back maintenance drain stop-old backup migrate start candidate gate-again share-100 live open verify watch retire measure"},
		{"rollback migrates nothing and asks no gate", rollback,
			"prepare backup way-back start candidate share-10 share-50 stop-workers start-workers share-100 live verify drain watch retire measure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Make(c.f)
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range p.Steps {
				names = append(names, s.Name)
				if (&Promotions{}).Actions()[s.Action] == nil {
					t.Errorf("step %s asks for %s, which nobody carries out", s.Name, s.Action)
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("steps\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The traffic at each step of a rollout, going forward and coming back.
func TestTraffic(t *testing.T) {
	oldRelease := release.Release{App: "shop", Contents: contents(app.StartFirst, true)}
	newRelease := release.Release{App: "shop", Contents: contents(app.StartFirst, true), Format: 1}
	sc := &scene{env: &environment.Environment{App: "shop"}, Pair: environment.Pair{Old: oldRelease, New: newRelease, HasOld: true}}
	f := facts(true, app.StartFirst, true)
	f.New, f.Old = newRelease.Digest(), oldRelease.Digest()
	p := Make(f)
	for _, c := range []struct {
		step      string
		percent   int
		candidate bool
		running   int
	}{
		{"migrate", 0, false, 1},
		{"start", 0, true, 2},
		{"share-10", 10, true, 2},
		{"share-50", 50, true, 2},
		{"start-workers", 50, true, 2},
		{"share-100", 100, false, 2},
		{"watch", 100, false, 2},
		{"retire", 100, false, 1},
	} {
		at, err := after(p, c.step)
		if err != nil {
			t.Fatal(err)
		}
		tr := at.traffic(sc, time.Now())
		got, sum := 0, 0
		for _, s := range tr.Shares {
			sum += s.Percent
			if s.Release == f.New {
				got = s.Percent
			}
		}
		if got != c.percent || sum != 100 || len(tr.Running) != c.running || (tr.Candidate == f.New) != c.candidate {
			t.Errorf("after %s: new has %d%% of %d%%, %d run, candidate %q", c.step, got, sum, len(tr.Running), tr.Candidate)
		}
	}
	if at, err := before(p, "start"); err != nil || at.started || at.percent != 0 {
		t.Errorf("before start: %+v, %v", at, err)
	}
	if _, err := after(p, "no such step"); err == nil {
		t.Error("a step that does not exist has traffic")
	}
}

// Requests wait, or see the page, from the pause to the resumption, whatever happens in between.
// What is started again when the end of a promotion is taken back is what ran at that place, and nothing that must not run
// twice.
func TestWarm(t *testing.T) {
	long := time.Second
	downtime := facts(true, app.StartFirst, true)
	downtime.Downtime = &long
	for want, f := range map[string]Facts{"web": facts(true, app.StartFirst, true), "": facts(true, app.StopFirst, true), "stopped": downtime} {
		at, err := before(Make(f), "retire")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(at.warm(f.OldContents), " "); got != strings.TrimPrefix(want, "stopped") {
			t.Errorf("%q run before the old release is retired, want %q", got, want)
		}
	}
}

func TestTrafficWhilePaused(t *testing.T) {
	sc := &scene{env: &environment.Environment{App: "shop"},
		Pair: environment.Pair{HasOld: true, Old: release.Release{App: "shop"}, New: release.Release{App: "shop", Format: 1}}}
	long := 3 * time.Second
	downtime := facts(true, app.StartFirst, true)
	downtime.Downtime = &long
	for _, c := range []struct {
		f              Facts
		from, to, free string
		page           bool
	}{
		{facts(true, app.StopFirst, true), "hold", "live", "resume", false},
		{downtime, "maintenance", "live", "open", true},
	} {
		p := Make(c.f)
		paused := false
		for _, s := range p.Steps {
			at, err := after(p, s.Name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Name == c.from {
				paused = true
			}
			if s.Name == c.free {
				paused = false
			}
			tr := at.traffic(sc, time.Now())
			if tr.Paused != (paused && !c.page) || (tr.Maintenance != nil) != (paused && c.page) {
				t.Errorf("after %s: paused %v, page %v", s.Name, tr.Paused, tr.Maintenance != nil)
			}
		}
	}
}

func TestBad(t *testing.T) {
	for _, c := range []struct {
		name     string
		new, old counts
		want     bool
	}{
		{"nothing came", counts{}, counts{}, false},
		{"too few to judge by", counts{19, 19}, counts{}, false},
		{"one alone may be anything", counts{20, 2}, counts{}, false},
		{"worse than accepted", counts{100, 3}, counts{}, true},
		{"exactly what is accepted", counts{300, 3}, counts{}, false},
		{"what fails for both is not the new one's fault", counts{100, 10}, counts{100, 10}, false},
		{"worse than the old one as well", counts{100, 11}, counts{100, 10}, true},
		{"the old one has too few to compare with", counts{100, 10}, counts{10, 10}, true},
	} {
		if got := c.new.bad(0.01, c.old); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Arguments survive the journal: what was planned is what is done after a restart.
func TestArgumentsSurviveTheJournal(t *testing.T) {
	p := Make(facts(true, app.StartFirst, true))
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Plan
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		was, err1 := after(p, s.Name)
		is, err2 := after(back, s.Name)
		if err1 != nil || err2 != nil || was.percent != is.percent || was.started != is.started {
			t.Errorf("%s: %+v became %+v", s.Name, was, is)
		}
	}
}

// What stays is told, and is in no step that stops or starts anything.
func TestStays(t *testing.T) {
	for _, order := range []app.Order{app.StartFirst, app.StopFirst} {
		f := facts(true, order, true)
		for _, c := range []*app.Contents{&f.NewContents, &f.OldContents} {
			c.Services = append(c.Services, app.Service{Name: "cache", Kind: app.KindContainer, Replicas: 1, Order: app.StopFirst})
		}
		f.Stays = []string{"cache", "worker"}
		told := false
		for _, s := range Make(f).Steps {
			var a ServicesArgs
			if s.Args != nil {
				if err := json.Unmarshal(s.Args, &a); err != nil {
					t.Fatal(err)
				}
			}
			switch {
			case s.Action == ActionStay:
				told = s.Says == "cache and worker stay as they are"
			case strings.Contains(strings.Join(a.Services, " "), "cache"):
				t.Errorf("%s: step %s is about %v", order, s.Name, a.Services)
			}
		}
		if !told {
			t.Errorf("%s: the plan does not say that they stay", order)
		}
	}
}

// TestAhead: what others wait for starts before them, unless the old release's has to be stopped first.
func TestAhead(t *testing.T) {
	plan := func(old ...string) (start, workers []string) {
		f := facts(true, app.StartFirst, true)
		service := func(name string, job bool, needs ...string) app.Service {
			s := app.Service{Name: name, Kind: app.KindContainer, Replicas: 1, Order: app.StopFirst, Job: job}
			for _, n := range needs {
				s.DependsOn = append(s.DependsOn, app.Dependency{Service: n})
			}
			return s
		}
		web, _ := f.NewContents.Service("web")
		web.DependsOn = []app.Dependency{{Service: "db"}, {Service: "init"}}
		f.NewContents.Services = []app.Service{
			{Name: "db", Kind: app.KindPostgres, Replicas: 1, Order: app.StopFirst}, web, service("cache", false, "disk"), service("disk", false),
			service("init", true, "cache"), service("worker", false, "cleanup"), service("cleanup", true),
		}
		f.OldContents.Services = f.OldContents.Services[:2]
		for _, name := range old {
			f.OldContents.Services = append(f.OldContents.Services, service(name, name == "init"))
		}
		for _, s := range Make(f).Steps {
			var a ServicesArgs
			if s.Action != ActionStart {
				continue
			}
			if err := json.Unmarshal(s.Args, &a); err != nil {
				t.Fatal(err)
			}
			if s.Name == "start" {
				start = a.Services
			} else {
				workers = a.Services
			}
		}
		return start, workers
	}
	for _, c := range []struct{ old, start, workers []string }{
		{nil, []string{"cache", "disk", "init", "web"}, []string{"worker", "cleanup"}},
		{[]string{"cache", "init", "worker"}, []string{"disk", "init", "web"}, []string{"cache", "worker", "cleanup"}},
		{[]string{"cache", "disk"}, []string{"init", "web"}, []string{"cache", "disk", "worker", "cleanup"}},
	} {
		start, workers := plan(c.old...)
		if !slices.Equal(start, c.start) || !slices.Equal(workers, c.workers) {
			t.Errorf("after %v: %v start first, %v last; want %v, %v", c.old, start, workers, c.start, c.workers)
		}
	}
}
