package datatest

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// step is a migration of the suite's, in SQL that every engine takes.
type step struct {
	name     string
	up, down []string
}

var steps = []step{
	{"people", []string{"CREATE TABLE people (id integer PRIMARY KEY, name text NOT NULL);", "INSERT INTO people (id, name) VALUES (1, 'Ada; Lovelace');"},
		[]string{"DROP TABLE people;"}},
	{"visits", []string{"CREATE TABLE visits (id integer PRIMARY KEY, person integer REFERENCES people (id));", "INSERT INTO visits (id, person) VALUES (1, 1), (2, 1);"},
		[]string{"DROP TABLE visits;"}},
	{"notes", []string{"ALTER TABLE people ADD COLUMN note text;", "UPDATE people SET note = 'new';"},
		[]string{"ALTER TABLE people DROP COLUMN note;"}},
}

// broken fails in its second statement, in line 2 of golang-migrate's and Flyway's file, and in line 3 of goose's.
var broken = step{"broken", []string{"CREATE TABLE half (id integer);", "INSERT INTO nowhere (id) VALUES (1);"}, []string{"DROP TABLE half;"}}

// folder lays steps out as a tool has them.
func folder(tool layout.Tool, all []step) fs.FS {
	files := fstest.MapFS{}
	add := func(name string, lines ...string) {
		files[name] = &fstest.MapFile{Data: []byte(strings.Join(lines, "\n") + "\n")}
	}
	for i, s := range all {
		n := i + 1
		switch tool {
		case layout.Goose:
			add(fmt.Sprintf("%05d_%s.sql", n, s.name), slices.Concat([]string{"-- +goose Up"}, s.up, []string{"-- +goose Down"}, s.down)...)
		case layout.Migrate:
			add(fmt.Sprintf("%d_%s.up.sql", n, s.name), s.up...)
			add(fmt.Sprintf("%d_%s.down.sql", n, s.name), s.down...)
		case layout.Flyway:
			add(fmt.Sprintf("V%d__%s.sql", n, s.name), s.up...)
			add(fmt.Sprintf("U%d__%s.sql", n, s.name), s.down...)
		}
	}
	return files
}

// Tools are all tools whose layout is known.
var Tools = []layout.Tool{layout.Goose, layout.Migrate, layout.Flyway}

// RunMigrator runs the suite of data.Migrator. The databases of Fresh have to be Migrators.
func RunMigrator(t *testing.T, e Engine, d layout.Dialect) {
	for _, tool := range Tools {
		t.Run(string(tool), func(t *testing.T) {
			m := migrating{Engine: e, tool: tool, dialect: d}
			beside(t, "UpAndDown", m.upAndDown)
			beside(t, "Fails", m.fails)
			beside(t, "FailsAtTheEnd", m.failsAtTheEnd)
			beside(t, "Half", m.half)
			beside(t, "Repeats", m.repeats)
			beside(t, "TwoAtOnce", m.twoAtOnce)
			beside(t, "Cancelled", m.cancelled)
			beside(t, "NoWayDown", m.noWayDown)
			beside(t, "Witness", m.witnessed)
		})
	}
}

type migrating struct {
	Engine
	tool    layout.Tool
	dialect layout.Dialect
}

