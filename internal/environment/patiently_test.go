package environment

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// cancels is a replica that cancels so many snapshots.
type cancels struct {
	data.Copier
	left int
	err  error
}

func (c *cancels) Snapshot(context.Context, string, data.SnapshotOptions) (data.Snapshot, error) {
	if c.left--; c.left >= 0 {
		return data.Snapshot{}, problem.New(problem.Fail, "could not take a snapshot: %w", &pgconn.PgError{Code: "40001"})
	}
	return data.Snapshot{}, c.err
}

// TestSnapshotThatAReplicaCancels is begun anew, but not for ever, and not for another reason.
func TestSnapshotThatAReplicaCancels(t *testing.T) {
	var told []string
	take := func(c *cancels) error {
		told = nil
		return patiently(t.Context(), c, "", data.SnapshotOptions{}, func(s string) { told = append(told, s) })
	}
	if err := take(&cancels{left: 1}); err != nil || len(told) != 1 {
		t.Errorf("cancelled once: %v, told was %q", err, told)
	}
	other := errors.New("another reason")
	if err := take(&cancels{err: other}); !errors.Is(err, other) || len(told) != 0 {
		t.Errorf("another reason: %v, told was %q", err, told)
	}
	err := take(&cancels{left: snapshotTries})
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Hint, "hot_standby_feedback") {
		t.Errorf("cancelled each time: %v", err)
	}
}
