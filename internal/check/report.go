package check

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"greenroom/internal/evidence"
)

const (
	maxFailures = 100     // failing tests that are named; all are counted
	maxMessage  = 2 << 10 // bytes of one failing test's message
	maxName     = 256     // bytes of one test's name
	maxDetail   = 200     // bytes of a detail in a summary
	maxSummary  = 1 << 10 // bytes of a summary
)

// report is what a report says, whatever its dialect. A test with subtests is no test of its own.
type report struct {
	secrets                 secrets
	passed, failed, skipped int
	failures                []evidence.Failure
	cached                  bool // some results are from go's cache
}

// fail counts a failing test.
func (r *report) fail(name, message string) {
	r.failed++
	if len(r.failures) < maxFailures {
		name = clip(oneLine(r.secrets.clean(plain(name))), maxName)
		r.failures = append(r.failures, evidence.Failure{Name: name, Message: clip(strings.Trim(message, "\n"), maxMessage)})
	}
}

// failureSummary names the first failing test: "TestPay failed: got 500".
func (r *report) failureSummary() string {
	first := r.failures[0]
	line := clip(firstLine(first.Message), maxDetail)
	if r.failed == 1 {
		return join(first.Name+" failed", line)
	}
	total := r.passed + r.failed
	return join(fmt.Sprintf("%d of %s failed, first %s", r.failed, plural(total, "test"), first.Name), line)
}

// excerpt keeps the beginning and the end of a text: the one says what was expected, the other what came of it.
type excerpt struct {
	secrets    secrets
	head, tail []byte
	cut        bool
}

func (e *excerpt) add(s string) {
	half := maxMessage/2 + e.secrets.longest
	n := min(max(0, half-len(e.head)), len(s))
	e.head, s = append(e.head, s[:n]...), s[n:]
	e.cut = e.cut || len(e.tail)+len(s) > half
	s = s[max(0, len(s)-half):]
	if extra := len(e.tail) + len(s) - half; extra > 0 {
		e.tail = append(e.tail[:0], e.tail[extra:]...)
	}
	e.tail = append(e.tail, s...)
}

// text is the excerpt without secrets, also those of which only a part was kept.
func (e *excerpt) text() string {
	if !e.cut {
		return e.secrets.clean(plain(string(e.head) + string(e.tail)))
	}
	return clip(e.secrets.cleanPart(plain(string(e.head)), false, true), maxMessage/2) + "\n" +
		e.secrets.cleanPart(plain(string(e.tail)), true, false)
}

// clip shortens s to at most n bytes, at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

// oneLine puts s on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// firstLine is the first line with something in it.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// lastLine is the last line with something in it, short enough for a summary.
func lastLine(s string) string {
	s = strings.TrimRight(s, " \t\n")
	return clip(strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:]), maxDetail)
}