func (m migrating) read(t testing.TB, all ...step) []layout.Migration {
	t.Helper()
	files, err := layout.Read(folder(m.tool, all), m.tool, m.dialect)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (m migrating) migrator(t *testing.T) (data.Migrator, *sql.DB) {
	d := m.Fresh(t)
	return d.(data.Migrator), m.Connect(t, d)
}

func (m migrating) options(all []layout.Migration) data.RunOptions {
	return data.RunOptions{Migrator: "greenroom migrate suite", Tool: m.tool, Migrations: all}
}

func (m migrating) run(t testing.TB, d data.Migrator, o data.RunOptions) data.Ran {
	t.Helper()
	ran, err := d.Run(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

func (m migrating) state(t testing.TB, d data.Migrator) layout.State {
	t.Helper()
	s, err := d.Applied(bounded(t), m.tool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stands compares where a database stands with what is expected.
func (m migrating) stands(t testing.TB, d data.Migrator, files []layout.Migration, want layout.Verdict, version string) {
	t.Helper()
	if st := layout.Judge(files, m.state(t, d)); st.Verdict != want || st.Version != version {
		t.Errorf("it is %s at %q, not %s at %q: %s", st.Verdict, st.Version, want, version, st.Text)
	}
}

func filesOf(all []layout.Migration, down bool) (files []string) {
	for _, m := range all {
		if down {
			files = append(files, m.DownFile)
		} else {
			files = append(files, m.File)
		}
	}
	return files
}

func (m migrating) upAndDown(t *testing.T) {
	d, db := m.migrator(t)
	files := m.read(t, steps...)
	m.stands(t, d, files, layout.Fresh, "")
	before := m.state(t, d)

	ran := m.run(t, d, m.options(files[:2]))
	if diff := cmp.Diff(data.Ran{Done: filesOf(files[:2], false)}, ran); diff != "" {
		t.Error(diff)
	}
	m.stands(t, d, files, layout.Behind, "2")
	ran = m.run(t, d, m.options(files))
	if diff := cmp.Diff(data.Ran{Done: filesOf(files[2:], false)}, ran); diff != "" {
		t.Errorf("what was applied is passed over: %s", diff)
	}
	m.stands(t, d, files, layout.Current, "3")
	if n := count(t, db, "SELECT count(*) FROM visits JOIN people ON people.id = person WHERE note = 'new' AND name = 'Ada; Lovelace'"); n != 2 {
		t.Errorf("%d rows, not 2", n)
	}

	back := layout.Back(files, before, m.state(t, d))
	down := m.options(back)
	down.Down = true
	if diff := cmp.Diff(data.Ran{Done: filesOf(back, true)}, m.run(t, d, down)); diff != "" {
		t.Error(diff)
	}
	if st := layout.Judge(files, m.state(t, d)); st.Version != "" || len(st.Pending) != 3 {
		t.Errorf("after the way back it is at %q with %d pending", st.Version, len(st.Pending))
	}
	m.run(t, d, m.options(files))
	m.stands(t, d, files, layout.Current, "3")
}

func (m migrating) fails(t *testing.T) {
	d, db := m.migrator(t)
	files := m.read(t, steps[0], broken, steps[1])
	ran := m.run(t, d, m.options(files))
	line := 2
	if m.tool == layout.Goose {
		line = 3
	}
	if !slices.Equal(ran.Done, filesOf(files[:1], false)) || ran.File != files[1].File || ran.Line != line || ran.Partial {
		t.Errorf("it says %+v", ran)
	}
	if !strings.Contains(ran.Failed, "nowhere") || !strings.Contains(ran.SQL, "INSERT INTO nowhere") {
		t.Errorf("what failed is told as %q, in %q", ran.Failed, ran.SQL)
	}
	if _, err := db.ExecContext(bounded(t), "SELECT * FROM half"); err == nil {
		t.Error("half of the migration stays")
	}
	m.stands(t, d, files, layout.Behind, "1")
	mended := m.read(t, steps[0], step{"broken", []string{"CREATE TABLE half (id integer);"}, nil}, steps[1])
	if ran := m.run(t, d, m.options(mended)); len(ran.Done) != 2 {
		t.Errorf("after it was mended it says %+v", ran)
	}
}

// failsAtTheEnd has the first migration fail: the version table is there by then, and empty.
func (m migrating) failsAtTheEnd(t *testing.T) {
	d, _ := m.migrator(t)
	files := m.read(t, broken)
	if ran := m.run(t, d, m.options(files)); ran.Failed == "" || len(ran.Done) != 0 {
		t.Errorf("it says %+v", ran)
	}
	m.stands(t, d, files, layout.Behind, "")
}

// half is a database that the tool left dirty; goose keeps no such thing.
func (m migrating) half(t *testing.T) {
	d, db := m.migrator(t)
	files := m.read(t, steps...)
	m.run(t, d, m.options(files[:1]))
	switch m.tool {
	case layout.Migrate:
		run(t, db, "UPDATE schema_migrations SET dirty = true")
	case layout.Flyway:
		run(t, db, "UPDATE flyway_schema_history SET success = false")
	default:
		return
	}
	m.stands(t, d, files, layout.Half, "1")
	_, err := d.Run(bounded(t), m.options(files))
	if p := problem.From(err); p == nil || p.Code != problem.Blocked || p.Hint == "" {
		t.Errorf("a half-migrated database is answered with %v", err)
	}
}

// repeats is Flyway's alone: what repeats runs last, and again when it has changed.
func (m migrating) repeats(t *testing.T) {
	if m.tool != layout.Flyway {
		return
	}
	d, db := m.migrator(t)
	with := func(view string) []layout.Migration {
		files := folder(m.tool, steps).(fstest.MapFS)
		files["R__view.sql"] = &fstest.MapFile{Data: []byte(view)}
		all, err := layout.Read(files, m.tool, m.dialect)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := with("DROP VIEW IF EXISTS seen; CREATE VIEW seen AS SELECT id FROM visits")
	if ran := m.run(t, d, m.options(first)); path.Base(ran.Done[len(ran.Done)-1]) != "R__view.sql" {
		t.Errorf("what repeats did not run last: %v", ran.Done)
	}
	if ran := m.run(t, d, m.options(first)); len(ran.Done) != 0 {
		t.Errorf("nothing has changed, and %v ran", ran.Done)
	}
	second := with("DROP VIEW IF EXISTS seen; CREATE VIEW seen AS SELECT id FROM visits WHERE id > 1")
	m.stands(t, d, second, layout.Behind, "3")
	if ran := m.run(t, d, m.options(second)); !slices.Equal(ran.Done, []string{"R__view.sql"}) {
		t.Errorf("what has changed did not run again: %+v", ran)
	}
	if n := count(t, db, "SELECT count(*) FROM seen"); n != 1 {
		t.Errorf("the view has %d rows", n)
	}
	m.stands(t, d, second, layout.Current, "3")
}

func (m migrating) twoAtOnce(t *testing.T) {
	d, db := m.migrator(t)
	files := m.read(t, steps...)
	all := make([]data.Ran, 4)
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			o := m.options(files)
			o.Migrator = fmt.Sprintf("greenroom migrate suite %d", i)
			all[i], errs[i] = d.Run(bounded(t), o)
		})
	}
	group.Wait()
	var done []string
	for i, ran := range all {
		if errs[i] != nil || ran.Failed != "" {
			t.Errorf("%v, %+v", errs[i], ran)
		}
		done = append(done, ran.Done...)
	}
	if !slices.Equal(done, filesOf(files, false)) && len(done) != len(files) {
		t.Errorf("together they ran %v", done)
	}
	if n := count(t, db, "SELECT count(*) FROM visits"); n != 2 {
		t.Errorf("%d rows, not 2", n)
	}
	m.stands(t, d, files, layout.Current, "3")
}

// cancelled has the context end before anything was tried.
func (m migrating) cancelled(t *testing.T) {
	d, _ := m.migrator(t)
	files := m.read(t, steps...)
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	ran, err := d.Run(ctx, m.options(files))
	if problem.From(err) == nil || len(ran.Done) != 0 || ran.Partial {
		t.Errorf("%v, %+v", err, ran)
	}
	m.stands(t, d, files, layout.Fresh, "")
}

func (m migrating) noWayDown(t *testing.T) {
	d, _ := m.migrator(t)
	files := m.read(t, steps[0])
	m.run(t, d, m.options(files))
	o := m.options(files)
	o.Down = true
	o.Migrations[0].Down = nil
	if _, err := d.Run(bounded(t), o); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
		t.Errorf("a way down that is not there is answered with %v", err)
	}
	m.stands(t, d, files, layout.Current, "1")
}

// witness keeps what a migrator tells.
type witness struct {
	mu    sync.Mutex
	told  []data.Told
	held  int
	query string // that every engine answers
}

func (*witness) End(context.Context) (migration.Observation, error) {
	return migration.Observation{}, nil
}

func (w *witness) Told(t data.Told) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, t)
}

func (w *witness) Held(ctx context.Context, ask func(context.Context, string) (string, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held++
	_, err := ask(ctx, w.query)
	return err
}

// witnessed has whoever watches hear of every statement, and asked before every commit; a question that fails harms nothing.
func (m migrating) witnessed(t *testing.T) {
	for _, query := range []string{"SELECT 'x'", "SELECT nonsense FROM nowhere"} {
		d, _ := m.migrator(t)
		files := m.read(t, steps...)
		w := &witness{query: query}
		o := m.options(files)
		o.Watch = w
		m.run(t, d, o)
		m.stands(t, d, files, layout.Current, "3")
		if len(w.told) != 6 || w.held != 3 {
			t.Errorf("%d statements were told of and %d commits, not 6 and 3", len(w.told), w.held)
		}
		for _, s := range w.told {
			if s.File == "" || s.SQL == "" || s.Ended.Before(s.Began) || s.Error != "" {
				t.Errorf("a statement is told of as %+v", s)
			}
		}
	}
}
