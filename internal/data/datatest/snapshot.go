package datatest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// RunCopies runs what every engine's data.Copier and data.Resetter have to do. What Fresh makes has to be both.
func RunCopies(t *testing.T, e Engine) {
	beside(t, "Shape", e.shape)
	beside(t, "Snapshot", e.snapshot)
	beside(t, "Load", e.load)
	beside(t, "Reset", e.reset)
}

func copier(t *testing.T, d data.Database) data.Copier {
	t.Helper()
	c, ok := d.(data.Copier)
	if !ok {
		t.Fatalf("%T is no data.Copier", d)
	}
	return c
}

// Somebody is what customers are called in masked copies of this suite.
const somebody = "somebody"

// rules keeps every column of a database but customers.name.
func rules(t *testing.T, d data.Database) mask.Rules {
	t.Helper()
	s, err := copier(t, d).Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	r := mask.Rules{Tables: map[string]mask.TableRules{}}
	for _, table := range s.Tables {
		columns := map[string]mask.Rule{}
		for _, c := range table.Columns {
			if !c.Generated {
				columns[c.Name] = mask.Rule{Use: "keep"}
			}
		}
		r.Tables[table.Name] = mask.TableRules{Columns: columns}
	}
	r.Tables["customers"].Columns["name"] = mask.Rule{Use: "constant", Value: somebody}
	return r
}

var key = mask.Key(bytes.Repeat([]byte{7}, 32))

// names that no masked copy may hold.
var planted = []string{"Ada Lovelace 4711", "Grace Hopper 0815"}

// peopled is Base with a few rows.
func (e Engine) peopled(t *testing.T) (data.Database, *sql.DB) {
	d, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (1, '"+planted[0]+"'), (2, '"+planted[1]+"')",
		"INSERT INTO orders (id, customer_id) VALUES (10, 1), (11, 2), (12, 2)")
	return d, db
}

// masked says whether peopled's rows are there, as rules leaves them.
func masked(t *testing.T, db *sql.DB) bool {
	t.Helper()
	return count(t, db, "SELECT count(*) FROM orders JOIN customers ON customers.id = customer_id WHERE name = '"+somebody+"'") == 3 &&
		count(t, db, "SELECT count(*) FROM customers") == 2
}

// taken is a snapshot of peopled.
func (e Engine) taken(t *testing.T) (source data.Database, dir string, s data.Snapshot) {
	source, _ = e.peopled(t)
	dir = filepath.Join(t.TempDir(), "snapshot")
	s, err := copier(t, source).Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rules(t, source), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return source, dir, s
}

func (e Engine) shape(t *testing.T) {
	d, db := e.peopled(t)
	before, err := copier(t, d).Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]mask.Column{}
	for i, table := range before.Tables {
		if i > 0 && before.Tables[i-1].Name >= table.Name {
			t.Errorf("the tables %s and %s are not sorted", before.Tables[i-1].Name, table.Name)
		}
		for _, c := range table.Columns {
			columns[table.Name+"."+c.Name] = c
		}
	}
	if c := columns["customers.name"]; c.Kind != mask.KindText || !c.NotNull || c.Unique || c.Key {
		t.Errorf("customers.name is %+v", c)
	}
	if c := columns["customers.id"]; c.Kind != mask.KindNumber || !c.Key || !c.Unique {
		t.Errorf("customers.id is %+v", c)
	}
	if c := columns["orders.customer_id"]; c.Refers != "customers.id" || c.NotNull {
		t.Errorf("orders.customer_id is %+v", c)
	}
	run(t, db, "ALTER TABLE customers ADD COLUMN email varchar(40)")
	after, err := copier(t, d).Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range after.Tables {
		if last := table.Columns[len(table.Columns)-1]; table.Name == "customers" && (last.Name != "email" || last.Length != 40) {
			t.Errorf("the new column is %+v", last)
		}
	}
}

func (e Engine) snapshot(t *testing.T) {
	t.Run("describes itself", e.snapshotDescribes)
	t.Run("a column that no rule names", e.snapshotUnnamed)
	t.Run("one moment", e.snapshotOneMoment)
	t.Run("cancelled", e.snapshotCancelled)
	t.Run("nowhere to write", e.snapshotNowhere)
}

