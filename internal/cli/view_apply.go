package cli

import (
	"fmt"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/term"
)

// changesPage is how a policy differs from the one in force, and what follows from it.
func changesPage(s term.Screen, a api.Applied) string {
	var b strings.Builder
	for _, c := range a.Changes {
		fmt.Fprintf(&b, "%s\n", s.Paint(term.Bold, term.Clean(c.Path)))
		if c.Was != "" {
			fmt.Fprintf(&b, "  %s\n", s.Paint(term.Red, "- "+term.Clean(c.Was)))
		}
		if c.Is != "" {
			fmt.Fprintf(&b, "  %s\n", s.Paint(term.Green, "+ "+term.Clean(c.Is)))
		}
		if c.Was == "" && strings.HasPrefix(c.Path, "roles.") && c.Path != "roles."+string(app.RightApply) {
			fmt.Fprintf(&b, "  %s\n", s.Paint(term.Yellow, "! it was the owner's alone: who runs Greenroom, and root, may no more unless listed"))
		}
		if c.Note != "" {
			fmt.Fprintf(&b, "  %s\n", s.Paint(term.Yellow, "! "+term.Clean(c.Note)))
		}
	}
	if len(a.Void) > 0 {
		var ids []string
		for _, d := range a.Void {
			ids = append(ids, d.Short())
		}
		fmt.Fprintf(&b, "\n%s\n", s.Paint(term.Yellow, "! to be rehearsed again: "+strings.Join(ids, ", ")))
	}
	return b.String()
}

// editPage is what a change of a file takes away and adds: the lines between those that both have.
func editPage(s term.Screen, e Edit) string {
	was, is := strings.SplitAfter(string(e.Before), "\n"), strings.SplitAfter(string(e.After), "\n")
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	return editLines(s, term.Red, "-", was) + editLines(s, term.Green, "+", is)
}

func editLines(s term.Screen, ink term.Ink, sign string, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		if line = strings.TrimRight(line, "\n"); line != "" {
			fmt.Fprintf(&b, "  %s\n", s.Paint(ink, sign+" "+term.Clean(line)))
		}
	}
	return b.String()
}
