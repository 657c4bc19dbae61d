package web

import (
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/migration"
)

// tablesPart is what became of the tables: rewritten or not, and how large before and after.
func tablesPart(m *migration.Report) g.Node {
	list := m.Observation.Tables
	if len(list) == 0 {
		return nil
	}
	largest := int64(1)
	for _, t := range list {
		largest = max(largest, t.BytesBefore+t.IndexBefore, t.BytesAfter+t.IndexAfter)
	}
	var peak g.Node
	if n := migration.Peak(m.Observation); n > 0 {
		peak = h.P(g.Text("At its peak it took "), h.Strong(g.Text(migration.Bytes(n))), g.Text(" more of the disk"), g.If(m.Observation.WAL > 0, g.Text(", write-ahead log included")), g.Text("."))
	}
	return part("tables", "Tables", peak,
		h.Table(h.Class("tables"), h.Role("table"), // the roles stay when a narrow screen has the cells below one another
			h.THead(h.Role("rowgroup"), h.Tr(h.Role("row"), head("", "Table"), head("count", "Rows"), head("", "Size before and after"))),
			h.TBody(h.Role("rowgroup"), g.Map(first(list, maxTables), func(t migration.Table) g.Node { return tableRow(t, largest) }))),
		more(len(list), maxTables, h.P),
		h.Ul(h.Class("legend"), h.Li(swatch(rect("before", 0, 1, 3, 8)), g.Text("before")), h.Li(swatch(rect("after", 0, 1, 3, 8)), g.Text("after")),
			h.Li(swatch(rect("after index", 0, 1, 3, 8)), g.Text("paler: its indexes"))))
}

func head(class, text string) g.Node {
	return h.Th(h.Scope("col"), h.Role("columnheader"), h.Class(class), g.Text(text))
}

func tableRow(t migration.Table, largest int64) g.Node {
	rows := "unknown"
	if t.Rows >= 0 {
		rows = migration.Thousands(t.Rows)
	}
	return h.Tr(h.Role("row"),
		h.Th(h.Scope("row"), h.Role("rowheader"), code(name(t.Name)), g.Map(became(t), func(s string) g.Node { return h.Span(h.Class("badge "+s), g.Text(s)) })),
		h.Td(h.Role("cell"), h.Class("count"), g.Text(rows), h.Span(h.Class("unit"), g.Text(" rows"))),
		h.Td(h.Role("cell"), sizes(t, largest)))
}

// became is what happened to a table, in a word or two.
func became(t migration.Table) []string {
	var words []string
	for _, w := range []struct {
		is   bool
		word string
	}{{t.Made, "made"}, {t.Dropped, "dropped"}, {t.Rewritten, "rewritten"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return words
}

// sizes are two bars, of before and after; the paler end of each is the indexes.
func sizes(t migration.Table, largest int64) g.Node {
	part := func(n int64) float64 { return float64(max(0, n)) / float64(largest) }
	bar := func(y int, class string, data, index int64) g.Node {
		least := g.If(data+index > 0, rect(class, 0, 0, y, 7, g.Attr("width", "2")))
		return g.Group{least, rect(class, 0, part(data), y, 7), rect(class+" index", part(data), part(index), y, 7)}
	}
	before, after := t.BytesBefore+t.IndexBefore, t.BytesAfter+t.IndexAfter
	said := []string{migration.Bytes(before) + " → " + migration.Bytes(after)}
	switch {
	case t.Made:
		said = []string{migration.Bytes(after)}
	case t.Dropped:
		said = []string{migration.Bytes(before) + " freed"}
	case after > before:
		said = append(said, "+"+migration.Bytes(after-before))
	case after < before:
		said = append(said, "−"+migration.Bytes(before-after))
	case after == before:
		said = []string{migration.Bytes(after) + ", as before"}
	}
	text := strings.Join(said, ", ")
	return g.Group{svg("sizes", 18, g.El("title", g.Text("Before and after: "+text)),
		bar(1, "before", t.BytesBefore, t.IndexBefore), bar(10, "after", t.BytesAfter, t.IndexAfter)), h.Span(h.Class("text"), g.Text(text))}
}
