package web

import (
	"fmt"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/term"
)

// migrationSection is all that is known of the release's migration, what matters most first.
func migrationSection(r evidence.Report) g.Node {
	m := r.Migration()
	if m == nil {
		return nil
	}
	return section("migration", "The migration",
		h.P(h.Class("lead"), whole(whatRan(*m))),
		findingsPart(m), timelinePart(m), advicePart(m), forecastPart(m),
		h.Div(h.Class("beside"), backPart(m), lostPart(m)), tablesPart(m), statementsPart(m))
}

// whatRan says what was done, on what, and who used it meanwhile.
func whatRan(m migration.Report) string {
	o := m.Observation
	said := term.Count(len(o.Statements), "statement", "statements") + ", watched for " + migration.Human(o.Took)
	if len(o.Statements) == 0 {
		said = "Watched for " + migration.Human(o.Took)
	}
	if m.Data != "" {
		said += ", on " + prose(m.Data)
	}
	if o.Load != "" {
		return said + ", while " + prose(o.Load) + " used it."
	}
	return said + "; nothing else used it meanwhile."
}

// findingsPart is the verdict against the budget, one measure a finding.
func findingsPart(m *migration.Report) g.Node {
	if len(m.Findings) == 0 {
		return nil
	}
	return part("budget", "Against its budget",
		h.Ul(h.Class("findings"), g.Map(first(m.Findings, maxFindings), findingItem)), more(len(m.Findings), maxFindings, h.P))
}

func findingItem(f migration.Finding) g.Node {
	v := evidence.Verdict(f.Verdict)
	nodes := []g.Node{h.Class(verdictClass(v)), mark(v), h.Span(h.Class("says"), whole(stop(upper(prose(f.Text)))))}
	if f.Took > 0 && f.Budget > 0 {
		nodes = append(nodes, meter(f))
	}
	return h.Li(nodes...)
}

// meter is how much of what is allowed was used: a bar, and a line where it should have ended.
func meter(f migration.Finding) g.Node {
	whole := float64(max(f.Took, f.Budget)) * 1.04
	took, allowed := float64(f.Took)/whole, float64(f.Budget)/whole
	nodes := []g.Node{
		g.El("title", g.Text(migration.Human(f.Took)+" of "+migration.Human(f.Budget)+" that are allowed")),
		rect("track", 0, 1, 6, 8), rect("used", 0, min(took, allowed), 6, 8),
	}
	if took > allowed {
		nodes = append(nodes, rect("s-over", allowed, took-allowed, 6, 8))
	}
	nodes = append(nodes, vertical("halo", percent(allowed)), vertical("limit", percent(allowed)))
	return h.Div(h.Class("meter"), svg("", 20, nodes...),
		h.Span(h.Strong(g.Text(migration.Human(f.Took))), g.Text(" of "+migration.Human(f.Budget))))
}

// advicePart shows the statement as it is and as it is safer, one under the other.
func advicePart(m *migration.Report) g.Node {
	if len(m.Advice) == 0 {
		return nil
	}
	return part("advice", "A safer way to write it",
		h.Ol(h.Class("advice"), g.Map(first(m.Advice, maxAdvice), func(a migration.Advice) g.Node {
			var was g.Node
			if s, ok := statementAt(m, a.Statement); ok {
				was = h.Div(h.Class("was"), h.P(h.Class("tag"), g.Text("Statement "+term.Number(int64(a.Statement)+1)), fileOf(s)), listing(block(s.SQL, maxSQL)))
			}
			return h.Li(h.P(g.Text(stop(upper(prose(a.Why))))), was, g.If(a.Instead != "",
				h.Div(h.Class("instead"), h.P(h.Class("tag"), g.Text("Instead")), listing(block(a.Instead, 2*maxSQL)))))
		})), more(len(m.Advice), maxAdvice, h.P))
}

func statementAt(m *migration.Report, i int) (migration.Statement, bool) {
	if i < 0 || i >= len(m.Observation.Statements) {
		return migration.Statement{}, false
	}
	return m.Observation.Statements[i], true
}

func fileOf(s migration.Statement) g.Node {
	if s.File == "" {
		return nil
	}
	return g.Group{g.Text(" of "), code(name(s.File))}
}

