package probe

import (
	"context"
	"slices"
	"sync"
	"time"

	"greenroom/internal/evidence"
)

// Look is what a prober saw of the questions that were sent from a moment on. What was sent before it may be answered after
// it, and tells of what was there before.
type Look struct {
	p    *Prober
	open sync.WaitGroup // one for each of its questions that is under way; added to under the prober's lock, and only until End
	seen evidence.Probed
}

// Look begins now. One that nobody ends goes on until its prober stops.
func (p *Prober) Look() *Look {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.look(false)
}

func (p *Prober) look(interrupted bool) *Look {
	l := &Look{p: p, seen: evidence.Probed{URL: p.at, Rate: p.probe.Rate, Began: p.now().UTC(), Interrupted: interrupted}}
	p.looks = append(slices.Clip(p.looks), l) // questions that are under way have the slice as it was
	return l
}

// Seen is what was seen until now: of what is under way nothing.
func (l *Look) Seen() evidence.Probed {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	seen := l.seen
	seen.Ended = l.p.now().UTC()
	return seen
}

// Answered returns once a question was answered well; it is false where none was within that time, or when ctx ends.
func (l *Look) Answered(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for l.Seen().Well == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return true
}

// lookEvery is how often the answers are looked at.
const lookEvery = 20 * time.Millisecond

// End is all that was seen, with the answers to what is under way, for which it waits. What is sent from now on is not in it.
func (l *Look) End() evidence.Probed {
	l.p.mu.Lock()
	l.p.looks = slices.DeleteFunc(slices.Clone(l.p.looks), func(o *Look) bool { return o == l })
	l.p.mu.Unlock()
	l.open.Wait()
	return l.Seen()
}

// sent counts a question to the looks that there are now, to all of which its answer has to be told.
func (p *Prober) sent() []*Look {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.looks {
		l.open.Add(1)
	}
	return p.looks
}

// answered counts an answer to the looks that its question was counted to.
func (p *Prober) answered(looks []*Look, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range looks {
		add(&l.seen, a)
		l.open.Done()
	}
}

func (p *Prober) missed(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.looks {
		l.seen.Missed += n
	}
}
