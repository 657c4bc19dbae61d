package web

import (
	"regexp"
	"strings"
	"unicode/utf8"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/evidence"
	"greenroom/internal/term"
)

// Bounds of a page, so that it can be read, and stays below 1 MB whatever came in: a character is five bytes at worst once
// it is escaped. All of it is in --output json.
const (
	maxLine     = 300      // bytes of a sentence
	maxName     = 120      // of a table, a check, a file, a test
	maxSQL      = 800      // of a statement that is shown whole
	maxGlance   = 160      // of a statement on one line
	maxPrinted  = 32 << 10 // of all that checks printed and of all that failures say; each gets its share
	leastShown  = 150      // of what a failure says; rather fewer of them
	maxChecks   = 60
	maxOpen     = 8  // checks whose failures are seen at once
	maxFailures = 20 // of one check
	maxFindings = 20
	maxAdvice   = 10
	maxBars     = 16 // statements in the picture
	maxLanes    = 8  // tables in it
	maxBehind   = 6  // queries in it that stood behind
	maxList     = 32 // statements in the list
	maxTables   = 30
	maxLost     = 20
	maxNotes    = 20

	maxMaskLines = 40 // lines to add to the mask
	maxMaskNames = 8  // of what it has no rule for, and of what it has one in vain
)

// line is text from outside on one line.
func line(s string) string { return cut(term.Clean(s), maxLine) }

// name is a name from outside.
func name(s string) string { return cut(term.Clean(s), maxName) }

// units are what a number and its unit look like.
var units = regexp.MustCompile(`\b(\d+) (ms|s|min|h|days|B|kB|MB|GB|TB)\b`)

// prose is line for a sentence: no number loses its unit at the end of a line.
func prose(s string) string { return units.ReplaceAllString(line(s), "$1\u00a0$2") }

// days are dates as reports write them.
var days = regexp.MustCompile(`\b\d{4}-\d\d-\d\d\b`)

// whole is prose in which no date is broken at its hyphens: there is nothing to be put in their place that could be searched.
func whole(text string) g.Node {
	var nodes []g.Node
	at := 0
	for _, d := range days.FindAllStringIndex(text, -1) {
		nodes = append(nodes, g.Text(text[at:d[0]]), h.Span(h.Class("whole"), g.Text(text[d[0]:d[1]])))
		at = d[1]
	}
	return g.Group(append(nodes, g.Text(text[at:])))
}

// block is text from outside of several lines.
func block(s string, most int) string { return cut(term.CleanBlock(strings.TrimSpace(s)), most) }

// glance is a statement on one line.
func glance(sql string) string {
	return cut(strings.Join(strings.Fields(term.Clean(cut(sql, 4*maxGlance))), " "), maxGlance)
}

// cut shortens text to at most so many bytes, between characters, and shows that it did.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// tail is the end of text.
func tail(s string, most int) string {
	if len(s) <= most {
		return s
	}
	from := len(s) - most
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return "…" + s[from:]
}

// code is a name or a statement as it is written, on one line.
func code(s string) g.Node { return h.Code(g.Text(s)) }

// listing is a statement, or what a check printed, as it is.
func listing(text string) g.Node { return h.Pre(h.TabIndex("0"), h.Code(g.Text(text))) }

// more says how many are left out of a list of n that shows at most so many.
func more(n, most int, element func(...g.Node) g.Node) g.Node {
	if n <= most {
		return nil
	}
	return element(h.Class("more"), g.Text("and "+term.Number(int64(n-most))+" more"))
}

// first is the beginning of a list.
func first[T any](list []T, most int) []T { return list[:min(len(list), most)] }

// mark is a verdict in its colour, with its sign and its word: colour alone tells nothing to many.
func mark(v evidence.Verdict) g.Node {
	return h.Span(h.Class("verdict "+verdictClass(v)), h.Span(h.Class("sign"), h.Aria("hidden", "true"), g.Text(verdictSign(v))), g.Text(verdictWord(v)))
}

func verdictClass(v evidence.Verdict) string {
	switch v {
	case evidence.Pass:
		return "pass"
	case evidence.Fail:
		return "fail"
	default:
		return "unsure"
	}
}

func verdictSign(v evidence.Verdict) string {
	switch v {
	case evidence.Pass:
		return string(term.Pass)
	case evidence.Fail:
		return string(term.Fail)
	default:
		return string(term.Unknown)
	}
}

// verdictWord is the verdict; whatever is none of the known is not decided.
func verdictWord(v evidence.Verdict) string {
	if v == evidence.Pass || v == evidence.Fail {
		return string(v)
	}
	return string(evidence.Inconclusive)
}