// backPart is what a rollback would mean.
func backPart(m *migration.Report) g.Node {
	b := m.Back
	if b == nil {
		return nil
	}
	sign, said := answer(true), "one can go back: "+line(b.How)+"."
	if !b.Possible {
		sign, said = answer(false), "the old release's journeys don't pass after it"
		if b.How != "" {
			said += " (" + line(b.How) + ")"
		}
		said += "."
	}
	nodes := []g.Node{h.P(sign, g.Text(", "+said))}
	if b.Until != "" {
		nodes = append(nodes, h.P(h.Strong(g.Text("Until when: ")), whole(stop(prose(b.Until)))))
	}
	if b.Up {
		nodes = append(nodes, h.P(g.Text("After the way back the migration worked again.")))
	}
	if len(b.Lost) > 0 {
		nodes = append(nodes, h.P(g.Text("It would lose:")), losses(b.Lost))
	}
	return part("back", "The way back", nodes...)
}

// lostPart is what became of the rows.
func lostPart(m *migration.Report) g.Node {
	if len(m.Lost)+len(m.Changed) == 0 {
		return nil
	}
	var nodes []g.Node
	if len(m.Lost) > 0 {
		nodes = append(nodes, h.H4(g.Text("Gone")), losses(m.Lost))
	}
	if len(m.Changed) > 0 {
		nodes = append(nodes, h.H4(g.Text("Not what it was")), losses(m.Changed))
	}
	return part("rows", "Rows lost or changed", nodes...)
}

// answer is yes or no, with its sign and its colour.
func answer(yes bool) g.Node {
	v, word := evidence.Pass, "Yes"
	if !yes {
		v, word = evidence.Fail, "No"
	}
	return h.Span(h.Class("verdict "+verdictClass(v)), h.Span(h.Class("sign"), h.Aria("hidden", "true"), g.Text(verdictSign(v))), g.Text(word))
}

func losses(list []migration.Loss) g.Node {
	return h.Ul(h.Class("losses"), g.Map(first(list, maxLost), func(l migration.Loss) g.Node {
		what := l.Table
		if l.Column != "" {
			what += "." + l.Column
		}
		return h.Li(code(name(what)), whole(" "+prose(l.Text)))
	}), more(len(list), maxLost, h.Li))
}

// statementsPart is every statement, folded away, and how all this was seen.
func statementsPart(m *migration.Report) g.Node {
	o := m.Observation
	var list g.Node
	if n := len(o.Statements); n > 0 {
		list = fold(upper(term.Count(n, "statement", "statements")+", each with its time"),
			h.Ol(h.Class("statements"), g.Map(first(o.Statements, maxList), statementItem)), more(n, maxList, h.P))
	}
	return part("seen", "Everything that was seen", list, fold("How it was watched", h.Ul(g.Map(watched(o), func(s string) g.Node { return h.Li(g.Text(s)) }))))
}

func statementItem(s migration.Statement) g.Node {
	said := []string{migration.Human(s.Took)}
	if s.Waited > 0 {
		said = append(said, migration.Human(s.Waited)+" of it waiting for locks")
	}
	if s.Retries > 0 {
		said = append(said, term.Count(s.Retries, "retry", "retries")+" after a lock time-out")
	}
	var failed g.Node
	if s.Error != "" {
		failed = h.P(h.Class("error"), mark(evidence.Fail), g.Text(" "+line(s.Error)))
	}
	return h.Li(h.P(h.Class("tag"), h.Strong(g.Text(strings.Join(said, ", "))), fileOf(s)), listing(block(s.SQL, maxSQL/2)), failed)
}

// watched says how sharp the eyes were.
func watched(o migration.Observation) []string {
	said := []string{fmt.Sprintf("%s was looked at %s, never with more than %s in between.", engineName(o.Engine),
		term.Count(o.Samples, "time", "times"), migration.Human(o.Gap))}
	if o.Exact {
		said = append(said, "Locks were also read before each commit, so none is missing.")
	} else {
		said = append(said, "What lasted less than that may not have been seen.")
	}
	if o.WAL > 0 {
		said = append(said, migration.Bytes(o.WAL)+" of write-ahead log were written.")
	}
	if o.Omitted > 0 {
		said = append(said, term.Count(o.Omitted, "entry was", "entries were")+" left out, because there are too many.")
	}
	if !o.Started.IsZero() {
		said = append(said, "It began at "+o.Started.UTC().Format(time.RFC3339)+".")
	}
	return said
}

func engineName(engine string) string {
	switch engine {
	case "postgres":
		return "PostgreSQL"
	case "sqlite":
		return "SQLite"
	default:
		return "The database"
	}
}
