package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// environment is what the test's commands get.
func environment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C"}, more...)
}

// want is what a test expects of a result; Output must hold its text, Summary must be it.
type want struct {
	verdict                 evidence.Verdict
	summary                 string
	passed, failed, skipped int
	failures                []evidence.Failure
	output                  string
}

func compare(t *testing.T, got evidence.Result, w want) {
	t.Helper()
	if got.Verdict != w.verdict || got.Summary != w.summary {
		t.Errorf("got  %s: %s\nwant %s: %s\n%s", got.Verdict, got.Summary, w.verdict, w.summary, got.Output)
	}
	if got.Passed != w.passed || got.Failed != w.failed || got.Skipped != w.skipped {
		t.Errorf("got %d passed, %d failed, %d skipped", got.Passed, got.Failed, got.Skipped)
	}
	if diff := cmp.Diff(w.failures, got.Failures); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got.Output, w.output) {
		t.Errorf("output %q", got.Output)
	}
	if got.Check != "smoke" || got.Started.IsZero() || got.Duration <= 0 {
		t.Errorf("check %q started %s took %s", got.Check, got.Started, got.Duration)
	}
}

const suiteOK = `<testsuite><testcase name='a'/><testcase name='b'/><testcase name='c'><skipped/></testcase></testsuite>`
const suiteBad = `<testsuite><testcase name='a'/><testcase classname='Cart' name='pays'><failure message='got 500'>at line 3</failure></testcase></testsuite>`

func TestRun(t *testing.T) {
	pay := []evidence.Failure{{Name: "Cart.pays", Message: "got 500\nat line 3"}}
	cases := []struct {
		name   string
		run    string
		report string
		want   want
	}{
		{"a plain command", "true", "", want{verdict: evidence.Pass, summary: "exit code 0"}},
		{"its output", "echo one; echo two >&2", "", want{verdict: evidence.Pass, summary: "exit code 0", output: "one\ntwo\n"}},
		{"a plain command that fails", "echo checking; echo the cart is empty; echo; exit 1", "",
			want{verdict: evidence.Fail, summary: "exit code 1: the cart is empty", output: "checking"}},
		{"a plain command that can't decide", "echo no browser here; exit 3", "",
			want{verdict: evidence.Inconclusive, summary: "its command could not decide (exit code 3): no browser here"}},
		{"a command that is not there", "exec ./no-such-check", "", want{verdict: evidence.Inconclusive,
			summary: "its command could not be run: /bin/sh: 1: exec: ./no-such-check: not found", output: "not found"}},
		{"a command that is no program", "exec /etc/passwd", "", want{verdict: evidence.Inconclusive,
			summary: "its command could not be run: /bin/sh: 1: exec: /etc/passwd: Permission denied", output: "denied"}},
		{"a command that is killed", "kill -9 $$", "", want{verdict: evidence.Fail, summary: "ended by signal 9 (killed)"}},
		{"the environment is the given one", `echo "$APP_URL-$USER-$0"; env | wc -l`, "",
			want{verdict: evidence.Pass, summary: "exit code 0", output: "http://127.0.0.1:1--/bin/sh\n"}},

		{"a report", "echo \"" + suiteOK + "\" > r.xml", "r.xml", want{verdict: evidence.Pass, summary: "2 tests passed, 1 skipped", passed: 2, skipped: 1}},
		{"several reports", "mkdir -p b; for i in 1 2; do echo \"" + suiteOK + "\" > b/$i.xml; done", "b/*.xml",
			want{verdict: evidence.Pass, summary: "4 tests passed, 2 skipped", passed: 4, skipped: 2}},
		{"a failing test", "echo \"" + suiteBad + "\" > r.xml; exit 1", "r.xml",
			want{verdict: evidence.Fail, summary: "Cart.pays failed: got 500", passed: 1, failed: 1, failures: pay}},
		{"exit codes lie", "echo \"" + suiteBad + "\" > r.xml; exit 0", "r.xml",
			want{verdict: evidence.Fail, summary: "Cart.pays failed: got 500", passed: 1, failed: 1, failures: pay}},
		{"a failing test and a strange exit code", "echo \"" + suiteBad + "\" > r.xml; exit 127", "r.xml",
			want{verdict: evidence.Fail, summary: "Cart.pays failed: got 500", passed: 1, failed: 1, failures: pay}},
		{"the other way round", "echo \"" + suiteOK + "\" > r.xml; echo coverage is 79%; exit 1", "r.xml",
			want{verdict: evidence.Fail, summary: "exit code 1; its report names no failing test: coverage is 79%", passed: 2, skipped: 1}},
		{"one failing report of two", "echo \"" + suiteOK + "\" > r1.xml; echo \"" + suiteBad + "\" > r2.xml", "r?.xml",
			want{verdict: evidence.Fail, summary: "Cart.pays failed: got 500", passed: 3, failed: 1, skipped: 1, failures: pay}},
		{"no report", "true", "r.xml", want{verdict: evidence.Inconclusive, summary: "it did not write its report r.xml"}},
		{"no report and a failure", "echo boom; exit 2", "r.xml",
			want{verdict: evidence.Fail, summary: "exit code 2; it did not write its report r.xml: boom"}},
		{"an empty report", ": > r.xml", "r.xml", want{verdict: evidence.Inconclusive, summary: "its report r.xml is empty"}},
		{"a report cut off", "echo '<testsuite><testcase name=\"a\"/>' > r.xml", "r.xml",
			want{verdict: evidence.Inconclusive, summary: "its report r.xml is no XML: XML syntax error on line 2: unexpected EOF", passed: 1}},
		{"one good report and one broken", "echo \"" + suiteOK + "\" > r1.xml; echo broken > r2.xml", "r*.xml",
			want{verdict: evidence.Inconclusive, summary: "its report r2.xml has text outside its elements", passed: 2, skipped: 1}},
		{"a report without tests", "echo '<testsuites/>' > r.xml", "r.xml",
			want{verdict: evidence.Inconclusive, summary: "nothing ran: its report holds no tests"}},
		{"all skipped", "echo '<testsuite><testcase name=\"a\"><skipped/></testcase></testsuite>' > r.xml", "r.xml",
			want{verdict: evidence.Inconclusive, summary: "nothing ran: 1 test skipped", skipped: 1}},
		{"a stale report", "true", "old.xml", want{verdict: evidence.Inconclusive, summary: "it did not write its report old.xml"}},
		{"a stale report, written again", "echo \"" + suiteOK + "\" > old.xml", "old.xml",
			want{verdict: evidence.Pass, summary: "2 tests passed, 1 skipped", passed: 2, skipped: 1}},
		{"a symlink to a file outside", "ln -s " + "$OUTSIDE" + " r.xml", "r.xml",
			want{verdict: evidence.Inconclusive, summary: "it did not write its report r.xml"}},
		{"a named pipe", "mkfifo r.xml", "r.xml", want{verdict: evidence.Inconclusive, summary: "its report r.xml is not a file"}},
		{"a folder", "mkdir r.xml", "r.xml", want{verdict: evidence.Inconclusive, summary: "its report r.xml is not a file"}},
		{"a report outside", "true", "../r.xml",
			want{verdict: evidence.Inconclusive, summary: `could not be run: its report "../r.xml" leads out of the folder in which it runs`}},
		{"a broken pattern", "true", "[", want{verdict: evidence.Inconclusive, summary: `could not be run: its report "[" is not a pattern`}},

		{"go: no stream", "echo ok; exit 0", "go",
			want{verdict: evidence.Inconclusive, summary: "its standard output is not that of go test -json", output: "ok\n"}},
		{"go: a failure before the stream", "echo 'go: no module' >&2; exit 1", "go",
			want{verdict: evidence.Fail, summary: "exit code 1; its standard output is not that of go test -json: go: no module"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			outside := filepath.Join(t.TempDir(), "outside.xml")
			must(t, os.WriteFile(outside, []byte(suiteOK), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "old.xml"), []byte(suiteOK), 0o600))
			compare(t, Run(t.Context(), Request{
				Check: app.Check{Name: "smoke", Run: c.run, Report: c.report, Timeout: 5 * time.Minute}, Dir: dir,
				Env: environment("APP_URL=http://127.0.0.1:1", "OUTSIDE="+outside),
			}), c.want)
		})
	}
}

