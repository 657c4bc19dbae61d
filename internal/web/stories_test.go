package web

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// stories are reports as they come, and as they hardly ever come: what a page has to look well with.
func stories() map[string]evidence.Report {
	return map[string]evidence.Report{
		"pass": passing(), "fail": failing(), "inconclusive": undecided(), "no-migration": quiet(), "first": firstRelease(),
		"hostile": hostile(), "many": many(), "sqlite": sqlite(), "nothing": report(evidence.Inconclusive), "fact": afterwards(),
		"mask": unmasked(),
	}
}

// passing is a migration written with care.
func passing() evidence.Report {
	o := migration.Observation{Engine: "postgres", Started: began, Took: 2_300 * ms, WAL: 31 * mb, Samples: 460, Gap: 6 * ms, Exact: true,
		Load: "journeys of " + old.Short(),
		Statements: []migration.Statement{
			{SQL: "ALTER TABLE orders ADD COLUMN note text", File: "migrations/0043_note.sql", From: 12 * ms, Took: 3 * ms, Retries: 1},
			{SQL: "CREATE INDEX CONCURRENTLY orders_note ON orders (note)", From: 20 * ms, Took: 2_270 * ms}},
		Locks: []migration.Lock{
			{Table: "orders", Mode: "AccessExclusive", Asked: 12 * ms, From: 13 * ms, Until: 16 * ms, Statement: 0},
			{Table: "orders", Mode: "ShareUpdateExclusive", Asked: 20 * ms, From: 20 * ms, Until: 2_290 * ms, Statement: 1}},
		Tables: []migration.Table{{Name: "orders", Rows: 300_000, BytesBefore: 52 * mb, BytesAfter: 52 * mb, IndexBefore: 20 * mb, IndexAfter: 27 * mb}}}
	yes := true
	r := report(evidence.Pass, result("migration", evidence.Pass, "the schema changes", 2_300*ms),
		result("old-on-new", evidence.Pass, "browse, buy of "+old.Short()+" passed", 2_100*ms), result("start", evidence.Pass, "healthy in 390 ms", 390*ms),
		result("buy", evidence.Pass, "3 tests passed", 480*ms), result("rollback", evidence.Pass, "one can go back", 2*time.Second))
	r.Results[0].Migration = judged(migration.Report{Observation: o, Data: "a masked copy of production of 2026-11-26, 120 MB",
		Back:     &migration.Back{Possible: true, How: "the old release lives on the new schema", Until: "always", Up: true},
		Forecast: &migration.Forecast{Low: 18 * time.Second, High: 31 * time.Second, BlockedReads: 4 * ms, BlockedWrites: 4 * ms, Disk: 310 * mb, Why: "orders has 3,000,000 rows there and 300,000 here"}})
	r.Results[4].GoBack = &yes
	return r
}

// unmasked is a release after which the next copy stops.
func unmasked() evidence.Report {
	r := passing()
	r.Mask = &mask.Outlook{File: "mask.yaml", From: "production",
		Missing: []mask.Remark{{Table: "orders", Column: "note", What: "no rule names this column"}},
		Wrong:   []mask.Remark{{Table: "orders", Column: "zip", What: "text is not for numbers (integer); this column can have keep, number"}},
		Unused:  []mask.Remark{{Table: "order_notes", What: "a rule names this table, and there is none"}},
		Add:     []string{"tables:", "  orders:", "    note: text                          # a text that may hold anything; please judge"}}
	return r
}

// afterwards is a report that is looked at when production has been migrated.
func afterwards() evidence.Report {
	r := passing()
	r.Results[0].Migration.Budget.Duration = time.Minute
	r.Results[0].Migration.Forecast.Actual = 27 * time.Second
	return r
}

