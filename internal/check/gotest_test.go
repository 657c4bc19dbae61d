package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
)

// module is a Go module in which a test goes every way that tests go.
var module = map[string]string{
	"go.mod":       "module shop\n\ngo 1.24\n",
	"none/none.go": "package none",
	"broken/broken_test.go": `package broken
import "testing"
func TestX(t *testing.T) { undefined() }`,
	"exits/exits_test.go": `package exits
import ("log"; "testing")
func TestFatal(t *testing.T) { log.SetFlags(0); log.Fatal("cannot go on") }`,
	"fails/fails_test.go": `package fails
import "testing"
func TestPay(t *testing.T) {
	t.Run("card/visa", func(t *testing.T) { t.Errorf("got %d", 500) })
	t.Run("cash", func(t *testing.T) {})
}
func TestSetup(t *testing.T) { t.Run("fine", func(t *testing.T) {}); t.Fatal("after it") }`,
	"mains/mains_test.go": `package mains
import ("fmt"; "os"; "testing")
func TestMain(m *testing.M) { fmt.Println("no database"); os.Exit(7) }
func TestX(t *testing.T) {}`,
	"panics/panics_test.go": `package panics
import "testing"
func TestBefore(t *testing.T) {}
func TestSibling(t *testing.T) { t.Parallel(); select {} }
func TestPanic(t *testing.T) { t.Parallel(); var m map[string]int; m["a"] = 1 }`,
	"passes/passes_test.go": `package passes
import "testing"
func TestA(t *testing.T) { t.Run("one", func(t *testing.T) {}); t.Run("two", func(t *testing.T) { t.Parallel() }) }
func TestB(t *testing.T) { t.Skip("later") }`,
	"slow/slow_test.go": `package slow
import "testing"
func TestWaiting(t *testing.T) { t.Parallel(); <-make(chan int) }
func TestSlow(t *testing.T) { <-make(chan int) }`,
}

// goModule gives a folder with the module in it.
func goModule(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no go command in PATH")
		}
		t.Skip("NOT TESTED: no go command in PATH")
	}
	dir := t.TempDir()
	for name, content := range module {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return dir
}

func TestGoTest(t *testing.T) {
	dir := goModule(t)
	run := func(line string, atBuild bool) evidence.Result {
		return Run(t.Context(), Request{
			Check: app.Check{Name: "smoke", Run: line, Report: "go", Timeout: 5 * time.Minute, AtBuild: atBuild},
			Dir:   dir, Env: append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off"),
		})
	}

	got := run("go test -json -vet=off -count=1 -timeout 1s ./...", false)
	wantFailures := []struct{ name, message string }{
		{"shop/broken", "does not build: broken/broken_test.go:3:28: undefined: undefined"},
		{"exits.TestFatal", "cannot go on"},
		{"fails.TestPay/card/visa", "fails_test.go:4: got 500"},
		{"fails.TestSetup", "fails_test.go:7: after it"},
		{"panics.TestPanic", "panic: assignment to entry in nil map"},
		{"shop/mains", "no database"},
		{"slow.TestSlow", "panic: test timed out after 1s"},
	}
	if got.Verdict != evidence.Fail || got.Passed != 5 || got.Skipped != 1 || got.Failed != len(wantFailures) {
		t.Errorf("%s, %d passed, %d skipped, %d failed", got.Verdict, got.Passed, got.Skipped, got.Failed)
	}
	if !strings.HasPrefix(got.Summary, "7 of 12 tests failed, first ") {
		t.Error(got.Summary)
	}
	found := map[string]string{}
	for _, f := range got.Failures {
		found[f.Name] = f.Message
	}
	for _, w := range wantFailures {
		if !strings.Contains(found[w.name], w.message) {
			t.Errorf("%s: %q, want %q", w.name, found[w.name], w.message)
		}
	}
	for _, line := range []string{"--- FAIL: TestPay (", "undefined: undefined\n", "FAIL\tshop/slow"} {
		if !strings.Contains(got.Output, line) {
			t.Errorf("the output lacks %q:\n%s", line, got.Output)
		}
	}

	compare(t, run("go test -json -vet=off -count=1 -run TestA ./passes ./none", false),
		want{verdict: evidence.Pass, summary: "2 tests passed", passed: 2, output: "ok  \tshop/passes"})
	compare(t, run("go test -json -vet=off -count=1 -run TestNothing ./passes", false),
		want{verdict: evidence.Inconclusive, summary: "nothing ran: its report holds no tests", output: "no tests to run"})
	compare(t, run("go test -json -vet=off -count=1 ./none", false),
		want{verdict: evidence.Inconclusive, summary: "nothing ran: its report holds no tests", output: "[no test files]"})
	got = run("go test -json -vet=off -count=1 ./fails | cat", false) // the pipe's exit code is cat's
	got.Failures = nil
	compare(t, got,
		want{verdict: evidence.Fail, summary: "2 of 4 tests failed, first fails.TestPay/card/visa: fails_test.go:4: got 500", passed: 2, failed: 2})
	for _, atBuild := range []bool{true, false} {
		_ = run("go test -json -vet=off -run TestA ./passes", true) // fills go's cache
		w := want{verdict: evidence.Pass, summary: "2 tests passed", passed: 2, output: "(cached)"}
		if !atBuild {
			w.verdict, w.summary = evidence.Inconclusive, "nothing ran: go took results from its cache; add -count=1"
		}
		compare(t, run("go test -json -vet=off -run TestA ./passes", atBuild), w)
	}
}

