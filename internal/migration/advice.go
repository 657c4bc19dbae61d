package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Advise says how what a migration did could be done with less in anybody's way: statement by statement, with the statements
// to write in its place. What it does to its own tables is left alone. The advice follows PostgreSQL's documentation of ALTER
// TABLE (its notes on NOT VALID, USING INDEX and rewrites), CREATE INDEX and REINDEX; of SQLite's statements only those
// that a release before can't live with are advised on.
func Advise(o Observation) []Advice {
	a := &adviser{o: o}
	for _, t := range o.Tables {
		if t.Made {
			a.made = append(a.made, t.Name)
		}
	}
	for i, s := range o.Statements {
		a.index, a.took = i, s.Took
		parts := statements(s.SQL, o.dialect())
		for n, c := range parts {
			a.c = c
			a.cut = n == len(parts)-1 && cutOff(s.SQL)
			a.many = len(parts) > 1
			a.statement()
		}
	}
	a.transaction()
	a.patience()
	return a.out
}

// cutOff says whether a text is probably the beginning of one: the server keeps 1,023 bytes of a statement unless
// track_activity_query_size says otherwise, and we keep 2 KiB.
func cutOff(sql string) bool { return len(sql) == 1023 || len(sql) >= 2047 }

// adviser looks at one statement after the other.
type adviser struct {
	o         Observation
	made      []string // tables that the migration made
	validated []string // tables of which it validated a constraint
	out       []Advice

	index int
	took  time.Duration
	c     *cursor
	cut   bool // the statement's end is missing
	many  bool // it was sent with others
}

// say gives advice on the statement. Where its end is missing, what would be written in its place is not told.
func (a *adviser) say(why string, instead ...string) {
	text := strings.Join(instead, "\n")
	if a.cut {
		text = "the statement is too long to be written out here"
	}
	a.out = append(a.out, Advice{Statement: a.index, Why: why, Instead: text})
}

// table reads the name of a table that is neither the migration's own nor its tool's.
func (a *adviser) table() (o object, ok bool) {
	a.c.word("ONLY")
	o, ok = a.c.object()
	return o, ok && !a.mine(o)
}

func (a *adviser) mine(o object) bool { return slices.Contains(a.made, o.name) || bookkeeping(o.name) }

func (a *adviser) statement() {
	c := a.c
	old := c.word("DROP", "TABLE") || c.word("DROP", "VIEW")
	switch {
	case old:
		a.dropTable()
	case c.word("ALTER", "TABLE"):
		a.alterTable()
	case a.o.Engine == "sqlite":
	case c.word("CREATE", "INDEX"), c.word("CREATE", "UNIQUE", "INDEX"):
		a.createIndex()
	case c.word("DROP", "INDEX"):
		a.dropIndex()
	case c.word("REINDEX"):
		a.reindex()
	case c.word("REFRESH", "MATERIALIZED", "VIEW"):
		a.refresh()
	case c.word("VACUUM"):
		a.vacuum()
	case c.word("CLUSTER"):
		a.say("CLUSTER writes the table anew, and nobody reads or writes it meanwhile", "leave it out, or have pg_repack do it beside the table's use")
	case c.word("LOCK"):
		a.lockTable()
	case c.word("ALTER", "TYPE"):
		a.alterType()
	case c.word("UPDATE"):
		a.update()
	case c.word("DELETE", "FROM"):
		a.delete()
	}
}

func (a *adviser) dropTable() {
	a.c.word("IF", "EXISTS")
	o, ok := a.table()
	if !ok {
		return
	}
	a.say("the release that is live uses "+o.text+" until the new one has taken over, and a rollback needs it again",
		"let a release go live that does not use it any more, and drop it in the release after that")
}

func (a *adviser) createIndex() {
	c := a.c
	at := c.at
	if c.word("CONCURRENTLY") {
		return
	}
	on := c.find("ON")
	if on < 0 {
		return
	}
	c.at = on + 1
	o, ok := a.table()
	if !ok {
		return
	}
	a.say("nobody writes to "+o.text+" while the index is built",
		outside, c.text(0, at)+" CONCURRENTLY "+c.text(at, len(c.toks))+";", "-- should it fail, an invalid index stays: drop it before it is tried again")
}

// outside is what stands before statements that can't be in a transaction.
const outside = "-- in a migration of its own, outside a transaction:"

func (a *adviser) dropIndex() {
	c := a.c
	if c.word("CONCURRENTLY") {
		return
	}
	exists := ""
	if c.word("IF", "EXISTS") {
		exists = "IF EXISTS "
	}
	if c.has("CASCADE") {
		return // it takes a constraint along, which is another matter
	}
	lines := []string{outside}
	for _, item := range c.list() {
		if o, ok := item.object(); ok {
			lines = append(lines, "DROP INDEX CONCURRENTLY "+exists+o.text+";")
		}
	}
	if len(lines) > 1 {
		a.say("nobody reads or writes its table while the index is dropped, nor while that waits for those who do", lines...)
	}
}

