package evidence

import (
	"fmt"
	"time"

	"greenroom/internal/human"
)

// Probed is what Greenroom saw of an app whose traffic it does not carry: it asked by itself, at a rate. That is a sample.
// It proves of no request of a user's that it was answered.
type Probed struct {
	URL    string    `json:"url"`
	Rate   int       `json:"rate"`   // probes a second that were meant to be sent
	Asked  int64     `json:"asked"`  // probes that were sent, and have their answer
	Well   int64     `json:"well"`   // answered with a status of 200 to 399, in time
	Late   int64     `json:"late"`   // of Well, those that took longer than LateAfter
	Failed int64     `json:"failed"` // all others
	Missed int64     `json:"missed"` // probes that were not sent: Greenroom was late itself, or too many were under way
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	// FirstFailure and LastFailure are when those probes were sent; zero where none failed.
	FirstFailure time.Time `json:"first_failure,omitzero"`
	LastFailure  time.Time `json:"last_failure,omitzero"`
	Failure      string    `json:"failure,omitempty"` // what the first one was
	Latest       string    `json:"latest,omitempty"`  // what the last one was
	// Interrupted says that nobody asked before Began, though somebody should have: Greenroom was started anew.
	Interrupted bool `json:"interrupted,omitempty"`
}

// LateAfter is how long an answer takes that is called late.
const LateAfter = time.Second

// How many probes it takes to judge by their share: fewer failures may be anything.
const (
	enoughProbes  = 20
	unluckyProbes = 3
)

// Verdict judges by the share of failures that is accepted. Where no probe was sent nobody knows, and neither does anybody
// where some of a few failed: that is no pass.
func (p Probed) Verdict(limit float64) Verdict {
	tooMany := float64(p.Failed) > limit*float64(p.Asked)
	switch {
	case p.Asked == 0:
		return Inconclusive
	case p.Failed == p.Asked, tooMany && p.Failed >= unluckyProbes:
		return Fail
	case tooMany && p.Asked < enoughProbes:
		return Inconclusive
	}
	return Pass
}

// Bad says whether there are enough failures already to judge by, though more probes may come.
func (p Probed) Bad(limit float64) bool {
	return p.Asked >= enoughProbes && p.Failed >= unluckyProbes && float64(p.Failed) > limit*float64(p.Asked)
}

// String tells it in one line, such as "probed at 20/s: 3 of 1,880 failed, 14:03:07–14:03:09 UTC".
func (p Probed) String() string {
	text := fmt.Sprintf("probed at %d/s: ", p.Rate)
	if p.Asked == 0 {
		text += "no probe was sent, so nothing is known"
	} else {
		text += fmt.Sprintf("%s of %s failed", human.Number(p.Failed), human.Number(p.Asked))
	}
	if p.Failed > 0 {
		text += ", " + clock(p.FirstFailure)
		if last := clock(p.LastFailure); last != clock(p.FirstFailure) {
			text += "–" + last
		}
		text += " UTC"
	}
	if p.Late > 0 {
		text += fmt.Sprintf(", %s late", human.Number(p.Late))
	}
	if p.Missed > 0 {
		text += fmt.Sprintf("; %s more %s not sent, so the rate was lower", human.Number(p.Missed), were(p.Missed))
	}
	if p.Interrupted {
		text += fmt.Sprintf("; nobody asked before %s UTC, Greenroom was started anew", clock(p.Began))
	}
	return text
}

func were(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) }