// readGo feeds a stream to the reader, in pieces of n bytes.
func readGo(t testing.TB, stream string, n int) (report, string, error) {
	t.Helper()
	out := newTail(secrets{})
	g := newGoSource(out)
	for len(stream) > 0 {
		k := min(n, len(stream))
		if wrote, err := g.Write([]byte(stream[:k])); wrote != k || err != nil {
			t.Fatalf("wrote %d of %d: %v", wrote, k, err)
		}
		stream = stream[k:]
	}
	r, err := g.read()
	return r, out.text(), err
}

func TestGoStream(t *testing.T) {
	const (
		start = `{"Action":"start","Package":"x/p"}` + "\n"
		runA  = `{"Action":"run","Package":"x/p","Test":"TestA"}` + "\n"
		passA = `{"Action":"pass","Package":"x/p","Test":"TestA"}` + "\n"
		outA  = `{"Action":"output","Package":"x/p","Test":"TestA","Output":"    a_test.go:1: said\n"}` + "\n"
		pass  = `{"Action":"pass","Package":"x/p"}` + "\n"
		fail  = `{"Action":"fail","Package":"x/p"}` + "\n"
	)
	cases := []struct {
		name, stream string
		passed       int
		failures     []evidence.Failure
		err          string
		output       string
	}{
		{name: "passing", stream: start + runA + passA + pass, passed: 1},
		{name: "no line's end", stream: strings.TrimSuffix(start+runA+passA+pass, "\n"), passed: 1},
		{name: "text in between", stream: "make: go test\n" + start + "{not json\n" + runA + `{"level":"info"}` + "\n" + passA + pass + "the end", passed: 1,
			output: "make: go test\n{not json\n{\"level\":\"info\"}\nthe end"},
		{name: "a test without an end", stream: start + runA + outA + pass, failures: []evidence.Failure{{Name: "p.TestA", Message: "    a_test.go:1: said"}}},
		{name: "a silent test without an end", stream: start + runA + fail, failures: []evidence.Failure{{Name: "p.TestA", Message: "it did not end"}}},
		{name: "a package that fails by itself", stream: start + runA + passA + fail, passed: 1, failures: []evidence.Failure{{Name: "x/p"}}},
		{name: "an end without a package's", stream: start + runA + passA, passed: 1, err: "the output of go test -json ends before x/p does"},
		{name: "empty", err: "its standard output is not that of go test -json"},
		{name: "an old build failure", stream: `{"Action":"output","Package":"x/p","Output":"FAIL\tx/p [build failed]\n"}` + "\n" + fail,
			failures: []evidence.Failure{{Name: "x/p"}}},
		{name: "a huge line", stream: start + strings.Repeat("x", 3*maxLine) + "\n" + runA + passA + pass, passed: 1},
		{name: "a huge name", stream: start + `{"Action":"run","Package":"x/p","Test":"` + strings.Repeat("x", maxGoName+1) + `"}` + "\n" + pass,
			err: "its report has more tests under way at once, or longer names, than can be kept"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{1 << 30, 1000, 7} {
				r, output, err := readGo(t, c.stream, n)
				if r.passed != c.passed || r.failed != len(c.failures) {
					t.Errorf("%d passed, %d failed", r.passed, r.failed)
				}
				if diff := cmp.Diff(c.failures, r.failures); diff != "" {
					t.Error(diff)
				}
				if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
					t.Errorf("error %v", err)
				}
				if c.output != "" && output != c.output {
					t.Errorf("output %q", output)
				}
			}
		})
	}
}

func TestGoStreamIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range maxUnder + 10 {
		b.WriteString(`{"Action":"run","Package":"p","Test":"Test` + strings.Repeat("a", i%50) + string(rune('a'+i%26)) + time.Duration(i).String() + `"}` + "\n")
	}
	if _, _, err := readGo(t, b.String(), 1<<20); err == nil {
		t.Error("no end to the tests under way")
	}
}

func FuzzGoTest(f *testing.F) {
	f.Add(`{"Action":"start","Package":"p"}` + "\n" + `{"Action":"run","Package":"p","Test":"TestA/b"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestA/b","Output":"x\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestA/b"}` + "\n" +
		`{"Action":"fail","Package":"p","FailedBuild":"p"}` + "\n" + `{"ImportPath":"p","Action":"build-output","Output":"# p\n"}` + "\n")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, _, err := readGo(t, stream, 1<<30)
		pieces, _, err2 := readGo(t, stream, 3)
		if diff := cmp.Diff(whole.failures, pieces.failures); diff != "" || whole.passed != pieces.passed || (err == nil) != (err2 == nil) {
			t.Fatalf("read differently in pieces: %s", diff)
		}
		wantBounded(t, whole)
	})
}

func wantBounded(t *testing.T, r report) {
	t.Helper()
	if len(r.failures) > maxFailures || len(r.failures) > r.failed || r.failed > 0 && len(r.failures) == 0 {
		t.Fatalf("%d failed, %d named", r.failed, len(r.failures))
	}
	for _, f := range r.failures {
		if len(f.Name) > maxName || len(f.Message) > maxMessage {
			t.Fatalf("name of %d bytes, message of %d", len(f.Name), len(f.Message))
		}
	}
	if r.failed > 0 && strings.Contains(r.failureSummary(), "\n") {
		t.Fatalf("summary %q", r.failureSummary())
	}
}

func BenchmarkGoTest(b *testing.B) {
	var s strings.Builder
	s.WriteString(`{"Action":"start","Package":"p"}` + "\n")
	for i := range 1000 {
		name := "Test" + time.Duration(i).String()
		s.WriteString(`{"Time":"2026-11-23T01:35:22.972730319Z","Action":"run","Package":"p","Test":"` + name + `"}` + "\n")
		for range 5 {
			s.WriteString(`{"Time":"2026-11-23T01:35:22.972730319Z","Action":"output","Package":"p","Test":"` + name + `","Output":"    a_test.go:1: a line that it logs\n"}` + "\n")
		}
		s.WriteString(`{"Time":"2026-11-23T01:35:22.972730319Z","Action":"pass","Package":"p","Test":"` + name + `","Elapsed":0}` + "\n")
	}
	s.WriteString(`{"Action":"pass","Package":"p"}` + "\n")
	stream := s.String()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		if r, _, err := readGo(b, stream, 32<<10); r.passed != 1000 || err != nil {
			b.Fatal(r.passed, err)
		}
	}
}
