package watch

import (
	"sync"
	"testing"
)

// Who has an environment's lock has it alone; other environments are not kept waiting.
func TestLocks(t *testing.T) {
	var l Locks
	inside := 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			unlock := l.Lock("shop", "production")
			defer unlock()
			inside++ // the race detector sees two at once
		})
	}
	unlock := l.Lock("shop", "staging")
	all.Wait()
	unlock()
	if inside != 50 {
		t.Errorf("%d had it", inside)
	}
}
