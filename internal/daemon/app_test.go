package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/definition"
	"greenroom/internal/driver/docker"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// appUnderTest is the name of the app.
const appUnderTest = "app"

// sources are a repository of the app.
type sources struct {
	compose    string
	definition string
	version    string            // of the release that is built from it
	migrate    string            // migrate.sql
	table      string            // in which it keeps what is written
	mask       string            // mask.yaml; "" for none
	folder     map[string]string // files of the folder migrations; nil for none
}

// withPostgres is the app with two replicas that answer and a worker that must not run twice. Its gate asks for no
// rehearsal, so that a test can promote forth and back.
func withPostgres() sources {
	return sources{compose: composeWithPostgres, definition: production + exceptAll, version: "v1", migrate: tables, table: "entries"}
}

// as is another release of the same app.
func (s sources) as(version, migrate string) sources {
	s.version, s.migrate = version, s.migrate+migrate
	return s
}

// saying changes the definition or the compose file.
func (s sources) saying(old, new string) sources {
	if !strings.Contains(s.definition+s.compose, old) {
		panic("the definition does not say " + old)
	}
	s.definition, s.compose = strings.ReplaceAll(s.definition, old, new), strings.ReplaceAll(s.compose, old, new)
	return s
}

const tables = "CREATE TABLE IF NOT EXISTS entries (id text NOT NULL, release text NOT NULL);\n"

const composeWithPostgres = `services:
  web:
    build: .
    ports: ["8080:8080"]
    environment: &environment
      CONTROL: CONTROL_FOLDER
      DATABASE_URL: postgres://app:app@${DB_HOST:-db}:${DB_PORT:-5432}/app?sslmode=disable
    depends_on: &needs
      db: {condition: service_healthy}
    deploy: {replicas: 2}
    stop_grace_period: 3s
    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app serve}
  worker:
    build: .
    environment: *environment
    depends_on: *needs
    stop_grace_period: 3s
    x-greenroom: {files: [bin/app, VERSION, TABLE, migrate.sql], run: bin/app work}
  db:
    image: postgres:15
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: app, POSTGRES_DB: app}
    volumes: ["db:/var/lib/postgresql/data"]
volumes: {db: {}}
`

const production = `app: app
environments:
  production:
    rollout: {steps: [50%, 100%], watch: 200ms, max_errors: 1%, drain: 30s}
migrations: {run: bin/app migrate, timeout: 1m}
checks:
  journey: {run: CONTROL=CONTROL_FOLDER bin/app journey, files: [bin/app, VERSION], journey: true, production: true, timeout: 2m}
`

const exceptAll = `gates:
  production:
    except:
      journey: &because {because: the promotion itself is tested, until: 2099-12-31}
      migration: *because
      old-on-new: *because
      rollback: *because
`

// write makes the repository.
func (h *house) write(s sources) (dir string) {
	h.Helper()
	dir = filepath.Join(h.dir, "repository-"+s.version)
	fill := strings.NewReplacer("CONTROL_FOLDER", h.control)
	must(h, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	for name, text := range map[string]string{
		"compose.yaml": s.compose, "greenroom.yaml": s.definition, "VERSION": s.version, "TABLE": s.table, "migrate.sql": s.migrate,
		"mask.yaml": s.mask, "Dockerfile": "FROM scratch\nWORKDIR /app\nCOPY bin/app /app/bin/app\nCOPY VERSION TABLE migrate.sql /app/\n",
		"cache.Dockerfile": "FROM scratch\nCOPY bin/app /app\n",
	} {
		must(h, os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o644))
	}
	must(h, os.RemoveAll(filepath.Join(dir, "migrations")))
	for name, text := range s.folder {
		must(h, os.MkdirAll(filepath.Join(dir, "migrations"), 0o755))
		must(h, os.WriteFile(filepath.Join(dir, "migrations", name), []byte(text), 0o644))
	}
	program := filepath.Join(dir, "bin", "app")
	if err := os.Remove(program); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.Fatal(err)
	}
	from := built.app
	if strings.Contains(s.compose, "sqlite: ") {
		from = built.sqlite
	}
	must(h, os.Link(from, program))
	return dir
}

// load reads the repository's definition.
func (h *house) load(dir string) app.App {
	h.Helper()
	a, _, err := definition.Load(context.Background(), dir, definition.Options{})
	must(h, err)
	return a
}

// register makes the policy of the sources the one in force.
func (h *house) register(s sources) {
	h.Helper()
	r := h.registration(s)
	registered, err := h.client.Register(h.ctx(), r)
	must(h, err)
	if registered.Pending {
		_, err = h.client.Apply(h.ctx(), r, false)
		must(h, err)
	}
}

func (h *house) registration(s sources) api.Registration {
	h.Helper()
	dir := h.write(s)
	return api.Registration{App: appUnderTest, Repository: dir, Policy: h.load(dir).Policy}
}

// build makes a release and hands it to the daemon.
func (h *house) build(s sources) release.Digest {
	h.Helper()
	v, err := h.importRelease(s)
	must(h, err)
	return v.Digest
}

func (h *house) importRelease(s sources) (api.ReleaseView, error) {
	h.Helper()
	ctx := h.ctx()
	dir := h.write(s)
	o := artifact.BuildOptions{Repository: dir, App: h.load(dir), Env: os.Environ()}
	if h.engine != "" {
		d, err := docker.New(docker.Options{Host: h.engine, Home: string(h.home)})
		must(h, err)
		defer d.Close()
		o.Images = images{d}
	}
	b, err := artifact.Build(ctx, o)
	must(h, err)
	h.made[b.Release.Digest()] = b.Release.Contents
	layout := stream(ctx, b)
	defer layout.Close()
	info := api.ReleaseInfo{App: appUnderTest, Digest: b.Release.Digest(), Ref: s.version, By: "test", BuiltAt: time.Now()}
	return h.client.Import(ctx, info, layout)
}

// live registers the app, starts its production and makes the first release of it live there.
func (h *house) live(s sources) release.Digest {
	h.Helper()
	h.up(s)
	r := h.build(s)
	h.wantOutcome(h.promote(r), plan.Succeeded)
	return r
}

// up registers the app and starts its environments, which have no release yet.
func (h *house) up(s sources) {
	h.Helper()
	h.register(s)
	must(h, h.upAgain())
}