func (e Engine) snapshotDescribes(t *testing.T) {
	d, dir, s := e.taken(t)
	read, err := data.VerifySnapshot(bounded(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	if read.Schema != fingerprint(t, d) || read.Size != s.Size || read.Rules != s.Rules || len(read.Files) == 0 || read.Taken.IsZero() {
		t.Errorf("%+v does not describe the database", read)
	}
	for _, table := range read.Tables {
		if table.Name == "customers" && (table.Rows != 2 || table.Changed["name"] != 2 || table.Changed["id"] != 0) {
			t.Errorf("customers is described as %+v", table)
		}
	}
	shape, err := copier(t, d).Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range shape.Tables {
		if !slices.ContainsFunc(read.Tables, func(s data.SnapshotTable) bool {
			return s.Name == table.Name && s.Source == table.Bytes+table.Index && s.Index == table.Index
		}) {
			t.Errorf("%s has %d bytes and %d of indexes, which %+v does not say", table.Name, table.Bytes, table.Index, read.Tables)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a folder that others can enter: %v, %v", info, err)
	}
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("a file that others can read: %v, %v", info, err)
		}
	}
}

// snapshotUnnamed takes a rule away: nothing may be read, and nothing written.
func (e Engine) snapshotUnnamed(t *testing.T) {
	d, db := e.peopled(t)
	r := rules(t, d)
	run(t, db, "ALTER TABLE customers ADD COLUMN email varchar(40)")
	parent := t.TempDir()
	_, err := copier(t, d).Snapshot(bounded(t), filepath.Join(parent, "snapshot"), data.SnapshotOptions{Rules: r, Key: key})
	if p := problem.From(err); p == nil || p.Code != problem.Blocked || !strings.Contains(p.Message+p.Hint, "email") {
		t.Errorf("got %v, want a problem that names the column", err)
	}
	if left := names(t, parent); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func (e Engine) snapshotOneMoment(t *testing.T) {
	d, db := e.base(t)
	run(t, db, "CREATE TABLE lefts (n integer PRIMARY KEY)", "CREATE TABLE rights (n integer PRIMARY KEY)")
	stop, enough := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; ; n++ {
			if err := pair(db, n); err != nil {
				t.Error(err)
				return
			}
			if n == 20 {
				close(enough)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-enough
	dir := filepath.Join(t.TempDir(), "snapshot")
	s, err := copier(t, d).Snapshot(bounded(t), dir, data.SnapshotOptions{Rules: rules(t, d), Key: key})
	close(stop)
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]data.SnapshotTable{}
	for _, table := range s.Tables {
		rows[table.Name] = table
	}
	if l, r := rows["lefts"], rows["rights"]; l.Rows < 20 || l.Rows != r.Rows || l.Sum != r.Sum {
		t.Errorf("%d rows and %d rows with %s and %s are not of one moment", l.Rows, r.Rows, l.Sum, r.Sum)
	}
}

func (e Engine) snapshotCancelled(t *testing.T) {
	d, _ := e.peopled(t)
	r := rules(t, d)
	parent := t.TempDir()
	finished := false
	for patience := time.Duration(0); !finished; patience = patience*3/2 + time.Millisecond {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := copier(t, d).Snapshot(ctx, filepath.Join(parent, "snapshot"), data.SnapshotOptions{Rules: r, Key: key})
		cancel()
		if err == nil {
			finished = true
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if left := names(t, parent); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
}

func (e Engine) snapshotNowhere(t *testing.T) {
	d, _ := e.peopled(t)
	o := data.SnapshotOptions{Rules: rules(t, d), Key: key}
	if _, err := copier(t, d).Snapshot(bounded(t), filepath.Join(t.TempDir(), "missing", "snapshot"), o); err == nil {
		t.Error("a snapshot into a folder that does not exist succeeded")
	}
	taken := t.TempDir()
	if _, err := copier(t, d).Snapshot(bounded(t), taken, o); problem.From(err) == nil || problem.From(err).Code != problem.Blocked {
		t.Errorf("a snapshot over something else: %v", err)
	}
}

func (e Engine) load(t *testing.T) {
	t.Run("round trip", e.loadRoundTrip)
	t.Run("interrupted", e.loadInterrupted)
	t.Run("damaged", e.loadDamaged)
	t.Run("another engine", e.loadForeign)
	t.Run("other rows than it says", e.loadOther)
}

func (e Engine) loadRoundTrip(t *testing.T) {
	source, dir, s := e.taken(t)
	target := e.Fresh(t)
	db := e.Connect(t, target)
	run(t, db, "CREATE TABLE leftover (n integer)")
	for _, back := range []bool{false, true} { // the second one over what the first one made
		loaded, err := copier(t, target).Load(bounded(t), dir, data.LoadOptions{ReadBack: back})
		if err != nil {
			t.Fatal(err)
		}
		if loaded.Rows != 5 || loaded.Tables != len(s.Tables) || loaded.Took <= 0 {
			t.Errorf("loaded %+v", loaded)
		}
		db = reconnect(t, e, target, db)
		if !masked(t, db) {
			t.Error("the database does not hold the masked rows")
		}
		if fingerprint(t, target) != fingerprint(t, source) {
			t.Error("the schema is another")
		}
	}
	// What comes next does not collide with what was there.
	run(t, db, "INSERT INTO customers (id, name) VALUES (3, 'Joan')", "INSERT INTO orders (id, customer_id) VALUES (13, 3)")
}

func (e Engine) loadInterrupted(t *testing.T) {
	_, dir, _ := e.taken(t)
	target, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (7, 'before')")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for patience := time.Millisecond; ; patience = patience * 3 / 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := copier(t, target).Load(ctx, dir, data.LoadOptions{})
		cancel()
		if err == nil {
			break
		}
		interrupted++
		if ctx.Err() == nil {
			t.Fatalf("after %d interruptions: %v", interrupted, err)
		}
		db := e.Connect(t, target)
		if before := count(t, db, "SELECT count(*) FROM customers WHERE name = 'before'"); before != 1 && !masked(t, db) {
			t.Fatal("the database is neither what it was nor the snapshot")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d interruptions", interrupted)
	if !masked(t, e.Connect(t, target)) {
		t.Error("the database does not hold the masked rows")
	}
}

// loadDamaged harms each file of a snapshot in each way; the database must not be touched.
func (e Engine) loadDamaged(t *testing.T) {
	_, dir, s := e.taken(t)
	target, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (7, 'before')")
	before := fingerprint(t, target)
	harms := map[string]func(content []byte) []byte{
		"flipped":  func(c []byte) []byte { c[len(c)/2] ^= 1; return c },
		"cut off":  func(c []byte) []byte { return c[:len(c)-1] },
		"longer":   func(c []byte) []byte { return append(c, ' ') },
		"emptied":  func(c []byte) []byte { return c[:0] },
		"replaced": func(c []byte) []byte { return bytes.Repeat([]byte{'x'}, len(c)) },
	}
	files := []string{data.Manifest}
	for _, f := range s.Files {
		files = append(files, f.Name)
	}
	refused := func(t *testing.T, bad, what string) {
		_, err := copier(t, target).Load(bounded(t), bad, data.LoadOptions{})
		if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, bad) {
			t.Errorf("%s: got %v, want a problem that names the snapshot", what, err)
		}
	}
	for _, name := range files {
		for harm, do := range harms {
			bad := copied(t, dir)
			content, err := os.ReadFile(filepath.Join(bad, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(bad, name), do(content))
			refused(t, bad, name+" "+harm)
		}
		if name == data.Manifest {
			continue
		}
		bad := copied(t, dir)
		if err := os.Remove(filepath.Join(bad, name)); err != nil {
			t.Fatal(err)
		}
		refused(t, bad, name+" removed")
	}
	bad := copied(t, dir)
	write(t, filepath.Join(bad, "more"), []byte("more"))
	refused(t, bad, "a file more")
	if _, err := copier(t, target).Load(bounded(t), t.TempDir(), data.LoadOptions{}); problem.From(err) == nil || problem.From(err).Code != problem.NotFound {
		t.Errorf("no snapshot at all: %v", err)
	}
	if fingerprint(t, target) != before || count(t, db, "SELECT count(*) FROM customers WHERE name = 'before'") != 1 {
		t.Error("a refused load changed the database")
	}
}

// loadForeign loads what calls itself another engine's, and is whole otherwise.
func (e Engine) loadForeign(t *testing.T) {
	_, dir, s := e.taken(t)
	s.Engine = "another"
	_, err := copier(t, e.Fresh(t)).Load(bounded(t), saying(t, dir, s), data.LoadOptions{})
	if p := problem.From(err); p == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "another") {
		t.Errorf("got %v", err)
	}
}

// loadOther loads snapshots whose files are whole, and whose manifests tell of other rows than come out of them. One row
// more or fewer is counted always; one that is another is found by reading back.
func (e Engine) loadOther(t *testing.T) {
	_, dir, s := e.taken(t)
	target, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (7, 'before')")
	at := slices.IndexFunc(s.Tables, func(table data.SnapshotTable) bool { return table.Name == "customers" })
	counted, summed := s, s
	counted.Tables, summed.Tables = slices.Clone(s.Tables), slices.Clone(s.Tables)
	counted.Tables[at].Rows++
	summed.Tables[at].Sum = strings.Repeat("0", len(s.Tables[at].Sum))
	for _, c := range []struct {
		what string
		says data.Snapshot
		back bool
	}{{"another count", counted, false}, {"another count, read back", counted, true}, {"another sum, read back", summed, true}} {
		_, err := copier(t, target).Load(bounded(t), saying(t, dir, c.says), data.LoadOptions{ReadBack: c.back})
		if p := problem.From(err); err == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "customers") {
			t.Errorf("%s: got %v, want a problem that names the table", c.what, err)
		}
		if count(t, db, "SELECT count(*) FROM customers WHERE name = 'before'") != 1 {
			t.Fatalf("%s: the database was touched", c.what)
		}
	}
	if _, err := copier(t, target).Load(bounded(t), saying(t, dir, summed), data.LoadOptions{}); err != nil {
		t.Errorf("what is not read back was compared: %v", err)
	}
}

// saying is a snapshot's folder once more, with another manifest.
func saying(t *testing.T, dir string, s data.Snapshot) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "saying")
	f, err := data.NewFolder(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range s.Files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name))
		if err != nil {
			t.Fatal(err)
		}
		w, err := f.Create(file.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Complete(s); err != nil {
		t.Fatal(err)
	}
	return to
}

// copied is a snapshot's folder once more.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return to
}

func (e Engine) reset(t *testing.T) {
	d, db := e.filledForReset(t)
	r, ok := d.(data.Resetter)
	if !ok {
		t.Fatalf("%T is no data.Resetter", d)
	}
	if _, err := r.Reset(bounded(t)); problem.From(err) == nil || problem.From(err).Code != problem.NotFound {
		t.Errorf("a reset to nothing: %v", err)
	}
	if err := r.Keep(bounded(t)); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, d)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("again and again", func(t *testing.T) { e.resetAgain(t, d, r, before) })
	t.Run("keep again", func(t *testing.T) { e.keepAgain(t, d, r) })
	t.Run("interrupted", func(t *testing.T) { e.resetInterrupted(t, d, r, before) })
}