func undecided() evidence.Report {
	o := migration.Observation{Engine: "postgres", Started: began, Took: 400 * ms, Samples: 3, Gap: 310 * ms}
	r := report(evidence.Inconclusive, result("migration", evidence.Inconclusive, "", 400*ms), result("buy", evidence.Inconclusive, "", 30*time.Second),
		result("smoke", evidence.Pass, "exit code 0", 15*ms))
	r.Results[0].Migration = judged(migration.Report{Observation: o, Data: "the seed"})
	return r
}

func quiet() evidence.Report {
	return report(evidence.Pass, result("smoke", evidence.Pass, "exit code 0", 15*ms))
}

func firstRelease() evidence.Report {
	r := quiet()
	r.Old = ""
	r.Notes = []string{"nothing to compare with: production is empty", "not isolated: what runs on the stage can reach the network"}
	return r
}

// sqlite locks the whole database, which has no name.
func sqlite() evidence.Report {
	o := migration.Observation{Engine: "sqlite", Started: began, Took: 3_100 * ms, Samples: 610, Gap: 7 * ms, Exact: true, Load: "journeys of " + old.Short(),
		Statements: []migration.Statement{{SQL: "UPDATE notes SET body = trim(body)", From: 2 * ms, Took: 3_050 * ms}},
		Locks:      []migration.Lock{{Table: "", Mode: "Exclusive", Asked: 2 * ms, From: 2 * ms, Until: 3_090 * ms, Statement: 0}},
		Waits:      []migration.Wait{{Query: "INSERT INTO notes VALUES (?, ?)", Who: "web", Write: true, From: 40 * ms, Until: 3_091 * ms, Statement: 0}},
		Tables:     []migration.Table{{Name: "notes", Rows: -1, BytesBefore: 31 * mb, BytesAfter: 30 * mb}}}
	m := judged(migration.Report{Observation: o, Data: "the seed",
		Back: &migration.Back{How: "restore", Until: "until the migration begins", Lost: []migration.Loss{{Table: "notes", Rows: 2, Text: "2 rows"}}}})
	r := report(evidence.Fail, result("migration", evidence.Fail, "writes would have stood still", 3_100*ms))
	r.Results[0].Migration = m
	return r
}

// markup is what must never be any. It has what ends an attribute, a comment, a style and a script, what turns text round,
// and what is no text.
const markup = `"'></style></title></script><script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">--><!--{{.}}` +
	"\u202e\x00\x1b[31m\xff&lt;https://evil.example/x.js"

func hostile() evidence.Report {
	o := migration.Observation{Engine: markup, Started: began, Took: time.Second, Samples: 10, Gap: time.Millisecond, Load: markup,
		Statements: []migration.Statement{{SQL: markup, File: markup, Took: time.Second, Error: markup, Waited: ms, Retries: 2}, {SQL: strings.Repeat("x", 2048), From: -time.Hour, Took: -1}},
		Locks: []migration.Lock{{Table: markup, Mode: "AccessExclusive", Until: time.Second, Statement: 7}, {Table: markup + "2", Mode: markup, Until: time.Second, Statement: -1},
			{Table: strings.Repeat("long", 200), Mode: "Share", From: 1 << 62, Until: -1 << 62}},
		Waits:  []migration.Wait{{Query: markup, Who: markup, Table: markup, Until: 900 * ms, Statement: 99}},
		Tables: []migration.Table{{Name: markup, Rows: -5, BytesBefore: -1, BytesAfter: 1 << 62}, {Name: "\"Größe der Bestellung\".\"Ätna $1\"", Rewritten: true, Made: true, Dropped: true}}}
	m := migration.Report{Observation: o, Data: markup, Findings: []migration.Finding{{Verdict: "fail", Text: markup, Table: markup, Took: 1 << 62, Budget: 1, Statement: 99}, {Verdict: markup}},
		Advice: []migration.Advice{{Statement: 99, Why: markup, Instead: markup}, {Statement: 0, Why: "", Instead: ""}}, Lost: []migration.Loss{{Table: markup, Column: markup, Text: markup}},
		Changed: []migration.Loss{{Table: markup, Text: markup}}, Back: &migration.Back{How: markup, Until: markup, Lost: []migration.Loss{{Table: markup, Text: markup}}},
		Forecast: &migration.Forecast{Low: -1, High: 1 << 62, Why: markup, Actual: 1, Disk: 1 << 62}}
	r := report(evidence.Fail, evidence.Result{Check: markup, Verdict: evidence.Fail, Summary: markup, Output: markup, Migration: &m,
		Failures: []evidence.Failure{{Name: markup, Message: markup}}}, evidence.Result{Check: markup, Verdict: markup, Output: markup})
	r.App, r.Run, r.Stage, r.Policy, r.Notes = markup, markup, markup, markup, []string{markup}
	odd := []mask.Remark{{Table: markup, Column: markup, What: markup}}
	r.Mask = &mask.Outlook{File: markup, From: markup, Missing: odd, Wrong: odd, Unused: odd, Add: []string{markup}, Unknown: markup, Omitted: 1 << 40}
	return r
}

