package rehearsal

import (
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/plan"
	"greenroom/internal/run"
)

// TestDataThatNobodyCompared: a rehearsal that was stopped before the data was compared knows nothing of what is lost, and
// one that never meant to compare it says nothing.
func TestDataThatNobodyCompared(t *testing.T) {
	contents := app.Contents{Migrations: &app.Migrations{}, Database: &app.Database{}}
	whole := Make(Facts{App: "shop", New: "sha256:new", Old: "sha256:old", NewContents: contents, OldContents: contents})
	first := Make(Facts{App: "shop", New: "sha256:new", NewContents: contents})
	for want, p := range map[evidence.Verdict]plan.Plan{evidence.Inconclusive: whole, evidence.Pass: first} {
		result := evidence.Result{Verdict: evidence.Pass, Migration: &migration.Report{Findings: []migration.Finding{{Verdict: string(evidence.Pass)}}}}
		if err := (&Rehearsals{}).complete(&run.Task{Plan: p}, &result); err != nil || result.Verdict != want {
			t.Errorf("%s, and not %s: %s, %v", result.Verdict, want, result.Summary, err)
		}
	}
}
