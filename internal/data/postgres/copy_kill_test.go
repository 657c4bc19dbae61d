package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// childWork is what the test binary does as a child that is going to be killed.
type childWork struct {
	Do       string // snapshot, load, keep, reset
	URL      string
	Admin    string
	Programs Programs
	Dir      string
	Rules    mask.Rules
	Rate     int64
}

const childVariable = "GREENROOM_TEST_COPY"

// TestChild does the work of a child; started as a test it does nothing.
func TestChild(t *testing.T) {
	text := os.Getenv(childVariable)
	if text == "" {
		t.Skip("for children of TestKilled")
	}
	var w childWork
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{URL: w.URL, Admin: w.Admin, Programs: w.Programs})
	if err != nil {
		t.Fatal(err)
	}
	switch w.Do {
	case "snapshot":
		_, err = d.Snapshot(t.Context(), w.Dir, data.SnapshotOptions{Rules: w.Rules, Rate: w.Rate, Key: testKey, Jobs: 2})
	case "load":
		_, err = d.Load(t.Context(), w.Dir, data.LoadOptions{ReadBack: true})
	case "keep":
		err = d.Keep(t.Context())
	case "reset":
		_, err = d.Reset(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// killed runs the work in a child again and again, each time killed with SIGKILL a little later, until one gets through,
// and looks at what is left each time. Work that gets through at once is done again in smaller steps.
func killed(t *testing.T, w childWork, look func()) {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for patience, step := 60*time.Millisecond, 3; ; patience += patience / time.Duration(step) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$")
		cmd.Env = append(os.Environ(), childVariable+"="+string(text))
		out, err := cmd.CombinedOutput()
		late := ctx.Err() != nil
		cancel()
		switch {
		case err == nil && kills >= 3:
			t.Logf("%s: %d kills", w.Do, kills)
			return
		case err == nil && step > 100:
			t.Fatalf("%s was never killed in the middle", w.Do)
		case err == nil:
			patience, step = patience/2, step*2
		case !late:
			t.Fatalf("%s: %v: %s", w.Do, err, out)
		default:
			kills++
		}
		look()
	}
}

func (d *Database) work(do, dir string) childWork {
	return childWork{Do: do, URL: d.url, Admin: d.admin.ConnString(), Programs: d.programs, Dir: dir}
}

// TestKilled kills whoever takes a snapshot, loads one, keeps a copy and resets to it at many instants. Nothing half is
// taken for whole, the next one works whatever was left, and production's sessions end by themselves.
func TestKilled(t *testing.T) {
	t.Parallel()
	_, _, source := account(t)
	shop(t, open(t, source.URL()), 5000)
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshot")
	w := source.work("snapshot", dir)
	w.Rules, w.Rate = keepAll(t, source), 16<<20
	killed(t, w, func() {
		if _, err := data.VerifySnapshot(t.Context(), dir); err != nil && problem.From(err).Code != problem.NotFound {
			t.Fatalf("something half has the snapshot's name: %v", err)
		}
		eventually(t, "production's sessions are gone", func() bool { return sessions(t, source) == 0 })
		if err := os.RemoveAll(dir); err != nil { // it may have been killed when all was done
			t.Fatal(err)
		}
	})
	if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
		t.Errorf("beside the snapshot there is %v, %v", left, err)
	}

	_, _, target := account(t)
	db := open(t, target.URL())
	execute(t, db, "CREATE TABLE before (n integer)", "INSERT INTO before VALUES (1)")
	killed(t, target.work("load", dir), func() {
		if n := count(t, target, "before"); n != 1 && count(t, target, "customers") != 5000 {
			t.Fatal("the database is neither what it was nor the snapshot")
		}
	})
	if n := count(t, target, "items"); n != 20000 {
		t.Errorf("%d items arrived", n)
	}

	killed(t, target.work("keep", ""), func() {
		if count(t, target, "customers") != 5000 {
			t.Fatal("the database is not what it was")
		}
	})
	execute(t, open(t, target.URL()), "DROP TABLE items", "UPDATE customers SET note = NULL WHERE id <= 10")
	killed(t, target.work("reset", ""), func() {
		if count(t, target, "customers") != 5000 {
			t.Fatal("the database is neither what it was nor what was kept")
		}
	})
	if n := count(t, target, "items"); n != 20000 {
		t.Errorf("%d items are there after a reset", n)
	}
	for _, purpose := range []string{"load", "keeping", "kept", "reset", "replaced"} {
		if has(t, target, target.beside(purpose)) {
			t.Errorf("the database %s was left behind", target.beside(purpose))
		}
	}
}

