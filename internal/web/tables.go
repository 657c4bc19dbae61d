package web

import (
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/migration"
	"greenroom/internal/term"
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
		h.Table(h.Class("tables"),
			h.THead(h.Tr(h.Th(h.Scope("col"), g.Text("Table")), h.Th(h.Scope("col"), h.Class("count"), g.Text("Rows")), h.Th(h.Scope("col"), g.Text("Size before and after, with indexes")))),
			h.TBody(g.Map(first(list, maxTables), func(t migration.Table) g.Node { return tableRow(t, largest) }))),
		more(len(list), maxTables, h.P))
}

func tableRow(t migration.Table, largest int64) g.Node {
	rows := "unknown"
	if t.Rows >= 0 {
		rows = migration.Thousands(t.Rows)
	}
	return h.Tr(
		h.Th(h.Scope("row"), code(cut(term.Clean(t.Name), 200)), g.Map(became(t), func(s string) g.Node { return h.Span(h.Class("badge "+s), g.Text(s)) })),
		h.Td(h.Class("count"), g.Text(rows)),
		h.Td(sizes(t, largest)))
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
		return g.Group{rect(class, 0, part(data), y, 7), rect(class+" index", part(data), part(index), y, 7)}
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
