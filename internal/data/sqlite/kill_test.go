package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/mask"
)

// many is a table of enough rows that everything takes a few milliseconds.
const many = `INSERT INTO t (a) SELECT 'before ' || n FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000) SELECT n FROM c)`

// endless is what a child does over and over until it is killed.
func endless(mode string, d *Database) error {
	ctx := context.Background()
	dir := filepath.Join(filepath.Dir(d.file), "snapshot")
	rules := mask.Rules{Tables: map[string]mask.TableRules{"t": {Columns: map[string]mask.Rule{"id": {Use: "keep"}, "a": {Use: "text"}}}}}
	for n := 0; ; n++ {
		if n == 1 {
			_, _ = os.Stdout.WriteString(".")
		}
		var err error
		switch mode {
		case "snapshot":
			if err = os.RemoveAll(dir); err == nil {
				_, err = d.Snapshot(ctx, dir, data.SnapshotOptions{Rules: rules, Key: key})
			}
		case "load":
			_, err = d.Load(ctx, filepath.Join(filepath.Dir(d.file), "good"), data.LoadOptions{})
		case "keep":
			err = d.Keep(ctx)
		case "reset":
			_, err = d.Reset(ctx)
		case "run":
			err = upAndDown(ctx, d)
		}
		if err != nil {
			return err
		}
	}
}

func upAndDown(ctx context.Context, d *Database) error {
	m := layout.Migration{Version: "1", File: "1_u.sql", DownFile: "1_u.sql",
		Up:   []layout.Statement{{SQL: "ALTER TABLE t ADD COLUMN b text", Line: 1}, {SQL: "UPDATE t SET b = a, a = 'after'", Line: 2}},
		Down: []layout.Statement{{SQL: "UPDATE t SET a = b", Line: 1}, {SQL: "ALTER TABLE t DROP COLUMN b", Line: 2}}}
	for _, down := range []bool{false, true} {
		ran, err := d.Run(ctx, data.RunOptions{Tool: layout.Goose, Migrations: []layout.Migration{m}, Down: down})
		if err != nil || ran.Failed != "" {
			return fmt.Errorf("%+v: %w", ran, err)
		}
	}
	return nil
}

// TestKilled kills a process with SIGKILL in the middle of everything that changes something, at instants of every kind.
// Whatever it was at, the database is whole and is one of the two things that it may be; and it can be done again.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: it takes a minute")
	}
	for _, journal := range []string{"wal", "delete"} {
		for _, mode := range []string{"snapshot", "load", "keep", "reset", "run"} {
			t.Run(journal+"/"+mode, func(t *testing.T) {
				d := killable(t, journal)
				for range 5 {
					kill(t, d, mode)
					whole(t, d)
				}
				again(t, d, mode)
			})
		}
	}
}

