package postgres

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// observation is the story so far. after is what there is now; nil where that is not known.
func (t *track) observation(after *catalogue, localStart time.Time) migration.Observation {
	o := migration.Observation{Engine: "postgres", Guessed: t.guessed, Prepared: t.prepared}
	t.attend(localStart)
	now := catalogue{}
	if after != nil {
		now = *after
		o.WAL = max(0, now.wal-t.before.wal)
	}
	locks, locked := t.onTables(now)
	t.locks = locks
	t.locks = t.longestLocks(observeBound)
	t.waits = t.longestWaits(observeBound)
	t.made = slices.DeleteFunc(t.made, t.chatter())
	t.made = t.longestStatements(observeBound)
	swapped := t.swapped(locks, now)
	index := map[*trackedStatement]int{nil: -1}
	for i, s := range t.made {
		index[s] = i
		o.Statements = append(o.Statements, s.statement())
	}
	at := func(s *trackedStatement) int {
		if i, ok := index[s]; ok {
			return i
		}
		return -1
	}
	for _, l := range t.locks {
		name, made := t.name(l.relation, now)
		lock := migration.Lock{Table: name, Mode: strings.TrimSuffix(l.mode, "Lock"), Asked: l.asked, From: l.from,
			Until: l.until, Statement: at(l.by), Early: l.early, Late: l.late, Made: made}
		if since, took := swapped[name]; made && took {
			lock.Made, lock.Unsure = l.asked < since, since < 0
		}
		o.Locks = append(o.Locks, lock)
	}
	slices.SortStableFunc(o.Locks, func(a, b migration.Lock) int { return cmp.Compare(a.From, b.From) })
	for _, w := range t.waits {
		name, _ := t.name(w.relation, now)
		o.Waits = append(o.Waits, migration.Wait{Query: cutText(w.query), Who: w.who, Table: name, Write: w.write, From: w.from, Until: w.until,
			Statement: at(w.behind)})
	}
	if after != nil {
		o.Tables = touched(t.before, now, locked)
	}
	o.Exact = t.held && t.open == 0 && !t.noTx && !t.back
	o.Omitted = t.omitted
	return o
}

func (s *trackedStatement) statement() migration.Statement {
	out := migration.Statement{SQL: cutText(s.sql), From: s.from, Took: s.until - s.from, Waited: min(s.waited, s.until-s.from)}
	if s.failed {
		out.Error = "it failed, and its transaction with it"
	}
	if s.told != nil {
		out.SQL, out.File, out.Error, out.Retries = cutText(s.told.SQL), s.told.File, s.told.Error, s.told.Retries
	}
	return out
}

// attend brings what the migrator told together with what was seen: a statement that was seen gets its file and its
// error, one that was too short to be seen is added.
func (t *track) attend(localStart time.Time) {
	for i := range t.told {
		told := &t.told[i]
		t.back = t.back || migration.GivesBack(told.SQL)
		from, within := t.here(told.Began.Sub(localStart))
		until := from + told.Ended.Sub(told.Began)
		s := t.seen(*told, from-within-slack, until+within+slack)
		if s == nil {
			s = &trackedStatement{sql: told.SQL, from: max(0, from), until: max(0, from, until), done: true}
			t.made = append(t.made, s)
		}
		s.told, s.order = told, t.tellings-len(t.told)+i+1
	}
	t.told = nil
	slices.SortStableFunc(t.made, func(a, b *trackedStatement) int { return cmp.Compare(a.from, b.from) })
	for _, l := range t.locks {
		if better := t.taker(l); better != nil {
			l.by = better
		}
	}
}

// slack is how far the migrator's and the server's times for the same statement may be apart where their clocks are not.
const slack = 20 * time.Millisecond

// seen is the statement that was told of as the server had it, at some time between the two; nil where it was not seen.
func (t *track) seen(told data.Told, from, until time.Duration) *trackedStatement {
	for _, s := range t.made {
		if s.told == nil && s.from <= until && s.until >= from && s.sql != "" && strings.HasPrefix(told.SQL, s.sql) {
			return s
		}
	}
	return nil
}

// taker is the statement that was told of and ran when a lock was first there, where looks did not see it: the last one that
// had begun.
func (t *track) taker(l *trackedLock) (by *trackedStatement) {
	if by := t.inOrder(l); by != nil {
		return by
	}
	if by := t.changer(l); by != nil {
		return by
	}
	if l.by != nil && l.by.told != nil {
		return nil
	}
	for _, s := range t.made {
		if s.told != nil && s.from <= l.asked+time.Millisecond {
			by = s
		}
	}
	return by
}

// inOrder is the statement that took a lock of which its session told first, by the order in which both were told: no clock
// can say it better. One that failed gave back what it took; rows are locked by one that changes some before one that adds some.
func (t *track) inOrder(l *trackedLock) (by *trackedStatement) {
	rank := func(s *trackedStatement) int {
		switch {
		case l.mode != "RowExclusiveLock":
			return 0
		case migration.ChangesRows(s.told.SQL):
			return 2
		case migration.WritesRows(s.told.SQL):
			return 1
		}
		return 0
	}
	for _, s := range t.made {
		if s.told == nil || s.told.Error != "" || s.order <= l.after || s.order > l.upTo {
			continue
		}
		if by == nil || cmp.Or(cmp.Compare(rank(s), rank(by)), cmp.Compare(s.order, by.order)) > 0 {
			by = s
		}
	}
	return by
}

