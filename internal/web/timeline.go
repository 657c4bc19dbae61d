package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/migration"
	"greenroom/internal/term"
)

// timelinePart is the picture: a row for each statement, each table that was locked, each query that stood behind, on one
// axis of time. A row is text and a bar beside it, so that the text is read at any width and by anybody, and the bar, whose
// places are parts of its width, is drawn at any width.
func timelinePart(m *migration.Report) g.Node {
	rows := migration.Rows(*m)
	if len(rows) == 0 {
		return nil
	}
	p := newPicture(m, rows)
	var groups []g.Node
	for _, group := range []struct {
		kind, heading, left string
		most                int
	}{
		{migration.RowStatement, "What it did", "shorter statements", maxBars},
		{migration.RowLock, "What that locked", "locks that stood less in the way", maxLanes},
		{migration.RowWait, "Who stood behind it", "that waited less", maxBehind},
	} {
		kept, left := migration.Choose(rows, group.kind, group.most)
		if len(kept) == 0 {
			continue
		}
		groups = append(groups, h.H4(g.Text(group.heading)), h.Ol(h.Class("rows "+group.kind), g.Map(kept, p.row)))
		if left > 0 {
			groups = append(groups, h.P(h.Class("more"), g.Text("and "+term.Number(int64(left))+" "+group.left)))
		}
	}
	said := fmt.Sprintf("Timeline of the migration, from its start to %s. %s", migration.Human(p.axis.end), inTheWay(m.Observation))
	return part("timeline", "What stood still, and when",
		h.Figure(append([]g.Node{h.Class("timeline"),
			h.FigCaption(g.Text(prose(inTheWay(m.Observation)))),
			h.Div(h.Class("head"), p.axis.draw("Axis of time", said))},
			append(groups, p.legend(rows))...)...))
}

// inTheWay says in a sentence what the picture shows.
func inTheWay(o migration.Observation) string {
	if len(o.Waits) == 0 {
		if o.Load == "" {
			return "Nothing else used the database meanwhile, so nobody was seen to wait."
		}
		return "Nobody was seen to wait."
	}
	longest := slices.MaxFunc(o.Waits, func(a, b migration.Wait) int { return cmp.Compare(a.Until-a.From, b.Until-b.From) })
	return fmt.Sprintf("%s behind the migration, the longest for %s.",
		term.Count(len(o.Waits), "query stood", "queries stood"), migration.Human(longest.Until-longest.From))
}

// picture is what all rows share.
type picture struct {
	axis   axis
	budget migration.Budget
	still  []migration.Still
	who    map[stander]string // stood behind
}

// stander is a query that stood behind the migration at a table.
type stander struct{ table, query string }

func newPicture(m *migration.Report, rows []migration.Row) picture {
	p := picture{axis: newAxis(m.End(rows)), budget: m.Budget, still: migration.StoodStill(m.Observation), who: map[stander]string{}}
	for _, w := range m.Observation.Waits {
		p.who[stander{w.Table, strings.Join(strings.Fields(w.Query), " ")}] = w.Who
	}
	return p
}

func (p picture) row(r migration.Row) g.Node {
	var number g.Node
	if r.Kind == migration.RowStatement {
		number = h.Span(h.Class("number"), g.Text(term.Number(int64(r.Statement)+1)))
	}
	return h.Li(
		h.Span(h.Class("label"), number, code(glance(r.Label))),
		p.bar(r),
		h.Span(h.Class("detail"), g.Group(p.detail(r))))
}

// detail is what a row means, in words.
func (p picture) detail(r migration.Row) []g.Node {
	nodes := []g.Node{g.Text(prose(r.Detail))}
	switch r.Kind {
	case migration.RowLock:
		nodes = nil
		for i, m := range r.Meanings(p.still) {
			nodes = append(nodes, g.If(i > 0, g.Text(", ")), h.Strong(g.Text(prose(migration.Human(m.Took)))), g.Text(" "+m.Words))
		}
		mode, _, _ := strings.Cut(r.Detail, ",")
		nodes = append(nodes, h.Br(), h.Small(g.Text(line(mode))))
	case migration.RowWait:
		if who := p.who[stander{r.Table, r.Label}]; who != "" {
			nodes = append(nodes, h.Br(), h.Small(g.Text(name(who))))
		}
	}
	return nodes
}

// Sizes of a bar, in pixels.
const (
	barHeight = 22
	spanTop   = 4
	spanTall  = 14
)

// bar draws the spans of a row.
func (p picture) bar(r migration.Row) g.Node {
	nodes := []g.Node{g.El("title", g.Text(p.spoken(r)))}
	nodes = append(nodes, p.axis.grid("100%")...)
	spans := p.axis.thin(r.Spans)
	for _, kind := range migration.Kinds() {
		for _, s := range spans {
			if s.Kind == kind {
				nodes = append(nodes, p.span(s))
			}
		}
	}
	nodes = append(nodes, p.limit(r))
	return svg("bar", barHeight, nodes...)
}

// spoken is a bar for those who don't see it.
func (p picture) spoken(r migration.Row) string {
	var said []string
	for _, s := range first(r.Spans, 4) {
		said = append(said, fmt.Sprintf("%s from %s to %s", migration.KindWords(s.Kind), migration.Human(s.From), migration.Human(s.Until)))
	}
	if n := len(r.Spans) - len(said); n > 0 {
		said = append(said, fmt.Sprintf("and %d times more", n))
	}
	return strings.Join(said, "; ")
}

// span is a stretch of time; at least two pixels of it are seen, however short it was.
func (p picture) span(s migration.Span) g.Node {
	from, until := p.axis.at(s.From), p.axis.at(s.Until)
	least := g.Node(nil)
	if until-from < 0.01 {
		least = rect("s-"+s.Kind, min(from, 1), 0, spanTop, spanTall, g.Attr("width", "2"), g.If(from > 0.99, g.Attr("transform", "translate(-2 0)")))
	}
	return g.Group{rect("s-"+s.Kind, from, until-from, spanTop, spanTall), least}
}

// limit is where a table had stood still for as long as is allowed; nil where it did not.
func (p picture) limit(r migration.Row) g.Node {
	at, allowed, over := r.Limit(p.still, p.budget)
	if !over {
		return nil
	}
	x := percent(p.axis.at(at))
	return g.Group{vertical("halo", x), vertical("limit", x, g.El("title", g.Text(migration.Human(allowed)+" is allowed")))}
}

// legend explains what of the picture's signs is in it.
func (p picture) legend(rows []migration.Row) g.Node {
	var items []g.Node
	for _, kind := range migration.Kinds() {
		if slices.ContainsFunc(rows, func(r migration.Row) bool {
			return slices.ContainsFunc(r.Spans, func(s migration.Span) bool { return s.Kind == kind })
		}) {
			items = append(items, h.Li(swatch(rect("s-"+kind, 0, 1, 0, spanTall)), g.Text(migration.KindWords(kind))))
		}
	}
	if slices.ContainsFunc(rows, func(r migration.Row) bool { return p.limit(r) != nil }) {
		items = append(items, h.Li(swatch(vertical("limit", "50%")), g.Text("what is allowed is used up")))
	}
	return h.Ul(append([]g.Node{h.Class("legend")}, items...)...)
}

func swatch(content g.Node) g.Node {
	return g.El("svg", h.Class("swatch"), g.Attr("width", "24"), g.Attr("height", fmt.Sprint(spanTall)), h.Aria("hidden", "true"), content)
}
