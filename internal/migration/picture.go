package migration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

// At most so many rows of each kind are drawn in a terminal; the longest are.
const (
	drawnStatements = 12
	drawnLocks      = 8
	drawnWaits      = 6
)

// Timeline is a report's picture in text, at most width cells wide and without colours: statements, locks by table and who
// waited, over one axis of time. It is "" where nothing happened. Below 40 cells it is drawn as for 40.
func Timeline(r Report, cells int) string {
	rows := Rows(r)
	if len(rows) == 0 || r.Observation.Took <= 0 {
		return ""
	}
	p := &picture{total: r.Observation.Took, used: map[string]bool{}}
	sections := []struct {
		kind, title, more string
		drawn             int
	}{
		{RowStatement, "statements", "shorter ones", drawnStatements},
		{RowLock, "locks", "weaker ones", drawnLocks},
		{RowWait, "who waited", "who waited less", drawnWaits},
	}
	var drawn [][]Row
	for _, s := range sections {
		of := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Kind != s.kind })
		drawn = append(drawn, pick(of, s.drawn))
	}
	p.measure(slices.Concat(drawn...), max(cells, 40))
	p.axis()
	for i, s := range sections {
		if len(drawn[i]) == 0 {
			continue
		}
		p.line(s.title, "", "")
		for _, row := range drawn[i] {
			p.line("  "+row.Label, p.bar(row.Spans), row.Detail)
		}
		left := len(slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Kind != s.kind })) - len(drawn[i])
		if left > 0 {
			fmt.Fprintf(&p.b, "  and %s %s\n", Thousands(int64(left)), s.more)
		}
	}
	p.legend()
	return p.b.String()
}

// pick keeps n rows, the longest, in their order.
func pick(rows []Row, n int) []Row {
	if len(rows) <= n || rows[0].Kind != RowStatement {
		return rows[:min(n, len(rows))]
	}
	took := func(i int) time.Duration { return rows[i].Spans[0].Until - rows[i].Spans[0].From }
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(took(b), took(a)) })
	order = order[:n]
	slices.Sort(order)
	out := make([]Row, n)
	for i, at := range order {
		out[i] = rows[at]
	}
	return out
}

// picture is drawn in three columns: what it is, when, and in words.
type picture struct {
	b                   strings.Builder
	total               time.Duration
	label, bars, detail int
	used                map[string]bool
}

// measure shares the width out: the words get what they need up to a third, the names up to a third, the bars the rest.
func (p *picture) measure(rows []Row, cells int) {
	for _, r := range rows {
		p.label = max(p.label, cellsOf(printable(r.Label))+2)
		p.detail = max(p.detail, cellsOf(printable(r.Detail)))
	}
	p.label = min(max(p.label, 12), cells*2/5)
	p.detail = min(p.detail, cells*3/10)
	if cells < 60 {
		p.detail = 0
	}
	p.bars = cells - p.label - 1
	if p.detail > 0 {
		p.bars -= p.detail + 1
	}
}

func (p *picture) line(label, bar, detail string) {
	text := pad(fit(printable(label), p.label), p.label) + " " + pad(bar, p.bars)
	if p.detail > 0 {
		text += " " + fit(printable(detail), p.detail)
	}
	p.b.WriteString(strings.TrimRight(text, " ") + "\n")
}

// axis draws the times, each above the place where it is.
func (p *picture) axis() {
	marks := []rune(strings.Repeat("─", p.bars))
	names := make([]rune, 0, p.bars)
	for _, at := range Ticks(p.total, max(1, p.bars/10)) {
		i := p.cell(at)
		name := []rune(tickName(at))
		marks[i] = '┬'
		if len(names) > 0 && len(names) >= i || i+len(name) > p.bars {
			continue
		}
		for len(names) < i {
			names = append(names, ' ')
		}
		names = append(names, name...)
	}
	p.line("", string(names), "")
	p.line("", string(marks), "")
}

func tickName(at time.Duration) string {
	if at == 0 {
		return "0"
	}
	return Human(at)
}

