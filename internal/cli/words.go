package cli

import (
	"fmt"
	"math"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/human"
	"greenroom/internal/term"
)

// count is a number with its noun.
func count(n int, one, many string) string { return term.Count(n, one, many) }

// thousands groups digits: 12,345.
func thousands(n int64) string { return term.Number(n) }

// bytesOf tells a size.
func bytesOf(n int64) string { return human.Size(n) }

// ago tells how long something has been so; "" for never.
func ago(t, now time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	default:
		return term.Duration(d)
	}
}

// when tells how long ago something was; "" for never.
func when(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ago(t, now) + " ago"
}

// clock tells when, in the person's zone.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func markOf(v evidence.Verdict) term.Mark {
	switch v {
	case evidence.Pass:
		return term.Pass
	case evidence.Fail:
		return term.Fail
	default:
		return term.Unknown
	}
}

func markOfAnswer(a gate.Answer) term.Mark {
	switch a {
	case gate.Yes:
		return term.Pass
	case gate.No:
		return term.Fail
	default:
		return term.Unknown
	}
}

func inkOf(v evidence.Verdict) term.Ink {
	switch v {
	case evidence.Pass:
		return term.Green
	case evidence.Fail:
		return term.Red
	default:
		return term.Yellow
	}
}

// cells is how wide a line may be: as wide as the terminal. Elsewhere lines are not broken, so that they can be searched.
func cells(s term.Screen) int {
	if s.Live {
		return s.Width()
	}
	return math.MaxInt
}

// wrap breaks text between words into lines of at most width cells.
func wrap(text string, width int) []string { return term.Wrap(text, width) }