func TestRunEndsInTime(t *testing.T) {
	check := app.Check{Name: "smoke", Run: "echo \"" + suiteBad + "\" > r.xml; echo waiting; sleep 600", Report: "r.xml", Timeout: 200 * time.Millisecond}
	got := Run(t.Context(), Request{Check: check, Dir: t.TempDir(), Env: environment()})
	for got.Output == "" && check.Timeout < time.Minute { // on a busy machine it is over before the shell has begun
		check.Timeout *= 4
		got = Run(t.Context(), Request{Check: check, Dir: t.TempDir(), Env: environment()})
	}
	compare(t, got, want{
		verdict: evidence.Inconclusive, summary: "did not end within " + human.Duration(check.Timeout), passed: 1, failed: 1, output: "waiting",
		failures: []evidence.Failure{{Name: "Cart.pays", Message: "got 500\nat line 3"}},
	})
}

func TestRunIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "started"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := os.ReadFile(filepath.Join(dir, "started"))
		cancel()
		done <- err
	}()
	got := Run(ctx, Request{Check: app.Check{Name: "smoke", Run: "echo > started; exec sleep 600"}, Dir: dir, Env: environment()})
	must(t, <-done)
	compare(t, got, want{verdict: evidence.Inconclusive, summary: "interrupted"})
	compare(t, Run(ctx, Request{Check: app.Check{Name: "smoke", Run: "true"}, Dir: dir, Env: environment()}),
		want{verdict: evidence.Inconclusive, summary: "interrupted"})
}

func TestRunCannotStart(t *testing.T) {
	check := app.Check{Name: "smoke", Run: "true"}
	for name, q := range map[string]Request{
		"no folder":           {Check: check, Dir: "/nonexistent"},
		"no folder, a report": {Check: app.Check{Name: "smoke", Run: "true", Report: "r.xml"}, Dir: "/nonexistent"},
		"no such user":        {Check: check, Dir: "/", User: "no-such-user"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Run(t.Context(), q)
			if got.Verdict != evidence.Inconclusive || !strings.HasPrefix(got.Summary, "could not be run: ") {
				t.Errorf("%s: %s", got.Verdict, got.Summary)
			}
		})
	}
}

