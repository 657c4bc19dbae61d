package sqlite

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"

	"greenroom/internal/data"
	"greenroom/internal/layout"
)

// turns is a tool and Greenroom on one database, one after the other.
type turns struct {
	tool     layout.Tool
	files    fstest.MapFS
	up, down func() error // all of them, by the tool
	version  func() (int64, error)
}

// TestToolsAndGreenroomTakeTurns lets the tools themselves run on what Greenroom has left, and the other way round.
func TestToolsAndGreenroomTakeTurns(t *testing.T) {
	for _, start := range []string{"tool", "greenroom"} {
		for name, with := range map[string]func(*testing.T, *Database) turns{"goose": gooseTurns, "golang-migrate": migrateTurns} {
			t.Run(name+"/"+start, func(t *testing.T) {
				d := fresh(t)
				w := with(t, d)
				all, err := layout.Read(w.files, w.tool, layout.SQLite)
				if err != nil {
					t.Fatal(err)
				}
				ours := func(down bool) error {
					files := slices.Clone(all)
					if down {
						slices.Reverse(files)
					}
					ran := runAll(t, d, data.RunOptions{Tool: w.tool, Migrations: files, Down: down})
					if ran.Failed != "" || len(ran.Done) != len(all) {
						t.Fatalf("%+v", ran)
					}
					return nil
				}
				steps := []struct {
					do   func() error
					want int64
				}{
					{w.up, 3}, {func() error { return ours(true) }, 0}, {func() error { return ours(false) }, 3}, {w.down, 0}, {w.up, 3},
				}
				if start == "greenroom" {
					steps = steps[2:]
				}
				for i, s := range steps {
					if err := s.do(); err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
					if v, err := w.version(); err != nil || v != s.want {
						t.Errorf("after step %d the tool is at %d, %v; want %d", i, v, err, s.want)
					}
					state, err := d.Applied(bounded(t), w.tool)
					if got := state.Highest(); err != nil || got != map[int64]string{0: "", 3: strconv.Itoa(3)}[s.want] && got != "00003" {
						t.Errorf("after step %d Greenroom is at %q, %v; want %d", i, got, err, s.want)
					}
				}
			})
		}
	}
}

func gooseTurns(t *testing.T, d *Database) turns {
	files := fstest.MapFS{
		"00001_people.sql": {Data: []byte("-- +goose Up\nCREATE TABLE people (id integer PRIMARY KEY);\n-- +goose Down\nDROP TABLE people;\n")},
		"00002_stamp.sql": {Data: []byte("-- +goose Up\n-- +goose StatementBegin\nCREATE TRIGGER stamp AFTER INSERT ON people BEGIN\n  UPDATE people SET id = id; DELETE FROM people WHERE id < 0;\nEND;\n-- +goose StatementEnd\n" +
			"-- +goose Down\nDROP TRIGGER stamp;\n")},
		"00003_vacuum.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM;\n-- +goose Down\nVACUUM;\n")},
	}
	g, err := goose.NewProvider(goose.DialectSQLite3, open(t, mustCreate(t, d), "wal"), files)
	if err != nil {
		t.Fatal(err)
	}
	return turns{layout.Goose, files,
		func() error { _, err := g.Up(bounded(t)); return err },
		func() error { _, err := g.DownTo(bounded(t), 0); return err },
		func() (int64, error) { return g.GetDBVersion(bounded(t)) },
	}
}

func migrateTurns(t *testing.T, d *Database) turns {
	files := fstest.MapFS{
		"1_people.up.sql":   {Data: []byte("CREATE TABLE people (id integer PRIMARY KEY);\n")},
		"1_people.down.sql": {Data: []byte("DROP TABLE people;\n")},
		"2_more.up.sql":     {Data: []byte("ALTER TABLE people ADD name text;\nUPDATE people SET name = 'x;y';\n")},
		"2_more.down.sql":   {Data: []byte("ALTER TABLE people DROP name;\n")},
		"3_last.up.sql":     {Data: []byte("CREATE TABLE last (id int)")},
		"3_last.down.sql":   {Data: []byte("DROP TABLE last")},
	}
	source, err := iofs.New(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	// The driver looks for its table when it comes to the database, so each turn has one of its own.
	with := func(f func(*migrate.Migrate) error) error {
		target, err := driver.WithInstance(open(t, mustCreate(t, d), "wal"), &driver.Config{})
		if err != nil {
			return err
		}
		g, err := migrate.NewWithInstance("iofs", source, "sqlite", target)
		if err != nil {
			return err
		}
		if err := f(g); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			return err
		}
		return target.Close()
	}
	return turns{layout.Migrate, files,
		func() error { return with((*migrate.Migrate).Up) },
		func() error { return with((*migrate.Migrate).Down) },
		func() (version int64, err error) {
			err = with(func(g *migrate.Migrate) error {
				v, dirty, err := g.Version()
				if errors.Is(err, migrate.ErrNilVersion) {
					return nil
				}
				if dirty {
					t.Error("it is dirty")
				}
				version = int64(v)
				return err
			})
			return version, err
		},
	}
}
