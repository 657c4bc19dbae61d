package web

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/release"
)

const (
	ms = time.Millisecond
	mb = int64(1_000_000)
)

var (
	began = time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	old   = release.Of([]byte("old"))
	next  = release.Of([]byte("next"))
)

func result(check string, v evidence.Verdict, summary string, took time.Duration) evidence.Result {
	return evidence.Result{Check: check, Verdict: v, Summary: summary, Duration: took}
}

func report(v evidence.Verdict, results ...evidence.Result) evidence.Report {
	return evidence.Report{Run: "r0001a2b3c", App: "shop", Release: next, Old: old, Stage: "stage", Policy: string(release.Of([]byte("policy"))),
		Verdict: v, Results: results, Started: began, Duration: 48 * time.Second}
}

// judged fills in what a rehearsal concludes from what was observed.
func judged(m migration.Report) *migration.Report {
	m.Findings = m.Judge()
	return &m
}

// blocking is a migration that would have stopped all orders.
func blocking() *migration.Report {
	sql := []string{
		"ALTER TABLE orders\n  ALTER COLUMN id TYPE bigint,\n  ALTER COLUMN customer_id TYPE bigint",
		"CREATE INDEX orders_paid_at ON orders (paid_at)",
		"UPDATE customers SET phone = regexp_replace(phone, '[^0-9+]', '', 'g') WHERE phone IS NOT NULL",
		"CREATE TABLE refunds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL)",
		"ALTER TABLE refunds ADD FOREIGN KEY (order_id) REFERENCES orders (id)",
	}
	o := migration.Observation{Engine: "postgres", Started: began.Add(6 * time.Second), Took: 13_400 * ms, WAL: 412 * mb, Samples: 2603, Gap: 11 * ms,
		Exact: true, Load: "journeys of " + old.Short()}
	at := 40 * ms
	for i, took := range []time.Duration{9_412 * ms, 1_870 * ms, 1_940 * ms, 12 * ms, 61 * ms} {
		o.Statements = append(o.Statements, migration.Statement{SQL: sql[i], File: fmt.Sprintf("migrations/0042_refunds.sql:%d", 3+4*i), From: at, Took: took})
		at += took + 3*ms
	}
	o.Statements[0].Waited = 1_100 * ms
	o.Locks = []migration.Lock{
		{Table: "orders", Mode: "AccessExclusive", Asked: 41 * ms, From: 1_141 * ms, Until: 9_460 * ms, Statement: 0},
		{Table: "orders", Mode: "Share", Asked: 9_450 * ms, From: 9_460 * ms, Until: 11_320 * ms, Statement: 1},
		{Table: "customers", Mode: "RowExclusive", Asked: 11_330 * ms, From: 11_330 * ms, Until: 13_270 * ms, Statement: 2},
		{Table: "refunds", Mode: "AccessExclusive", Asked: 13_275 * ms, From: 13_275 * ms, Until: 13_400 * ms, Statement: 3, Made: true},
		{Table: "orders", Mode: "ShareRowExclusive", Asked: 13_330 * ms, From: 13_332 * ms, Until: 13_395 * ms, Statement: 4},
	}
	for i := range 14 {
		from := 120*ms + time.Duration(i)*640*ms
		o.Waits = append(o.Waits, migration.Wait{Query: "INSERT INTO orders (customer_id, total, placed_at) VALUES ($1, $2, now())", Who: "shop web", Table: "orders",
			Write: true, From: from, Until: 9_462 * ms, Statement: 0})
	}
	for i := range 5 {
		from := 300*ms + time.Duration(i)*1_700*ms
		o.Waits = append(o.Waits, migration.Wait{Query: "SELECT id, total FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT $2", Who: "shop web",
			Table: "orders", From: from, Until: 9_462 * ms, Statement: 0})
	}
	o.Waits = append(o.Waits, migration.Wait{Query: "UPDATE orders SET paid_at = now() WHERE id = $1", Who: "shop worker", Table: "orders", Write: true,
		From: 9_700 * ms, Until: 11_321 * ms, Statement: 1})
	o.Tables = []migration.Table{
		{Name: "customers", Rows: 300_000, BytesBefore: 48 * mb, BytesAfter: 79 * mb, IndexBefore: 21 * mb, IndexAfter: 21 * mb},
		{Name: "orders", Rows: 1_204_338, Rewritten: true, BytesBefore: 212 * mb, BytesAfter: 231 * mb, IndexBefore: 96 * mb, IndexAfter: 141 * mb},
		{Name: "refunds", Made: true, Rows: 0, BytesAfter: 8192, IndexAfter: 8192},
		{Name: "order_notes", Dropped: true, Rows: 38, BytesBefore: 16384, IndexBefore: 16384},
	}
	return &migration.Report{Observation: o, Data: "a masked copy of production of 2026-11-26, 1.2 GB",
		Findings: []migration.Finding{
			{Verdict: "fail", Text: "writes to orders would have stood still for 11 s, and 1 s is allowed; sessions were seen to wait 15 times", Table: "orders", Took: 11_279 * ms, Budget: time.Second},
			{Verdict: "fail", Text: "reads of orders would have stood still for 9.4 s, and 250 ms is allowed; sessions were seen to wait 5 times", Table: "orders", Took: 9_419 * ms, Budget: 250 * ms},
			{Verdict: "fail", Text: "writes to the rows of customers that were changed would have stood still for 1.9 s, and 1 s is allowed", Table: "customers", Took: 1_940 * ms, Budget: time.Second, Statement: 2},
			{Verdict: "fail", Text: "order_notes: the table is gone, with 38 rows, and none may be", Table: "order_notes", Statement: -1},
		},
		Advice: []migration.Advice{
			{Statement: 0, Why: "changing the type of a column writes the whole table anew, and nobody can use it meanwhile",
				Instead: "ALTER TABLE orders ADD COLUMN id_new bigint;\n-- fill it in batches of some thousand rows, with a trigger for what comes meanwhile\nCREATE UNIQUE INDEX CONCURRENTLY orders_id_new ON orders (id_new);\n-- and swap the two in a release of its own"},
			{Statement: 1, Why: "an index that is made CONCURRENTLY lets people write meanwhile",
				Instead: "CREATE INDEX CONCURRENTLY orders_paid_at ON orders (paid_at)"},
		},
		Lost:    []migration.Loss{{Table: "order_notes", Rows: 38, Text: "the table is gone, with 38 rows"}},
		Changed: []migration.Loss{{Table: "customers", Column: "phone", Rows: 1204, Text: "1,204 of 300,000 values are others"}},
		Back:    &migration.Back{Possible: true, How: "the old release lives on the new schema", Until: "until the first refund is written", Up: true, Lost: []migration.Loss{{Table: "refunds", Rows: 3, Text: "3 rows that the new release wrote"}}},
		Forecast: &migration.Forecast{Low: 84 * time.Second, High: 190 * time.Second, BlockedReads: 131 * time.Second, BlockedWrites: 131 * time.Second,
			Disk: 6_300 * mb, Why: "orders has 12,000,000 rows there and 1,204,338 here"},
	}
}

