package web

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/term"
)

// reportHeader is the verdict in one sentence, and what it is about.
func reportHeader(r evidence.Report) g.Node {
	return h.Header(h.Class("hero "+verdictClass(r.Verdict)),
		h.P(h.Class("over"), g.Text("Dress rehearsal of "), h.Strong(g.Text(name(r.App))), g.Text(" "), code(r.Release.Short())),
		h.H1(mark(r.Verdict), g.Text(" "), h.Span(h.Class("says"), whole(sentence(r)))),
		rest(r),
		h.Dl(h.Class("facts"), g.Group(facts(r))))
}

// facts are what the verdict is about.
func facts(r evidence.Report) []g.Node {
	against := g.Text("nothing live")
	if r.Old != "" {
		against = code(r.Old.Short())
	}
	list := []g.Node{fact("Against", against)}
	if m := r.Migration(); m != nil && m.Data != "" {
		list = append(list, fact("Data", whole(prose(m.Data))))
	}
	return append(list,
		fact("When", h.Time(h.DateTime(r.Started.UTC().Format(time.RFC3339)), g.Text(r.Started.UTC().Format("2006-01-02 15:04 UTC")))),
		fact("Took", g.Text(migration.Human(r.Duration))),
		fact("Run", code(line(r.Run))))
}

func fact(name string, value g.Node) g.Node {
	return h.Div(h.Dt(g.Text(name)), h.Dd(value))
}

// sentence is the verdict in words: what a person says who has one breath.
func sentence(r evidence.Report) string {
	at := decisive(r)
	switch {
	case r.Verdict == evidence.Pass:
		return allPassed(r)
	case at < 0:
		return "No check came to its end."
	}
	bad := r.Results[at]
	if m := bad.Migration; m != nil && len(m.Findings) > 0 && m.Findings[0].Verdict == string(bad.Verdict) {
		text, _, _ := strings.Cut(m.Findings[0].Text, "; ") // what follows is in the finding
		return stop(upper(prose(text)))
	}
	said := " failed: "
	if bad.Verdict != evidence.Fail {
		said = " could not decide: "
	}
	return name(bad.Check) + said + stop(prose(bad.Says()))
}

// rest is what did not pass besides what the sentence tells of.
func rest(r evidence.Report) g.Node {
	n := notPassed(r) - 1
	if r.Verdict == evidence.Pass || n <= 0 {
		return nil
	}
	return h.P(h.Class("rest"), g.Text(upper(term.Count(n, "other check", "other checks"))+" did not pass either."))
}

// decisive is the index of the result that made the verdict what it is: the migration's, where there are several, since
// that is what cannot be seen elsewhere. -1 for none.
func decisive(r evidence.Report) int {
	at := -1
	for i, res := range r.Results {
		if res.Verdict == r.Verdict && (at < 0 || res.Migration != nil) {
			at = i
		}
	}
	return at
}

func notPassed(r evidence.Report) (n int) {
	for _, res := range r.Results {
		if res.Verdict != evidence.Pass {
			n++
		}
	}
	return n
}

func allPassed(r evidence.Report) string {
	said := "All " + term.Count(len(r.Results), "check", "checks") + " passed"
	if len(r.Results) == 1 {
		said = "The one check passed"
	}
	for _, res := range r.Results {
		if res.GoBack == nil {
			continue
		}
		if *res.GoBack {
			return said + ", and one can go back."
		}
		return said + ", but one can't go back."
	}
	return said + "."
}

// upper makes the beginning of a sentence of s, but for a name, which stays as it is written.
func upper(s string) string {
	if word, _, _ := strings.Cut(s, " "); strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' && r != ',' }) {
		return s
	}
	if s == "" {
		return s
	}
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// stop makes the end of a sentence of s.
func stop(s string) string {
	if s = strings.TrimRight(s, ". "); s == "" {
		return ""
	}
	return s + "."
}

