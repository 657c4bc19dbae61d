package daemon

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/promotion"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// contained is the app of containers: what withPostgres is of processes, and a cache that every page asks.
func contained() sources {
	s := withPostgres()
	s.compose = `services:
  web:
    build: .
    command: bin/app serve
    ports: ["8080:8080"]
    environment: &environment
      CONTROL: CONTROL_FOLDER
      LISTEN: 0.0.0.0
      CACHE: http://cache:6379
      DATABASE_URL: postgres://app:app@db:5432/app?sslmode=disable
    volumes: &control ["CONTROL_FOLDER:CONTROL_FOLDER"]
    depends_on: &needs
      db: {condition: service_healthy}
      cache: {condition: service_started}
    deploy: {replicas: 2}
    stop_grace_period: 3s
  worker:
    build: .
    command: bin/app work
    environment: *environment
    volumes: *control
    depends_on: *needs
    stop_grace_period: 3s
  cache:
    build: {context: ., dockerfile: cache.Dockerfile}
    command: /app cache
    environment: {KIND: small, LISTEN: 0.0.0.0}
    expose: ["6379"]
    volumes: ["cache:/data"]
    deploy: {update_config: {order: stop-first}}
    stop_grace_period: 3s
  db:
    image: postgres:15
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: app, POSTGRES_DB: app}
    volumes: ["db:/var/lib/postgresql/data"]
volumes: {db: {}, cache: {}}
`
	s.definition = "driver: docker\n" + strings.Replace(s.definition, "  production:\n",
		"  production:\n    accept:\n      web: &told {volumes CONTROL_FOLDER: the test tells it what to do}\n      worker: *told\n", 1)
	return s.saying("{run: bin/app migrate, timeout: 1m}", "{run: bin/app migrate, service: web, timeout: 1m, "+patient+"}")
}

// databaseImage is PostgreSQL as its official image is, as far as this test sees: of the programs of this machine, and an entry
// point that makes the role, the password and the database that its environment names.
func databaseImage(t testing.TB) dockertest.Image {
	t.Helper()
	p, err := postgres.Find("")
	must(t, err)
	share := strings.Replace(filepath.Dir(p.Bin), "/lib/", "/share/", 1)
	if _, err := os.Stat(share); err != nil {
		missing(t, "PostgreSQL as Debian installs it: "+err.Error())
	}
	image := dockertest.Image{Tags: []string{"postgres:15"}, Config: map[string]any{
		"Entrypoint": []string{"/entry", p.Bin}, "Cmd": []string{"postgres"},
	}, Files: map[string][]byte{
		"entry":      dockertest.Program(t, "greenroom/internal/daemon/testdata/postgres"),
		"etc/passwd": []byte("root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n"),
		"etc/group":  []byte("root:x:0:\npostgres:x:999:\n"),
	}}
	add := func(name string) {
		b, err := os.ReadFile(name)
		must(t, err)
		image.Files[strings.TrimPrefix(name, "/")] = b
	}
	modules := filepath.Join(filepath.Dir(p.Bin), "lib") // those that a fresh database needs
	for _, name := range []string{
		"/bin/sh", filepath.Join(p.Bin, "postgres"), filepath.Join(p.Bin, "initdb"), filepath.Join(modules, "plpgsql.so"), filepath.Join(modules, "dict_snowball.so"),
	} {
		add(name)
		libraries, err := exec.Command("ldd", name).Output()
		must(t, err)
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				add(word)
			}
		}
	}
	must(t, filepath.WalkDir(share, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			add(name)
		}
		return err
	}))
	for _, zone := range []string{"/usr/share/zoneinfo/UTC", "/usr/share/zoneinfo/Etc/UTC"} {
		add(zone)
	}
	return image
}

// containers are a house whose app runs in an Engine of the test's.
type containers struct {
	*house
	engine        *dockertest.Engine
	docker        *client.Client
	driver        *docker.Driver // the house's own, as another process would have it
	customers     *customers
	oldest        release.Digest
	first, second release.Digest // one of which is live, and the other has the same cache
}

