package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/mask"
	"greenroom/internal/term"
)

// judgedMost is how many of the columns that a person ought to judge are listed; the file marks all of them.
const judgedMost = 20

// page tells what was proposed: how many columns are kept, masked and replaced, and why.
func (p proposal) page(s term.Screen) string {
	var b strings.Builder
	if len(p.added.Tables) == 0 {
		fmt.Fprintf(&b, "%s %s names every column of %s already\n", s.Mark(term.Pass), term.Clean(p.File), term.Clean(p.of))
		return b.String()
	}
	verb := "wrote"
	if p.There {
		verb = "added to"
	}
	fmt.Fprintf(&b, "%s %s %s\n  %s of %s in %s\n", s.Mark(term.Pass), verb, term.Clean(p.File),
		count(columnsOf(p.added), "column", "columns"), term.Clean(p.of), count(len(p.added.Tables), "table", "tables"))
	var kept, masked, replaced, undecided, judge []mask.Note
	for _, n := range p.notes {
		switch {
		case n.Column == "" && n.Use == "keep": // all columns of a table that says which migrations have run
			for range p.added.Tables[n.Table].Columns {
				kept = append(kept, mask.Note{Why: "which migrations have run"})
			}
		case n.Column == "": // of a table
		case n.Use == "":
			undecided = append(undecided, n)
		case n.Use == "keep":
			kept = append(kept, n)
		case n.Judged:
			replaced = append(replaced, n)
		default:
			masked = append(masked, n)
		}
		if n.Judged && n.Use != "" && n.Column != "" {
			judge = append(judge, n)
		}
	}
	why := func(n mask.Note) string { return n.Why }
	use := func(n mask.Note) string { return n.Use }
	b.WriteString(term.Columns("    ", slices.Concat(summed("kept", kept, why), summed("masked", masked, use), summed("replaced", replaced, use))))
	if len(undecided) > 0 {
		fmt.Fprintf(&b, "\n  %s\n%s", s.Paint(term.Red, "no rule was found for these: the copy stops until you give them one"), noted(undecided, len(undecided)))
	}
	if len(judge) > 0 {
		fmt.Fprintf(&b, "\n  %s\n%s", s.Paint(term.Yellow, "their names don't tell what they hold: please judge"), noted(judge, judgedMost))
	}
	return b.String()
}

// summed is a row with the number of notes, and how many there are of each kind, the most first.
func summed(what string, notes []mask.Note, kind func(mask.Note) string) [][]string {
	if len(notes) == 0 {
		return nil
	}
	counts := map[string]int{}
	var kinds []string
	for _, n := range notes {
		k := kind(n)
		if strings.HasPrefix(k, "refers to ") {
			k = "refers to another"
		}
		if counts[k]++; counts[k] == 1 {
			kinds = append(kinds, k)
		}
	}
	slices.SortFunc(kinds, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	var parts []string
	for i, k := range kinds {
		if i == 6 && len(kinds) > 7 {
			parts = append(parts, fmt.Sprintf("and %d more kinds", len(kinds)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", term.Clean(k), thousands(int64(counts[k]))))
	}
	return [][]string{{thousands(int64(len(notes))), what, strings.Join(parts, ", ")}}
}

// noted lists columns with their rules and the reasons.
func noted(notes []mask.Note, most int) string {
	var rows [][]string
	for i, n := range notes {
		if i == most {
			break
		}
		row := []string{term.Clean(n.Table + "." + n.Column), term.Clean(n.Use), term.Clean(n.Why)}
		if n.Use == "" {
			row = slices.Delete(row, 1, 2)
		}
		rows = append(rows, row)
	}
	text := term.Columns("    ", rows)
	if more := len(notes) - most; more > 0 {
		text += fmt.Sprintf("    … and %s: look for \"please judge\" in the file\n", count(more, "other", "others"))
	}
	return text
}

// page tells what is missing, with the lines to add, and what is wrong.
func (c checked) page(s term.Screen) string {
	var b strings.Builder
	where := fmt.Sprintf("%s: %s in %s of %s", term.Clean(c.name), count(c.Columns, "column", "columns"), count(c.Tables, "table", "tables"), term.Clean(c.of))
	if len(c.Missing)+len(c.Wrong) == 0 {
		fmt.Fprintf(&b, "%s %s, and each has a rule\n", s.Mark(term.Pass), where)
	} else {
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Fail), where)
	}
	for _, r := range c.Missing {
		fmt.Fprintf(&b, "\n  %s\n", s.Paint(term.Bold, r.name()+": "+term.Clean(r.What)))
		for _, line := range r.Add {
			fmt.Fprintf(&b, "    %s\n", s.Paint(term.Green, term.Clean(line)))
		}
	}
	for _, list := range [][]maskRemark{c.Wrong, c.Unused} {
		for i, r := range list {
			if i == 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "  %s: %s\n", s.Paint(term.Bold, r.name()), term.Clean(r.What))
		}
	}
	switch {
	case len(c.Missing) > 0:
		b.WriteString("\n  next: add these lines to " + term.Clean(c.name) + "; or greenroom mask init --add\n")
	case len(c.Wrong) > 0:
		b.WriteString("\n  next: correct these rules in " + term.Clean(c.name) + ", then greenroom mask check\n")
	case c.Next != "":
		b.WriteString("  next: " + term.Clean(c.Next) + "\n")
	}
	return b.String()
}

func (r maskRemark) name() string {
	if r.Column == "" {
		return term.Clean(r.Table)
	}
	return term.Clean(r.Table + "." + r.Column)
}
