package cli

import (
	"strings"
	"testing"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// migrationPages are reports of releases with migrations.
func migrationPages() map[string]func(term.Screen) string {
	at := func(width int, r evidence.Report, full bool) func(term.Screen) string {
		return func(s term.Screen) string {
			s.Live, s.Width = true, func() int { return width }
			return reportPage(s, r, full)
		}
	}
	bad, fine := fakeReport(broken.Digest), fakeReport(good.Digest)
	bad.Results = append([]evidence.Result{{Check: "migration", Verdict: evidence.Fail, Duration: 13_412 * time.Millisecond,
		Summary: "writes to orders would have stood still for 11 s, and 1 s is allowed", Migration: blockingMigration()}}, bad.Results...)
	fine.Results = append([]evidence.Result{{Check: "migration", Verdict: evidence.Pass, Duration: 2300 * time.Millisecond,
		Summary: "the schema changes", Migration: carefulMigration()}}, fine.Results...)
	given := fine // what the budget gives up is told all the same
	lost := *carefulMigration()
	lost.Lost = []migration.Loss{{Table: "customers", Column: "note", Rows: 38, Text: "the column note is gone, with 38 values"}}
	lost.Back = &migration.Back{Possible: true, Lost: []migration.Loss{{Table: "customers", Column: "note", Rows: 38, Text: "38 of 38 values of note are gone: null is there now"}}}
	given.Results = []evidence.Result{{Check: "migration", Verdict: evidence.Pass, Summary: "the schema changes", Migration: &lost}}
	many := bad
	many.Results = []evidence.Result{{Check: "migration", Verdict: evidence.Inconclusive, Migration: manyMigration()}}
	return map[string]func(term.Screen) string{
		"report-migration-80": at(80, bad, false), "report-migration-140": at(140, bad, false), "report-migration-pass": at(80, fine, false), "report-migration-given": at(80, given, false),
		"report-migration-full": at(100, fine, true), "report-migration-many": at(80, many, false),
	}
}

func blockingMigration() *migration.Report {
	const ms, mb = time.Millisecond, int64(1_000_000)
	o := migration.Observation{Engine: "postgres", Took: 13_400 * ms, WAL: 412 * mb, Samples: 2603, Gap: 11 * ms, Exact: true, Load: "journeys of 770e607624d6",
		Statements: []migration.Statement{
			{SQL: "ALTER TABLE orders\n  ALTER COLUMN id TYPE bigint\x1b[2J", From: 40 * ms, Took: 9_412 * ms, Waited: 1_100 * ms},
			{SQL: "CREATE INDEX orders_paid_at ON orders (paid_at)", From: 9_455 * ms, Took: 1_870 * ms},
			{SQL: "UPDATE customers SET phone = regexp_replace(phone, '[^0-9+]', '', 'g')", From: 11_328 * ms, Took: 1_940 * ms},
			{SQL: "CREATE TABLE \"Größe der Bestellung\" (id bigint)", From: 13_271 * ms, Took: 12 * ms}},
		Locks: []migration.Lock{
			{Table: "orders", Mode: "AccessExclusive", Asked: 41 * ms, From: 1_141 * ms, Until: 9_460 * ms},
			{Table: "orders", Mode: "Share", Asked: 9_450 * ms, From: 9_460 * ms, Until: 11_320 * ms, Statement: 1},
			{Table: "customers", Mode: "RowExclusive", Asked: 11_330 * ms, From: 11_330 * ms, Until: 13_270 * ms, Statement: 2},
			{Table: "Größe der Bestellung", Mode: "AccessExclusive", Asked: 13_275 * ms, From: 13_275 * ms, Until: 13_400 * ms, Statement: 3, Made: true}},
		Waits: []migration.Wait{
			{Query: "INSERT INTO orders (customer_id, total) VALUES ($1, $2)", Who: "shop web", Table: "orders", Write: true, From: 120 * ms, Until: 9_462 * ms},
			{Query: "SELECT id, total FROM orders WHERE customer_id = $1", Who: "shop web", Table: "orders", From: 300 * ms, Until: 9_462 * ms}},
		Tables: []migration.Table{
			{Name: "customers", Rows: 300_000, BytesBefore: 69 * mb, BytesAfter: 100 * mb}, {Name: "order_notes", Dropped: true, Rows: 38, BytesBefore: 32_768},
			{Name: "orders", Rows: 1_204_338, Rewritten: true, BytesBefore: 212 * mb, BytesAfter: 231 * mb, IndexBefore: 96 * mb, IndexAfter: 141 * mb},
			{Name: "Größe der Bestellung", Made: true}}}
	return &migration.Report{Observation: o, Data: "a masked copy of production of 2026-11-26, 1.2 GB",
		Findings: []migration.Finding{
			{Verdict: "fail", Text: "writes to orders would have stood still for 11 s, and 1 s is allowed; one session was seen to wait", Took: 11_279 * ms, Budget: time.Second},
			{Verdict: "fail", Text: "order_notes: the table is gone, with 38 rows, and none may be", Statement: -1}},
		Advice: []migration.Advice{{Statement: 1, Why: "an index that is made CONCURRENTLY lets people write meanwhile", Instead: "CREATE INDEX CONCURRENTLY orders_paid_at\n  ON orders (paid_at)"}},
		Lost:   []migration.Loss{{Table: "order_notes", Rows: 38, Text: "the table is gone, with 38 rows"}},
		Changed: []migration.Loss{{Table: "customers", Column: "phone", Rows: 1204, Text: "1,204 of 300,000 values are others"},
			{Table: "customers", Column: "updated", Rows: 1204, Text: "1,204 of 300,000 values are others"}},
		Back: &migration.Back{Possible: true, How: "the old release lives on the new schema", Until: "until the first refund is written", Lost: []migration.Loss{{Table: "refunds", Rows: 3, Text: "3 rows"}}},
		Forecast: &migration.Forecast{Low: 84 * time.Second, High: 190 * time.Second, BlockedReads: 131 * time.Second, BlockedWrites: 131 * time.Second, Disk: 6_300 * mb,
			Why: "orders has 12,000,000 rows there and 1,204,338 here", Actual: 97 * time.Second}}
}

func carefulMigration() *migration.Report {
	const ms, mb = time.Millisecond, int64(1_000_000)
	o := migration.Observation{Engine: "postgres", Took: 2_300 * ms, Samples: 460, Gap: 6 * ms, Exact: true,
		Statements: []migration.Statement{{SQL: "CREATE INDEX CONCURRENTLY orders_note ON orders (note)", From: 20 * ms, Took: 2_270 * ms}},
		Locks:      []migration.Lock{{Table: "orders", Mode: "ShareUpdateExclusive", Asked: 20 * ms, From: 20 * ms, Until: 2_290 * ms}},
		Tables:     []migration.Table{{Name: "orders", Rows: -1, BytesBefore: 52 * mb, BytesAfter: 52 * mb}}}
	return &migration.Report{Observation: o, Findings: []migration.Finding{{Verdict: "pass", Text: "nobody would have stood still", Statement: -1}},
		Back:     &migration.Back{How: "restore", Until: "until the migration begins"},
		Forecast: &migration.Forecast{Low: 20 * time.Second, High: 20 * time.Second}}
}

func manyMigration() *migration.Report {
	m := &migration.Report{Observation: migration.Observation{Took: 300 * time.Second, Samples: 9, Load: "journeys"}}
	o := &m.Observation
	for i := range 300 {
		from := time.Duration(i) * time.Second
		table := release.Of([]byte{byte(i), byte(i >> 8)}).Short()
		o.Statements = append(o.Statements, migration.Statement{SQL: "ALTER TABLE t_" + table + " ADD COLUMN a_very_long_name_for_a_column text", From: from, Took: time.Duration(i+1) * time.Millisecond})
		o.Locks = append(o.Locks, migration.Lock{Table: "t_" + table, Mode: "AccessExclusive", Asked: from, From: from, Until: from + time.Duration(i+1)*time.Millisecond, Statement: i})
		o.Waits = append(o.Waits, migration.Wait{Query: "SELECT 1 FROM t_" + table, Table: "t_" + table, From: from, Until: from + time.Duration(i+1)*time.Millisecond})
		o.Tables = append(o.Tables, migration.Table{Name: "t_" + table, Rows: int64(i)})
		m.Findings = append(m.Findings, migration.Finding{Verdict: "inconclusive", Text: "reads of t_" + table + " could not be looked at", Statement: i})
		m.Advice = append(m.Advice, migration.Advice{Statement: i, Why: "this is why", Instead: "do that"})
		m.Lost = append(m.Lost, migration.Loss{Table: "t_" + table, Text: "1 of 2 rows is gone"})
	}
	return m
}

// TestReportFits demands that no line of a report is wider than the terminal, but for what a check said in one line.
func TestReportFits(t *testing.T) {
	for name, m := range map[string]*migration.Report{"blocking": blockingMigration(), "careful": carefulMigration(), "many": manyMigration(), "nothing": {}} {
		for _, width := range []int{60, 80, 100, 140, 300} {
			s := term.Screen{Live: true, Width: func() int { return width }}
			for line := range strings.Lines(migrationPart(s, evidence.Result{Verdict: evidence.Fail, Migration: m}, false)) {
				if term.Width(strings.TrimRight(line, "\n")) > width {
					t.Errorf("%s at %d: a line is %d wide: %q", name, width, term.Width(strings.TrimRight(line, "\n")), line)
				}
			}
		}
	}
}