// newContainers has the first release live, and the second one built.
func newContainers(t *testing.T) *containers {
	needPostgres(t)
	c := &containers{engine: dockertest.Start(t)}
	var err error
	c.docker, err = client.New(client.WithHost(c.engine.Host))
	must(t, err)
	t.Cleanup(func() { must(t, c.docker.Close()) })
	dir := newFolder(t)
	c.driver, err = docker.New(docker.Options{Host: c.engine.Host, Home: filepath.Join(dir, "home")})
	must(t, err)
	t.Cleanup(func() { must(t, c.driver.Close()) })
	_, err = c.driver.Load(t.Context(), strings.NewReader(string(databaseImage(t).Archive(t))))
	must(t, err)
	c.house = newHouseIn(t, dir, filepath.Join(dir, "home"), func(h *house) { h.engine = c.engine.Host })
	return c
}

// TestContainers has an app of containers go live, be exchanged while customers use it and the control plane dies, be
// rehearsed, go back, lose what it runs on, and leave.
func TestContainers(t *testing.T) {
	t.Parallel()
	c := newContainers(t)
	before := c.inventory()
	c.first = c.live(contained().as("v1", "DROP TABLE IF EXISTS notes"))
	c.oldest = c.first
	c.second = c.build(contained().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	c.customers = c.customersOf(c.status().Address)

	c.part(t, "rehearsed", c.rehearsed)
	c.part(t, "taken back", c.takenBack)
	c.part(t, "exchanged, while the control plane dies at every step", c.exchanged)
	c.part(t, "a container and an image are removed by hand", c.losesWhatItRunsOn)
	c.part(t, "back", c.goesBack)
	c.part(t, "what was to stay is gone by then", c.strays)
	c.part(t, "what changed is exchanged", c.changes)
	c.part(t, "the policy accepts it no more", c.refused)
	c.part(t, "the Engine dies, and its containers with it", func() { c.engineDies(false) })
	c.part(t, "the Engine dies, and its containers live", func() { c.engineDies(true) })
	c.part(t, "down, and up again", c.downAndUp)
	c.part(t, "down without the Engine", c.downWithout)
	c.part(t, "down, with all that was made", func() { c.leavesNothing(before) })
}

// wantLive fails the test when anything else runs than this release and what outlives it.
func (c *containers) wantLive(r release.Digest) {
	c.Helper()
	want := []string{"cache", "db", "web", "web", "worker"}
	c.eventually("the containers of "+r.Short()+" run, and no others", func() string {
		all, err := c.driver.List(c.ctx(), driver.Filter{App: appUnderTest})
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, s := range all {
			if s.Phase != driver.Healthy {
				return s.ID + " is " + string(s.Phase) + ": " + s.Reason
			}
			if s.Release != "" && s.Release != string(r) {
				return s.ID + " is of another release"
			}
			got = append(got, s.Service)
		}
		if !slices.Equal(got, want) {
			return strings.Join(got, ", ")
		}
		return c.otherNetworks(r)
	})
	if c.status().Live.Digest != r {
		c.Fatalf("%s is live, not %s", c.status().Live.Digest.Short(), r.Short())
	}
}

// otherNetworks are those that are neither production's own nor that of its live release.
func (c *containers) otherNetworks(live release.Digest) string {
	c.Helper()
	all, err := c.docker.NetworkList(c.ctx(), client.NetworkListOptions{Filters: client.Filters{}.Add("label", "greenroom.home="+string(c.home))})
	must(c, err)
	for _, n := range all.Items {
		if is := n.Labels["greenroom.environment"] + " " + n.Labels["greenroom.name"]; is != "production environment" && is != "production "+live.Short() {
			return "there is a network of " + is
		}
	}
	return ""
}

// running is the one container of a service.
func (c *containers) running(service string) driver.Status {
	c.Helper()
	all, err := c.driver.List(c.ctx(), driver.Filter{App: appUnderTest, Environment: "production", Service: service})
	must(c, err)
	if len(all) != 1 {
		c.Fatalf("of %s there are %v", service, all)
	}
	return all[0]
}

// cached asks the cache through the app.
func (c *containers) cached(what string) string {
	c.Helper()
	body, err := readAll(http.Get(c.customers.address + "/cache/" + what))
	must(c, err)
	return body
}

// wantCache fails the test when the cache is another one than before, or one of the names is not found.
func (c *containers) wantCache(was driver.Status) {
	c.Helper()
	if is := c.running("cache"); is.PID != was.PID || is.ID != was.ID {
		c.Fatalf("the cache was started anew: it is %s, process %d, and was %s, process %d", is.ID, is.PID, was.ID, was.PID)
	}
	c.cached("web")
}

// settles returns when the customers have no trouble any more, and fails the test when a write is lost or done twice: connections to
// what has gone without a word have their time.
func (c *containers) settles() {
	c.Helper()
	c.eventually("the customers are served", func() string {
		for c.customers.served() < 20 {
			time.Sleep(pace)
		}
		b := c.customers.cut()
		c.customers.wantRecorded(c, b)
		if len(b.failed) > 0 {
			return b.failed[0]
		}
		return ""
	})
}

func (c *containers) rehearsed() {
	report, found := c.found(c.second)
	if report.Verdict != evidence.Pass {
		c.Fatalf("it ends %s: %+v", report.Verdict, report.Results)
	}
	if m := found["migration"].Migration; m == nil || m.Back == nil || !m.Back.Possible {
		c.Errorf("the migration: %+v", m)
	}
	c.wantLive(c.first)
	c.customers.wantFlawless(c, c.customers.cut())
}

// takenBack promotes the second release, whose journey fails once everybody is sent to it, and kills the control plane as it takes
// back each step.
func (c *containers) takenBack() {
	cache := c.running("cache")
	c.tell("fail-journey", "v2", c.customers.address)
	defer c.tell("fail-journey", "v2", "")
	late := false
	steps := c.steps(c.second, func(s plan.Step) bool {
		late = late || s.Action == promotion.ActionVerify
		return s.Changes && !late
	})
	slices.Reverse(steps)
	begun := c.dieAround(steps, []run.Point{run.AfterUndo}, func() api.RunView { return c.begin(c.second) })
	c.wantOutcome(c.await(begun.ID), plan.RolledBack)
	c.wantLive(c.first)
	c.wantCache(cache)
	c.customers.wantFlawless(c, c.customers.cut())
}

func (c *containers) exchanged() {
	cache := c.running("cache")
	steps := c.steps(c.second, func(plan.Step) bool { return true })
	if !slices.ContainsFunc(steps, func(s plan.Step) bool { return s.Says == "cache stays as it is" }) {
		c.Errorf("the plan says nothing of the cache: %+v", steps)
	}
	begun := c.dieAround(steps, []run.Point{run.AfterDo}, func() api.RunView { return c.begin(c.second) })
	c.wantOutcome(c.await(begun.ID), plan.Succeeded)
	c.wantLive(c.second)
	c.wantCache(cache)
	c.customers.wantFlawless(c, c.customers.cut())
}

func (c *containers) losesWhatItRunsOn() {
	must(c, c.driver.Stop(c.ctx(), c.running("worker").ID)) // as docker rm -f does
	c.wantLive(c.second)
	c.customers.wantFlawless(c, c.customers.cut())

	c.killDaemon() // or it would be faster
	must(c, c.driver.Stop(c.ctx(), c.running("cache").ID))
	s, _ := c.made[c.second].Service("cache")
	_, err := c.docker.ImageRemove(c.ctx(), s.Image, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	must(c, err)
	c.start()
	c.wantLive(c.second)
	c.settles()
}

func (c *containers) goesBack() {
	cache := c.running("cache")
	r, err := c.client.Start(c.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "a test"})
	must(c, err)
	c.wantOutcome(c.await(r.ID), plan.Succeeded)
	c.wantLive(c.first)
	c.wantCache(cache)
	c.customers.wantFlawless(c, c.customers.cut())
}

// strays takes the cache away between the plan that has it stay and the step: that it starts anew is told.
func (c *containers) strays() {
	c.dieAt(string(run.BeforeDo) + "/stay")
	begun := c.begin(c.second)
	c.awaitDeath()
	must(c, c.driver.Stop(c.ctx(), c.running("cache").ID))
	c.start()
	var said []string
	c.wantOutcome(c.follow(c.recall(begun).ID, func(e api.Event) bool {
		said = append(said, e.Text)
		return true
	}), plan.Succeeded)
	if !slices.Contains(said, "cache did not run any more, and starts anew") {
		c.Errorf("the run says %q", said)
	}
	c.wantLive(c.second)
	c.first, c.second = c.second, c.first
	c.settles()
}

func (c *containers) changes() {
	cache := c.running("cache")
	large := contained().saying("KIND: small", "KIND: large")
	c.first = c.build(large.as("v3", ""))
	c.wantOutcome(c.promote(c.first), plan.Succeeded)
	c.wantLive(c.first)
	if is := c.running("cache"); is.ID == cache.ID || c.cached("kind") != "large" {
		c.Fatalf("the cache is %s as before, and says that it is %s", is.ID, c.cached("kind"))
	}
	c.settles() // who asked for a page meanwhile had none

	// The same cache, and what the environment gives it is new.
	c.second = c.build(large.as("v4", ""))
	c.apply(c.hugePolicy())
	cache = c.running("cache")
	c.wantOutcome(c.promote(c.second), plan.Succeeded)
	c.wantLive(c.second)
	if is := c.running("cache"); is.ID != cache.ID || is.PID == cache.PID || c.cached("kind") != "huge" {
		c.Fatalf("the cache is %s, process %d, was %s, process %d, and says that it is %s", is.ID, is.PID, cache.ID, cache.PID, c.cached("kind"))
	}
	c.first, c.second = c.second, c.first
	c.settles()
}

// hugePolicy is the policy from then on: with another one, the next release would exchange the cache.
func (c *containers) hugePolicy() api.Registration {
	c.Helper()
	r := c.registration(contained().as("v4", ""))
	r.Policy.Environments[0].Config = map[string]app.Config{"KIND": {Value: "huge", Because: "a test"}}
	return r
}

func (c *containers) apply(r api.Registration) {
	c.Helper()
	_, err := c.client.Apply(c.ctx(), r, false)
	must(c, err)
}

// refused takes out of the policy what the releases need. What is live is kept up, and nothing else comes.
func (c *containers) refused() {
	policy := c.hugePolicy()
	for i := range policy.Policy.Environments {
		delete(policy.Policy.Environments[i].Accept, "web")
	}
	c.apply(policy)
	setting := "volumes " + c.control + " of web"
	_, err := c.client.Start(c.ctx(), toProduction(c.second))
	wantProblem(c, err, problem.Blocked, "does not accept "+setting)
	glass := toProduction(c.second)
	glass.BreakGlass = true
	_, err = c.client.Start(c.ctx(), glass)
	wantProblem(c, err, problem.Blocked, setting, "nobody but the policy")
	_, err = c.client.Start(c.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "a test"})
	wantProblem(c, err, problem.Blocked, "can't go back", setting)
	_, err = c.client.Start(c.ctx(), api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: string(c.second)})
	wantProblem(c, err, problem.Blocked, setting)

	backups, err := c.client.Copies(c.ctx(), appUnderTest, "production", api.CopyBackup)
	must(c, err)
	i := slices.IndexFunc(backups, func(b api.CopyView) bool { return b.Release == c.oldest })
	if i < 0 {
		c.Fatal("there is no backup of the time of the oldest release")
	}
	_, err = c.client.Start(c.ctx(), toBackup(backups[i].ID))
	wantProblem(c, err, problem.Blocked, setting)

	c.killDaemon()
	must(c, c.driver.Stop(c.ctx(), c.running("worker").ID))
	c.start()
	c.wantLive(c.first)
	must(c, c.upAgain())
	c.customers.wantFlawless(c, c.customers.cut())
	c.apply(c.hugePolicy())
}

