package cli

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/term"
)

// reasonWidth is how many cells a reason takes in a table; explain tells all of it.
const reasonWidth = 50

// releasesPage lists releases, the newest first.
func releasesPage(s term.Screen, rs []api.ReleaseView, now time.Time) string {
	if len(rs) == 0 {
		return "there is no release yet\n  next: greenroom build\n"
	}
	rows := [][]string{dim(s, "RELEASE", "FROM", "BUILT", "BY", "SIZE", "REHEARSED", "LIVE IN")}
	for _, r := range rs {
		verdict := "no"
		if r.Verdict != "" {
			verdict = s.Paint(inkOf(r.Verdict), string(r.Verdict))
		}
		if r.Bad != "" {
			verdict = s.Paint(term.Red, term.Fit("bad: "+headline(r.Bad), reasonWidth))
		}
		rows = append(rows, []string{r.Digest.Short(), origin(r), ago(r.BuiltAt, now) + " ago", term.Clean(r.By),
			bytesOf(r.Size), verdict, term.Clean(strings.Join(r.Live, ", "))})
	}
	return term.Columns("", rows)
}

// historyPage lists what was done, the newest first. On a narrow terminal times and names are short, and what does not fit
// beside a row stands below it.
func historyPage(s term.Screen, es []api.HistoryEntry) string {
	if len(es) == 0 {
		return "nothing was done yet\n"
	}
	width := cells(s)
	rows := historyRows(s, es, clock)
	if term.Broad(rows) > width {
		newest := es[0].At.Local().Year()
		rows = historyRows(s, es, func(t time.Time) string { return shortClock(t, newest) })
	}
	rows = term.Narrow(rows, width, columnWho, columnWhat, columnWhere)
	room := width - term.Broad(rows) - len("  ")
	below := make([][]string, len(rows))
	for i, e := range es {
		if text := term.Clean(e.Text); term.Width(text) <= room {
			rows[i+1] = append(rows[i+1], text)
		} else {
			below[i+1] = quiet(s, text, width-len("    "))
		}
	}
	var b strings.Builder
	i := 0
	for line := range strings.Lines(term.Columns("", rows)) {
		b.WriteString(line + term.Indent("    ", strings.Join(below[i], "\n")))
		i++
	}
	return b.String()
}

// Columns of the history that may be cut.
const (
	columnWho   = 3
	columnWhat  = 4
	columnWhere = 5
)

// historyRows are the history's columns but the last one, whose texts are as long as they please.
func historyRows(s term.Screen, es []api.HistoryEntry, when func(time.Time) string) [][]string {
	rows := [][]string{dim(s, "NO", "WHEN", "RUN", "WHO", "WHAT", "WHERE", "RELEASE", "OUTCOME")}
	for _, e := range es {
		rows = append(rows, []string{fmt.Sprint(e.Seq), when(e.At), term.Clean(e.Run), term.Clean(e.By), term.Clean(e.Action),
			term.Clean(e.Environment), e.Release.Short(), outcome(s, e)})
	}
	return rows
}

// shortClock is the minute of a moment in that year, and the day of any other.
func shortClock(t time.Time, year int) string {
	if t = t.Local(); t.Year() != year {
		return t.Format(time.DateOnly)
	}
	return t.Format("01-02 15:04")
}

func outcome(s term.Screen, e api.HistoryEntry) string {
	switch {
	case e.Outcome == plan.Succeeded && e.Action == string(plan.Rehearsal):
		return "finished" // which says nothing of its verdict
	case e.Outcome == plan.Succeeded:
		return s.Paint(term.Green, string(e.Outcome))
	case e.Outcome == plan.RolledBack:
		return s.Paint(term.Yellow, string(e.Outcome))
	default:
		return s.Paint(term.Red, string(e.Outcome))
	}
}

// diffPage tells how two sides differ. What is the same is counted, not listed, unless all is asked for.
func diffPage(s term.Screen, d api.DiffView, all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.Paint(term.Bold, term.Clean(d.A)+" → "+term.Clean(d.B)))
	differs := false
	for _, section := range d.Sections {
		var rows [][]string
		same := 0
		for _, f := range section.Facts {
			if f.State == api.DiffSame {
				same++
				if !all {
					continue
				}
			} else {
				differs = true
			}
			rows = append(rows, factRow(s, f))
		}
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n%s", s.Paint(term.Bold, term.Clean(section.Name)), term.Columns("  ", rows))
		if same > 0 && !all {
			b.WriteString("  " + s.Paint(term.Dim, fmt.Sprintf("and %s the same", thousands(int64(same)))) + "\n")
		}
	}
	if !differs {
		b.WriteString("\nthey are the same\n")
	}
	return b.String()
}

func factRow(s term.Screen, f api.DiffFact) []string {
	inks := map[api.DiffState]term.Ink{api.DiffSame: term.Dim, api.DiffDeclared: term.Yellow,
		api.DiffUndeclared: term.Red, api.DiffChanged: term.Blue}
	why := term.Clean(f.Because)
	if !f.Until.IsZero() {
		why += " (until " + f.Until.Format(time.DateOnly) + ")"
	}
	change := orNothing(f.A) + " → " + orNothing(f.B)
	if f.State == api.DiffSame {
		change = orNothing(f.A)
	}
	return []string{s.Paint(inks[f.State], string(f.State)), term.Clean(f.Name), change, why}
}

func orNothing(v string) string {
	if v == "" {
		return "—"
	}
	return term.Clean(v)
}

// secretsPage lists secrets, without values.
func secretsPage(s term.Screen, ss []api.SecretView) string {
	if len(ss) == 0 {
		return "the app names no secret, and has none\n"
	}
	rows := [][]string{dim(s, "", "ENVIRONMENT", "NAME", "SET", "BY", "SERVICES")}
	for _, v := range ss {
		mark, when := s.Mark(term.Pass), ""
		if v.Set {
			when = clock(v.At)
		} else {
			mark, when = s.Mark(term.Fail), "missing"
		}
		rows = append(rows, []string{mark, term.Clean(v.Environment), term.Clean(v.Name), when, term.Clean(v.By),
			term.Clean(strings.Join(v.Services, ", "))})
	}
	return term.Columns("", rows)
}
