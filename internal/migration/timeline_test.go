package migration

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -update to accept):\n%s", name, diff)
	}
}

// stood is a migration that a shop would remember.
func shopReport() Report {
	s := time.Second
	return Report{Observation: Observation{Engine: "postgres", Took: 12 * s, Samples: 1500, Gap: 6 * ms,
		Statements: []Statement{
			{SQL: "CREATE TABLE invoices (id bigint PRIMARY KEY,\n  order_id bigint)", From: 100 * ms, Took: 12 * ms},
			{SQL: "ALTER TABLE orders ALTER COLUMN id TYPE bigint", From: 200 * ms, Took: 8 * s, Waited: 1500 * ms},
			{SQL: "CREATE INDEX orders_customer ON orders (customer_id, 住所)", From: 8300 * ms, Took: 1800 * ms},
			{SQL: "UPDATE customers SET country = 'NL'", From: 10200 * ms, Took: 1500 * ms, Error: "canceling statement due to statement timeout"},
		},
		Locks: []Lock{
			{Table: "invoices", Mode: "AccessExclusive", Asked: 100 * ms, From: 100 * ms, Until: 12 * s, Made: true},
			{Table: "orders", Mode: "AccessExclusive", Asked: 200 * ms, From: 1700 * ms, Until: 8250 * ms, Statement: 1},
			{Table: "orders", Mode: "Share", Asked: 8300 * ms, From: 8300 * ms, Until: 10100 * ms, Statement: 2},
			{Table: "customers", Mode: "RowExclusive", Asked: 10200 * ms, From: 10200 * ms, Until: 11700 * ms, Statement: 3},
			{Table: "stock", Mode: "ShareUpdateExclusive", Asked: 11 * s, From: 11 * s, Until: 11100 * ms, Statement: -1},
		},
		Waits: []Wait{
			{Query: "SELECT * FROM orders WHERE id = 0", Who: "web", Table: "orders", From: 300 * ms, Until: 8250 * ms, Statement: 1},
			{Query: "SELECT * FROM orders WHERE id = 0", Who: "web", Table: "orders", From: 2300 * ms, Until: 8250 * ms, Statement: 1},
			{Query: "UPDATE customers SET \x1b[31mseen = now()", Who: "web", Table: "customers", Write: true, From: 10300 * ms, Until: 11700 * ms, Statement: 3},
		}}}
}

func TestRows(t *testing.T) {
	rows := Rows(shopReport())
	var lines []string
	for _, r := range rows {
		lines = append(lines, r.Kind+" | "+r.Label+" | "+r.Detail)
		for _, s := range r.Spans {
			lines = append(lines, "    "+s.Kind+" "+s.From.String()+" "+s.Until.String())
		}
	}
	golden(t, "rows.golden", strings.Join(lines, "\n")+"\n")
}

// TestRowsRunForward demands of whatever was seen that each span is in its row, runs forward and overlaps none of its kind.
func TestRowsRunForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Report{Observation: drawObservation(t)}
		for _, row := range Rows(r) {
			for i, s := range row.Spans {
				if s.Until < s.From {
					t.Fatalf("a span runs backwards: %+v", row)
				}
				for _, other := range row.Spans[:i] {
					if other.Kind == s.Kind && row.Kind != RowStatement && other.Until >= s.From && s.Until >= other.From {
						t.Fatalf("spans overlap: %+v", row)
					}
				}
			}
		}
	})
}

func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, n := time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "total")), rapid.IntRange(1, 30).Draw(t, "n")
		ticks := Ticks(total, n)
		if len(ticks) == 0 || len(ticks) > n+1 || ticks[0] != 0 || ticks[len(ticks)-1] > total {
			t.Fatalf("%v", ticks)
		}
	})
	if got := Ticks(9400*ms, 5); cmp.Diff(got, []time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second, 8 * time.Second}) != "" {
		t.Errorf("%v", got)
	}
}
