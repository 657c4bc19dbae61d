package check

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxReport = 64 << 20 // bytes of one report file
	maxDepth  = 100      // elements inside one another
)

// readJUnit adds to r what a JUnit XML report of at most limit bytes says. There is no standard; this reads what Ant,
// Maven Surefire, Gradle, pytest, PHPUnit, jest-junit, mocha, GoogleTest, CTest, gotestsum and cargo-nextest write:
// suites inside suites, a test case with failure, error or skipped in it, failures of a whole suite, suites that count
// failures and list none. Entities beside the five of XML are errors, so none can grow.
func readJUnit(in io.Reader, limit int64, r *report) error {
	limited := &io.LimitedReader{R: in, N: limit + 1}
	d := xml.NewDecoder(limited)
	d.CharsetReader = charset
	j := junit{report: r}
	for {
		token, err := d.Token()
		if limited.N <= 0 {
			return fmt.Errorf("is larger than %d bytes", limit)
		}
		if errors.Is(err, io.EOF) {
			return j.end()
		}
		if err != nil {
			return fmt.Errorf("is no XML: %w", err)
		}
		if err := j.token(token); err != nil {
			return err
		}
	}
}

// junit reads one report.
type junit struct {
	report *report
	depth  int
	done   bool // the root element has ended
	suites []suite
	test   *testcase
	detail *excerpt // of the failure or error that is being read, in a test or a suite
	inside int      // depth at which detail began
}

// suite is a testsuite or testsuites element.
type suite struct {
	name    string
	claimed int // failures and errors by its attributes
	before  int // failed tests when it began
}

// testcase is a testcase element.
type testcase struct {
	name    string
	failed  bool
	skipped bool
	message excerpt
}

func (j *junit) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		j.depth++
		if j.depth > maxDepth {
			return fmt.Errorf("has more than %d elements inside one another", maxDepth)
		}
		return j.start(t)
	case xml.EndElement:
		j.close(t.Name.Local)
		j.depth--
	case xml.CharData:
		if j.detail != nil {
			j.detail.add(string(t))
		} else if j.depth == 0 && strings.TrimSpace(strings.TrimPrefix(string(t), "\ufeff")) != "" {
			return errors.New("has text outside its elements")
		}
	}
	return nil
}

// start takes the beginning of an element.
func (j *junit) start(e xml.StartElement) error {
	name := e.Name.Local
	if j.depth == 1 && (j.done || name != "testsuites" && name != "testsuite") {
		return errors.New("is no JUnit report: its root is not one testsuites or testsuite element")
	}
	switch name {
	case "testsuites", "testsuite":
		claimed := count(e, "failures") + count(e, "errors")
		j.suites = append(j.suites, suite{attr(e, "name"), claimed, j.report.failed})
	case "testcase":
		if j.test != nil {
			return errors.New("has a testcase inside a testcase")
		}
		j.test = newTestcase(e, j.report.secrets)
	case "failure", "error":
		j.failure(e)
	case "skipped":
		if j.test != nil {
			j.test.skipped = true
		}
	}
	return nil
}

// newTestcase reads the attributes of a test. GoogleTest, CTest and some others say there what became of it.
func newTestcase(e xml.StartElement, s secrets) *testcase {
	t := &testcase{name: attr(e, "name"), message: excerpt{secrets: s}}
	// Some repeat the class at the beginning of the name.
	class := attr(e, "classname")
	if rest, repeated := strings.CutPrefix(t.name, class); class != "" && (!repeated || rest != "" && isWord(rest[0])) {
		t.name = class + "." + t.name
	}
	for _, key := range []string{"status", "result"} {
		switch strings.ToLower(attr(e, key)) {
		case "notrun", "skipped", "disabled", "ignored", "suppressed":
			t.skipped = true
		case "fail", "failed", "failure", "error":
			t.failed = true
		}
	}
	return t
}

// isWord says whether a name that goes on with c goes on with the same word.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// failure begins a failure or error, of a test or, outside of one, of a suite.
func (j *junit) failure(e xml.StartElement) {
	if j.detail != nil {
		return
	}
	j.detail, j.inside = &excerpt{secrets: j.report.secrets}, j.depth
	if j.test != nil {
		j.test.failed, j.detail = true, &j.test.message
	}
	if message := attr(e, "message"); message != "" {
		j.detail.add(message + "\n")
	} else if kind := attr(e, "type"); kind != "" {
		j.detail.add(kind + "\n")
	}
}

// close takes the end of an element.
func (j *junit) close(name string) {
	switch {
	case j.detail != nil && j.depth == j.inside:
		if j.test == nil {
			j.report.fail(j.suiteName(), j.detail.text())
		}
		j.detail = nil
	case name == "testcase" && j.test != nil:
		j.count(j.test)
		j.test = nil
	case (name == "testsuites" || name == "testsuite") && len(j.suites) > 0:
		j.closeSuite()
	}
	j.done = j.done || j.depth == 1
}

// count counts one test.
func (j *junit) count(t *testcase) {
	switch {
	case t.failed:
		j.report.fail(t.name, t.message.text())
	case t.skipped:
		j.report.skipped++
	default:
		j.report.passed++
	}
}

// closeSuite compares what a suite lists with what its attributes count: a failure that only those know of is one too.
// More is not compared, because writers count differently what fails twice.
func (j *junit) closeSuite() {
	last := j.suites[len(j.suites)-1]
	if last.claimed > 0 && j.report.failed == last.before {
		j.report.fail(j.suiteName(), "the suite counts "+plural(last.claimed, "failed test")+" but lists none")
	}
	j.suites = j.suites[:len(j.suites)-1]
}

// suiteName is the name of the innermost suite that has one.
func (j *junit) suiteName() string {
	for i := len(j.suites) - 1; i >= 0; i-- {
		if j.suites[i].name != "" {
			return j.suites[i].name
		}
	}
	return "a suite without a name"
}

func (j *junit) end() error {
	if !j.done {
		return errors.New("is empty")
	}
	return nil
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// count is the value of an attribute that is a number, 0 when it is none.
func count(e xml.StartElement, name string) int {
	n, err := strconv.Atoi(strings.TrimSpace(attr(e, name)))
	if err != nil {
		return 0
	}
	return max(0, min(n, 1<<20))
}

// charset reads the encodings that reports come in beside UTF-8.
func charset(name string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1":
		return &latin1{in: in}, nil
	default:
		return nil, fmt.Errorf("encoding %q is not read; write UTF-8", name)
	}
}

// latin1 turns ISO 8859-1 into UTF-8: each byte is the code point of its character.
type latin1 struct {
	in   io.Reader
	rest []byte
}

func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		var buf [512]byte
		n, err := l.in.Read(buf[:])
		if n == 0 {
			return 0, err
		}
		for _, b := range buf[:n] {
			l.rest = append(l.rest, string(rune(b))...)
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
