package daemon

import (
	"context"
	"fmt"
	"sync"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
)

// logPage is how many entries are verified at once.
const logPage = 2000

// logCheck knows how far the log is whole. The first time it is verified from its beginning; from then on what came since.
// A gate that asks before that has happened waits for it: nothing is let in on a log that nobody looked at.
type logCheck struct {
	world *environment.World
	mu    sync.Mutex
	to    *evidence.Verifier
	fault string
}

func newLogCheck(w *environment.World) *logCheck { return &logCheck{world: w} }

// Fault says why the log can't be believed, or nothing. A fault stays: what is damaged does not heal by itself.
func (c *logCheck) Fault(ctx context.Context) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != "" {
		return c.fault
	}
	if c.to == nil {
		roots, err := c.roots(ctx)
		if err != nil {
			return fmt.Sprintf("it could not be read: %v", err) // may pass
		}
		c.to = evidence.NewVerifier(evidence.Head{}, roots)
	}
	for {
		entries, err := c.world.Store.Log(ctx, c.to.Head().Seq, logPage)
		if err != nil {
			return fmt.Sprintf("it could not be read: %v", err) // may pass
		}
		if len(entries) == 0 {
			if err := c.to.End(); err != nil {
				return err.Error()
			}
			return c.cut(ctx)
		}
		if err := c.to.Skim(entries); err != nil {
			c.fault = err.Error()
			return c.fault
		}
	}
}

// cut notices a log that is shorter than it was.
func (c *logCheck) cut(ctx context.Context) string {
	head, err := c.world.Store.Head(ctx)
	if err != nil {
		return fmt.Sprintf("it could not be read: %v", err)
	}
	if head.Seq < c.to.Head().Seq {
		c.fault = fmt.Sprintf("it ends at entry %d, and went on to %d before", head.Seq, c.to.Head().Seq)
	}
	return c.fault
}

// roots are the keys that may sign the log from its beginning: the first that this Greenroom had. The others are handed
// over to by the log itself.
func (c *logCheck) roots(ctx context.Context) (evidence.Keys, error) {
	known, err := c.world.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return evidence.Keys{known[0].Key}, nil
}
