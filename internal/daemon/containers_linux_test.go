package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/evidence"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/run"
)

// contained is the app of containers: what withPostgres is of processes.
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
      DATABASE_URL: postgres://app:app@db:5432/app?sslmode=disable
    volumes: &control ["CONTROL_FOLDER:CONTROL_FOLDER"]
    depends_on: &needs
      db: {condition: service_healthy}
    deploy: {replicas: 2}
    stop_grace_period: 3s
  worker:
    build: .
    command: bin/app work
    environment: *environment
    volumes: *control
    depends_on: *needs
    stop_grace_period: 3s
  db:
    image: postgres:15
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: app, POSTGRES_DB: app}
    volumes: ["db:/var/lib/postgresql/data"]
volumes: {db: {}}
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
	programs := []string{"/bin/sh", filepath.Join(p.Bin, "postgres"), filepath.Join(p.Bin, "initdb")}
	modules, err := filepath.Glob(filepath.Join(filepath.Dir(p.Bin), "lib", "*.so"))
	must(t, err)
	for _, name := range append(programs, modules...) {
		if strings.Contains(name, "llvmjit") { // it is large, and nothing here is compiled
			continue
		}
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

// TestContainers has an app of containers go live, be exchanged while customers use it and the control plane dies, be
// rehearsed, go back, and lose what it runs on.
func TestContainers(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	engine := dockertest.Start(t)
	d, err := docker.New(docker.Options{Host: engine.Host, Home: "the test"})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	_, err = d.Load(t.Context(), strings.NewReader(string(databaseImage(t).Archive(t))))
	must(t, err)

	dir := newFolder(t)
	h := newHouseIn(t, dir, filepath.Join(dir, "home"), func(h *house) { h.engine = engine.Host })
	mine, err := docker.New(docker.Options{Host: engine.Host, Home: string(h.home)})
	must(t, err)
	t.Cleanup(func() { must(t, mine.Close()) })
	c := &containers{house: h, engine: engine, driver: mine}
	c.first = h.live(contained().as("v1", "DROP TABLE IF EXISTS notes"))
	c.second = h.build(contained().as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	c.customers = h.customersOf(h.status().Address)

	h.part(t, "rehearsed", c.rehearsed)
	h.part(t, "exchanged, while the control plane dies at every step", c.exchanged)
	h.part(t, "a container and an image are removed by hand", c.losesWhatItRunsOn)
	h.part(t, "back", func() {
		r, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "a test"})
		must(h, err)
		h.wantOutcome(h.await(r.ID), plan.Succeeded)
		c.wantLive(c.first)
		c.customers.wantFlawless(h, c.customers.cut())
	})
	h.part(t, "the Engine dies, and comes back", c.engineDies)
	h.part(t, "down, and up again", c.downAndUp)
}

type containers struct {
	*house
	engine        *dockertest.Engine
	driver        *docker.Driver
	customers     *customers
	first, second release.Digest
}

// wantLive fails the test when anything else runs than this release and its database.
func (c *containers) wantLive(r release.Digest) {
	c.Helper()
	want := []string{"db.server", "web." + r.Short() + ".0", "web." + r.Short() + ".1", "worker." + r.Short() + ".0"}
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
			got = append(got, strings.TrimPrefix(s.ID, "app.production."))
		}
		if !slices.Equal(got, want) {
			return strings.Join(got, ", ")
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

func (c *containers) exchanged() {
	all := func(plan.Step) bool { return true }
	begun := c.dieAround(c.steps(c.second, all), []run.Point{run.AfterDo}, func() api.RunView { return c.begin(c.second) })
	c.wantOutcome(c.await(begun.ID), plan.Succeeded)
	c.wantLive(c.second)
	c.customers.wantFlawless(c, c.customers.cut())
}

func (c *containers) losesWhatItRunsOn() {
	id := "app.production.worker." + c.second.Short() + ".0"
	must(c, c.driver.Stop(c.ctx(), id)) // as docker rm -f does
	c.wantLive(c.second)
	c.customers.wantFlawless(c, c.customers.cut())
}

func (c *containers) engineDies() {
	begun := c.begin(c.second)
	c.awaitStep(begun.ID, "start")
	c.engine.Kill(c.TB)
	c.engine.Return(c.TB)
	ended := c.await(begun.ID)
	switch ended.Outcome {
	case plan.Succeeded:
		c.wantLive(c.second)
	case plan.RolledBack:
		c.wantLive(c.first)
	default:
		c.Fatalf("%s: %s", ended.Outcome, ended.Reason)
	}
	c.customers.wantRecorded(c, c.customers.cut())
	c.customers.wantAnswered(c, 20)
}

func (c *containers) downAndUp() {
	live := c.status().Live.Digest
	c.down()
	c.eventually("nothing of it is left but its data", func() string {
		all, err := c.driver.List(c.ctx(), driver.Filter{})
		if err != nil || len(all) > 0 {
			return "it runs"
		}
		return ""
	})
	c.customers.cut() // nobody answers meanwhile
	must(c, c.upAgain())
	c.wantLive(live)
	c.customers.cut()
	c.customers.wantAnswered(c, 20)
}
