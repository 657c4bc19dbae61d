package store

import (
	"context"
	"strings"
	"sync"
	"time"

	"greenroom/internal/plan"
)

// textLimit is how long the text of an event may be, in bytes.
const textLimit = 2 << 10

// Event is something that happened in a run: a line of its journal, a word of progress, its beginning or end.
type Event struct {
	Seq     int64        // rises over all runs
	Run     string       //
	Step    string       // "" for the run as a whole
	State   plan.State   // "" for progress
	Text    string       // for a person
	Outcome plan.Outcome // set in a run's last event
	At      time.Time
}

// Progress records a word of progress of a step.
func (s *Store) Progress(ctx context.Context, run, step, text string) error {
	return s.transact(ctx, func(t *Tx) error {
		return t.event(ctx, Event{Run: run, Step: step, Text: text})
	})
}

func (t *Tx) event(ctx context.Context, e Event) error {
	if len(e.Text) > textLimit {
		e.Text = strings.ToValidUTF8(e.Text[:textLimit], "") + "…"
	}
	n := runNumber(e.Run)
	t.changed[n] = true
	_, err := t.exec(ctx, `INSERT INTO events (run, step, state, text, outcome, at) VALUES (?, ?, ?, ?, ?, ?)`,
		n, e.Step, e.State, e.Text, e.Outcome, nanos(t.now))
	return err
}

// Events lists what happened in a run after the event of that number, the oldest first, at most 1,000 of them.
func (r Reader) Events(ctx context.Context, run string, after int64) ([]Event, error) {
	return collect(ctx, r, func(row row) (e Event, err error) {
		var n, at int64
		err = row.Scan(&e.Seq, &n, &e.Step, &e.State, &e.Text, &e.Outcome, &at)
		e.Run, e.At = runName(n), moment(at)
		return e, err
	}, `SELECT seq, run, step, state, text, outcome, at FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT 1000`,
		runNumber(run), after)
}

// Subscribe returns a channel that is sent to after new events of the run were committed, until cancel is called. One
// signal may stand for several events: read Events after each, and once after subscribing.
func (s *Store) Subscribe(run string) (signal <-chan struct{}, cancel func()) {
	return s.feed.subscribe(runNumber(run))
}

// feed wakes listeners. It never blocks on one.
type feed struct {
	mu        sync.Mutex
	listeners map[int64]map[chan struct{}]bool // by run
}

func (f *feed) subscribe(run int64) (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[int64]map[chan struct{}]bool{}
	}
	if f.listeners[run] == nil {
		f.listeners[run] = map[chan struct{}]bool{}
	}
	c := make(chan struct{}, 1)
	f.listeners[run][c] = true
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners[run], c)
		if len(f.listeners[run]) == 0 {
			delete(f.listeners, run)
		}
	}
}

func (f *feed) tell(run int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.listeners[run] {
		select {
		case c <- struct{}{}:
		default: // it has a signal that it did not read yet
		}
	}
}