// engineDies kills the Engine as a release starts. What it did to the customers is its own; they see nothing else.
func (c *containers) engineDies(live bool) {
	c.engine.Configure(c, fmt.Sprintf(`{"live-restore": %t}`, live))
	from := c.status().Live.Digest
	to := c.first
	if from == c.first {
		to = c.second
	}
	begun := c.begin(to)
	c.awaitStep(begun.ID, "start")
	c.engine.Kill(c.TB)
	code, out := c.greenroom("status", "--app", appUnderTest)
	if code != 0 || !strings.Contains(out, "no Docker Engine answers") {
		c.Errorf("status ends with %d while the Engine is away:\n%s", code, out)
	}
	c.engine.Return(c.TB)
	ended := c.await(begun.ID)
	switch ended.Outcome {
	case plan.Succeeded:
		from = to
	case plan.RolledBack:
	default:
		c.Fatalf("%s: %s", ended.Outcome, ended.Reason)
	}
	c.wantLive(from)
	if live {
		c.customers.wantFlawless(c, c.customers.cut())
	}
	c.settles()
}

func (c *containers) downAndUp() {
	live := c.status().Live.Digest
	c.down()
	c.wantNothingRuns()
	c.customers.cut() // nobody answers meanwhile
	must(c, c.upAgain())
	c.wantLive(live)
	c.customers.cut()
	c.customers.wantAnswered(c, 20)
}

