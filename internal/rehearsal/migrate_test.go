package rehearsal

import (
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/plan"
	"greenroom/internal/run"
)

// TestNobodyUsesItYet: what could not be seen of a first release's migration held nobody up; what it took is judged.
func TestNobodyUsesItYet(t *testing.T) {
	blind := migration.Finding{Verdict: string(evidence.Inconclusive), Text: "no session was seen"}
	slow := migration.Finding{Verdict: string(evidence.Fail), Text: "it took too long"}
	if got := unused([]migration.Finding{blind}); len(got) != 1 || got[0].Verdict != string(evidence.Pass) {
		t.Errorf("%+v", got)
	}
	if got := unused([]migration.Finding{slow, blind}); len(got) != 1 || got[0] != slow {
		t.Errorf("%+v", got)
	}
}

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
