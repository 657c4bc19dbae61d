package datatest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

func (e Engine) restore(t *testing.T) {
	t.Run("after a migration that destroys", e.restoreRoundTrip)
	t.Run("interrupted", e.restoreInterrupted)
	t.Run("damaged", e.restoreDamaged)
}

// filled is Base with a few rows, and its backup.
func (e Engine) filled(t *testing.T) (d data.Database, db *sql.DB, file string) {
	d, db = e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (1, 'Ada'), (2, 'Grace')",
		"INSERT INTO orders (id, customer_id) VALUES (10, 1), (11, 2), (12, 2)")
	file = filepath.Join(t.TempDir(), "backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	return d, db, file
}

// whole says whether filled's rows are there.
func whole(t *testing.T, db *sql.DB) bool {
	t.Helper()
	return count(t, db, "SELECT count(*) FROM orders JOIN customers ON customers.id = customer_id WHERE name IN ('Ada', 'Grace')") == 3
}

func (e Engine) restoreRoundTrip(t *testing.T) {
	d, db, file := e.filled(t)
	before := fingerprint(t, d)
	for range 2 { // the second one restores over what the first one made
		run(t, db, e.Destroy...)
		if fingerprint(t, d) == before {
			t.Fatal("Destroy changed nothing")
		}
		if err := d.Restore(bounded(t), file); err != nil {
			t.Fatal(err)
		}
		db = reconnect(t, e, d, db)
		if fingerprint(t, d) != before || !whole(t, db) {
			t.Error("the restored database is not what the backup holds")
		}
	}
}

// restoreInterrupted stops a restore after ever longer times, until one goes through. Whatever the instant, the database
// can be asked afterwards, and a restore that is done again ends well.
func (e Engine) restoreInterrupted(t *testing.T) {
	d, db, file := e.filled(t)
	before := fingerprint(t, d)
	run(t, db, e.Destroy...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for patience := time.Millisecond; ; patience = patience * 3 / 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := d.Restore(ctx, file)
		late := ctx.Err() != nil // before the cancel, after which every context has ended
		cancel()
		if err == nil {
			break
		}
		interrupted++
		if !late {
			t.Fatalf("after %d interruptions: %v", interrupted, err)
		}
		fingerprint(t, d)
	}
	t.Logf("%d interruptions", interrupted)
	if fingerprint(t, d) != before || !whole(t, e.Connect(t, d)) {
		t.Error("the restored database is not what the backup holds")
	}
}

func (e Engine) restoreDamaged(t *testing.T) {
	d, _, file := e.filled(t)
	before := fingerprint(t, d)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)/2] ^= 1
	cases := []struct {
		name    string
		content []byte
		digest  bool // whether the digest stays beside it
		code    problem.Code
	}{
		{"cut off", good[:len(good)*2/3], true, problem.Fail},
		{"cut off, no digest", good[:len(good)*2/3], false, problem.Fail},
		{"a bit flipped", flipped, true, problem.Fail},
		{"something else", []byte("not a backup, by any means"), false, problem.Fail},
		{"empty", nil, false, problem.Fail},
		{"missing", nil, true, problem.NotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), filepath.Base(file))
			if c.code != problem.NotFound {
				write(t, bad, c.content)
			}
			if c.digest {
				digest, err := os.ReadFile(file + ".sha256")
				if err != nil {
					t.Fatal(err)
				}
				write(t, bad+".sha256", digest)
			}
			err := d.Restore(bounded(t), bad)
			if p := problem.From(err); err == nil || p.Code != c.code || !strings.Contains(p.Message, bad) {
				t.Errorf("got %v, want a problem %s that names the file", err, c.code)
			}
			if fingerprint(t, d) != before || !whole(t, e.Connect(t, d)) {
				t.Error("a refused restore changed the database")
			}
		})
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pair writes n into both tables in one transaction.
func pair(db *sql.DB, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, left := tx.Exec("INSERT INTO lefts VALUES ($1)", n)
	_, right := tx.Exec("INSERT INTO rights VALUES ($1)", n)
	if err := errors.Join(left, right); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (e Engine) use(t *testing.T) {
	d, _ := e.base(t)
	if d.URL() == "" {
		t.Error("no URL")
	}
	if err := d.Ping(bounded(t)); err != nil {
		t.Error(err)
	}
	if n, err := d.EndMigrator(bounded(t), "greenroom-nobody"); n != 0 || err != nil {
		t.Errorf("ended %d sessions of nobody's: %v", n, err)
	}
	want := fingerprint(t, d)
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if got, err := d.Fingerprint(bounded(t)); err != nil || got != want {
				t.Errorf("concurrent: fingerprint %s, %v", got, err)
			}
			if _, err := d.Backup(bounded(t), filepath.Join(dir, string(rune('a'+i)))); err != nil {
				t.Errorf("concurrent: backup: %v", err)
			}
		})
	}
	all.Wait()
}