// What a check leaves behind is gone, also when it ignores SIGTERM and holds the output open.
func TestRunLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	got := Run(t.Context(), Request{
		Check: app.Check{Name: "smoke", Run: `(trap '' TERM HUP; echo started; while :; do sleep 1; done) & echo $! > pid; exit 0`},
		Dir:   dir, Env: environment(),
	})
	compare(t, got, want{verdict: evidence.Pass, summary: "exit code 0"})
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(t, err)
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := proc.Identify(pid); errors.Is(err, proc.ErrGone) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestRunBoundsItsOutput(t *testing.T) {
	got := Run(t.Context(), Request{
		Check: app.Check{Name: "smoke", Run: "yes the line of a flood | head -c 200000000; echo the end; exit 1", Timeout: 5 * time.Minute},
		Dir:   t.TempDir(), Env: environment(),
	})
	compare(t, got, want{verdict: evidence.Fail, summary: "exit code 1: the end", output: "the line of a flood\nthe end\n"})
	if n := len(got.Output); n > outputLimit || n < outputLimit-100 || !strings.HasPrefix(got.Output, leftOut+"the line") {
		t.Errorf("%d bytes that begin with %.60q", n, got.Output)
	}
}

func TestRunHidesSecrets(t *testing.T) {
	const secret = `p&ss "wörd"/+<1>`
	script := `
printf '%s\n' "plain $SECRET" "url postgres://u:p%26ss%20%22w%C3%B6rd%22%2F%2B%3C1%3E@db/x" "query p%26ss+%22w%C3%B6rd%22%2F%2B%3C1%3E" \
  'json p\u0026ss \"wörd\"/+\u003c1\u003e' "short 123" "key line-of-the-private-key"
printf 'coloured p&ss "\033[1mwö\033[0mrd"/+<1>\n'
cat > r.xml <<EOF
<testsuite><testcase name="with $XML"><failure message="got $XML">in $XML</failure></testcase></testsuite>
EOF
exit 1`
	got := Run(t.Context(), Request{
		Check: app.Check{Name: "smoke", Run: script, Report: "r.xml"}, Dir: t.TempDir(),
		Env:     environment("SECRET="+secret, `XML=p&amp;ss &quot;wörd&quot;/+&lt;1&gt;`),
		Secrets: []string{secret, "123", "-----BEGIN-----\nline-of-the-private-key\n", ""},
	})
	compare(t, got, want{
		verdict: evidence.Fail, summary: "with [secret] failed: got [secret]", failed: 1,
		failures: []evidence.Failure{{Name: "with [secret]", Message: "got [secret]\nin [secret]"}},
		output:   "plain [secret]\nurl postgres://u:[secret]@db/x\nquery [secret]\njson [secret]\nshort 123\nkey [secret]\ncoloured [secret]\n",
	})
}

// A secret of which the kept output holds only a part is not shown either, wherever the cut falls.
func TestCutSecretsAreHidden(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	shows := func(text string) string {
		for i := 0; i+4 <= len(secret); i += 4 {
			if strings.Contains(text, secret[i:i+4]) {
				return secret[i : i+4]
			}
		}
		return ""
	}
	for shift := range 2 * len(secret) {
		out := newTail(newSecrets([]string{secret}))
		print := func(s string) { _, _ = out.Write([]byte(s)) }
		print(strings.Repeat("x", 5*(outputLimit+len(secret))+shift))
		for range 2 * (outputLimit + len(secret)) / len(secret) {
			print(secret)
		}
		print("\nlast line\n")
		if part := shows(out.text()); part != "" {
			t.Fatalf("shifted by %d, the output shows %q", shift, part)
		}
		e := excerpt{secrets: out.secrets}
		e.add(strings.Repeat("x", shift))
		for range 500 {
			e.add(secret[:7])
			e.add(secret[7:])
		}
		if part := shows(e.text()); part != "" {
			t.Fatalf("shifted by %d, the excerpt shows %q", shift, part)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, out := range map[string]string{
		"text\twith\nlines – ünïcode": "text\twith\nlines – ünïcode",
		"\x1b[31mred\x1b[0m":          "red",
		"\x1b]0;title\x07after":       "after",
		"\x1b]8;;http://x\x1b\\link":  "link",
		"\x1b]broken\nline":           "broken\nline",
		"\x1b[12":                     "",
		"\x1b":                        "",
		"\x1bMup":                     "up",
		"10%\r50%\r\n":                "10%\n50%\n",
		"a\x00b\x08c\x7f\u0085d":      "abcd",
		"bad \xff utf8":               "bad \ufffd utf8",
		"user\u202egpj.exe":           "usergpj.exe",
	} {
		if got := plain(in); got != out {
			t.Errorf("%q: got %q, want %q", in, got, out)
		}
	}
}
