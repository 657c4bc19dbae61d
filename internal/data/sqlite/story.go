package sqlite

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/proc"
)

// Modes of locks, by PostgreSQL's names for what they stop: whoever writes; whoever reads, too.
const (
	stopsWriters = "Exclusive"
	stopsReaders = "AccessExclusive"
)

// story is what was seen so far. It is not safe for several goroutines.
type story struct {
	migrator   string
	bystanders map[int]bool // pids that were there before, and are not the migrator's unless they are marked
	known      map[int]bool // whether a pid is the migrator's
	started    time.Time
	looked     time.Time // before the last look, and
	before     time.Time // before the one before
	samples    int
	gap        time.Duration
	log        int64 // bytes of write-ahead log and journal, at the last look
	written    int64

	open       map[string]opened // by mode
	locks      []migration.Lock
	owned      []migration.Lock
	running    int // migrators of ours
	exact      bool
	loose      bool // something ran outside a transaction
	statements []migration.Statement
	omitted    int
}

func newStory(migrator string) *story {
	return &story{migrator: migrator, known: map[int]bool{}, open: map[string]opened{}}
}

// see takes the result of a look that was begun when it is said and was over now.
func (s *story) see(begun, now time.Time, held []hold, log int64) {
	s.before, s.looked = s.looked, begun
	s.gap = max(s.gap, now.Sub(s.before))
	s.samples++
	if log > s.log { // it shrinks when it is played into the database
		s.written += log - s.log
	}
	s.log = log
	var reads, writes bool
	for _, h := range held {
		if s.isMigrator(h.pid) {
			reads, writes = reads || h.reads, writes || h.writes
		}
	}
	s.turn(now, stopsWriters, writes)
	s.turn(now, stopsReaders, reads)
}

// opened is when a lock was first seen, and when last it was not.
type opened struct{ since, earliest time.Time }

// turn begins or ends a lock. It lasts from the first look that saw it to the first that did not.
func (s *story) turn(now time.Time, mode string, held bool) {
	o, was := s.open[mode]
	switch {
	case held && !was:
		s.open[mode] = opened{now, s.before}
	case !held && was:
		delete(s.open, mode)
		l := s.lock(mode, o.since, now)
		l.Early = l.Asked - s.at(o.earliest)
		s.keep(&s.locks, l)
	}
}

func (s *story) lock(mode string, from, until time.Time) migration.Lock {
	return migration.Lock{Mode: mode, Asked: s.at(from), From: s.at(from), Until: s.at(until), Statement: -1}
}

func (s *story) at(t time.Time) time.Duration { return max(0, t.Sub(s.started)) }

// keep takes a lock in; where there are too many the shortest goes.
func (s *story) keep(in *[]migration.Lock, l migration.Lock) {
	*in = append(*in, l)
	if len(*in) <= entriesKept/2 { // of those that were seen, and of those that were told
		return
	}
	s.omitted++
	shortest := 0
	for i, l := range *in {
		if l.Until-l.From < (*in)[shortest].Until-(*in)[shortest].From {
			shortest = i
		}
	}
	*in = slices.Delete(*in, shortest, shortest+1)
}

// isMigrator says whether a process counts as the migrator. An unknown one does, and this one while it runs migrations.
func (s *story) isMigrator(pid int) bool {
	if pid == os.Getpid() {
		return s.running > 0
	}
	yes, ok := s.known[pid]
	if !ok {
		yes = !s.bystanders[pid] || s.migrator != "" && marked(pid, s.migrator)
		s.known[pid] = yes
	}
	return yes
}

// marked says whether a process was started with the migrator's name.
func marked(pid int, name string) bool {
	all, err := proc.Marked("PGAPPNAME=" + name)
	return err != nil || slices.ContainsFunc(all, func(id proc.Identity) bool { return id.PID == pid })
}