func failing() evidence.Report {
	m := blocking()
	r := report(evidence.Fail,
		result("migration", evidence.Fail, "orders would have stood still for 9.4 s, and 250 ms is allowed", 13_412*ms),
		result("old-on-new", evidence.Pass, "browse, buy of "+old.Short()+" passed", 2_100*ms),
		result("start", evidence.Pass, "healthy in 390 ms", 390*ms),
		result("browse", evidence.Pass, "exit code 0", 310*ms),
		result("buy", evidence.Fail, "1 of 3 tests failed", 480*ms),
		result("smoke", evidence.Fail, "exit code 1: connection refused", 120*ms),
		result("rollback", evidence.Pass, "one can go back: the old release's journeys pass after the new one was used", 2*time.Second))
	r.Results[0].Migration = m
	yes := true
	r.Results[6].GoBack = &yes
	r.Results[4].Failures = []evidence.Failure{{Name: "TestPay/declined card", Message: "pay_test.go:41: got 500, want 402\n  body: {\"error\":\"the provider declined the charge\"}"}}
	r.Results[4].Output = strings.Repeat("=== RUN   TestPay\n    pay_test.go:12: paying order 4711\n", 30)
	r.Results[5].Output = "connecting to 127.0.0.1:7004\nconnection refused"
	r.Notes = []string{"the stage was isolated: nothing could be reached from it", "staging has 4 of production's 10 replicas (cost), until 2027-06-30"}
	return r
}
