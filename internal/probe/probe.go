// Package probe asks at an address of an app whose traffic Greenroom does not carry, at a stated rate, and counts what is
// answered. It is bounded: by its rate, by the time of each question, and by how many are under way.
package probe

import (
	"time"

	"greenroom/internal/evidence"
)

// schedule says when a probe is due: the n-th one n periods after the beginning. It is pure; times are compared by the
// monotonic clock that time.Now carries.
type schedule struct {
	begin time.Time
	every time.Duration
	next  int64
}

// due says whether a probe is to be sent now, how many before it were missed and are not made up for, and how long it is
// until the one after.
func (s *schedule) due(now time.Time) (send bool, missed int64, wait time.Duration) {
	tick := int64(now.Sub(s.begin) / s.every)
	if tick >= s.next {
		send, missed, s.next = true, tick-s.next, tick+1
	}
	return send, missed, s.begin.Add(time.Duration(s.next) * s.every).Sub(now)
}

// answer is how one probe went.
type answer struct {
	sent time.Time
	took time.Duration
	why  string // "" is well
}

// add counts an answer.
func add(p *evidence.Probed, a answer) {
	p.Asked++
	if a.why == "" {
		p.Well++
		if a.took > evidence.LateAfter {
			p.Late++
		}
		return
	}
	p.Failed++
	// They come in another order than they were sent in.
	if p.FirstFailure.IsZero() || a.sent.Before(p.FirstFailure) {
		p.FirstFailure, p.Failure = a.sent, a.why
	}
	if a.sent.After(p.LastFailure) {
		p.LastFailure, p.Latest = a.sent, a.why
	}
}

// underWay is how many probes may be under way at once: all of those that can be sent while one takes its whole time, and
// no more than what nobody notices.
func underWay(rate int, timeout time.Duration) int {
	return min(max(1, int(float64(rate)*timeout.Seconds())+1), most)
}

const most = 100