// changer is a statement that was told of, writes rows, and ran while nobody looked, right before a lock was first there as it
// takes one: so that lock is not said to be of a later one that only found it. One that changes rows goes before one that
// adds some.
func (t *track) changer(l *trackedLock) (by *trackedStatement) {
	if l.mode != "RowExclusiveLock" || l.by != nil && migration.WritesRows(l.by.sql) && l.early == 0 {
		return nil
	}
	for _, s := range t.made {
		if s.told == nil || s.from > l.asked || s.until < l.asked-l.early-time.Millisecond {
			continue
		}
		if changes := migration.ChangesRows(s.told.SQL); changes || migration.WritesRows(s.told.SQL) && (by == nil || !migration.ChangesRows(by.told.SQL)) {
			by = s
		}
	}
	return by
}

// onTables has the locks with tables in the place of their indexes, one for each table, mode and transaction, and says
// which tables were locked. Locks on what came and went with the migration, and on indexes that it made, are nobody's
// business.
func (t *track) onTables(now catalogue) (out []*trackedLock, locked map[uint32]bool) {
	type key struct {
		lockKey
		xact int64
		by   *trackedStatement
	}
	locked = map[uint32]bool{}
	first := map[key]*trackedLock{}
	for _, l := range t.locks {
		table, index, known := t.table(l.relation, now)
		if !known || (index || t.sequence(table, now)) && !changesSchema(l.mode) {
			continue
		}
		locked[table] = true
		l := *l
		l.relation = table
		k := key{l.lockKey, l.xact.UnixMicro(), l.by}
		if f := first[k]; f != nil {
			f.join(l)
			continue
		}
		first[k] = &l
		out = append(out, &l)
	}
	return out, locked
}

// join makes a lock as long as it and another one are together.
func (l *trackedLock) join(other trackedLock) {
	earliest, latest := min(l.asked-l.early, other.asked-other.early), max(l.until+l.late, other.until+other.late)
	l.asked, l.from, l.until = min(l.asked, other.asked), min(l.from, other.from), max(l.until, other.until)
	l.early, l.late = l.asked-earliest, latest-l.until
}

// table is the table that a relation is, or belongs to, and whether it is an index or a TOAST table of one.
func (t *track) table(oid uint32, now catalogue) (table uint32, part, known bool) {
	if r, ok := t.before.relations[oid]; ok {
		return r.table, r.table != oid, true
	}
	if r, ok := now.relations[oid]; ok && r.table == oid {
		return oid, false, true
	}
	return 0, false, false
}

// name is a table's name, the one before the migration where it had one, and whether the migration made it.
func (t *track) name(oid uint32, now catalogue) (name string, made bool) {
	if r, ok := t.before.relations[oid]; ok {
		return t.before.relations[r.table].name, false
	}
	return now.relations[now.relations[oid].table].name, true
}

// swapped are the names that a table had before the migration and one that it made has now: from when on it had it, which
// is when that was locked that had it before. That is negative where it was not seen.
func (t *track) swapped(locks []*trackedLock, now catalogue) map[string]time.Duration {
	out := map[string]time.Duration{}
	had := map[string]uint32{}
	for oid, r := range t.before.relations {
		had[r.name] = oid
	}
	for oid, r := range now.relations {
		was, is := had[r.name]
		if _, before := t.before.relations[oid]; before || !is || !r.isTable() {
			continue
		}
		out[r.name] = -1
		for _, l := range locks {
			if l.relation == was && l.mode == "AccessExclusiveLock" {
				out[r.name] = l.asked
			}
		}
	}
	return out
}

func (t *track) sequence(oid uint32, now catalogue) bool {
	return t.before.relations[oid].kind == "S" || now.relations[oid].kind == "S"
}

// chatter says which statements are left out: those that only ask, or begin and end transactions, took no time and no lock.
func (t *track) chatter() func(*trackedStatement) bool {
	has := map[*trackedStatement]bool{}
	for _, l := range t.locks {
		has[l.by] = true
	}
	return func(s *trackedStatement) bool {
		if has[s] || s.told != nil || s.until-s.from >= 20*time.Millisecond {
			return false
		}
		verb, _, _ := strings.Cut(strings.TrimLeft(migration.Literals(s.sql), "( "), " ")
		switch strings.ToUpper(strings.TrimRight(verb, ";")) {
		case "", "SELECT", "SET", "SHOW", "RESET", "DISCARD", "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT",
			"RELEASE", "DEALLOCATE", "<INSUFFICIENT":
			return true
		}
		return false
	}
}

// maxText is how much of a statement is kept, bytes.
const maxText = 2 << 10

// cutText is the beginning of a text that ends with a whole letter.
func cutText(s string) string { return cutTextTo(s, maxText) }

func cutTextTo(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