// Ticks are round times from 0 to total, at most n steps of them, for an axis.
func Ticks(total time.Duration, n int) []time.Duration {
	steps := []time.Duration{1, 2, 5}
	for unit := time.Duration(1); unit < time.Second; unit *= 10 {
		steps = append(steps, 10*unit, 20*unit, 50*unit)
	}
	steps = append(steps, 15*time.Second, 30*time.Second, time.Minute, 2*time.Minute, 5*time.Minute, 10*time.Minute, 15*time.Minute,
		30*time.Minute, time.Hour, 2*time.Hour, 6*time.Hour, 12*time.Hour, 24*time.Hour)
	steps = slices.DeleteFunc(steps, func(d time.Duration) bool { return d > 10*time.Second && d < time.Minute && d%(15*time.Second) != 0 })
	slices.Sort(steps)
	n = max(n, 1)
	step := steps[len(steps)-1]
	for _, s := range steps {
		if total/s <= time.Duration(n) {
			step = s
			break
		}
	}
	for total/step > time.Duration(n) {
		step *= 2
	}
	var out []time.Duration
	for at := time.Duration(0); at <= total && len(out) <= n; at += step {
		out = append(out, at)
	}
	return out
}

// cell is in which cell of the bars a moment is.
func (p *picture) cell(at time.Duration) int {
	i := int(float64(at) / float64(p.total) * float64(p.bars))
	return min(max(i, 0), p.bars-1)
}

// inks are the spans' letters, what matters least first: it is drawn over.
func inks() []struct {
	kind string
	ink  rune
	name string
} {
	return []struct {
		kind string
		ink  rune
		name string
	}{
		{SpanWorks, '━', "works"},
		{SpanMade, '·', "its own table"},
		{SpanOthers, '░', "no other change of the schema"},
		{SpanRows, '▒', "nobody writes to the changed rows"},
		{SpanStands, '◂', "stands behind it"},
		{SpanWrites, '▓', "nobody writes"},
		{SpanAll, '█', "nobody reads or writes"},
		{SpanQueues, '┄', "waits for its lock"},
	}
}

// bar draws spans. What is shorter than a cell has one, or else the shortest lock would be none.
func (p *picture) bar(spans []Span) string {
	cells := []rune(strings.Repeat(" ", p.bars))
	for _, ink := range inks() {
		for _, s := range spans {
			if s.Kind != ink.kind {
				continue
			}
			p.used[s.Kind] = true
			until := p.cell(s.Until)
			for i := p.cell(s.From); i <= until; i++ {
				if i < until || i == p.cell(s.From) || float64(s.Until)*float64(p.bars)/float64(p.total) > float64(i) {
					cells[i] = ink.ink
				}
			}
		}
	}
	return strings.TrimRight(string(cells), " ")
}

func (p *picture) legend() {
	var parts []string
	for _, ink := range inks() {
		if p.used[ink.kind] {
			parts = append(parts, string(ink.ink)+" "+ink.name)
		}
	}
	line := ""
	limit := p.label + 1 + p.bars
	if p.detail > 0 {
		limit += 1 + p.detail
	}
	for _, part := range parts {
		if line != "" && cellsOf(line)+3+cellsOf(part) > limit {
			p.b.WriteString(line + "\n")
			line = ""
		}
		if line != "" {
			line += "   "
		}
		line += fit(part, limit)
	}
	p.b.WriteString(line + "\n")
}

// printable is a text without what could move a terminal's cursor, or turn what follows around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(s, "?"))
}

// cellsOf is how many cells of a terminal a text takes.
func cellsOf(s string) (n int) {
	for _, r := range s {
		n += cellsOfRune(r)
	}
	return n
}

func cellsOfRune(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

func fit(s string, cells int) string {
	if cellsOf(s) <= cells {
		return s
	}
	n := 0
	for i, r := range s {
		if n+cellsOfRune(r) > cells-1 {
			return s[:i] + "…"
		}
		n += cellsOfRune(r)
	}
	return s
}

func pad(s string, cells int) string { return s + strings.Repeat(" ", max(0, cells-cellsOf(s))) }
