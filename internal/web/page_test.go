package web

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
)

var update = flag.Bool("update", false, "write the golden file")

// maxPage is how large a page may be, in bytes.
const maxPage = 1 << 20

func render(t testing.TB, r evidence.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Report(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStories holds every story against what a page promises.
func TestStories(t *testing.T) {
	for name, r := range stories() {
		t.Run(name, func(t *testing.T) {
			page := render(t, r)
			t.Logf("%d bytes", len(page))
			if len(page) > maxPage {
				t.Errorf("the page has %d bytes, and %d are allowed", len(page), maxPage)
			}
			sound(t, page)
			if again := render(t, r); again != page {
				t.Error("the same report is another page")
			}
		})
	}
}

// sound demands of a page what holds for each: it is well-formed, has nothing active in it, asks nobody for anything, and
// its headings and names are in order.
func sound(t testing.TB, page string) {
	t.Helper()
	balanced(t, page)
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids, levels := map[string]bool{}, []int{}
	var refers []string
	for n := range root.Descendants() {
		if n.Type == html.CommentNode {
			t.Errorf("a comment: %q", n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(elements, n.Data) {
			t.Errorf("<%s> has no place in a page", n.Data)
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			levels = append(levels, int(n.Data[1]-'0'))
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("two elements are called %q", a.Val)
				}
				ids[a.Val] = true
			case a.Key == "href":
				refers = append(refers, strings.TrimPrefix(a.Val, "#"))
				if !strings.HasPrefix(a.Val, "#") {
					t.Errorf("a link leads out of the page: %q", a.Val)
				}
			case a.Key == "aria-labelledby":
				refers = append(refers, a.Val)
			case a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "srcset" || a.Key == "action":
				t.Errorf("<%s> has the attribute %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	for _, id := range refers {
		if !ids[id] {
			t.Errorf("nothing is called %q", id)
		}
	}
	if len(levels) == 0 || levels[0] != 1 || slices.Contains(levels[1:], 1) {
		t.Errorf("headings of the levels %v: there is one first", levels)
	}
	for i := 1; i < len(levels); i++ {
		if levels[i] > levels[i-1]+1 {
			t.Errorf("headings of the levels %v: one leaves out a level", levels)
		}
	}
}

// elements are those that a page is made of.
var elements = strings.Fields(`html head meta title style body header main section footer h1 h2 h3 h4 p span strong small code pre br a
	ul ol li dl div dt dd time figure figcaption details summary table thead tbody tr th td svg defs pattern rect path line circle text desc`)

// balanced demands that each element is closed where it was opened, which a parser would put right in silence.
func balanced(t testing.TB, page string) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("never closed: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) != "meta" && string(name) != "br" {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// TestMarkupIsText demands that everything that came from outside is there, as text.
func TestMarkupIsText(t *testing.T) {
	page := render(t, hostile())
	for _, never := range []string{"<script>", "<img", "javascript:alert(3)\"", "\x00", "\x1b", "\u202e"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q in it", never)
		}
	}
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	texts := 0
	for n := range root.Descendants() {
		if n.Type == html.TextNode && strings.Contains(n.Data, "<script>alert(1)</script>") {
			texts++
		}
	}
	if texts < 30 {
		t.Errorf("only %d texts tell of what was given", texts)
	}
}

// TestAnything makes pages of reports that nobody would think of.
func TestAnything(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Just(markup), rapid.Just(""))
	when := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1e10))
	rapid.Check(t, func(rt *rapid.T) {
		draw := func() string { return text.Draw(rt, "text") }
		at := func() time.Duration { return time.Duration(when.Draw(rt, "time")) }
		var o migration.Observation
		o.Took, o.Engine, o.Samples = at(), draw(), rapid.Int().Draw(rt, "samples")
		for range rapid.IntRange(0, 5).Draw(rt, "n") {
			o.Statements = append(o.Statements, migration.Statement{SQL: draw(), File: draw(), From: at(), Took: at(), Waited: at()})
			o.Locks = append(o.Locks, migration.Lock{Table: draw(), Mode: rapid.SampledFrom([]string{"AccessExclusive", "Share", "RowExclusive", markup}).Draw(rt, "mode"),
				Asked: at(), From: at(), Until: at(), Statement: rapid.IntRange(-1, 9).Draw(rt, "statement")})
			o.Waits = append(o.Waits, migration.Wait{Query: draw(), Who: draw(), Table: draw(), From: at(), Until: at(), Statement: -1})
			o.Tables = append(o.Tables, migration.Table{Name: draw(), Rows: when.Draw(rt, "rows"), BytesBefore: when.Draw(rt, "b"), BytesAfter: when.Draw(rt, "b"), IndexAfter: when.Draw(rt, "b")})
		}
		m := judged(migration.Report{Observation: o, Data: draw(), Forecast: &migration.Forecast{Low: at(), High: at(), Actual: at(), Disk: when.Draw(rt, "disk"), Why: draw()}})
		r := report(evidence.Verdict(draw()), evidence.Result{Check: draw(), Verdict: evidence.Verdict(draw()), Output: draw(), Migration: m,
			Failures: []evidence.Failure{{Name: draw(), Message: draw()}}})
		r.App, r.Run, r.Notes = draw(), draw(), []string{draw()}
		page := render(t, r)
		sound(t, page)
		for _, no := range []string{"NaN", "Inf"} {
			if strings.Contains(page, no) && !strings.Contains(draw()+o.Engine, no) {
				rt.Errorf("a place in a drawing is no number")
			}
		}
	})
}

// TestGolden pins one page as a whole.
func TestGolden(t *testing.T) {
	file := filepath.Join("testdata", "fail.html")
	got := strings.ReplaceAll(render(t, failing()), "><", ">\n<") // so that a difference is a line
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// TestSentence is what a person reads who reads nothing else.
func TestSentence(t *testing.T) {
	no, yes := false, true
	goBack := func(r evidence.Report, back *bool) evidence.Report {
		r.Results[len(r.Results)-1].GoBack = back
		return r
	}
	for _, c := range []struct {
		r    evidence.Report
		want string
	}{
		{failing(), "Writes to orders would have stood still for 11\u00a0s, and 1\u00a0s is allowed."},
		{passing(), "All 5 checks passed, and one can go back."},
		{goBack(passing(), &no), "All 5 checks passed, but one can't go back."},
		{goBack(passing(), nil), "All 5 checks passed."},
		{quiet(), "The one check passed."},
		{goBack(quiet(), &yes), "The one check passed, and one can go back."},
		{report(evidence.Inconclusive), "No check came to its end."},
		{report(evidence.Fail, result("a", evidence.Inconclusive, "", 0), result("b", evidence.Fail, "exit code 1.", 0)), "b failed: exit code 1."},
		{report(evidence.Inconclusive, result("a", evidence.Inconclusive, "", 0), result("c", evidence.Pass, "", 0)), "a could not decide: could not be decided."},
		{report(evidence.Verdict("better than pass"), result("a", evidence.Pass, "", 0)), "No check came to its end."},
	} {
		if got := sentence(c.r); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestSentences(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"...", ""}, {"nobody waits", "Nobody waits."}, {"order_notes: gone.", "order_notes: gone."},
		{"42 rows", "42 rows."}, {"éclair", "Éclair."}, {"orders: 2 rows are gone", "orders: 2 rows are gone."}} {
		if got := stop(upper(c[0])); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
	for _, c := range [][2]string{{"for 9.4 s, and 250 ms is", "for 9.4\u00a0s, and 250\u00a0ms is"}, {"2 sessions", "2 sessions"}, {"a\nb", "a b"}} {
		if got := prose(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
	for _, c := range [][2]string{
		{"", ""}, {"no date & 2026-11", "no date &amp; 2026-11"},
		{"of 2026-11-26, 1 GB <b>", `of <span class="whole">2026-11-26</span>, 1 GB &lt;b&gt;`},
		{"2026-11-26 to 2027-06-30", `<span class="whole">2026-11-26</span> to <span class="whole">2027-06-30</span>`},
	} {
		var b strings.Builder
		if err := whole(c[0]).Render(&b); err != nil || b.String() != c[1] {
			t.Errorf("%q becomes %q, want %q, %v", c[0], b.String(), c[1], err)
		}
	}
}

// TestAxis is what the numbers of a picture are made of.
func TestAxis(t *testing.T) {
	for _, end := range []time.Duration{0, 1, 999, 40 * ms, 999 * ms, 1000 * ms, 13_400 * ms, 3599 * 1000 * ms, 200 * 3600 * 1000 * ms, 1<<63 - 1} {
		a := newAxis(end)
		if len(a.ticks) == 0 || len(a.ticks) > maxTicks+1 {
			t.Errorf("the axis to %v has %d ticks", end, len(a.ticks))
		}
		if a.ticks[0] != 0 || !slices.IsSorted(a.ticks) {
			t.Errorf("the axis to %v has the ticks %v", end, a.ticks)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("full")

func TestWriteFails(t *testing.T) {
	if err := Report(full{}, passing()); !errors.Is(err, errFull) {
		t.Errorf("%v, want %v", err, errFull)
	}
}

func BenchmarkReport(b *testing.B) {
	r := failing()
	for b.Loop() {
		render(b, r)
	}
}

// TestShortSpans demands that what was short is seen: two pixels of it, inside the drawing.
func TestShortSpans(t *testing.T) {
	p := picture{axis: newAxis(time.Hour)}
	for _, c := range []struct {
		at   time.Duration
		want []string
	}{
		{0, []string{`x="0.00%"`, `width="2"`}},
		{30 * time.Minute, []string{`x="50.00%"`, `width="2"`}},
		{time.Hour, []string{`x="100.00%"`, `width="2"`, `translate(-2 0)`}},
	} {
		var b strings.Builder
		if err := p.span(migration.Span{Kind: migration.SpanAll, From: c.at, Until: c.at + time.Microsecond}).Render(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("at %v there is no %s: %s", c.at, want, b.String())
			}
		}
	}
}

// TestThin demands that a row of very many spans is drawn with few, and covers what it covered.
func TestThin(t *testing.T) {
	a := newAxis(1000 * time.Second)
	var spans []migration.Span
	for i := range 1000 {
		from := time.Duration(i) * time.Second
		spans = append(spans, migration.Span{Kind: []string{migration.SpanAll, migration.SpanQueues}[i%2], From: from, Until: from + time.Second/2})
	}
	thin := a.thin(spans)
	if len(thin) > 2*(maxSpans+1) {
		t.Errorf("%d spans are drawn", len(thin))
	}
	for _, s := range spans {
		if !slices.ContainsFunc(thin, func(d migration.Span) bool { return d.Kind == s.Kind && d.From <= s.From && d.Until >= s.Until }) {
			t.Fatalf("%v is not seen", s)
		}
	}
	if few := spans[:maxSpans]; len(a.thin(few)) != len(few) {
		t.Error("a row of few spans is drawn with fewer")
	}
}