// many has far too much of everything, and each character of it is as long as it gets once it is escaped.
func many() evidence.Report {
	const n = 500
	long := strings.Repeat(`"`, 2048)
	o := migration.Observation{Engine: "postgres", Started: began, Took: n * time.Second, Samples: 90_000, Gap: 9 * ms, Exact: true, Load: "journeys", Omitted: 1234}
	r := report(evidence.Fail)
	for i := range n {
		at := time.Duration(i) * time.Second
		took := time.Duration(1+i*i%900) * ms
		table := fmt.Sprintf("tenant_%03d.%s", i, long)
		o.Statements = append(o.Statements, migration.Statement{SQL: long, File: long, From: at, Took: took, Error: long})
		o.Locks = append(o.Locks, migration.Lock{Table: table, Mode: []string{"AccessExclusive", "Share", "RowExclusive"}[i%3], Asked: at, From: at + took/4, Until: at + took, Statement: i},
			migration.Lock{Table: "busy", Mode: []string{"AccessExclusive", "Share"}[i%2], Asked: at, From: at + took/4, Until: at + took, Statement: i})
		o.Waits = append(o.Waits, migration.Wait{Query: long, Table: "busy", From: at, Until: at + took}, migration.Wait{Query: fmt.Sprint(i, long), Table: table, From: at, Until: at + took})
		o.Tables = append(o.Tables, migration.Table{Name: table, Rows: int64(i), BytesBefore: int64(i) * mb, BytesAfter: int64(n-i) * mb})
		res := result(fmt.Sprint("check-", i, long), evidence.Fail, long, took)
		res.Output = strings.Repeat(long, 32)
		for j := range n {
			res.Failures = append(res.Failures, evidence.Failure{Name: fmt.Sprint("test ", j, long), Message: long})
		}
		r.Results, r.Notes = append(r.Results, res), append(r.Notes, long)
	}
	m := migration.Report{Observation: o, Data: long}
	for i := range n {
		m.Findings = append(m.Findings, migration.Finding{Verdict: "fail", Text: long, Took: time.Second, Budget: ms})
		m.Advice = append(m.Advice, migration.Advice{Statement: i, Why: long, Instead: long + long})
		m.Lost, m.Changed = append(m.Lost, migration.Loss{Table: long, Text: long}), append(m.Changed, migration.Loss{Table: long, Column: long, Text: long})
	}
	m.Back = &migration.Back{How: long, Until: long, Lost: m.Lost}
	r.Results[0].Migration = &m
	r.Mask = &mask.Outlook{File: long, From: long, Omitted: n}
	for range n {
		odd := mask.Remark{Table: long, Column: long, What: long}
		r.Mask.Missing, r.Mask.Wrong, r.Mask.Unused = append(r.Mask.Missing, odd), append(r.Mask.Wrong, odd), append(r.Mask.Unused, odd)
		r.Mask.Add = append(r.Mask.Add, long)
	}
	return r
}
