package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// reportGo asks for go test -json on the command's standard output.
const reportGo = "go"

const (
	maxLine   = 1 << 20 // bytes of one event; a longer line is taken as text
	maxUnder  = 10_000  // tests, packages and builds that are under way at once
	maxGoName = 4 << 10 // bytes of a name
)

// goEvent is one line of go test -json (go doc test2json; build events: go help buildjson).
type goEvent struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	FailedBuild string
}

// goSource reads go test -json as it is printed. Lines that are no events are kept as output, like the text in events.
type goSource struct {
	output   io.Writer
	found    report
	line     []byte // of which the end has not come yet
	long     bool   // it was longer than maxLine, and its beginning is in output already
	events   int
	packages map[string]*goPackage // under way
	builds   map[string]*excerpt   // what compilers printed
	under    int
	err      error
}

// goPackage is a package whose tests are under way.
type goPackage struct {
	tests  map[string]*goTest // under way
	output excerpt            // what it printed outside its tests
	failed bool               // one of its tests has failed
}

// goTest is a test under way.
type goTest struct {
	output      excerpt
	parent      bool // it has subtests, so it is none itself
	childFailed bool
}

func newGoSource(output *tail) *goSource {
	return &goSource{
		output: output, found: report{secrets: output.secrets},
		packages: map[string]*goPackage{}, builds: map[string]*excerpt{},
	}
}

func (g *goSource) prepare() error    { return nil }
func (g *goSource) stdout() io.Writer { return g }

// Write takes the stream in pieces of any size. It never fails: the command is not to notice what becomes of its output.
func (g *goSource) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			g.partial(p)
			return n, nil
		}
		if len(g.line) == 0 && !g.long {
			g.take(p[:i+1])
		} else {
			g.partial(p[:i+1])
			g.flush()
		}
		p = p[i+1:]
	}
}

// partial keeps a piece of a line; one that is too long goes to the output.
func (g *goSource) partial(p []byte) {
	if g.long || len(g.line)+len(p) > maxLine {
		g.print(g.line, p)
		g.line, g.long = g.line[:0], true
		return
	}
	g.line = append(g.line, p...)
}

// flush ends the line that was kept.
func (g *goSource) flush() {
	if !g.long {
		g.take(g.line)
	}
	g.line, g.long = g.line[:0], false
}

func (g *goSource) print(ps ...[]byte) {
	for _, p := range ps {
		_, _ = g.output.Write(p) // tail.Write does not fail
	}
}

// take reads one line.
func (g *goSource) take(line []byte) {
	var e goEvent
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		g.print(line)
		return
	}
	g.events++
	g.print([]byte(e.Output))
	switch {
	case e.Action == "build-output":
		if build := begin(g, g.builds, e.ImportPath, g.newExcerpt); build != nil && !strings.HasPrefix(e.Output, "# ") {
			build.add(e.Output)
		}
	case e.Package == "":
	case e.Test == "":
		g.packageEvent(e)
	default:
		g.testEvent(e)
	}
}

func (g *goSource) newExcerpt() *excerpt { return &excerpt{secrets: g.found.secrets} }

func (g *goSource) newPackage() *goPackage {
	return &goPackage{tests: map[string]*goTest{}, output: *g.newExcerpt()}
}

func (g *goSource) newTest() *goTest { return &goTest{output: *g.newExcerpt()} }

// begin gives what is under way by that name, or starts it; nil when there is too much already.
func begin[T any](g *goSource, m map[string]*T, name string, start func() *T) *T {
	if m[name] == nil {
		if g.under >= maxUnder || len(name) > maxGoName {
			g.err = errors.New("its report has more tests under way at once, or longer names, than can be kept")
			return nil
		}
		g.under++
		m[name] = start()
	}
	return m[name]
}

