package web

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/migration"
)

// svg is a drawing as wide as its place. Nothing in it is scaled: places along it are parts of its width, and all else is
// pixels, so that text and lines are as thick on a phone as on a wall.
func svg(class string, height int, content ...g.Node) g.Node {
	return g.El("svg", append([]g.Node{h.Class(class), g.Attr("width", "100%"), g.Attr("height", strconv.Itoa(height)), h.Role("img")}, content...)...)
}

// rect is a rectangle; x and width are parts of the drawing's width, y and height are pixels.
func rect(class string, x, width float64, y, height int, more ...g.Node) g.Node {
	nodes := []g.Node{h.Class(class), g.Attr("x", percent(x)), g.Attr("y", strconv.Itoa(y)), g.Attr("height", strconv.Itoa(height))}
	if width > 0 {
		nodes = append(nodes, g.Attr("width", percent(width)))
	}
	return g.El("rect", append(nodes, more...)...)
}

// vertical is a line from the top to the bottom of a drawing.
func vertical(class, x string, more ...g.Node) g.Node { return upright(class, x, "0", "100%", more...) }

// upright is a vertical line from y1 to y2.
func upright(class, x, y1, y2 string, more ...g.Node) g.Node {
	return g.El("line", append([]g.Node{h.Class(class), g.Attr("x1", x), g.Attr("x2", x), g.Attr("y1", y1), g.Attr("y2", y2)}, more...)...)
}

func percent(part float64) string { return strconv.FormatFloat(100*part, 'f', 2, 64) + "%" }

// axis is of time, from nothing to its end.
type axis struct {
	end   time.Duration
	ticks []time.Duration
}

// maxTicks is how many labels have room on a telephone.
const maxTicks = 5

// maxEnd is a year; what lasts longer was measured wrong, and would take the arithmetic out of its range.
const maxEnd = 365 * 24 * time.Hour

// newAxis has round numbers along it.
func newAxis(end time.Duration) axis {
	end = min(max(end, time.Microsecond), maxEnd)
	return axis{end: end, ticks: migration.Ticks(end, maxTicks-1)}
}

// at is where a moment is, as a part of the width.
func (a axis) at(t time.Duration) float64 { return min(1, max(0, float64(t)/float64(a.end))) }

// grid is a thin line at each tick, down to y.
func (a axis) grid(y string) []g.Node {
	nodes := make([]g.Node, 0, len(a.ticks))
	for _, t := range a.ticks {
		nodes = append(nodes, upright("grid", percent(a.at(t)), "0", y))
	}
	return nodes
}

// labels are the ticks' times; the outer ones stay inside.
func (a axis) labels(y int) []g.Node {
	nodes := make([]g.Node, 0, len(a.ticks))
	for i, t := range a.ticks {
		anchor := "middle"
		switch {
		case i == 0:
			anchor = "start"
		case a.at(t) > 0.93:
			anchor = "end"
		}
		nodes = append(nodes, g.El("text", h.Class("tick"), g.Attr("x", percent(a.at(t))), g.Attr("y", strconv.Itoa(y)),
			g.Attr("text-anchor", anchor), g.Text(tick(t))))
	}
	return nodes
}

func tick(t time.Duration) string {
	if t == 0 {
		return "0"
	}
	return migration.Human(t)
}

// draw is the axis as a drawing of its own.
func (a axis) draw(title, description string) g.Node {
	nodes := []g.Node{g.El("title", g.Text(title)), g.El("desc", g.Text(description))}
	return svg("axis", 18, append(nodes, a.labels(13)...)...)
}

// maxSpans is how many spans of one row are drawn one by one.
const maxSpans = 40

// thin makes a row of very many spans fewer: those of a kind that nobody could tell apart become one. The others stay.
func (a axis) thin(spans []migration.Span) []migration.Span {
	if len(spans) <= maxSpans {
		return spans
	}
	apart := a.end / maxSpans
	var out []migration.Span
	last := map[string]int{} // of each kind, where it is in out
	for _, s := range spans {
		if i, ok := last[s.Kind]; ok && s.From < out[i].From+apart {
			out[i].Until = max(out[i].Until, s.Until)
			continue
		}
		last[s.Kind] = len(out)
		out = append(out, s)
	}
	return out
}

// patterns are what surfaces are filled with: each kind of span has a colour and a pattern, so that they are told apart
// without colours as well. They stand once in a page, and all drawings use them.
func patterns() g.Node {
	return g.El("svg", h.Class("patterns"), g.Attr("width", "0"), g.Attr("height", "0"), h.Aria("hidden", "true"),
		g.El("defs",
			pattern("p-all", 6, "c-all", "M0 0L6 6M6 0L0 6"),
			pattern("p-writes", 7, "c-writes", "M-1 8L8 -1"),
			pattern("p-rows", 6, "c-rows", "M0 3H6"),
			pattern("p-queues", 7, "c-queues", "M-1 -1L8 8"),
			pattern("p-stands", 5, "c-stands", "M2.5 0V5"),
			pattern("p-over", 7, "c-over", "M-1 8L8 -1")))
}

func pattern(id string, size int, class, path string) g.Node {
	side := strconv.Itoa(size)
	return g.El("pattern", h.ID(id), h.Class(class), g.Attr("width", side), g.Attr("height", side), g.Attr("patternUnits", "userSpaceOnUse"),
		g.El("rect", h.Class("ground"), g.Attr("width", side), g.Attr("height", side)), g.El("path", h.Class("ink"), g.Attr("d", path)))
}
