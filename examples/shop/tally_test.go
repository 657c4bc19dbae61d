package main

import (
	"errors"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tally := NewTally(start)
	tally.Answer(at(100), 10*time.Millisecond, nil)
	tally.Answer(at(200), 30*time.Millisecond, &VisitError{Request: "POST /checkout", What: "500", Text: "sorry"})
	tally.Answer(at(400), 20*time.Millisecond, errSoldOut)
	tally.Ordered()
	tally.TurnedAway()

	r := tally.Second(at(1000))
	if r.Requests != 4 || r.Failed != 2 || r.Orders != 1 || r.SoldOut != 1 {
		t.Errorf("the second is %+v", r)
	}
	if r.Failures["POST /checkout: 500"] != 1 || len(r.Failures) != 2 {
		t.Errorf("the failures are %v", r.Failures)
	}
	if r.LongestGap != 600 { // from the last good answer until now
		t.Errorf("the longest gap is %v ms", r.LongestGap)
	}
	if r.P50 < 19 || r.P50 > 21.5 || r.P99 < 29 || r.P99 > 32 {
		t.Errorf("p50 is %v, p99 is %v", r.P50, r.P99)
	}

	tally.Answer(at(1100), time.Millisecond, errors.New("away"))
	if r := tally.Second(at(2000)); r.Requests != 1 || r.LongestGap != 1600 {
		t.Errorf("the next second is %+v", r)
	}
	tally.Close(at(2000))
	tally.Answer(at(9000), time.Millisecond, nil)
	if r := tally.Summary(at(10_000)); !r.Summary || r.Requests != 6 || r.Failed != 3 || r.Seconds != 10 || r.LongestGap != 1600 {
		t.Errorf("the summary is %+v", r)
	}
}

func TestHistogramAtItsEnds(t *testing.T) {
	var h histogram
	if h.quantile(0.99) != 0 {
		t.Error("a quantile of nothing is not 0")
	}
	h.add(-time.Second)
	h.add(time.Hour)
	if low, high := h.quantile(0.5), h.quantile(1); low != histogramLeast || high < time.Minute {
		t.Errorf("the ends are %s and %s", low, high)
	}
}
