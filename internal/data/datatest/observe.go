package datatest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// Watched is an engine whose migrations can be watched.
type Watched struct {
	Fresh   func(t *testing.T) data.Database            // a new, empty database, gone with the test; it is a data.Watcher
	Connect func(t testing.TB, d data.Database) *sql.DB // as an application does
	// Migrate runs statements on one connection of its own as a migrator with this application name does.
	Migrate func(t testing.TB, d data.Database, app string, statements ...string)
	Base    []string // makes the table orders (id, total), with so many rows that Change takes long enough to be seen
	Change  []string // changes orders so that nobody can write to it meanwhile
	Table   string   // what Lock.Table is then: orders, or "" where an engine locks the whole database
}

const watchedApp = "greenroom-watched"

// RunWatched runs the suite of data.Watcher.
func RunWatched(t *testing.T, e Watched) {
	t.Run("Change", e.change)
	t.Run("Nothing", e.nothing)
	t.Run("Twice", e.twice)
}

func (e Watched) begin(t *testing.T, ctx context.Context, d data.Database) data.Watch {
	t.Helper()
	w, ok := d.(data.Watcher)
	if !ok {
		t.Fatalf("%T can't be watched", d)
	}
	watch, err := w.Watch(ctx, data.WatchOptions{Migrator: watchedApp, Load: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

func (e Watched) end(t *testing.T, w data.Watch) migration.Observation {
	t.Helper()
	o, err := w.End(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := Sound(o); err != nil {
		t.Errorf("%v: %+v", err, o)
	}
	if o.Load != "nobody" || o.Samples < 2 || o.Started.IsZero() || o.Took <= 0 {
		t.Errorf("%+v", o)
	}
	return o
}

// change is watched from before its beginning to after its end, by a watch whose own context is over long before that.
func (e Watched) change(t *testing.T) {
	d := e.Fresh(t)
	run(t, e.Connect(t, d), e.Base...)
	ctx, cancel := context.WithCancel(context.Background())
	w := e.begin(t, ctx, d)
	cancel()
	e.Migrate(t, d, watchedApp, e.Change...)
	o := e.end(t, w)
	stops := slices.IndexFunc(o.Locks, func(l migration.Lock) bool {
		return l.Table == e.Table && migration.StopsWrites(l.Mode) && l.Until > l.From && !l.Made
	})
	if stops < 0 {
		t.Errorf("nobody was kept from writing: %+v", o.Locks)
	}
	if o.WAL <= 0 {
		t.Errorf("nothing was written: %+v", o)
	}
	if s := migration.StoodStill(o); len(s) != 1 || s[0].Table != e.Table || s[0].Writes.Took() <= 0 {
		t.Errorf("stood still: %+v", s)
	}
	strict := migration.Budget{BlockedReads: 1, BlockedWrites: 1}
	if v := migration.Verdict(migration.Judge(o, strict)); v != "fail" {
		t.Errorf("who allows nothing was told %s", v)
	}
}

// nothing is what is seen where the application works and no migration runs.
func (e Watched) nothing(t *testing.T) {
	d := e.Fresh(t)
	db := e.Connect(t, d)
	run(t, db, e.Base...)
	w := e.begin(t, bounded(t), d)
	run(t, db, "UPDATE orders SET total = total + 1 WHERE id = 1")
	o := e.end(t, w)
	if len(o.Locks) != 0 || len(o.Waits) != 0 || len(o.Statements) != 0 {
		t.Errorf("%+v", o)
	}
}

// twice watches one database with two watches, which see the same.
func (e Watched) twice(t *testing.T) {
	d := e.Fresh(t)
	run(t, e.Connect(t, d), e.Base...)
	first, second := e.begin(t, bounded(t), d), e.begin(t, bounded(t), d)
	e.Migrate(t, d, watchedApp, e.Change...)
	a, b := e.end(t, first), e.end(t, second)
	if len(migration.StoodStill(a)) != 1 || len(migration.StoodStill(b)) != 1 {
		t.Errorf("%+v and %+v", a.Locks, b.Locks)
	}
}

// Sound says what in an observation contradicts migration.Observation's contract.
func Sound(o migration.Observation) error {
	const most = 500
	index := func(i int) bool { return i >= -1 && i < len(o.Statements) }
	for _, n := range []int{len(o.Statements), len(o.Locks), len(o.Waits)} {
		if n > most {
			return fmt.Errorf("%d entries", n)
		}
	}
	for _, s := range o.Statements {
		if s.From < 0 || s.Took < 0 || s.Waited < 0 || s.Waited > s.Took || s.From+s.Took > o.Took+time.Second || len(s.SQL) > 2048 {
			return fmt.Errorf("statement %+v", s)
		}
	}
	for _, l := range o.Locks {
		if l.Asked < 0 || l.From < l.Asked || l.Until < l.From || l.Until > o.Took+time.Second || !index(l.Statement) || l.Mode == "" {
			return fmt.Errorf("lock %+v", l)
		}
	}
	for _, w := range o.Waits {
		if w.From < 0 || w.Until < w.From || !index(w.Statement) || len(w.Query) > 2048 {
			return fmt.Errorf("wait %+v", w)
		}
	}
	sorted := slices.IsSortedFunc(o.Statements, func(a, b migration.Statement) int { return int(a.From - b.From) }) &&
		slices.IsSortedFunc(o.Locks, func(a, b migration.Lock) int { return int(a.From - b.From) }) &&
		slices.IsSortedFunc(o.Waits, func(a, b migration.Wait) int { return int(a.From - b.From) }) &&
		slices.IsSortedFunc(o.Tables, func(a, b migration.Table) int {
			if a.Name < b.Name {
				return -1
			}
			return 1
		})
	if !sorted {
		return fmt.Errorf("something is not sorted")
	}
	return nil
}