func (s *story) tell(t data.Told) {
	if len(s.statements) >= entriesKept {
		s.omitted++
		return
	}
	const most = 2 << 10
	text := t.SQL
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	s.statements = append(s.statements, migration.Statement{
		SQL: text, File: t.File, From: s.at(t.Began), Took: t.Ended.Sub(t.Began), Error: t.Error, Retries: t.Retries,
	})
}

// own takes a lock of ours. Outside a transaction nobody knows when it ends before it has.
func (s *story) own(from, until time.Time, transaction bool) {
	s.exact = true
	s.loose = s.loose || !transaction
	s.keep(&s.owned, s.lock(stopsWriters, from, until))
}

func (s *story) moment(now time.Time) migration.Moment {
	var m migration.Moment
	for _, o := range s.open {
		m.Since = max(m.Since, now.Sub(o.since))
	}
	return m
}

// observation is what was seen, at the end.
func (s *story) observation(ended time.Time) migration.Observation {
	for mode := range s.open {
		s.turn(ended, mode, false)
	}
	locks := slices.Clone(s.owned)
	for _, l := range s.locks { // what was seen of ours was told better
		if !slices.ContainsFunc(s.owned, func(o migration.Lock) bool {
			return o.Mode == l.Mode && o.From <= l.Until && l.From <= o.Until
		}) {
			locks = append(locks, l)
		}
	}
	slices.SortStableFunc(locks, func(a, b migration.Lock) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Mode, b.Mode)) })
	for i := range locks {
		locks[i].Statement = s.behind(locks[i])
	}
	return migration.Observation{
		Engine: engineName, Started: s.started, Took: ended.Sub(s.started), Statements: s.statements, Locks: locks,
		WAL: s.written, Samples: s.samples, Gap: s.gap, Exact: s.exact && !s.loose, Omitted: s.omitted,
	}
}

// behind is the statement that ran when a lock was first seen, or the first one under it.
func (s *story) behind(l migration.Lock) int {
	return slices.IndexFunc(s.statements, func(st migration.Statement) bool {
		return st.From <= l.Until && st.From+st.Took >= l.From
	})
}

// touched compares tables, by name.
func touched(before, after *structure) (all []migration.Table) {
	was, is := before.byName(), after.byName()
	for name, b := range was {
		a := is[name]
		if a == nil {
			all = append(all, migration.Table{Name: name, Dropped: true, Rows: b.rows, BytesBefore: b.own, IndexBefore: b.bytes - b.own})
			continue
		}
		if b.rows == a.rows && b.own == a.own && b.bytes == a.bytes && b.root == a.root && b.sql == a.sql {
			continue
		}
		all = append(all, migration.Table{
			Name: name, Rewritten: b.root != a.root || lost(b, a), Rows: a.rows,
			BytesBefore: b.own, BytesAfter: a.own, IndexBefore: b.bytes - b.own, IndexAfter: a.bytes - a.own,
		})
	}
	for name, a := range is {
		if was[name] == nil {
			all = append(all, migration.Table{Name: name, Made: true, Rows: a.rows, BytesAfter: a.own, IndexAfter: a.bytes - a.own})
		}
	}
	slices.SortFunc(all, func(a, b migration.Table) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// lost says whether a stored column is gone: SQLite writes every row again to drop one, in the same place.
func lost(before, after *table) bool {
	return slices.ContainsFunc(before.stored(), func(c column) bool { return after.index(c.name) < 0 }) &&
		len(after.stored()) < len(before.stored())
}

func (s *structure) byName() map[string]*table {
	all := map[string]*table{}
	for _, t := range s.tables {
		all[t.name] = t
	}
	return all
}

// blockers are the processes that hold the database against writers, other than this one.
func blockers(l looker) (all []migration.Blocker, err error) {
	held, err := l.look()
	for _, h := range held {
		if h.pid != os.Getpid() {
			all = append(all, migration.Blocker{PID: h.pid, Who: processName(h.pid), State: "holds the write lock"})
		}
	}
	return all, err
}
