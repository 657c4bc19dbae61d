package sqlite

import (
	"os"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// seen is a looker that always sees the same.
type seen []hold

func (s seen) look() ([]hold, error) { return s, nil }
func (seen) close() error            { return nil }

// TestNobodyIsEnded: who is in the way is named, and as somebody who can't be ended.
func TestNobodyIsEnded(t *testing.T) {
	var named []migration.Blocker
	a := &attempt{runner: &runner{looker: seen{{pid: os.Getpid(), writes: true}, {pid: os.Getppid(), writes: true}}}}
	a.options = data.RunOptions{Blockers: func(all []migration.Blocker) (end []int) {
		named = all
		return nil
	}}
	if err := a.blocked(); err != nil {
		t.Fatal(err)
	}
	if len(named) != 1 || named[0].PID != os.Getppid() || named[0].Spared == "" {
		t.Errorf("named are %+v", named)
	}
}
