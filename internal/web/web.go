// Package web is the pages: what a browser shows. A page stands by itself: no script, no file beside it, nothing from the
// network, so that it can be attached to a build, mailed, printed, and opened in ten years.
//
// Everything that a page shows came from outside (statements, names of tables and branches, output of checks). It gets in
// as text and by way of the functions in text.go only, which bound it as well; nothing of it is ever markup, an address or
// a style.
package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"io"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/evidence"
)

//go:embed style.css
var style string

// Report writes the report of a rehearsal as one HTML page of at most 1 MB. The same report is always the same page: times
// are in UTC. Its errors are w's.
func Report(w io.Writer, r evidence.Report) error {
	title := name(r.App) + " " + r.Release.Short() + ": " + verdictWord(r.Verdict)
	return document(title,
		reportHeader(r),
		h.Main(checksSection(r), migrationSection(r), maskSection(r), notesSection(r)),
		reportFooter(r)).Render(w)
}

// document is a page around its parts. The policy lets the browser use this one style sheet, known by its digest, and
// nothing else at all: should markup ever get through, it could do nothing and ask nobody.
func document(title string, parts ...g.Node) g.Node {
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(g.Attr("http-equiv", "Content-Security-Policy"), h.Content(policy)),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("referrer"), h.Content("no-referrer")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.TitleEl(g.Text(title)),
			h.StyleEl(g.Raw(style)),
		),
		h.Body(append([]g.Node{patterns()}, parts...)...)))
}

// section is a part of the page with its heading, which names it.
func section(id, heading string, parts ...g.Node) g.Node {
	return h.Section(append([]g.Node{h.ID(id), h.Aria("labelledby", id+"-h"), h.H2(h.ID(id+"-h"), g.Text(heading))}, parts...)...)
}

// part is a section inside a section.
func part(id, heading string, parts ...g.Node) g.Node {
	return h.Section(append([]g.Node{h.Class("part"), h.ID(id), h.Aria("labelledby", id+"-h"), h.H3(h.ID(id+"-h"), g.Text(heading))}, parts...)...)
}

// fold hides what is long behind one line.
func fold(summary string, parts ...g.Node) g.Node {
	return h.Details(append([]g.Node{h.Summary(g.Text(summary))}, parts...)...)
}
