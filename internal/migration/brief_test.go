package migration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestBrief: what is signed is small however long a migration was, and the report itself stays whole.
func TestBrief(t *testing.T) {
	var r Report
	for range 500 {
		r.Observation.Statements = append(r.Observation.Statements, Statement{SQL: strings.Repeat("ü", 1000)})
		r.Observation.Locks = append(r.Observation.Locks, Lock{Table: "orders"})
		r.Advice = append(r.Advice, Advice{Why: "because"})
		r.Findings = append(r.Findings, Finding{Text: "found"})
	}
	b := r.Brief()
	if len(b.Observation.Statements) != briefEntries || len(b.Observation.Locks) != briefEntries || b.Observation.Omitted != 2*(500-briefEntries) {
		t.Errorf("%d statements, %d locks, %d left out", len(b.Observation.Statements), len(b.Observation.Locks), b.Observation.Omitted)
	}
	if text := b.Observation.Statements[0].SQL; len(text) > briefText || strings.Trim(text, "ü") != "" {
		t.Errorf("a statement was cut to %q", text)
	}
	if len(b.Advice) != briefEntries || len(b.Findings) != 500 {
		t.Errorf("%d pieces of advice, %d findings", len(b.Advice), len(b.Findings))
	}
	if len(r.Observation.Statements) != 500 || len(r.Observation.Statements[0].SQL) != 2000 || r.Observation.Omitted != 0 {
		t.Error("the report itself was changed")
	}
}

// TestBounded: what a migration of a table with thousands of partitions leaves in a journal is small, says what matters of
// them, and takes no byte of the disk and no lost row out of the sums.
func TestBounded(t *testing.T) {
	const n = 5000
	var o Observation
	var lost []Loss
	for i := range n {
		name := fmt.Sprintf("billing.\"Invoices of 2026\"_p%04d", i)
		o.Tables = append(o.Tables, Table{Name: name, Rewritten: i%50 == 0, Rows: 12_345_678, BytesBefore: 1 << 40, BytesAfter: 1<<40 + int64(i), IndexBefore: 1 << 30, IndexAfter: 1 << 30})
		lost = append(lost, Loss{Table: name, Rows: 10, Text: "10 of 12,345,678 rows are gone"})
	}
	o.Tables[1].Dropped, o.Tables[1].BytesAfter, o.Tables[1].IndexAfter = true, 0, 0
	whole := len(encoded(t, o))
	b, few := o.Bounded(), BoundedLosses(lost)
	if size := len(encoded(t, b)) + len(encoded(t, few)); size > 100<<10 || whole < 10*size {
		t.Errorf("%d bytes are kept of %d", size, whole)
	}
	if Peak(b) != Peak(o) || b.Omitted != n-boundTables || len(o.Tables) != n {
		t.Errorf("at its peak it takes %d, not %d; %d left out", Peak(b), Peak(o), b.Omitted)
	}
	if !slices.ContainsFunc(b.Tables, func(x Table) bool { return x.Dropped }) || !slices.IsSortedFunc(b.Tables, func(x, y Table) int { return strings.Compare(x.Name, y.Name) }) {
		t.Error("the dropped one is left out, or they are out of their order")
	}
	rows := int64(0)
	for _, l := range few {
		rows += l.Rows
	}
	if rows != 10*n || len(few) != boundLost || few[boundLost-1].Table != "4,801 more" || few[boundLost-1].Text != "48,010 rows and values in all" {
		t.Errorf("%d rows in %d, the last is %+v", rows, len(few), few[len(few)-1])
	}
	r := Report{Observation: b, Lost: few}
	if brief := r.Brief(); Peak(brief.Observation) != Peak(o) || len(brief.Observation.Tables) != briefEntries || brief.Observation.Omitted != n-briefEntries {
		t.Errorf("in brief: %d tables, %d left out", len(brief.Observation.Tables), brief.Observation.Omitted)
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
