package evidence

import (
	"testing"
	"time"
)

func TestProbedSays(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 11, 26, 14, 3, second, 0, time.UTC) }
	for want, p := range map[string]Probed{
		"probed at 20/s: no probe was sent, so nothing is known":                                              {Rate: 20},
		"probed at 20/s: 0 of 1,880 failed":                                                                   {Rate: 20, Asked: 1880, Well: 1880},
		"probed at 20/s: 3 of 1,880 failed, 14:03:07–14:03:09 UTC":                                            {Rate: 20, Asked: 1880, Failed: 3, FirstFailure: at(7), LastFailure: at(9)},
		"probed at 5/s: 1 of 40 failed, 14:03:07 UTC, 2 late; 1 more was not sent, so the rate was lower":     {Rate: 5, Asked: 40, Failed: 1, Late: 2, Missed: 1, FirstFailure: at(7), LastFailure: at(7)},
		"probed at 5/s: 0 of 40 failed; nobody asked before 14:03:01 UTC, Greenroom was started anew":         {Rate: 5, Asked: 40, Began: at(1), Interrupted: true},
		"probed at 5/s: no probe was sent, so nothing is known; 12 more were not sent, so the rate was lower": {Rate: 5, Missed: 12},
	} {
		if got := p.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestProbedVerdict(t *testing.T) {
	for _, c := range []struct {
		p    Probed
		want Verdict
	}{
		{Probed{}, Inconclusive},
		{Probed{Missed: 100}, Inconclusive},
		{Probed{Asked: 1, Failed: 1}, Fail},
		{Probed{Asked: 1, Well: 1}, Pass},
		{Probed{Asked: 2, Failed: 1}, Inconclusive}, // so few may be anything
		{Probed{Asked: 19, Failed: 2}, Inconclusive},
		{Probed{Asked: 4, Failed: 3}, Fail},
		{Probed{Asked: 20, Failed: 2}, Pass}, // one or two alone may be anything
		{Probed{Asked: 100, Failed: 1}, Pass},
		{Probed{Asked: 100, Failed: 2}, Pass},
		{Probed{Asked: 100, Failed: 3}, Fail},
		{Probed{Asked: 1000, Failed: 10}, Pass},
		{Probed{Asked: 1000, Failed: 11}, Fail},
	} {
		if got := c.p.Verdict(0.01); got != c.want {
			t.Errorf("%+v: %s, want %s", c.p, got, c.want)
		}
	}
}
