package migration

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"greenroom/internal/sqltext"
)

// Still is how long production would have stood still at a table: the longest stretch without a pause, which is what one
// request would have waited.
type Still struct {
	Table  string
	Reads  Stretch
	Writes Stretch
	Rows   Stretch // writes to the rows that the migration changed, and to no others
}

// Stretch is a time without a pause, as offsets. Statement is the one to blame: whose lock is the longest in it; -1.
type Stretch struct {
	From, Until time.Duration
	Statement   int
}

// Took is how long the stretch is.
func (s Stretch) Took() time.Duration { return s.Until - s.From }

// StoodStill is how long each table would have stood still, the worst first. The time that a lock was waited for counts as
// the time that it was held: whoever comes later stands behind it (an ALTER TABLE behind one idle transaction stops every
// query). A table that the migration made counts not at all, and neither does a migration tool's own table, which nobody
// else uses.
func StoodStill(o Observation) []Still { return stoodStill(o, false) }

// stoodStill takes locks of which nobody knows whether they are in somebody's way for such as are, or for such as are not.
func stoodStill(o Observation, unsure bool) []Still {
	type spans struct{ reads, writes, rows []Stretch }
	of := map[string]*spans{}
	for _, l := range o.Locks {
		if l.Made || l.Unsure && !unsure || bookkeeping(l.Table) {
			continue
		}
		s := of[l.Table]
		if s == nil {
			s = new(spans)
			of[l.Table] = s
		}
		whole := Stretch{l.Asked, l.Until, l.Statement}
		if StopsReads(l.Mode) {
			s.reads = append(s.reads, whole)
		}
		if StopsWrites(l.Mode) {
			s.writes = append(s.writes, whole)
		} else if holds, known := holdsRows(o, l); holds || unsure && !known {
			s.rows = append(s.rows, Stretch{l.From, l.Until, l.Statement})
		}
	}
	var out []Still
	for table, s := range of {
		still := Still{table, longest(s.reads), longest(s.writes), longest(s.rows)}
		if still.weight() > 0 {
			out = append(out, still)
		}
	}
	slices.SortFunc(out, func(a, b Still) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.Table, b.Table))
	})
	return out
}

func (s Still) weight() time.Duration {
	return 4*s.Reads.Took() + 2*s.Writes.Took() + s.Rows.Took()
}

// longest joins stretches that overlap or touch, and returns the longest. Where there is a pause, however short, between two
// transactions, the server lets those pass who stood behind the first.
func longest(spans []Stretch) Stretch {
	slices.SortFunc(spans, func(a, b Stretch) int { return cmp.Compare(a.From, b.From) })
	best, now := Stretch{Statement: -1}, Stretch{Statement: -1}
	var blame time.Duration
	for _, s := range spans {
		if now.Until == 0 || s.From > now.Until {
			now, blame = s, s.Took()
		} else {
			now.Until = max(now.Until, s.Until)
			if s.Took() > blame {
				now.Statement, blame = s.Statement, s.Took()
			}
		}
		if now.Took() > best.Took() {
			best = now
		}
	}
	return best
}

// holdsRows says whether a lock is of a statement that changes rows that are there: nobody else can change these until
// its transaction ends. Only new rows are in nobody's way. It is not known where the statement that took the lock was not
// seen: where there is none, where it writes no rows, or where the server cut it off.
func holdsRows(o Observation, l Lock) (holds, known bool) {
	if lockMode(l.Mode) != rowExclusive {
		return false, true
	}
	if l.Statement < 0 || l.Statement >= len(o.Statements) {
		return false, false
	}
	s := o.Statements[l.Statement]
	whole := len(s.SQL) < serverText || s.File != "" && len(s.SQL) < fileText
	holds = ChangesRows(s.SQL)
	return holds, holds || whole && WritesRows(s.SQL)
}

// changesRows is holdsRows where only what is known counts.
func changesRows(o Observation, l Lock) bool {
	holds, _ := holdsRows(o, l)
	return holds
}

// serverText is how much of a statement PostgreSQL shows as long as nobody sets it, fileText how much is kept of one that is
// known from its file; bytes. A few are cut off with half a letter.
const (
	serverText = 1023 - 3
	fileText   = 2<<10 - 3
)

// hasVerb says whether one of the words stands in a statement, or in the body of one that is done at once.
func hasVerb(sql string, verbs ...string) bool {
	for _, c := range statements(sql, sqltext.PostgreSQL) {
		for _, t := range c.toks {
			if slices.ContainsFunc(verbs, t.Is) {
				return true
			}
			if c.toks[0].Is("DO") && t.IsText() && hasVerb(t.Value(), verbs...) {
				return true
			}
		}
	}
	return false
}

// ChangesRows says whether a statement changes rows that are there, and not only adds some.
func ChangesRows(sql string) bool { return hasVerb(sql, "UPDATE", "DELETE", "MERGE") }

// WritesRows says whether a statement changes rows or adds some.
func WritesRows(sql string) bool { return ChangesRows(sql) || hasVerb(sql, "INSERT", "COPY") }

// GivesBack says whether a statement may give locks back before its transaction ends: it goes back to a savepoint, or goes
// on where something failed.
func GivesBack(sql string) bool { return hasVerb(sql, "SAVEPOINT", "ROLLBACK", "EXCEPTION") }

// bookkeeping says whether a table is one that a migration tool keeps its versions or its own lock in.
func bookkeeping(table string) bool {
	table = table[strings.LastIndexByte(table, '.')+1:]
	switch strings.TrimSuffix(table, "_id_seq") {
	case "goose_db_version", "schema_migrations", "schema_lock", "flyway_schema_history", "schema_version",
		"atlas_schema_revisions", "alembic_version", "django_migrations", "ar_internal_metadata", "_prisma_migrations",
		"knex_migrations", "knex_migrations_lock", "SequelizeMeta", "databasechangelog", "databasechangeloglock",
		"DATABASECHANGELOG", "DATABASECHANGELOGLOCK", "__EFMigrationsHistory", "doctrine_migration_versions",
		"__diesel_schema_migrations", "_sqlx_migrations", "gorp_migrations", "__drizzle_migrations", "pgmigrations":
		return true
	}
	return false
}
