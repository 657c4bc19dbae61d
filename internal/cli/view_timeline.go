package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/migration"
	"greenroom/internal/term"
)

// How a timeline is laid out, in cells and rows.
const (
	leastScreen = 60  // what is narrower gets lines that are too long
	mostScreen  = 160 // what is wider leaves room
	mostDetail  = 30
	maxBars     = 10 // statements
	maxLanes    = 5  // tables
	maxBehind   = 4  // queries that stood behind
)

// signOf is what a kind of span is drawn with: each has a sign of its own, since colours are not everybody's.
func signOf(kind string) (string, term.Ink) {
	switch kind {
	case migration.SpanWorks:
		return "━", term.Blue
	case migration.SpanQueues:
		return "░", term.Plain
	case migration.SpanAll:
		return "█", term.Red
	case migration.SpanWrites:
		return "▓", term.Yellow
	case migration.SpanRows:
		return "▒", term.Yellow
	case migration.SpanOthers:
		return "─", term.Dim
	case migration.SpanMade:
		return "·", term.Dim
	case migration.SpanStands:
		return "|", term.Red
	default:
		return " ", term.Plain
	}
}

// timeline draws what a migration did, what that locked and who stood behind it, a line each, on one axis of time. What is
// shorter than a cell is one.
func timeline(s term.Screen, r migration.Report) string {
	all := migration.Rows(r)
	var rows []migration.Row
	left := map[string]int{}
	for _, kind := range []struct {
		of   string
		most int
	}{{migration.RowStatement, maxBars}, {migration.RowLock, maxLanes}, {migration.RowWait, maxBehind}} {
		kept, n := migration.Choose(all, kind.of, kind.most)
		rows, left[kind.of] = append(rows, kept...), n
	}
	if len(rows) == 0 {
		return ""
	}
	d := drawing{screen: s, end: max(r.End(all), 1), still: migration.StoodStill(r.Observation), budget: r.Budget}
	d.measure(rows)
	lines := d.axis()
	for i, row := range rows {
		if i == 0 || rows[i-1].Kind != row.Kind {
			lines = append(lines, partIndent+s.Paint(term.Dim, title(row.Kind)))
		}
		lines = append(lines, d.line(row))
		if n := left[row.Kind]; n > 0 && (i+1 == len(rows) || rows[i+1].Kind != row.Kind) {
			lines = append(lines, partIndent+"  "+s.Paint(term.Dim, "and "+count(n, "more", "more")))
		}
	}
	return "\n" + strings.Join(lines, "\n") + "\n" + d.legend(rows) + "\n"
}

// title stands above the rows of a kind.
func title(kind string) string {
	switch kind {
	case migration.RowStatement:
		return "statements"
	case migration.RowLock:
		return "what they locked"
	default:
		return "who stood behind"
	}
}

// drawing is a timeline's scale.
type drawing struct {
	screen             term.Screen
	end                time.Duration
	still              []migration.Still
	budget             migration.Budget
	label, bar, detail int // widths
}

// measure gives the bar what label and detail leave of the screen.
func (d *drawing) measure(rows []migration.Row) {
	width := leastScreen + 20
	if d.screen.Width != nil {
		width = min(max(d.screen.Width(), leastScreen), mostScreen)
	}
	for _, r := range rows {
		d.label = max(d.label, term.Width(d.labelOf(r)))
		d.detail = max(d.detail, term.Width(d.detailOf(r)))
	}
	d.detail = min(d.detail, mostDetail)
	d.label = min(d.label, (width-len(partIndent)-d.detail)*2/5)
	d.bar = width - len(partIndent) - d.label - d.detail - 4
}

func (d *drawing) labelOf(r migration.Row) string {
	if r.Kind == migration.RowStatement {
		return fmt.Sprintf("  %d %s", r.Statement+1, term.Clean(r.Label))
	}
	return "  " + term.Clean(r.Label)
}

// detailOf is what a row means. A lock's is about who could not do what, and not its mode's name.
func (d *drawing) detailOf(r migration.Row) string {
	if r.Kind != migration.RowLock {
		return term.Clean(r.Detail)
	}
	var said []string
	for _, m := range r.Meanings(d.still) {
		said = append(said, migration.Human(m.Took)+" "+m.Words)
	}
	if len(said) > 1 { // there is room for the first only
		said = said[:1]
	}
	return strings.Join(said, ", ")
}

func (d *drawing) line(r migration.Row) string {
	return strings.TrimRight(partIndent+term.Pad(term.Fit(d.labelOf(r), d.label), d.label)+"  "+d.spans(r)+"  "+
		d.screen.Paint(term.Dim, term.Fit(d.detailOf(r), d.detail)), " ")
}

// spans draws a row: what is worse over what is not, and the mark where what is allowed was used up.
func (d *drawing) spans(r migration.Row) string {
	kinds := make([]string, d.bar)
	for _, kind := range migration.Kinds() {
		for _, s := range r.Spans {
			if s.Kind != kind {
				continue
			}
			from, until := d.cell(s.From), d.cell(s.Until)
			for i := from; i < max(until, from+1); i++ {
				kinds[i] = kind
			}
		}
	}
	limit := -1
	if at, _, over := r.Limit(d.still, d.budget); over {
		limit = d.cell(at)
	}
	var b strings.Builder
	for i := 0; i < d.bar; {
		if i == limit {
			b.WriteString(d.screen.Paint(term.Bold, "!"))
			i++
			continue
		}
		until := i + 1
		for until < d.bar && kinds[until] == kinds[i] && until != limit {
			until++
		}
		sign, ink := signOf(kinds[i])
		b.WriteString(d.screen.Paint(ink, strings.Repeat(sign, until-i)))
		i = until
	}
	return b.String()
}

// cell is where a moment is.
func (d *drawing) cell(t time.Duration) int {
	return min(max(int(float64(t)/float64(d.end)*float64(d.bar)), 0), d.bar-1)
}

// axis is two lines: times, and below each the place where it is.
func (d *drawing) axis() []string {
	names, places := "", []rune(strings.Repeat("─", d.bar))
	for _, at := range migration.Ticks(d.end, max(1, d.bar/10)) {
		i, name := d.cell(at), migration.Human(at)
		if at == 0 {
			name = "0"
		}
		places[i] = '┬'
		if term.Width(names) < i+1 && i+term.Width(name) <= d.bar+2 {
			names = term.Pad(names, i) + name
		}
	}
	indent := partIndent + strings.Repeat(" ", d.label+2)
	return []string{indent + d.screen.Paint(term.Dim, names), indent + d.screen.Paint(term.Dim, string(places))}
}

// legend explains the signs that are there.
func (d *drawing) legend(rows []migration.Row) string {
	var items []string
	for _, kind := range migration.Kinds() {
		has := func(r migration.Row) bool { return r.Longest(kind) > 0 }
		if slices.ContainsFunc(rows, has) {
			sign, ink := signOf(kind)
			items = append(items, d.screen.Paint(ink, sign)+" "+migration.KindWords(kind))
		}
	}
	for _, r := range rows {
		if _, _, over := r.Limit(d.still, d.budget); over {
			items = append(items, d.screen.Paint(term.Bold, "!")+" what is allowed is used up")
			break
		}
	}
	var lines []string
	line := ""
	for _, item := range items {
		if line != "" && term.Width(line)+3+term.Width(item) > d.label+d.bar+d.detail+4 {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += "   "
		}
		line += item
	}
	return term.Indent(partIndent, strings.Join(append(lines, line), "\n"))
}