// packageEvent takes an event of a package itself.
func (g *goSource) packageEvent(e goEvent) {
	p := begin(g, g.packages, e.Package, g.newPackage)
	if p == nil {
		return
	}
	switch e.Action {
	case "output":
		if strings.HasPrefix(e.Output, "ok ") && strings.Contains(e.Output, "\t(cached)") {
			g.found.cached = true
		}
		if !strings.HasPrefix(e.Output, "FAIL") {
			p.output.add(e.Output)
		}
	case "pass", "skip", "fail":
		g.endPackage(e, p)
		g.under -= 1 + len(p.tests)
		delete(g.packages, e.Package)
	}
}

// endPackage looks for what a package's end leaves open: tests without a result, a failure without a test.
func (g *goSource) endPackage(e goEvent, p *goPackage) {
	if !p.failed { // otherwise they did not end because of the one that failed
		for _, name := range p.unfinished() {
			p.failed = true
			message := p.tests[name].output.text() + p.output.text()
			g.found.fail(goName(e.Package, name), orElse(message, "it did not end"))
		}
	}
	if e.Action != "fail" || p.failed {
		return
	}
	message := p.output.text()
	if build := g.builds[e.FailedBuild]; e.FailedBuild != "" && build != nil {
		message = "does not build: " + build.text()
	}
	g.found.fail(e.Package, message)
}

// unfinished lists the tests that have no result: those that said something, a panic for one, or else all of them.
func (p *goPackage) unfinished() []string {
	var all, spoke []string
	for _, name := range slices.Sorted(maps.Keys(p.tests)) {
		t := p.tests[name]
		if t.parent {
			continue
		}
		all = append(all, name)
		if len(t.output.head) > 0 {
			spoke = append(spoke, name)
		}
	}
	if len(spoke) > 0 {
		return spoke
	}
	return all
}

// testEvent takes an event of a test.
func (g *goSource) testEvent(e goEvent) {
	p := begin(g, g.packages, e.Package, g.newPackage)
	if p == nil {
		return
	}
	t := begin(g, p.tests, e.Test, g.newTest)
	if t == nil {
		return
	}
	switch e.Action {
	case "run":
		if parent := p.parent(e.Test); parent != nil {
			parent.parent = true
		}
	case "output":
		if !isFrame(e.Output) {
			t.output.add(e.Output)
		}
	case "pass", "skip", "fail":
		g.endTest(e, p, t)
		g.under--
		delete(p.tests, e.Test)
	}
}

// endTest counts a test.
func (g *goSource) endTest(e goEvent, p *goPackage, t *goTest) {
	switch {
	case e.Action == "fail":
		if parent := p.parent(e.Test); parent != nil {
			parent.childFailed = true
		}
		if !t.childFailed {
			p.failed = true
			g.found.fail(goName(e.Package, e.Test), t.output.text())
		}
	case t.parent:
	case e.Action == "skip":
		g.found.skipped++
	default:
		g.found.passed++
	}
}

// parent is the test whose subtest this is. A subtest's own name may hold a slash as well.
func (p *goPackage) parent(test string) *goTest {
	for {
		i := strings.LastIndexByte(test, '/')
		if i < 0 {
			return nil
		}
		test = test[:i]
		if t := p.tests[test]; t != nil {
			return t
		}
	}
}

// isFrame says whether go test itself printed the line, to say where a test stands.
func isFrame(line string) bool {
	if strings.HasPrefix(line, "=== ") {
		return true
	}
	result, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "--- ")
	return ok && (strings.HasPrefix(result, "FAIL: ") || strings.HasPrefix(result, "PASS: ") || strings.HasPrefix(result, "SKIP: "))
}

// goName is how a test is called: its package's last name and its own.
func goName(pkg, test string) string { return path.Base(pkg) + "." + test }

// read says what the stream said.
func (g *goSource) read() (report, error) {
	g.flush()
	switch {
	case g.err != nil:
		return g.found, g.err
	case g.events == 0:
		return g.found, errors.New("its standard output is not that of go test -json")
	case len(g.packages) > 0:
		return g.found, fmt.Errorf("the output of go test -json ends before %s does", slices.Min(slices.Collect(maps.Keys(g.packages))))
	default:
		return g.found, nil
	}
}

func orElse(s, other string) string {
	if strings.TrimSpace(s) == "" {
		return other
	}
	return s
}