// killable is a database with everything that the modes need.
func killable(t *testing.T, journal string) *Database {
	d := fresh(t)
	db := open(t, d.file, journal)
	execute(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", many)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(filepath.Dir(d.file), "good")
	r := mask.Rules{Tables: map[string]mask.TableRules{"t": {Columns: map[string]mask.Rule{"id": {Use: "keep"}, "a": {Use: "keep"}}}}}
	if _, err := d.Snapshot(bounded(t), good, data.SnapshotOptions{Rules: r, Key: key}); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return d
}

func kill(t *testing.T, d *Database, mode string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SQLITE_CHILD=endless-"+mode, "SQLITE_FILE="+d.file)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(rand.N(80 * time.Millisecond)) // the instant is what is tried
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
}

// whole holds the database and what lies beside it against what it may be.
func whole(t *testing.T, d *Database) {
	t.Helper()
	if got := text(t, d, "SELECT integrity_check FROM pragma_integrity_check"); got != "ok" {
		t.Fatal(got)
	}
	before, after := text(t, d, "SELECT count(*) FROM t WHERE a LIKE 'before %'"), text(t, d, "SELECT count(*) FROM t WHERE a = 'after'")
	if (before != "1000" || after != "0") && (before != "0" || after != "1000") {
		t.Errorf("%s rows as before and %s as after", before, after)
	}
	kept := Open(d.pristine())
	if got := text(t, kept, "SELECT count(*) FROM t WHERE a LIKE 'before %'"); got != "1000" {
		t.Errorf("the pristine copy has %s rows", got)
	}
	dir := filepath.Join(filepath.Dir(d.file), "snapshot")
	if _, err := os.Stat(dir); err == nil {
		if _, err := data.VerifySnapshot(bounded(t), dir); err != nil && !os.IsNotExist(err) {
			if left, _ := os.ReadDir(dir); len(left) == 3 { // else it was being removed
				t.Errorf("a snapshot that is not whole: %v", err)
			}
		}
	}
}

// again does it once more, and looks that nothing of the killed ones is left.
func again(t *testing.T, d *Database, mode string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(d.file), "snapshot")
	var err error
	switch mode {
	case "snapshot":
		if err = os.RemoveAll(dir); err == nil {
			snapshotInto(t, d, dir)
		}
	case "load":
		_, err = d.Load(bounded(t), filepath.Join(filepath.Dir(d.file), "good"), data.LoadOptions{})
	case "keep":
		err = d.Keep(bounded(t))
	case "reset":
		_, err = d.Reset(bounded(t))
	case "run":
		if _, err = d.Reset(bounded(t)); err == nil {
			err = upAndDown(bounded(t), d)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	whole(t, d)
	left, err := os.ReadDir(filepath.Dir(d.file))
	if err != nil {
		t.Fatal(err)
	}
	may := map[string]bool{filepath.Base(d.file): true, filepath.Base(d.pristine()): true, "good": true, "snapshot": true}
	for _, e := range left {
		if !may[e.Name()] {
			t.Errorf("left: %s", e.Name())
		}
	}
}

func snapshotInto(t *testing.T, d *Database, dir string) {
	t.Helper()
	if _, err := d.Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rulesFor(t, d), Key: key}); err != nil {
		t.Fatal(err)
	}
}

// TestOneMoment has a process of its own write as fast as it can, a pair in each transaction, until the snapshot is done.
func TestOneMoment(t *testing.T) {
	d := fresh(t)
	db := open(t, d.file, "wal")
	execute(t, db, "CREATE TABLE lefts (n INTEGER PRIMARY KEY, a TEXT)", "CREATE TABLE middle (n INTEGER PRIMARY KEY, a TEXT)", "CREATE TABLE rights (n INTEGER PRIMARY KEY, a TEXT)",
		"INSERT INTO middle (a) SELECT hex(randomblob(100)) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5000) SELECT n FROM c)")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "SQLITE_CHILD=pairs", "SQLITE_FILE="+d.file)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r := rulesFor(t, d)
	before := number(t, db, "SELECT count(*) FROM rights")
	_, s := snapshot(t, d, r)
	after := number(t, db, "SELECT count(*) FROM rights")
	_ = child.Process.Kill()
	_ = child.Wait()
	rows := map[string]data.SnapshotTable{}
	for _, table := range s.Tables {
		rows[table.Name] = table
	}
	l, m := rows["lefts"], rows["rights"]
	if l.Rows != m.Rows || l.Sum != m.Sum || l.Rows < before || l.Rows > after {
		t.Errorf("%d and %d rows, between %d and %d", l.Rows, m.Rows, before, after)
	}
	if after == before {
		t.Error("nobody could write meanwhile")
	}
	t.Logf("%d transactions during the snapshot of %d rows", after-before, rows["middle"].Rows)
}

func number(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// pairs writes for ever.
func pairs(d *Database) error {
	ctx := context.Background()
	return d.with(ctx, func(conn *sql.Conn) error {
		if err := run(ctx, conn, "PRAGMA synchronous = off"); err != nil {
			return err
		}
		for n := 1; ; n++ {
			err := run(ctx, conn, "BEGIN IMMEDIATE", fmt.Sprintf("INSERT INTO lefts VALUES (%d, 'x')", n), fmt.Sprintf("INSERT INTO rights VALUES (%d, 'x')", n), "COMMIT")
			if err != nil {
				return err
			}
			if n == 100 {
				_, _ = os.Stdout.WriteString(".")
			}
		}
	})
}
