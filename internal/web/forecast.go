package web

import (
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/migration"
)

// forecastPart is what production will see: a range and why, what was measured here, and what then happened.
func forecastPart(m *migration.Report) g.Node {
	f := m.Forecast
	if f == nil {
		return nil
	}
	took, limit := m.Observation.Took, m.Budget.Duration
	last := min(max(f.High, f.Actual, took, limit), maxEnd)
	a := newAxis(last + last/20)
	marks := []g.Node{sign("here", "●", "Measured here", migration.Human(took))}
	drawing := append([]g.Node{g.El("title", g.Text("Forecast for production")), g.El("desc", g.Text(forecastSentence(*f)))}, a.grid("32")...)
	drawing = append(drawing, rect("track", 0, 1, 11, 10), rect("range", a.at(f.Low), a.at(f.High)-a.at(f.Low), 8, 16),
		rect("range", a.at(f.Low), 0, 8, 16, g.Attr("width", "3")))
	if limit > 0 {
		drawing = append(drawing, upright("halo", percent(a.at(limit)), "2", "30"), upright("limit", percent(a.at(limit)), "2", "30"))
		marks = append(marks, sign("limit", "┃", "Allowed", migration.Human(limit)))
	}
	drawing = append(drawing, g.El("circle", h.Class("here"), g.Attr("cx", percent(a.at(took))), g.Attr("cy", "16"), g.Attr("r", "6")))
	if f.Actual > 0 {
		drawing = append(drawing, g.El("svg", g.Attr("x", percent(a.at(f.Actual))), g.Attr("y", "16"), g.Attr("overflow", "visible"), h.Width("1"), h.Height("1"),
			g.El("path", h.Class("then"), g.Attr("d", "M0 -8L8 0L0 8L-8 0Z"))))
		marks = append(marks, sign("then", "◆", "Then in production", migration.Human(f.Actual)))
	}
	drawing = append(drawing, a.labels(46)...)
	return part("forecast", "In production",
		h.P(h.Class("lead"), whole(forecastSentence(*f))),
		h.Figure(svg("forecast", 50, drawing...), h.Ul(h.Class("legend"), g.Group(marks))),
		h.Dl(h.Class("facts"), g.Group(forecastFacts(*f))))
}

// forecastSentence is the range, and the fact where it is known, in words.
func forecastSentence(f migration.Forecast) string {
	said := "Production will take between " + migration.Human(f.Low) + " and " + migration.Human(f.High)
	if f.Low == f.High {
		said = "Production will take about " + migration.Human(f.High)
	}
	if f.Why != "" {
		said += ": " + prose(f.Why)
	}
	said = stop(said)
	switch {
	case f.Actual <= 0:
		return said
	case f.Actual < f.Low:
		return said + " It then took " + migration.Human(f.Actual) + ", less than that."
	case f.Actual > f.High:
		return said + " It then took " + migration.Human(f.Actual) + ", more than that."
	default:
		return said + " It then took " + migration.Human(f.Actual) + ", as was said."
	}
}

func forecastFacts(f migration.Forecast) []g.Node {
	var list []g.Node
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"Reads stand still for at most", f.BlockedReads}, {"Writes stand still for at most", f.BlockedWrites}} {
		text := "not at all"
		if x.d > 0 {
			text = migration.Human(x.d)
		}
		list = append(list, fact(x.name, g.Text(text)))
	}
	if f.Disk > 0 {
		list = append(list, fact("Disk at its peak", g.Text(migration.Bytes(f.Disk))))
	}
	return list
}

// sign explains a sign of the forecast's drawing.
func sign(class, glyph, name, value string) g.Node {
	return h.Li(h.Span(h.Class("glyph "+class), h.Aria("hidden", "true"), g.Text(glyph)), g.Text(name+": "), h.Strong(g.Text(value)))
}
