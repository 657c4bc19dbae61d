package app_test

import (
	"testing"

	"greenroom/internal/app"
)

// TestEveryRightHasWords: the schema and the pages tell what each right is for.
func TestEveryRightHasWords(t *testing.T) {
	for _, r := range app.Rights {
		if r.Says() == string(r) {
			t.Errorf("what may %s do?", r)
		}
	}
}

func TestSpeaks(t *testing.T) {
	if got := (app.TrustedKey{}).Speaks(); len(got) != 2 || got[0] != app.StageName || got[1] != app.BuildName {
		t.Errorf("a key that names no environment speaks about %v", got)
	}
	if got := (app.TrustedKey{Environments: []string{"staging"}}).Speaks(); len(got) != 1 || got[0] != "staging" {
		t.Errorf("a key that names staging speaks about %v", got)
	}
}