func (e Engine) resetAgain(t *testing.T, d data.Database, r data.Resetter, before string) {
	for range 2 {
		db := e.Connect(t, d)
		run(t, db, e.Destroy...)
		how, err := r.Reset(bounded(t))
		if err != nil || how == "" {
			t.Fatalf("%q, %v", how, err)
		}
		db = reconnect(t, e, d, db)
		if fingerprint(t, d) != before || !whole(t, db) {
			t.Error("the database is not what was kept")
		}
	}
}

func (e Engine) keepAgain(t *testing.T, d data.Database, r data.Resetter) {
	db := e.Connect(t, d)
	run(t, db, "INSERT INTO customers (id, name) VALUES (3, 'Joan')")
	if err := r.Keep(bounded(t)); err != nil {
		t.Fatal(err)
	}
	db = reconnect(t, e, d, db)
	run(t, db, "DELETE FROM customers WHERE id = 3")
	if _, err := r.Reset(bounded(t)); err != nil {
		t.Fatal(err)
	}
	db = reconnect(t, e, d, db)
	if count(t, db, "SELECT count(*) FROM customers WHERE id = 3") != 1 {
		t.Error("the database is what was kept earlier")
	}
}

// resetInterrupted stops a reset after ever longer times, until one goes through. The database can always be asked.
func (e Engine) resetInterrupted(t *testing.T, d data.Database, r data.Resetter, before string) {
	db := e.Connect(t, d)
	run(t, db, e.Destroy...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for patience := time.Millisecond; ; patience = patience * 3 / 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := r.Reset(ctx)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			t.Fatal(err)
		}
		fingerprint(t, d)
	}
	if fingerprint(t, d) != before || !whole(t, e.Connect(t, d)) {
		t.Error("the database is not what was kept")
	}
}

func (e Engine) filledForReset(t *testing.T) (data.Database, *sql.DB) {
	d, db := e.base(t)
	run(t, db, "INSERT INTO customers (id, name) VALUES (1, 'Ada'), (2, 'Grace')",
		"INSERT INTO orders (id, customer_id) VALUES (10, 1), (11, 2), (12, 2)")
	return d, db
}
