package probe

import (
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
)

// Runs are the probers of runs that are under way. A run asks from its first step that matters to its last; a Greenroom that
// is started anew meanwhile goes on with another prober, which says that something is missing before it.
type Runs struct {
	Now func() time.Time

	mu      sync.Mutex
	open    map[string]*Prober
	dropped sync.WaitGroup
}

// Begin has a run's prober ask, unless it does already. anew says that the run's own beginning is over: then it was
// interrupted.
func (r *Runs) Begin(run, address string, p app.Probe, anew bool) *Prober {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pr, asks := r.open[run]; asks {
		return pr
	}
	if r.open == nil {
		r.open = map[string]*Prober{}
	}
	pr := Start(address, p, r.Now, anew)
	r.open[run] = pr
	return pr
}

// End ends a run's prober and says what it saw; ok is false where none asked.
func (r *Runs) End(run string) (seen evidence.Probed, ok bool) {
	r.mu.Lock()
	pr, ok := r.open[run]
	delete(r.open, run)
	r.mu.Unlock()
	if ok {
		seen = pr.Stop()
	}
	return seen, ok
}

// Drop ends a run's prober where one still asks, and does not wait: the run ended without asking what it saw.
func (r *Runs) Drop(run string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pr, asks := r.open[run]; asks {
		delete(r.open, run)
		r.dropped.Go(func() { pr.Stop() })
	}
}

// Close ends all of them.
func (r *Runs) Close() {
	r.mu.Lock()
	all := r.open
	r.open = nil
	r.mu.Unlock()
	for _, pr := range all {
		pr.Stop()
	}
	r.dropped.Wait()
}
