package environment

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// TestEndingIsToldFirst: a session is ended once that is told, is told of once while it is being ended, and again where it was
// not ended and comes back. What came of it is told also when the migration was cancelled.
func TestEndingIsToldFirst(t *testing.T) {
	b := migration.Blocker{PID: 7, Who: "psql as anna", Born: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	next := b
	next.Born = b.Born.Add(time.Hour)
	spared := migration.Blocker{PID: 8, Spared: "it is a superuser's"}
	var told []string
	full := errors.New("the disk is full")
	failing := full
	m := &migrator{Environment: &Environment{world: &World{Log: slog.New(slog.DiscardHandler)}}}
	m.Ending = func(_ context.Context, b migration.Blocker) error {
		if failing == nil {
			told = append(told, "to be ended "+b.Born.Format(time.TimeOnly))
		}
		return failing
	}
	m.Fate = func(ctx context.Context, _ migration.Blocker, fate data.Fate, why string) error {
		told = append(told, map[data.Fate]string{data.FateEnded: "ended", data.FateSpared: "not ended: " + why}[fate])
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	want := func(all []migration.Blocker, pids ...int) {
		t.Helper()
		if got := m.toEnd(ctx, all); !slices.Equal(got, pids) {
			t.Errorf("%v are ended, not %v", got, pids)
		}
	}
	want([]migration.Blocker{b, spared})
	failing = nil
	want([]migration.Blocker{b, spared}, 7)
	want([]migration.Blocker{b}, 7)
	m.cameOf(ctx, b, data.FateSpared, "it no longer stands in the way")
	want([]migration.Blocker{b}, 7)
	want([]migration.Blocker{next}, 7) // another session of that pid
	cancel()
	m.cameOf(ctx, b, data.FateEnded, "")
	m.cameOf(ctx, next, data.FateEnded, "")
	if wanted := []string{"to be ended 03:04:05", "not ended: it no longer stands in the way", "to be ended 03:04:05", "to be ended 04:04:05", "ended", "ended"}; !slices.Equal(told, wanted) {
		t.Errorf("told was %q, not %q", told, wanted)
	}
}
