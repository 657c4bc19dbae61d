package main

import (
	"errors"
	"math"
	"sync"
	"time"
)

// Report is what customers saw in a second, or in all (then Summary is true). Durations are in milliseconds.
type Report struct {
	Summary    bool           `json:"summary,omitempty"`
	Time       time.Time      `json:"time"`
	Seconds    float64        `json:"seconds"`
	Requests   int            `json:"requests"`
	Failed     int            `json:"failed"` // 5xx, no answer, wrong content, turned away
	P50        float64        `json:"p50_ms"` // from when a request was meant to start
	P99        float64        `json:"p99_ms"`
	LongestGap float64        `json:"longest_gap_ms"` // between two good answers
	Orders     int            `json:"orders"`         // whose receipt was right
	SoldOut    int            `json:"sold_out,omitempty"`
	NewPrice   int            `json:"new_price,omitempty"` // the cart had become another price
	Twice      int            `json:"booked_twice"`        // orders of which a second click made another one
	Failures   map[string]int `json:"failures,omitempty"`
}

// maxFailures bounds the kinds of failure that a report names.
const maxFailures = 20

// Tally counts what customers see. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	good   time.Time // the last good answer
	closed bool
	second period
	all    period
}

// period is what is counted between two points of time.
type period struct {
	since     time.Time
	report    Report
	latencies histogram
}

func newPeriod(since time.Time) period {
	return period{since: since, report: Report{Failures: map[string]int{}}}
}

// NewTally starts counting.
func NewTally(now time.Time) *Tally {
	return &Tally{good: now, second: newPeriod(now), all: newPeriod(now)}
}

// each does the same to both periods.
func (t *Tally) each(do func(*period)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(&t.second)
	do(&t.all)
}

// kind is what a failure has in common with others.
func kind(err error) string {
	var v *VisitError
	if errors.As(err, &v) {
		return v.Request + ": " + v.What
	}
	return err.Error()
}

// Answer counts a request that ended now. Being told that something is sold out, or costs something else by now, is a
// good answer.
func (t *Tally) Answer(now time.Time, took time.Duration, err error) {
	soldOut, newPrice := errors.Is(err, errSoldOut), errors.Is(err, errPriceChanged)
	failed := err != nil && !soldOut && !newPrice
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range []*period{&t.second, &t.all} {
		p.report.Requests++
		p.latencies.add(took)
		switch {
		case failed:
			p.fail(kind(err))
		case soldOut:
			p.report.SoldOut++
		case newPrice:
			p.report.NewPrice++
		}
	}
	if !failed {
		t.gap(now)
		t.good = now
	}
}

// Close says that nobody comes any more: gaps between the answers to the last customers say nothing of the shop.
func (t *Tally) Close(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap(now)
	t.closed = true
}

// gap counts the time since the last good answer.
func (t *Tally) gap(now time.Time) {
	if t.closed {
		return
	}
	gap := milliseconds(now.Sub(t.good))
	t.second.report.LongestGap = max(t.second.report.LongestGap, gap)
	t.all.report.LongestGap = max(t.all.report.LongestGap, gap)
}

// TurnedAway counts a customer for whom this program had no room: a failure, because the shop was too slow.
func (t *Tally) TurnedAway() {
	t.each(func(p *period) {
		p.report.Requests++
		p.fail("turned away: too many customers in the shop")
	})
}

// Ordered counts an order whose receipt was right.
func (t *Tally) Ordered() { t.each(func(p *period) { p.report.Orders++ }) }

// BookedTwice counts an order of which a second click made another one.
func (t *Tally) BookedTwice() { t.each(func(p *period) { p.report.Twice++ }) }

// Second ends a second and tells of it.
func (t *Tally) Second(now time.Time) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap(now) // one that still lasts counts as far as it has come
	r := t.second.end(now)
	t.second = newPeriod(now)
	return r
}

// Summary tells of all.
func (t *Tally) Summary(now time.Time) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap(now)
	r := t.all.end(now)
	r.Summary = true
	return r
}

func (p *period) fail(what string) {
	p.report.Failed++
	if _, known := p.report.Failures[what]; known || len(p.report.Failures) < maxFailures {
		p.report.Failures[what]++
	}
}

// end finishes the report.
func (p *period) end(now time.Time) Report {
	r := p.report
	r.Time, r.Seconds = now, math.Round(now.Sub(p.since).Seconds()*10)/10
	r.P50, r.P99 = milliseconds(p.latencies.quantile(0.5)), milliseconds(p.latencies.quantile(0.99))
	return r
}

func milliseconds(d time.Duration) float64 { return math.Round(d.Seconds()*10000) / 10 }

// histogram counts durations in steps of 5 %, from 10 µs to more than a minute: a quantile is off by 5 % at most.
type histogram struct {
	counts [330]int
	n      int
}

const (
	histogramLeast = 10 * time.Microsecond
	histogramStep  = 1.05
)

func (h *histogram) add(d time.Duration) {
	i := 0
	if d > histogramLeast {
		i = int(math.Ceil(math.Log(float64(d)/float64(histogramLeast)) / math.Log(histogramStep)))
	}
	h.counts[min(i, len(h.counts)-1)]++
	h.n++
}

// quantile is a duration that the share q of all did not exceed; 0 when there is none.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int(math.Ceil(q * float64(h.n)))
	if rest == 0 {
		return 0
	}
	for i, n := range h.counts {
		if rest -= n; rest <= 0 {
			return time.Duration(float64(histogramLeast) * math.Pow(histogramStep, float64(i)))
		}
	}
	return time.Duration(math.MaxInt64)
}
