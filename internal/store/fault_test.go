package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// faulty is SQLite's driver, whose N-th write fails once.
const faulty = "faulty"

var errInjected = errors.New("injected failure")

// fault is when the next one comes, and in what way.
var fault struct {
	countdown atomic.Int64 // the write that brings it to 0 fails
	rollback  atomic.Bool  // and takes the whole transaction with it, as SQLite does when the disk is full
}

func init() { sql.Register(faulty, faultyDriver{&sqlite.Driver{}}) }

// failAt lets the n-th write from now fail; 0 none.
func failAt(n int, rollback bool) {
	fault.rollback.Store(rollback)
	fault.countdown.Store(int64(n))
}

func struck() bool { return fault.countdown.Add(-1) == 0 }

type faultyDriver struct{ driver.Driver }

func (d faultyDriver) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return faultyConn{c}, nil
}

type faultyConn struct{ driver.Conn }

func (c faultyConn) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	return faultyStmt{s, c.Conn, strings.Fields(strings.ToUpper(query) + " ?")[0]}, nil
}

func (c faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if struck() {
		return nil, errInjected
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return faultyTx{tx}, err
}

type faultyTx struct{ driver.Tx }

func (t faultyTx) Commit() error {
	if struck() {
		return errors.Join(errInjected, t.Rollback())
	}
	return t.Tx.Commit()
}

type faultyStmt struct {
	driver.Stmt
	conn driver.Conn
	verb string
}

func (s faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if s.verb != "PRAGMA" && struck() {
		if fault.rollback.Load() {
			_, _ = s.conn.(driver.ExecerContext).ExecContext(ctx, "ROLLBACK", nil) // there may be nothing to roll back
		}
		return nil, errInjected
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func faultyOptions(r *ring) Options {
	return Options{Now: clock(), Signer: r.Signer, Ring: r, driver: faulty}
}

// operation is one thing that the store can do. It is done once, and may be tried again when it failed.
type operation struct {
	name string
	do   func(ctx context.Context, s *Store) error
}

func changing(name string, do func(ctx context.Context, tx *Tx) error) operation {
	return operation{name, func(ctx context.Context, s *Store) error {
		return s.Change(ctx, Audit{Actor: "ann", Action: name, App: "shop"}, func(tx *Tx) error { return do(ctx, tx) })
	}}
}

// everything is all that the store can do.
func everything() []operation {
	document := []byte("a release")
	d := release.Of(document)
	builder := key(9)
	put := func(e Environment) operation {
		return changing("environment", func(ctx context.Context, tx *Tx) error { return tx.PutEnvironment(ctx, e) })
	}
	return []operation{
		changing("app", func(ctx context.Context, tx *Tx) error { return tx.PutApp(ctx, App{Name: "shop"}) }),
		changing("release", func(ctx context.Context, tx *Tx) error {
			return tx.PutRelease(ctx, document, Build{Release: d, App: "shop", Ref: "main", By: "ann"})
		}),
		changing("secret", func(ctx context.Context, tx *Tx) error {
			return tx.PutSecret(ctx, Secret{App: "shop", Environment: "qa", Name: "KEY", Sealed: []byte{1}})
		}),
		{"enrol", func(ctx context.Context, s *Store) error {
			return s.EnrollKey(ctx, "bob", "builder bob", builder.Public())
		}},
		changing("evidence taken", func(ctx context.Context, tx *Tx) error {
			_, err := tx.PutEvidence(ctx, "shop", d, evidence.KindProvenance, []byte("an envelope"))
			return err
		}),
		{"run", func(ctx context.Context, s *Store) error {
			_, err := s.CreateRun(ctx, promotion("production"), "ann")
			return err
		}},
		{"queued", func(ctx context.Context, s *Store) error { _, err := s.CreateRun(ctx, rehearsal(), "ann"); return err }},
		{"behind", func(ctx context.Context, s *Store) error { _, err := s.CreateRun(ctx, rehearsal(), "bob"); return err }},
		{"end a rehearsal", func(ctx context.Context, s *Store) error {
			return s.FinishRun(ctx, "r2", plan.Move{Outcome: plan.Stopped})
		}},
		{"begin", func(ctx context.Context, s *Store) error { _, err := s.Begin(ctx); return err }},
		{"line with statement", func(ctx context.Context, s *Store) error {
			_, err := s.Append(ctx, "r1", plan.Entry{Step: "one", State: plan.Done},
				Commit{Audit{Actor: "ann", Action: "reported"}, func(tx *Tx) error {
					return errors.Join(tx.PutStatement(ctx, statement("s1", d)), tx.PutReport(ctx, evidence.Report{Run: "r1", App: "shop", Release: d}))
				}})
			return err
		}},
		changing("glass", func(ctx context.Context, tx *Tx) error {
			return tx.BreakGlass(ctx, Glass{Run: "r1", App: "shop", Environment: "production", By: "ann", Overridden: []gate.Demand{{Name: "x"}}})
		}),
		changing("review", func(ctx context.Context, tx *Tx) error { return tx.ReviewGlass(ctx, "r1", "bob", "fine") }),
		changing("standing taken", func(ctx context.Context, tx *Tx) error {
			return tx.PutStanding(ctx, evidence.Standing{App: "shop", Environment: "production", Log: evidence.Head{Seq: 7}}, builder.ID(), []byte("a standing"))
		}),
		changing("collection", func(ctx context.Context, tx *Tx) error {
			return tx.PutCollection(ctx, evidence.Collection{App: "shop", Release: d, Log: evidence.Head{Seq: 7}}, builder.ID(), []byte("a collection"))
		}),
		{"rotate", func(ctx context.Context, s *Store) error { _, err := s.RotateKey(ctx, "ann", "yearly"); return err }},
		{"revoke", func(ctx context.Context, s *Store) error { return s.RevokeKey(ctx, "ann", builder.ID(), "lost laptop") }},
		put(Environment{App: "shop", Name: "production", Live: d}),
		put(Environment{App: "shop", Name: "production", Live: d, Want: Up, Version: 1}),
		changing("bad", func(ctx context.Context, tx *Tx) error { return tx.MarkBad(ctx, "shop", d, "errors") }),
		{"number", func(ctx context.Context, s *Store) error {
			_, err := s.Reserve(ctx, "shop/qa", func(func(int) bool) (int, error) { return 7001, nil })
			return err
		}},
		{"progress", func(ctx context.Context, s *Store) error { return s.Progress(ctx, "r1", "one", "half of it") }},
		{"end", func(ctx context.Context, s *Store) error {
			return s.FinishRun(ctx, "r1", plan.Move{Outcome: plan.Succeeded})
		}},
	}
}

// dump is all that is kept, as text.
func dump(t testing.TB, s *Store) string {
	t.Helper()
	tables, err := collect(t.Context(), s.Reader, scanText,
		`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose%' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range tables {
		rows, err := s.read.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = &values[i]
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %q\n", table, values)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// The N-th write of the store fails, for every N: what failed left nothing behind, the log verifies, and the same thing can
// be tried again, now or after a restart, until nothing fails; what was acknowledged is there then, and once.
func TestTheNthWriteFailsForEveryN(t *testing.T) {
	for _, rollback := range []bool{false, true} {
		t.Run(fmt.Sprintf("rolling back %v", rollback), func(t *testing.T) { everythingFails(t, rollback) })
	}
}

func everythingFails(t *testing.T, rollback bool) {
	file, keys := filepath.Join(inMemory(t), "state.db"), newRing()
	failAt(0, false)
	s, err := Open(t.Context(), file, faultyOptions(keys))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		failAt(0, false)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	failures := 0
	for _, op := range everything() {
		before := dump(t, s)
		for n := 1; ; n++ {
			failAt(n, rollback)
			err := op.do(t.Context(), s)
			failAt(0, false)
			if err == nil {
				break
			}
			failures++
			if !errors.Is(err, errInjected) {
				t.Fatalf("%s: %v", op.name, err)
			}
			if after := dump(t, s); after != before {
				t.Fatalf("%s failed in write %d and left\n%s\nbefore\n%s", op.name, n, after, before)
			}
			verified(t, s)
			if n != 2 {
				continue
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(t.Context(), file, faultyOptions(keys)); err != nil {
				t.Fatal(err)
			}
		}
		verified(t, s)
	}
	if failures < 100 {
		t.Errorf("only %d writes failed", failures)
	}
	expectEverything(t, s)
}

// inMemory is a folder that does not wait for a disk, where there is such a thing.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "store-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectEverything looks whether each operation was done, and once.
func expectEverything(t *testing.T, s *Store) {
	t.Helper()
	d := release.Of([]byte("a release"))
	for query, want := range map[string]string{
		`SELECT group_concat(action) FROM audit`: "app,release,secret,key enrolled,evidence,evidence taken,promotion running,rehearsal running,rehearsal queued," +
			"rehearsal failed,rehearsal running,evidence,reported,glass,review,standing,standing taken,collection,key rotated,key revoked," +
			"environment,environment,bad,promotion succeeded",
		`SELECT count(*) FROM journal`:                 "1",
		`SELECT group_concat(kind) FROM evidence`:      "provenance,check",
		`SELECT group_concat(phase) FROM runs`:         "ended,ended,running",
		`SELECT version || want FROM environments`:     "2up",
		`SELECT number FROM numbers`:                   "7001",
		`SELECT count(*) FROM events WHERE text <> ''`: "7",
		`SELECT reviewed_by FROM glass`:                "bob",
		`SELECT reason FROM known_bad`:                 "errors",
		`SELECT count(*) FROM collections`:             "1",
		`SELECT count(*) FROM reports`:                 "1",
		`SELECT count(*) FROM secrets`:                 "1",
		`SELECT count(*) FROM builds`:                  "1",
		`SELECT count(*) FROM apps`:                    "1",
	} {
		if got := asked(t, s, query); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", query, got, want)
		}
	}
	if got, err := s.Evidence(t.Context(), "shop", d); err != nil || len(got) != 2 || got[0].Envelope == nil || got[1].Envelope == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if info, err := os.Stat(s.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