// checksSection is every check with its verdict, and what failed in it.
func checksSection(r evidence.Report) g.Node {
	if len(r.Results) == 0 {
		return nil
	}
	room, open := maxPrinted/max(1, min(notPassed(r), maxChecks)), maxOpen
	return section("checks", "Checks",
		h.Ol(h.Class("checks"), g.Map(first(r.Results, maxChecks), func(res evidence.Result) g.Node {
			if res.Verdict != evidence.Pass {
				open--
			}
			return checkItem(res, room, open >= 0)
		})),
		more(len(r.Results), maxChecks, h.P))
}

// checkItem is one check. room is how many bytes there are for what failed in it and what it printed; open says whether
// that is seen at once.
func checkItem(res evidence.Result, room int, open bool) g.Node {
	called := g.Node(h.Span(h.Class("name"), g.Text(name(res.Check))))
	if res.Migration != nil {
		called = h.A(h.Class("name"), h.Href("#migration"), g.Text(name(res.Check)))
	}
	return h.Li(h.Class(verdictClass(res.Verdict)),
		mark(res.Verdict), called,
		h.Span(h.Class("summary"), whole(prose(res.Says()))),
		h.Span(h.Class("took"), g.Text(migration.Human(res.Duration))),
		whyNot(res, room, open))
}

// whyNot names what failed inside a check, and has the end of its output folded away. That opens by itself where the check
// named nothing, since then the output is all there is.
func whyNot(res evidence.Result, room int, open bool) g.Node {
	if res.Verdict == evidence.Pass {
		return nil
	}
	var parts []g.Node
	if n := len(res.Failures); n > 0 {
		shown := max(1, min(n, maxFailures, room/2/leastShown))
		list := g.Group{failuresOf(first(res.Failures, shown), room/2/shown), more(n, shown, h.P)}
		if open {
			parts = append(parts, list)
		} else {
			parts = append(parts, fold(term.Count(n, "failure", "failures"), list))
		}
	}
	if out := strings.TrimSpace(res.Output); out != "" {
		shown := tail(term.CleanBlock(out), min(16<<10, room/2))
		parts = append(parts, h.Details(g.If(open && len(res.Failures) == 0 && strings.Count(shown, "\n") < 15, g.Attr("open")),
			h.Summary(g.Text("What it printed ("+migration.Bytes(int64(len(res.Output)))+")")), listing(shown)))
	}
	if len(parts) == 0 {
		return nil
	}
	return h.Div(append([]g.Node{h.Class("why")}, parts...)...)
}

// failuresOf has so many bytes of each failure.
func failuresOf(list []evidence.Failure, each int) g.Node {
	return h.Ul(h.Class("failures"), g.Map(list, func(f evidence.Failure) g.Node {
		return h.Li(code(cut(term.Clean(f.Name), min(maxName, each))), g.If(strings.TrimSpace(f.Message) != "", listing(block(f.Message, min(2<<10, each)))))
	}))
}

// notesSection is what the reader should know of how all this was found.
func notesSection(r evidence.Report) g.Node {
	if len(r.Notes) == 0 {
		return nil
	}
	return section("notes", "Worth knowing",
		h.Ul(g.Map(first(r.Notes, maxNotes), func(n string) g.Node { return h.Li(whole(prose(n))) })), more(len(r.Notes), maxNotes, h.P))
}

// reportFooter says what the page is worth, and where its numbers are.
func reportFooter(r evidence.Report) g.Node {
	return h.Footer(
		fold("The whole of what was compared",
			h.Dl(h.Class("facts wide"),
				fact("Release", code(line(string(r.Release)))),
				g.If(r.Old != "", fact("Against", code(line(string(r.Old))))),
				fact("Policy", code(line(r.Policy))),
				fact("Stage", code(line(r.Stage))))),
		h.P(g.Text("This page is a picture of the report and is not signed. What is signed, and who signed it: "),
			code("greenroom evidence verify "+r.Release.Short()), g.Text(". The numbers: "), code("greenroom report "+line(r.Run)+" --output json"), g.Text(".")))
}