func (c *containers) wantNothingRuns() {
	c.Helper()
	c.eventually("nothing of it is left but its data", func() string {
		all, err := c.driver.List(c.ctx(), driver.Filter{})
		if err != nil || len(all) > 0 {
			return "it runs"
		}
		return ""
	})
}

// downWithout stops Greenroom while the Engine is away, and what it left when that is back.
func (c *containers) downWithout() {
	live := c.status().Live.Digest
	c.engine.Kill(c.TB)
	began := time.Now()
	code, out := c.greenroom("down", "--app", appUnderTest)
	if want := problem.ExitCode(problem.New(problem.Unavailable, "")); code != want || !strings.Contains(out, "its containers may still run: no Docker Engine answers") {
		c.Errorf("down ends with %d after %s, not %d:\n%s", code, time.Since(began), want, out)
	}
	c.awaitEnd()
	c.engine.Return(c.TB)
	if all, err := c.driver.List(c.ctx(), driver.Filter{}); err != nil || len(all) == 0 {
		c.Errorf("nothing was left in the Engine, so nothing is tested: %v", err)
	}
	c.start()
	c.wantNothingRuns()
	must(c, c.upAgain())
	c.wantLive(live)
	c.customers.cut()
}

// inventory is all that the Engine has, and of Greenroom's folder what environments have in it.
func (c *containers) inventory() []string {
	c.Helper()
	all := []string{}
	containers, err := c.docker.ContainerList(c.ctx(), client.ContainerListOptions{All: true})
	must(c, err)
	for _, one := range containers.Items {
		all = append(all, "container "+strings.Join(one.Names, " ")+" "+one.ID)
	}
	networks, err := c.docker.NetworkList(c.ctx(), client.NetworkListOptions{})
	must(c, err)
	for _, one := range networks.Items {
		all = append(all, "network "+one.Name+" "+one.ID)
	}
	volumes, err := c.docker.VolumeList(c.ctx(), client.VolumeListOptions{})
	must(c, err)
	for _, one := range volumes.Items {
		all = append(all, "volume "+one.Name)
	}
	images, err := c.docker.ImageList(c.ctx(), client.ImageListOptions{All: true})
	must(c, err)
	for _, one := range images.Items {
		all = append(all, "image "+one.ID+" "+strings.Join(one.RepoTags, " "))
	}
	for _, dir := range []string{c.home.Environments(), c.home.Containers()} {
		entries, err := os.ReadDir(dir)
		must(c, err)
		for _, e := range entries {
			all = append(all, dir+"/"+e.Name())
		}
	}
	slices.Sort(all)
	return all
}