// count counts the rows of a table; of one that is not there it is -1.
func count(t testing.TB, d *Database, table string) (n int) {
	t.Helper()
	err := d.with(bounded(t), d.name, func(conn *pgx.Conn) error {
		return conn.QueryRow(bounded(t), "SELECT count(*) FROM "+quote(table)).Scan(&n)
	})
	if code(err) == "42P01" {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func has(t testing.TB, d *Database, name string) (there bool) {
	t.Helper()
	err := d.with(bounded(t), "postgres", func(conn *pgx.Conn) (err error) {
		there, err = exists(bounded(t), conn, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// TestServerKilled kills the server under a snapshot, a load and a reset. Each fails; once the server is back, the
// database is what it was, and the same works.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	d, r := serverOfItsOwn(t)
	r.Fast = false
	r.end(syscall.SIGINT)
	restart(t, r)
	shop(t, open(t, d.URL()), 20000)
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshot")
	o := data.SnapshotOptions{Rules: keepAll(t, d), Key: testKey}
	under := func(what string, f func(kill func(data.Progress)) error) {
		t.Helper()
		err := f(func(p data.Progress) {
			if p.Rows > 0 || p.Bytes > 0 {
				_ = r.cmd.Process.Signal(syscall.SIGKILL)
			}
		})
		if err == nil {
			t.Fatalf("%s went on without a server", what)
		}
		<-r.ended
		restart(t, r)
		if n := count(t, d, "customers"); n != 20000 {
			t.Fatalf("after %s there are %d customers", what, n)
		}
	}
	under("a snapshot", func(kill func(data.Progress)) error {
		o := o
		o.Rate, o.Progress = 1<<20, kill
		_, err := d.Snapshot(bounded(t), dir, o)
		return err
	})
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := d.Snapshot(bounded(t), dir, o); err != nil {
		t.Fatal(err)
	}
	under("a load", func(kill func(data.Progress)) error {
		_, err := d.Load(bounded(t), dir, data.LoadOptions{Progress: kill})
		return err
	})
	load(t, d, dir)
	if err := d.Keep(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reset(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "items"); n != 80000 {
		t.Errorf("%d items in the end", n)
	}
}

// TestTransferIsWhole takes snapshots while money goes from one table to another: its sum is always the same.
func TestTransferIsWhole(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE here (id integer PRIMARY KEY, cents bigint)", "CREATE TABLE there (id integer PRIMARY KEY, cents bigint)",
		"INSERT INTO here SELECT g, 1000 FROM generate_series(1, 5000) g", "INSERT INTO there SELECT g, 0 FROM generate_series(1, 5000) g")
	rules := keepAll(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- transfer(ctx, db) }()
	_, _, target := account(t)
	for range 3 {
		dir, _ := take(t, d, rules)
		load(t, target, dir)
		if sum := query[int64](t, open(t, target.URL()), "SELECT (SELECT sum(cents) FROM here) + (SELECT sum(cents) FROM there)"); sum != 5_000_000 {
			t.Errorf("the snapshot holds %d cents of 5000000", sum)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func transfer(ctx context.Context, db *sql.DB) error {
	for n := 1; ; n++ {
		tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
		if err != nil {
			return err
		}
		_, taken := tx.Exec("UPDATE here SET cents = cents - 1 WHERE id = $1", 1+n%5000)
		_, given := tx.Exec("UPDATE there SET cents = cents + 1 WHERE id = $1", 1+(n*7)%5000)
		if err := errors.Join(taken, given, tx.Commit()); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// TestLoadTellsTheConstraint has masks that break what the schema demands, each in another way. What can be told
// from the rules alone (keys, references, NOT NULL) is refused before anything is read.
func TestLoadTellsTheConstraint(t *testing.T) {
	t.Parallel()
	constant := func(v string) mask.Rule { return mask.Rule{Use: "constant", Value: v} }
	for name, c := range map[string]struct {
		make   []string
		column string // of the table a
		rule   mask.Rule
		told   []string
	}{
		"check": {[]string{"CREATE TABLE a (id int PRIMARY KEY, code text CHECK (code ~ '^[a-z]+$'))", "INSERT INTO a VALUES (1, 'abc')"},
			"code", constant("N0"), []string{"a_code_check", "a.code"}},
		"exclusion": {[]string{"CREATE TABLE a (id int PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&))", "INSERT INTO a VALUES (1, '[1,2)'), (2, '[3,4)')"},
			"span", constant("[1,9)"), []string{"a_span_excl", "a.span"}},
		"partition": {[]string{"CREATE TABLE a (id int, code text) PARTITION BY LIST (code)", "CREATE TABLE a_abc PARTITION OF a FOR VALUES IN ('abc')", "INSERT INTO a VALUES (1, 'abc')"},
			"code", constant("N0"), []string{"a.code"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, d := account(t)
			execute(t, open(t, d.URL()), c.make...)
			_, _, target := account(t)
			rules := keepAll(t, d)
			rules.Tables["a"].Columns[c.column] = c.rule
			dir, _ := take(t, d, rules)
			_, err := target.Load(bounded(t), dir, data.LoadOptions{})
			if p := problem.From(err); p == nil || p.Code != problem.Fail {
				t.Fatalf("got %v", err)
			}
			told := err.Error() + problem.From(err).Hint
			mustContain(t, told, c.told...)
			if strings.Contains(told, "N0") || strings.Contains(told, "[1,9)") {
				t.Errorf("it tells the value: %s", told)
			}
			if has(t, target, target.beside("load")) {
				t.Error("a load that failed left its database")
			}
		})
	}
}

// TestWidest copies a table with as many columns as there can be, one without any, and names that are as long as they can be.
func TestWidest(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	var columns, values []string
	for i := range 1600 {
		columns = append(columns, fmt.Sprintf(`"%0*d Name" int`, 58, i))
		values = append(values, fmt.Sprint(i))
	}
	execute(t, db, "CREATE TABLE wide ("+strings.Join(columns, ", ")+")", "INSERT INTO wide VALUES ("+strings.Join(values, ", ")+")",
		"CREATE TABLE none ()", "INSERT INTO none DEFAULT VALUES", "INSERT INTO none DEFAULT VALUES")
	dir, _ := take(t, d, keepAll(t, d))
	_, _, target := account(t)
	if loaded := load(t, target, dir); loaded.Rows != 3 {
		t.Errorf("%+v", loaded)
	}
	if last := query[int](t, open(t, target.URL()), fmt.Sprintf(`SELECT "%0*d Name" FROM wide`, 58, 1599)); last != 1599 {
		t.Errorf("got %d", last)
	}
}
