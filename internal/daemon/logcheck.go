package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"greenroom/internal/environment"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/promotion"
	"greenroom/internal/release"
)

// logPage is how many entries are verified at once.
const logPage = 2000

// logCheck knows how far the log is whole. The first time it is verified from its beginning; from then on what came since.
// A gate that asks before that has happened waits for it: nothing is let in on a log that nobody looked at.
//
// It remembers how much evidence the log had about each release, which policy was put in force last, and which releases are
// known to be bad. So what somebody changes in the file, whose other tables nobody signs, is noticed where it would let a
// release in; and what is taken out while the control plane runs, at the next question.
type logCheck struct {
	world    *environment.World
	mu       sync.Mutex
	to       *evidence.Verifier
	fault    string
	recorded map[subject]int
	policies map[string]string          // app -> digest of the policy that was put in force last
	bad      map[subject]*gate.KnownBad // releases that were remembered as bad
}

// subject stands for an app and a release: a hash, because there are many.
type subject [sha256.Size]byte

func subjectOf(app, release string) subject { return sha256.Sum256([]byte(app + "\x00" + release)) }

func newLogCheck(w *environment.World) *logCheck {
	return &logCheck{world: w, recorded: map[subject]int{}, policies: map[string]string{}, bad: map[subject]*gate.KnownBad{}}
}

// Fault is environment.LogCheck's. A fault stays: what is damaged does not heal by itself.
func (c *logCheck) Fault(ctx context.Context) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != "" {
		return c.fault
	}
	for {
		entries, err := c.next(ctx)
		switch {
		case err != nil:
			return fmt.Sprintf("it could not be read: %v", err) // may pass
		case len(entries) == 0:
			return c.end(ctx)
		}
		// The last entry's signature vouches for all before it, whose hashes lead to it.
		if err := c.to.Skim(entries); err != nil {
			c.fault = err.Error()
			return c.fault
		}
		for _, e := range entries {
			c.remember(e)
		}
	}
}

func (c *logCheck) remember(e evidence.Entry) {
	switch e.Action {
	case evidence.ActionEvidence:
		c.recorded[subjectOf(e.App, e.Subject)]++
	case actionRegistered, actionApplied:
		c.policies[e.App] = e.Subject
	case promotion.ActionBad:
		c.bad[subjectOf(e.App, e.Subject)] = &gate.KnownBad{Reason: e.Because, At: e.At}
	case promotion.ActionGood:
		delete(c.bad, subjectOf(e.App, e.Subject))
	}
}

// next reads what was not verified yet.
func (c *logCheck) next(ctx context.Context) ([]evidence.Entry, error) {
	if c.to == nil {
		known, err := c.world.Store.Keys(ctx)
		if err != nil {
			return nil, err
		}
		// The first key that this Greenroom had signs from the beginning; the log itself hands over to the others.
		c.to = evidence.NewVerifier(evidence.Head{}, evidence.Keys{known[0].Key})
	}
	return c.world.Store.Log(ctx, c.to.Head().Seq, logPage)
}

// end notices a log that is shorter than it was, or whose end is another.
func (c *logCheck) end(ctx context.Context) string {
	if err := c.to.End(); err != nil {
		c.fault = err.Error()
		return c.fault
	}
	head, err := c.world.Store.Head(ctx)
	if err != nil {
		return fmt.Sprintf("it could not be read: %v", err)
	}
	n, err := c.world.Store.Entries(ctx, head.Seq)
	if err != nil {
		return fmt.Sprintf("it could not be read: %v", err)
	}
	if n != head.Seq {
		c.fault = fmt.Sprintf("%d entries are missing", head.Seq-n)
		return c.fault
	}
	if was := c.to.Head(); head.Seq < was.Seq || head.Seq == was.Seq && !bytes.Equal(head.Hash, was.Hash) {
		c.fault = fmt.Sprintf("it ends with another entry %d than the %d before", head.Seq, was.Seq)
	}
	return c.fault
}

// Missing is environment.LogCheck's. More than was counted may have come since.
func (c *logCheck) Missing(app string, d release.Digest, recorded []evidence.Recorded) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.recorded[subjectOf(app, string(d))]; len(recorded) < n {
		c.fault = fmt.Sprintf("it had %d entries about evidence for %s, and has %d", n, d.Short(), len(recorded))
		return c.fault
	}
	return ""
}

// Policy is environment.LogCheck's.
func (c *logCheck) Policy(app string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.policies[app]
}

// Bad is environment.LogCheck's.
func (c *logCheck) Bad(app string, d release.Digest) *gate.KnownBad {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bad[subjectOf(app, string(d))]
}
