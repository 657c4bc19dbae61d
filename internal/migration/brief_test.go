package migration

import (
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
