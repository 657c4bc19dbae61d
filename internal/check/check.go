// Package check runs a check and reads its report: a command of the team's own becomes a verdict that names the failing
// test.
package check

import (
	"context"
	"io"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/proc"
)

// defaultTimeout is for a check that names none.
const defaultTimeout = 10 * time.Minute

// Request is one run of a check.
type Request struct {
	Check app.Check
	Dir   string   // where the command runs and writes its report: a copy that it may write to, where it has a report
	Env   []string // the whole environment of the command
	User  string   // system user that it runs as; "" is this process's own
	// Network is the file of the network namespace that it runs in, as proc.Command has it.
	Network string
	// Secrets are values that must stand nowhere in the result: they are removed from the output and from the names and
	// messages of tests, in the spellings of addresses, JSON and XML too. Those shorter than 4 bytes are not: removing
	// every "1" would leave nothing to read.
	Secrets []string
}

// Run runs a check and says what it found. There is no error beside the result: whatever keeps a check from deciding is
// the verdict inconclusive, with its reason.
//
//   - pass: exit code 0 and, where a report is asked for, at least one test passed and none failed
//   - fail: another exit code, or a failed test in the report, whatever the exit code
//   - inconclusive: not started, not ended in time, interrupted, no report that can be read, nothing ran; or, from a
//     command without a report, exit code 3
//
// Nothing of the command runs any more when Run returns, but what made a session of its own. Result.Check is the
// check's name.
func Run(ctx context.Context, q Request) evidence.Result {
	started := time.Now()
	o := outcome{check: q.Check}
	if o.check.Timeout <= 0 {
		o.check.Timeout = defaultTimeout
	}
	output := newTail(newSecrets(q.Secrets))
	source := sourceFor(q, output)
	if o.err = source.prepare(); o.err == nil {
		limited, cancel := context.WithTimeout(ctx, o.check.Timeout)
		defer cancel()
		o.exit, o.err = proc.Run(limited, proc.Command{
			Argv: proc.Shell(q.Check.Run), Dir: q.Dir, Env: q.Env, User: q.User, Network: q.Network, Stdout: source.stdout(), Stderr: output,
		})
		o.interrupted = ctx.Err() != nil
		o.report, o.unreadable = source.read()
	}
	r := evidence.Result{Check: q.Check.Name, Started: started, Output: output.text()}
	o.last = lastLine(r.Output)
	r.Verdict, r.Summary = o.judge()
	r.Passed, r.Failed, r.Skipped = o.report.passed, o.report.failed, o.report.skipped
	r.Summary = clip(oneLine(output.secrets.clean(plain(r.Summary))), maxSummary)
	r.Failures = o.report.failures
	r.Duration = time.Since(started)
	return r
}

// source is where a check's report comes from.
type source interface {
	// prepare is called before the command starts.
	prepare() error
	// stdout takes what the command prints there.
	stdout() io.Writer
	// read is called when the command has ended. The error says why there is no report.
	read() (report, error)
}

func sourceFor(q Request, output *tail) source {
	switch q.Check.Report {
	case "":
		return noReport{output}
	case reportGo:
		return newGoSource(output)
	default:
		return &junitSource{output: output, dir: q.Dir, pattern: q.Check.Report, report: report{secrets: output.secrets}}
	}
}

// noReport is the source of a check that asks for none.
type noReport struct{ output io.Writer }

func (noReport) prepare() error        { return nil }
func (n noReport) stdout() io.Writer   { return n.output }
func (noReport) read() (report, error) { return report{}, nil }