// leavesNothing takes away all that Greenroom made, and nothing that it did not.
func (c *containers) leavesNothing(before []string) {
	stranger := c.stranger()
	c.forgotten()
	code, out := c.greenroom("down", "--app", appUnderTest, "--volumes")
	if code != problem.ExitCode(problem.New(problem.Invalid, "")) || !strings.Contains(out, "--yes") {
		c.Errorf("nobody was asked, and it ends with %d:\n%s", code, out)
	}
	c.wantLive(c.status().Live.Digest)
	code, out = c.greenroom("down", "--app", appUnderTest, "--volumes", "--yes")
	if code != 0 {
		c.Fatalf("down ends with %d:\n%s", code, out)
	}
	c.awaitEnd()
	want := append(slices.Clone(before), stranger...)
	slices.Sort(want)
	if got := c.inventory(); !slices.Equal(got, want) {
		c.Errorf("left is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c.start()
	if s := c.status(); s.Live != nil {
		c.Errorf("without its data %s is live", s.Live.Digest.Short())
	}
	must(c, c.upAgain())
	c.wantOutcome(c.promote(c.first), plan.Succeeded)
	c.wantLive(c.first)
}

// forgotten leaves what an environment had that the policy knows no more.
func (c *containers) forgotten() {
	c.Helper()
	volume, err := c.driver.EnsureVolume(c.ctx(), appUnderTest, "old", "db")
	must(c, err)
	_, err = c.docker.ContainerCreate(c.ctx(), client.ContainerCreateOptions{
		Name: "old-db", Config: &container.Config{Image: "postgres:15", Labels: map[string]string{
			"greenroom.home": string(c.home), "greenroom.app": appUnderTest, "greenroom.environment": "old", "greenroom.replica": appUnderTest + ".old.db",
		}},
		HostConfig: &container.HostConfig{NetworkMode: "none", Binds: []string{volume + ":/var/lib/postgresql/data"}},
	})
	must(c, err)
	must(c, os.MkdirAll(filepath.Join(c.home.Environment(appUnderTest, "old"), "backups"), 0o755))
}

// stranger makes what others have in an Engine, and is what the inventory has more of then.
func (c *containers) stranger() (added []string) {
	c.Helper()
	before := c.inventory()
	ctx := c.ctx()
	n, err := c.docker.NetworkCreate(ctx, "shop_default", client.NetworkCreateOptions{Driver: "bridge"})
	must(c, err)
	_, err = c.docker.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "shop_db"})
	must(c, err)
	_, err = c.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: "shop-db-1", Config: &container.Config{Image: "postgres:15", Labels: map[string]string{"com.docker.compose.project": appUnderTest}},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(n.ID), Binds: []string{"shop_db:/var/lib/postgresql/data"}},
	})
	must(c, err)
	for _, line := range c.inventory() {
		if !slices.Contains(before, line) {
			added = append(added, line)
		}
	}
	if len(added) != 3 {
		c.Fatalf("the stranger has %v", added)
	}
	return added
}

// awaitEnd returns when the daemon has ended because it was told to.
func (h *house) awaitEnd() {
	h.Helper()
	select {
	case err := <-h.ended:
		must(h, err)
		h.client.Close()
		h.process = nil
	case <-time.After(patience):
		h.Fatal("the daemon does not end")
	}
}
