package edge

import (
	"sync"
	"sync/atomic"
	"time"

	"greenroom/internal/problem"
)

// maxMarks bounds the measurements of one route that run at the same time.
const maxMarks = 16

// marks are the measurements of one route. Requests read them without a lock; where none runs they cost one load.
type marks struct {
	list atomic.Pointer[[]*mark]
	mu   sync.Mutex // changes list
}

func (m *marks) record(now time.Time, e ending) {
	l := m.list.Load()
	if l == nil {
		return
	}
	for _, k := range *l {
		k.record(now, e)
	}
}

func (m *marks) all() []*mark {
	if l := m.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (m *marks) set(name string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.all()
	for _, k := range old {
		if k.name == name {
			return nil
		}
	}
	if len(old) == maxMarks {
		return problem.New(problem.Unavailable, "%d measurements of this route are running already", maxMarks)
	}
	l := append(old[:len(old):len(old)], &mark{name: name, started: now, lastGood: now})
	m.list.Store(&l)
	return nil
}

func (m *marks) find(name string) *mark {
	for _, k := range m.all() {
		if k.name == name {
			return k
		}
	}
	return nil
}

func (m *marks) end(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []*mark
	for _, k := range m.all() {
		if k.name != name {
			l = append(l, k)
		}
	}
	if len(l) == 0 {
		m.list.Store(nil)
		return
	}
	m.list.Store(&l)
}

// mark is one measurement. Its lock is held for a few additions, and only while somebody measures.
type mark struct {
	name    string
	started time.Time

	mu                     sync.Mutex
	requests, failed, gone uint64
	lastGood               time.Time
	gap                    time.Duration
	second, worst          Second
}

func (k *mark) record(now time.Time, e ending) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests++
	k.roll(now)
	k.second.Requests++
	k.second.Slowest = max(k.second.Slowest, e.head)
	if e.failed() {
		k.failed++
		k.second.Failed++
	}
	if e.gone {
		k.gone++
	}
	// Requests that end in the same moment may come here in the wrong order.
	if e.good() && now.After(k.lastGood) {
		k.gap = max(k.gap, now.Sub(k.lastGood))
		k.lastGood = now
	}
}

// roll begins a new second, counted from the mark's start, when the running one is over.
func (k *mark) roll(now time.Time) {
	at := k.started.Add(now.Sub(k.started).Truncate(time.Second))
	if k.second.Requests > 0 && !at.After(k.second.At) {
		return
	}
	k.worst = worse(k.worst, k.second)
	k.second = Second{At: at}
}

func worse(a, b Second) Second {
	if b.Failed > a.Failed || b.Failed == a.Failed && b.Slowest > a.Slowest {
		return b
	}
	return a
}

func (k *mark) read(now time.Time) Measurement {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Measurement{
		Name: k.name, Started: k.started, Until: now,
		Requests: k.requests, Failed: k.failed, Gone: k.gone,
		LongestGap:    max(k.gap, now.Sub(k.lastGood)),
		SlowestSecond: worse(k.worst, k.second),
	}
}
