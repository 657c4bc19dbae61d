package postgres

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // the driver named pgx5
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"greenroom/internal/data"
	"greenroom/internal/layout"
)

// A team can go back to its tool any day: the tools themselves run before Greenroom and after it, up and down, on the same
// database. Flyway can't be had as a library; its part of the version table is held against its sources' text in package
// layout.

var gooseFolder = fstest.MapFS{
	"00001_people.sql": file("-- +goose Up\nCREATE TABLE people (id int);\n-- +goose Down\nDROP TABLE people;\n"),
	"00002_stamp.sql": file("-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n" +
		"  RETURN NEW;\nEND;\n$$;\n-- +goose StatementEnd\n-- +goose Down\nDROP FUNCTION stamp();\n"),
	"00003_index.sql": file("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY people_id ON people (id);\n-- +goose Down\nDROP INDEX CONCURRENTLY people_id;\n"),
	"00010_more.sql":  file("-- +goose Up\nALTER TABLE people ADD name text;\n"),
}

var migrateFolder = fstest.MapFS{
	"1_people.up.sql":   file("BEGIN;\nCREATE TABLE people (id int);\nCOMMIT;\n"),
	"1_people.down.sql": file("DROP TABLE people;\n"),
	"2_more.up.sql":     file("ALTER TABLE people ADD name text;\nUPDATE people SET name = 'x;y';\n"),
	"2_more.down.sql":   file("ALTER TABLE people DROP name;\n"),
	"3_index.up.sql":    file("CREATE INDEX CONCURRENTLY people_id ON people (id);\n"),
	"3_index.down.sql":  file("DROP INDEX CONCURRENTLY people_id;"),
	"10_last.up.sql":    file("CREATE TABLE last (id int)"),
	"10_last.down.sql":  file("DROP TABLE last"),
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func readFolder(t testing.TB, files fs.FS, tool layout.Tool) []layout.Migration {
	t.Helper()
	if found, err := layout.Detect(files); err != nil || found != tool {
		t.Fatalf("it is taken for %q: %v", found, err)
	}
	all, err := layout.Read(files, tool, layout.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mustRun runs migrations of which nothing may fail.
func mustRun(t testing.TB, d *Database, tool layout.Tool, all []layout.Migration, down bool) data.Ran {
	t.Helper()
	ran, err := d.Run(bounded(t), data.RunOptions{Migrator: "greenroom migrate test", Tool: tool, Migrations: all, Down: down})
	if err != nil || ran.Failed != "" || len(ran.Done) != len(all) {
		t.Fatalf("%v, %+v", err, ran)
	}
	return ran
}

func mustApplied(t testing.TB, d *Database, tool layout.Tool) layout.State {
	t.Helper()
	s, err := d.Applied(bounded(t), tool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// takesTurns has Greenroom and a tool migrate the same database one after the other. up1 runs one migration, up all of them,
// down all of them back; version is what the tool says it is at.
func takesTurns(t *testing.T, d *Database, tool layout.Tool, all []layout.Migration, up1, up, down func(), version func() string) {
	at := func(who string, n int) {
		t.Helper()
		want := ""
		if n > 0 {
			want = all[n-1].Version
		}
		st := layout.Judge(all, mustApplied(t, d, tool))
		if st.Version != want || len(st.Pending) != len(all)-n {
			t.Fatalf("after %s Greenroom is at %q with %d pending, not at %q", who, st.Version, len(st.Pending), want)
		}
		if v := version(); v != want {
			t.Fatalf("after %s the tool is at %q, not at %q", who, v, want)
		}
	}
	back := func(from int) (files []layout.Migration) {
		for i := from - 1; i >= 0; i-- {
			files = append(files, all[i])
		}
		return files
	}
	up1()
	at("the tool's first", 1)
	mustRun(t, d, tool, all[1:3], false)
	at("Greenroom's", 3)
	up()
	at("the rest by the tool", len(all))
	down()
	at("the tool's way down", 0)
	mustRun(t, d, tool, all, false)
	at("everything by Greenroom", len(all))
	down()
	at("the tool's way down from there", 0)
	up()
	at("everything by the tool", len(all))
	for i := range all {
		if all[i].Down == nil {
			all[i].Down = []layout.Statement{} // goose takes back what has no way down as well
		}
	}
	mustRun(t, d, tool, back(len(all)), true)
	at("Greenroom's way down", 0)
	up()
	at("everything by the tool again", len(all))
}

func TestGooseAndGreenroomTakeTurns(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		t.Fatal(err)
	}
	g, err := goose.NewProvider(goose.DialectPostgres, open(t, d.URL()), gooseFolder, goose.WithSessionLocker(locker))
	if err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	takesTurns(t, d, layout.Goose, readFolder(t, gooseFolder, layout.Goose),
		func() { _, err := g.UpByOne(ctx); must(err) },
		func() { _, err := g.Up(ctx); must(err) },
		func() { _, err := g.DownTo(ctx, 0); must(err) },
		func() string {
			v, err := g.GetDBVersion(ctx)
			must(err)
			return number(v)
		})
}

func TestGolangMigrateAndGreenroomTakeTurns(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	g := golangMigrate(t, d)
	must := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, migrate.ErrNoChange) {
			t.Fatal(err)
		}
	}
	takesTurns(t, d, layout.Migrate, readFolder(t, migrateFolder, layout.Migrate),
		func() { must(g.Steps(1)) },
		func() { must(g.Up()) },
		func() { must(g.Down()) },
		func() string {
			v, dirty, err := g.Version()
			if errors.Is(err, migrate.ErrNilVersion) {
				return ""
			}
			must(err)
			if dirty {
				t.Error("it is dirty")
			}
			return number(int64(v))
		})
}

func golangMigrate(t testing.TB, d *Database) *migrate.Migrate {
	t.Helper()
	source, err := iofs.New(migrateFolder, ".")
	if err != nil {
		t.Fatal(err)
	}
	g, err := migrate.NewWithSourceInstance("iofs", source, strings.Replace(d.URL(), "postgres://", "pgx5://", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = g.Close() })
	return g
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
