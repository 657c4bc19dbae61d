package check

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/evidence"
)

func TestJUnitDialects(t *testing.T) {
	failures := func(pairs ...string) []evidence.Failure {
		var fs []evidence.Failure
		for i := 0; i < len(pairs); i += 2 {
			fs = append(fs, evidence.Failure{Name: pairs[i], Message: pairs[i+1]})
		}
		return fs
	}
	cases := []struct {
		name, xml       string
		passed, skipped int
		failures        []evidence.Failure
	}{
		{name: "pytest", passed: 1, skipped: 1, failures: failures("tests.test_pay.test_card", "assert 500 == 200\ndef test_card():\n>   assert status() == 200"),
			xml: `<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="3" time="0.031" timestamp="2026-01-02T10:00:00.000000+00:00" hostname="ci"><testcase classname="tests.test_pay" name="test_cash" time="0.001" /><testcase classname="tests.test_pay" name="test_card" time="0.001"><failure message="assert 500 == 200">def test_card():
&gt;   assert status() == 200</failure></testcase><testcase classname="tests.test_pay" name="test_later" time="0.000"><skipped type="pytest.skip" message="later">tests/test_pay.py:9: later</skipped></testcase></testsuite></testsuites>`},
		{name: "pytest, failed in the test and after it", failures: failures("t.test_a", "boom\nteardown"),
			xml: `<testsuites><testsuite errors="1" failures="1" tests="1"><testcase classname="t" name="test_a"><failure message="boom"/><error>teardown</error></testcase></testsuite></testsuites>`},
		{name: "surefire", passed: 2, failures: failures("shop.CartTest.pays", "expected:<200> but was:<500>\njava.lang.AssertionError"),
			xml: `<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0" name="shop.CartTest" tests="3" errors="0" skipped="0" failures="1">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="adds" classname="shop.CartTest"><system-out><![CDATA[<failure> in the output is none]]></system-out></testcase>
  <testcase name="flaky" classname="shop.CartTest"><flakyFailure message="once"><stackTrace>x</stackTrace></flakyFailure></testcase>
  <testcase name="pays" classname="shop.CartTest"><failure message="expected:&lt;200&gt; but was:&lt;500&gt;" type="java.lang.AssertionError"><![CDATA[java.lang.AssertionError]]></failure><rerunFailure message="again"/></testcase>
</testsuite>`},
		{name: "jest-junit", passed: 1, failures: failures("cart pays the order", "Error: got 500\n    at cart.test.js:3"),
			xml: `<?xml version="1.0" encoding="UTF-8"?><testsuites name="jest tests" tests="2" failures="1" errors="0" time="1"><testsuite name="cart" errors="0" failures="1" skipped="0" tests="2"><testcase classname="cart adds" name="cart adds" time="0"></testcase><testcase classname="cart pays the order" name="cart pays the order" time="0"><failure>Error: got 500
    at cart.test.js:3</failure></testcase></testsuite></testsuites>`},
		{name: "PHPUnit, suites inside suites", passed: 2, failures: failures("Tests.CartTest.testPays with data set #1", "Error\nCartTest::testPays"),
			xml: `<testsuites><testsuite name="" tests="3" errors="1" failures="0"><testsuite name="Unit" tests="3" errors="1"><testsuite name="Tests\CartTest" errors="1"><testsuite name="Tests\CartTest::testPays" errors="1"><testcase name="testPays with data set #0" classname="Tests.CartTest"/><testcase name="testPays with data set #1" classname="Tests.CartTest"><error type="Error">CartTest::testPays</error></testcase></testsuite><testcase name="testAdds" classname="Tests.CartTest"/></testsuite></testsuite></testsuite></testsuites>`},
		{name: "GoogleTest", passed: 1, skipped: 2, failures: failures("Cart.Pays", "cart.cc:3&#x0A;Expected: 200\nExpected: 200"),
			xml: `<testsuites tests="4" failures="1" disabled="1" errors="0" name="AllTests"><testsuite name="Cart" tests="4" failures="1" disabled="1" skipped="1" errors="0"><testcase name="Adds" status="run" result="completed" classname="Cart" /><testcase name="DISABLED_Old" status="notrun" result="suppressed" classname="Cart" /><testcase name="Later" status="run" result="skipped" classname="Cart"><skipped message="later"/></testcase><testcase name="Pays" status="run" result="completed" classname="Cart"><failure message="cart.cc:3&amp;#x0A;Expected: 200" type=""><![CDATA[Expected: 200]]></failure></testcase></testsuite></testsuites>`},
		{name: "CTest", passed: 1, skipped: 1, failures: failures("pays", "Failed"),
			xml: `<testsuite name="Linux" tests="3" failures="1" disabled="0" skipped="1"><testcase name="adds" classname="adds" status="run"><system-out>ok</system-out></testcase><testcase name="pays" classname="pays" status="fail"><failure message="Failed"/></testcase><testcase name="gone" classname="gone" status="notrun"><skipped message="Unable to find executable"/></testcase></testsuite>`},
		{name: "a status alone", failures: failures("a", ""), xml: `<testsuite><testcase name="a" status="failed"/></testsuite>`},
		{name: "a suite that fails by itself", passed: 1, failures: failures("Cart", "setUp\nno database"),
			xml: `<testsuite name="Cart" errors="1"><testcase name="a"/><error message="setUp">no database</error></testsuite>`},
		{name: "a suite that only counts its failures", passed: 1, failures: failures("Cart", "the suite counts 2 failed tests but lists none"),
			xml: `<testsuites failures="2"><testsuite name="Cart" errors="1" failures="1"><testcase name="a"/></testsuite></testsuites>`},
		{name: "a suite without a name", failures: failures("a suite without a name", "x"), xml: `<testsuites><testsuite><failure>x</failure></testsuite></testsuites>`},
		{name: "both skipped and failed", failures: failures("a", ""), xml: `<testsuite><testcase name="a"><skipped/><failure/></testcase></testsuite>`},
		{name: "a byte order mark and a doctype", passed: 1, xml: "\ufeff<?xml version=\"1.0\"?>\n<!DOCTYPE testsuite>\n<!-- x -->\n<testsuite><testcase name='a'/></testsuite>\n\n"},
		{name: "another namespace", passed: 1, xml: `<j:testsuite xmlns:j="urn:junit"><j:testcase name="a"/></j:testsuite>`},
		{name: "Latin-1", failures: failures("Käse", "caf\u00e9"),
			xml: "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='K\xe4se'><failure>caf\xe9</failure></testcase></testsuite>"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var r report
			must(t, readJUnit(strings.NewReader(c.xml), maxReport, &r))
			if r.passed != c.passed || r.skipped != c.skipped || r.failed != len(c.failures) {
				t.Errorf("%d passed, %d skipped, %d failed", r.passed, r.skipped, r.failed)
			}
			if diff := cmp.Diff(c.failures, r.failures); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// repeated is a reader of head, then of body n times, then of tail.
func repeated(head, body string, n int, tail string) io.Reader {
	rs := []io.Reader{strings.NewReader(head)}
	const each = 1000
	block := strings.Repeat(body, each)
	for range n / each {
		rs = append(rs, strings.NewReader(block))
	}
	return io.MultiReader(append(rs, strings.NewReader(tail))...)
}

func TestJUnitRefuses(t *testing.T) {
	laughs := `<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	cases := []struct {
		name string
		in   io.Reader
		want string
	}{
		{"nothing", strings.NewReader(""), "is empty"},
		{"white space", strings.NewReader(" \n "), "is empty"},
		{"a comment", strings.NewReader("<!-- no tests today -->"), "is empty"},
		{"text", strings.NewReader("ok 1 - passed\n"), "outside its elements"},
		{"JSON", strings.NewReader(`{"tests":1}`), "outside its elements"},
		{"HTML", strings.NewReader("<html><body/></html>"), "is no JUnit report"},
		{"a test alone", strings.NewReader("<testcase name='a'/>"), "is no JUnit report"},
		{"two roots", strings.NewReader("<testsuite/><testsuite/>"), "is no JUnit report"},
		{"text behind it", strings.NewReader("<testsuite/>done"), "outside its elements"},
		{"cut off", strings.NewReader("<testsuite><testcase name='a'>"), "is no XML"},
		{"tags that cross", strings.NewReader("<testsuite><testcase></testsuite></testcase>"), "is no XML"},
		{"a test in a test", strings.NewReader("<testsuite><testcase><testcase/></testcase></testsuite>"), "testcase inside a testcase"},
		{"control characters", strings.NewReader("<testsuite><testcase name='a'><failure>\x1b[31m</failure></testcase></testsuite>"), "is no XML"},
		{"UTF-16", strings.NewReader("\xff\xfe<\x00t\x00e\x00"), "is no XML"},
		{"another encoding", strings.NewReader("<?xml version='1.0' encoding='EBCDIC'?><testsuite/>"), "write UTF-8"},
		{"growing entities", strings.NewReader(laughs + "<testsuite><testcase name='&c;'/></testsuite>"), "is no XML"},
		{"an entity from a file", strings.NewReader(`<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase><failure>&x;</failure></testcase></testsuite>`),
			"is no XML"},
		{"deep", repeated("", "<testsuite>", 10_000, ""), "more than 100 elements"},
		{"endless", repeated("<testsuite>", "<testcase name='a'>some text</testcase>", 100_000, "</testsuite>"), "larger than"},
		{"endless text", repeated("<testsuite><system-out>", strings.Repeat("x", 100), 20_000, ""), "larger than"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var r report
			err := readJUnit(c.in, 1<<20, &r)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestManyFailuresAreCounted(t *testing.T) {
	var r report
	must(t, readJUnit(repeated("<testsuite>", "<testcase name='"+strings.Repeat("ü", 1000)+"'><failure>"+strings.Repeat("ü", 5000)+"</failure></testcase>", 1000, "</testsuite>"), maxReport, &r))
	if r.failed != 1000 || len(r.failures) != maxFailures {
		t.Errorf("%d failed, %d named", r.failed, len(r.failures))
	}
	wantBounded(t, r)
}

// Reports that were there before count once they are written again, however quickly and whatever they say.
func TestStaleReports(t *testing.T) {
	for name, again := range map[string]func(file string, info os.FileInfo) error{
		"other content, same length": func(file string, _ os.FileInfo) error {
			return os.WriteFile(file, []byte("<testsuites></testsuites>"), 0o644)
		},
		"another file at the same time": func(file string, info os.FileInfo) error {
			if err := os.WriteFile(file+".new", []byte("<testsuites></testsuites>"), 0o644); err != nil {
				return err
			}
			if err := os.Chtimes(file+".new", time.Time{}, info.ModTime()); err != nil {
				return err
			}
			return os.Rename(file+".new", file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "r.xml")
			must(t, os.WriteFile(file, []byte("<testsuites ></testsuites>"), 0o644))
			must(t, os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)))
			info, err := os.Stat(file)
			must(t, err)
			j := &junitSource{dir: dir, pattern: "*.xml"}
			must(t, j.prepare())
			if _, err := j.read(); err == nil {
				t.Error("the old report counts")
			}
			must(t, again(file, info))
			if _, err := j.read(); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzJUnit(f *testing.F) {
	f.Add(suiteOK)
	f.Add(suiteBad)
	f.Add("<?xml version='1.0' encoding='latin1'?><testsuites><testsuite errors='1'><error>\xe4</error><properties/></testsuite></testsuites>")
	f.Fuzz(func(t *testing.T, in string) {
		var r report
		err := readJUnit(strings.NewReader(in), maxReport, &r)
		if err != nil && (err.Error() == "" || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("error %q", err)
		}
		wantBounded(t, r)
	})
}

func BenchmarkJUnit(b *testing.B) {
	var s strings.Builder
	s.WriteString("<testsuites><testsuite>")
	for i := range 10_000 {
		fmt.Fprintf(&s, "<testcase classname='tests.test_cart' name='test_%d' time='0.001'><system-out>a line that it logs\n</system-out></testcase>", i)
	}
	s.WriteString("</testsuite></testsuites>")
	b.SetBytes(int64(s.Len()))
	for b.Loop() {
		var r report
		if err := readJUnit(strings.NewReader(s.String()), maxReport, &r); err != nil || r.passed != 10_000 {
			b.Fatal(r.passed, err)
		}
	}
}

func BenchmarkOutput(b *testing.B) {
	line := []byte(strings.Repeat("x", 79) + "\n")
	out := newTail(newSecrets([]string{"correct-horse-battery-staple"}))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		_, _ = out.Write(line)
	}
}
