package postgres

import (
	"time"

	"greenroom/internal/migration"
)

type waitKey struct {
	pid   int32
	began time.Time
}

type trackedWait struct {
	query, who  string
	relation    uint32
	write       bool
	from, until time.Duration
	open        bool
	behind      *trackedStatement
}

// waiters follows who stands behind the migrator, directly or behind somebody who does.
func (t *track) waiters(l look, now time.Duration) {
	behind := t.behind(l)
	there := map[waitKey]bool{}
	for _, s := range l.sessions {
		pid, stands := behind[s.pid]
		if !stands || !s.client {
			continue
		}
		k := waitKey{s.pid, s.began}
		there[k] = true
		w := t.waiting[k]
		if w == nil {
			relation, mode, since := s.wanted()
			w = &trackedWait{query: migration.Literals(s.query), who: s.app, relation: relation, write: migration.Writes(mode), from: now, open: true}
			if o := t.offset(since, now); !since.IsZero() {
				w.from = o
			}
			if m := t.mine[pid]; m != nil {
				w.behind = m.now
			}
			t.waits = append(t.waits, w)
			t.changed = now
			t.waiting[k] = w
		}
		w.until = now
	}
	for k, w := range t.waiting {
		if !there[k] {
			w.open = false
			delete(t.waiting, k)
		}
	}
}

// behind is who stands behind which of the migrator's sessions: whoever waits for what one of them has, or is before it in
// the queue for, and whoever waits for somebody who does.
func (t *track) behind(l look) map[int32]int32 {
	out := map[int32]int32{}
	var in []inTheWay
	for _, s := range l.sessions {
		if t.mine[s.pid] != nil {
			in = append(in, s.inTheWay(s.pid)...)
		}
	}
	for more := len(in) > 0; more; {
		more = false
		for _, s := range l.sessions {
			if _, known := out[s.pid]; known || !s.waits || t.mine[s.pid] != nil {
				continue
			}
			if pid, stands := s.standsBehind(in); stands {
				out[s.pid], more = pid, true
				in = append(in, s.inTheWay(pid)...)
			}
		}
	}
	return out
}

// inTheWay is a lock that others wait for, because of the migrator's session pid.
type inTheWay struct {
	seenLock
	pid int32
}

func (s seenSession) inTheWay(pid int32) []inTheWay {
	out := make([]inTheWay, 0, len(s.locks))
	for _, l := range s.locks {
		if l.granted || l.relation != 0 && !l.row {
			out = append(out, inTheWay{l, pid})
		}
	}
	return out
}

func (s seenSession) standsBehind(in []inTheWay) (pid int32, stands bool) {
	for _, want := range s.locks {
		if want.granted {
			continue
		}
		for _, l := range in {
			if l.stops(want) {
				return l.pid, true
			}
		}
	}
	return 0, false
}

// stops says whether a lock is one that another one waits for: which row of a table is not looked at.
func (l inTheWay) stops(want seenLock) bool {
	switch {
	case want.xid != 0:
		return l.granted && l.xid == want.xid
	case want.relation == 0 || want.relation != l.relation || want.row != l.row:
		return false
	case want.row:
		return true
	}
	later := l.granted || l.since.IsZero() || want.since.IsZero() || !want.since.Before(l.since)
	return later && migration.Conflict(l.mode, want.mode)
}

// wanted is what a session waits for: the table, the kind of lock, and since when. One that waits for a row waits for the
// end of a transaction, and the table is the one that it is writing to, or reading with a lock.
func (s seenSession) wanted() (relation uint32, mode string, since time.Time) {
	for _, l := range s.locks {
		if !l.granted {
			since = l.since
			if l.relation != 0 && !l.row {
				return l.relation, l.mode, l.since
			}
		}
	}
	for _, l := range s.locks {
		switch {
		case l.row:
			relation = l.relation
		case l.granted && l.relation != 0 && migration.Stronger(l.mode, mode):
			mode = l.mode
			if relation == 0 {
				relation = l.relation
			}
		}
	}
	return relation, mode, since
}