func (a *adviser) reindex() {
	c := a.c
	if c.peek().Is("(") {
		if end := c.find(")"); end >= 0 {
			c.at = end + 1
		}
	}
	kind := c.peek()
	if kind.Is("SYSTEM") || !c.word("INDEX") && !c.word("TABLE") && !c.word("SCHEMA") && !c.word("DATABASE") {
		return
	}
	at := c.at
	if c.word("CONCURRENTLY") || strings.Contains(strings.ToUpper(c.text(0, at)), "CONCURRENTLY") {
		return
	}
	a.say("nobody writes to the table while its indexes are built anew, and nobody reads with them",
		outside, c.text(0, at)+" CONCURRENTLY "+c.rest()+";")
}

func (a *adviser) refresh() {
	c := a.c
	if c.word("CONCURRENTLY") || c.has("WITH", "NO", "DATA") {
		return
	}
	if o, ok := a.table(); ok {
		a.say("nobody reads "+o.text+" while it is filled", "-- it needs a unique index over all its rows:", "REFRESH MATERIALIZED VIEW CONCURRENTLY "+o.text+";")
	}
}

func (a *adviser) vacuum() {
	c := a.c
	full := c.word("FULL")
	if c.peek().Is("(") {
		end := c.find(")")
		for i := c.at; i < end; i++ {
			full = full || c.toks[i].Is("FULL")
		}
		c.at = max(c.at, end+1)
	}
	if !full {
		return
	}
	for c.word("FREEZE") || c.word("VERBOSE") || c.word("ANALYZE") {
		continue
	}
	table, _ := c.object()
	a.say("VACUUM FULL writes the table anew, and nobody reads or writes it meanwhile",
		outside, strings.TrimSpace("VACUUM "+table.text)+"; -- gives room to new rows; pg_repack makes the file smaller beside its use")
}

func (a *adviser) lockTable() {
	c := a.c
	c.word("TABLE")
	o, ok := a.table()
	if !ok {
		return
	}
	if at := c.find("IN"); at >= 0 {
		mode := ""
		for _, t := range c.toks[at+1:] {
			if !t.Is("MODE") && !t.Is("NOWAIT") {
				mode += strings.ToUpper(t.Text[:1]) + strings.ToLower(t.Text[1:])
			}
		}
		if lockMode(mode) != 0 && !StopsWrites(mode) {
			return
		}
	}
	a.say("the lock on "+o.text+" is held until the transaction ends, whatever comes in it",
		"leave it out: each statement takes the lock that it needs. Where two migrators are to be kept apart, pg_advisory_xact_lock is in nobody else's way")
}

func (a *adviser) alterType() {
	c := a.c
	o, ok := c.object()
	if ok && c.word("ADD", "VALUE") && a.many {
		a.say("a new value of "+o.text+" can't be used before the transaction that adds it has ended", "-- in a migration of its own:", c.whole()+";")
	}
}

// transaction advises where one table's lock was held while something else was done.
func (a *adviser) transaction() {
	if a.o.Engine == "sqlite" {
		return
	}
	var worst Lock
	var idle time.Duration
	for _, l := range a.o.Locks {
		if l.Made || bookkeeping(l.Table) || !StopsWrites(l.Mode) || l.Statement < 0 || l.Statement >= len(a.o.Statements) {
			continue
		}
		s := a.o.Statements[l.Statement]
		if past := l.Until - max(l.From, s.From+s.Took); past > idle {
			worst, idle = l, past
		}
	}
	if idle < 50*time.Millisecond {
		return
	}
	a.out = append(a.out, Advice{Statement: -1,
		Why:     fmt.Sprintf("the lock on %s was held for %s after the statement that needed it, until its transaction ended", worst.Table, Human(idle)),
		Instead: "put what takes long and needs no such lock into a transaction of its own, or before that statement"})
}

// patience advises a time-out on locks to a migrator that is not ours: ours has one.
func (a *adviser) patience() {
	if a.o.Engine == "sqlite" || a.o.Exact {
		return
	}
	for _, s := range a.o.Statements {
		if s.File != "" || strings.Contains(strings.ToLower(s.SQL), "lock_timeout") {
			return
		}
	}
	for _, l := range a.o.Locks {
		if l.Made || bookkeeping(l.Table) || !StopsWrites(l.Mode) {
			continue
		}
		a.out = append(a.out, Advice{Statement: -1,
			Why:     "the migration waits for a lock as long as it takes, and whoever comes later waits behind it: one idle transaction stops every query",
			Instead: "SET lock_timeout = '250ms';\n-- and try again when that has run out"})
		return
	}
}
