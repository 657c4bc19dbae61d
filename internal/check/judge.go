package check

import (
	"context"
	"errors"
	"fmt"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

// Exit codes that say more than "failed".
const (
	// exitInconclusive is how a command without a report says that it could not decide; Greenroom's own commands do the same.
	exitInconclusive = 3
	// A shell that may not run the command, or does not find it, ends with these (POSIX.1-2024, XCU 2.8.2).
	exitCannotRun = 126
	exitNotFound  = 127
)

// outcome is all that is known when a check has ended.
type outcome struct {
	check       app.Check
	interrupted bool // the caller did not want to wait any longer
	err         error
	exit        proc.Exit
	report      report
	unreadable  error  // why there is no report although one is asked for
	last        string // the last line that it printed
}

// judge turns an outcome into a verdict and one line that says why.
func (o outcome) judge() (evidence.Verdict, string) {
	switch {
	case o.interrupted:
		return evidence.Inconclusive, "interrupted"
	case errors.Is(o.err, context.DeadlineExceeded):
		// Tests that fail in its report may have failed because it was told to end.
		return evidence.Inconclusive, "did not end within " + human.Duration(o.check.Timeout)
	case o.err != nil:
		return evidence.Inconclusive, "could not be run: " + o.err.Error()
	case o.report.failed > 0:
		return evidence.Fail, o.report.failureSummary()
	case o.exit.Code == exitCannotRun || o.exit.Code == exitNotFound:
		return evidence.Inconclusive, join("its command could not be run", o.last)
	case o.check.Report == "":
		return o.judgeExit()
	case !o.exit.OK():
		why := "its report names no failing test"
		if o.unreadable != nil {
			why = o.unreadable.Error()
		}
		return evidence.Fail, join(o.exit.String()+"; "+why, o.last)
	default:
		return o.judgeReport()
	}
}

// judgeExit is the verdict of a command without a report.
func (o outcome) judgeExit() (evidence.Verdict, string) {
	switch {
	case o.exit.OK():
		return evidence.Pass, o.exit.String()
	case o.exit.Code == exitInconclusive:
		return evidence.Inconclusive, join("its command could not decide (exit code 3)", o.last)
	default:
		return evidence.Fail, join(o.exit.String(), o.last)
	}
}

// judgeReport is the verdict of a report without a failed test, from a command that ended with exit code 0.
func (o outcome) judgeReport() (evidence.Verdict, string) {
	r := o.report
	switch {
	case o.unreadable != nil:
		return evidence.Inconclusive, o.unreadable.Error()
	case r.passed == 0 && r.skipped > 0:
		return evidence.Inconclusive, "nothing ran: " + plural(r.skipped, "test") + " skipped"
	case r.passed == 0:
		return evidence.Inconclusive, "nothing ran: its report holds no tests"
	case r.cached && !o.check.AtBuild:
		// What the test asked over the network is no part of go's cache key: it may be another release's answer.
		return evidence.Inconclusive, "nothing ran: go took results from its cache; add -count=1"
	case r.skipped > 0:
		return evidence.Pass, fmt.Sprintf("%s passed, %d skipped", plural(r.passed, "test"), r.skipped)
	default:
		return evidence.Pass, plural(r.passed, "test") + " passed"
	}
}

// join puts a detail behind what happened, if there is one.
func join(what, detail string) string {
	if detail == "" {
		return what
	}
	return what + ": " + detail
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
