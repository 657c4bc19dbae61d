package layout

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"pgregory.net/rapid"
)

// TestGooseReadsTheSame has goose itself run what is read here, on a database that only listens: what goose refuses is
// refused, and of what is taken every statement is the very text that goose sends, in and out of a transaction.
func TestGooseReadsTheSame(t *testing.T) {
	// Whole pieces are what most files consist of, and anything else comes between now and then.
	pieces := []string{"-- a comment;", "", "  ", "\t-- indented", "SELECT 1;", "SELECT 1; -- behind", "SELECT\n  2;", "/* c */ SELECT 3;", "SELECT 4; SELECT 5;", "SELECT 6;;", "SELECT 7;\r", "SELECT 8\n-- inside;\n, 9;",
		"-- +goose StatementBegin\nDO $$\nx; y;\n\n$$;\n-- +goose StatementEnd", "-- +goose StatementBegin\n-- first\nSELECT 10\n-- +goose StatementEnd", "SELECT\n-- +goose StatementBegin\n11;\n12\n-- +goose StatementEnd", "-- +goose ENVSUB OFF"}
	odd := []string{"-- +goose Up", "-- +goose Down", "--+goose down ", "-- +goose StatementBegin", "-- +goose StatementEnd", "-- +goose NO TRANSACTION", "-- +goose  no transaction", " -- +goose Up", "-- +goose", "-- +goose Sideways", "-- +goose +goose Up", "SELECT", "'", "x;", "; --", "SELECT ';", "';"}
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.SampledFrom(pieces), rapid.SampledFrom(pieces), rapid.SampledFrom(odd)), 0, 8).Draw(rt, "pieces")
		if rapid.Bool().Draw(rt, "both ways") {
			at := rapid.IntRange(0, len(body)).Draw(rt, "at")
			body = slices.Insert(body, at, "-- +goose Down")
		}
		body = append([]string{"-- +goose Up"}, body...)
		file := strings.Join(body, "\n") + rapid.SampledFrom([]string{"", "\n"}).Draw(rt, "end")
		files := fstest.MapFS{"007_x.sql": {Data: []byte(file)}}
		all, err := Read(files, Goose, Postgres)
		up, upErr := gooseRuns(rt, files, true)
		down, downErr := gooseRuns(rt, files, false)
		if err != nil {
			return
		}
		taken++
		if upErr != nil || downErr != nil {
			rt.Fatalf("goose refuses %q and it is taken here: %v, %v", file, upErr, downErr)
		}
		m := all[0]
		if diff := cmp.Diff(up, heardOf(m.Up, m.NoTx)); diff != "" {
			rt.Errorf("up, of %q: %s", file, diff)
		}
		if diff := cmp.Diff(down, heardOf(m.Down, m.DownNoTx || m.Down == nil && m.NoTx)); diff != "" {
			rt.Errorf("down, of %q: %s", file, diff)
		}
		for _, s := range append(m.Up, m.Down...) {
			first, _, _ := strings.Cut(s.SQL, "\n")
			if lines := strings.Split(file, "\n"); !strings.Contains(lines[s.Line-1], first) && strings.Contains(file, "\n"+s.SQL) && !strings.HasPrefix(s.SQL, "--") {
				rt.Errorf("%q is not in line %d of %q", s.SQL, s.Line, file)
			}
		}
	})
	if taken < 10 {
		t.Errorf("only %d files were taken", taken)
	}
}

func heardOf(all []Statement, noTx bool) []string {
	heard := []string{}
	if !noTx {
		heard = append(heard, "begin")
	}
	for _, s := range all {
		heard = append(heard, s.SQL)
	}
	if !noTx {
		heard = append(heard, "commit")
	}
	return heard
}

// gooseRuns is what goose sends to a database for the migration 7.
func gooseRuns(t *rapid.T, files fstest.MapFS, up bool) ([]string, error) {
	l := &listener{heard: []string{}}
	db := sql.OpenDB(l)
	defer db.Close() //nolint:errcheck // it has nothing
	p, err := goose.NewProvider(goose.DialectCustom, db, files, goose.WithStore(store{!up}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.ApplyVersion(context.Background(), 7, up)
	if partial := (*goose.PartialError)(nil); err != nil && !errors.As(err, &partial) && !strings.Contains(err.Error(), "parse") && !strings.Contains(err.Error(), "prepare") {
		t.Fatalf("goose said something unexpected: %v", err)
	}
	return l.heard, err
}

// listener is a database that does nothing, and keeps what it was told.
type listener struct{ heard []string }

func (l *listener) Connect(context.Context) (driver.Conn, error) { return l, nil }
func (l *listener) Driver() driver.Driver                        { return nil }
func (l *listener) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("nothing is prepared")
}
func (l *listener) Close() error { return nil }
func (l *listener) Begin() (driver.Tx, error) {
	l.heard = append(l.heard, "begin")
	return l, nil
}
func (l *listener) Commit() error {
	l.heard = append(l.heard, "commit")
	return nil
}
func (l *listener) Rollback() error { return nil }
func (l *listener) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	l.heard = append(l.heard, query)
	return driver.RowsAffected(0), nil
}

// store is a version table that has one version, or none.
type store struct{ applied bool }

func (store) Tablename() string                                                       { return "x" }
func (store) CreateVersionTable(context.Context, database.DBTxConn) error             { return nil }
func (store) Insert(context.Context, database.DBTxConn, database.InsertRequest) error { return nil }
func (store) Delete(context.Context, database.DBTxConn, int64) error                  { return nil }
func (s store) GetMigration(_ context.Context, _ database.DBTxConn, v int64) (*database.GetMigrationResult, error) {
	if v == 0 || s.applied {
		return &database.GetMigrationResult{IsApplied: true}, nil
	}
	return nil, database.ErrVersionNotFound
}
func (s store) GetLatestVersion(context.Context, database.DBTxConn) (int64, error) { return 0, nil }
func (s store) ListMigrations(context.Context, database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	return nil, nil
}
