package cli

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// demandWidth is the most that the names of demands take, in cells: a longer one stands on a line of its own.
const demandWidth = 24

// decisionPage is what a gate says: the answer first, then demand by demand, with the next command for every no.
func decisionPage(s term.Screen, what, environment string, d gate.Decision) string {
	return gatePage(s, what, environment, d, func(gate.Demand, int) []string { return nil })
}

// explainPage is decisionPage with the evidence behind each answer. What several checks depend on is told once.
func explainPage(s term.Screen, what, environment string, d gate.Decision, now time.Time) string {
	told := map[string]bool{}
	return gatePage(s, what, environment, d, func(m gate.Demand, width int) []string {
		if m.Proof == nil {
			return nil
		}
		depends := dependenceLines(s, m.Proof.DependsOn, width)
		if all := strings.Join(depends, "\n"); told[all] {
			depends = []string{s.Paint(term.Dim, "what it depends on: as above")}
		} else if len(depends) > 0 {
			told[all] = true
		}
		return append(signedLines(s, m.Proof, width, now), depends...)
	})
}

func gatePage(s term.Screen, what, environment string, d gate.Decision, behind func(m gate.Demand, width int) []string) string {
	head, mark := " takes ", term.Pass
	if !d.Allowed {
		head, mark = " does not take ", term.Fail
	}
	return s.Mark(mark) + " " + s.Paint(term.Bold, term.Clean(environment)+head+what) + "\n" + demandsPage(s, d.Demands, behind)
}

// demandsPage is demand by demand, with the next command for every no.
func demandsPage(s term.Screen, demands []gate.Demand, behind func(m gate.Demand, width int) []string) string {
	var b strings.Builder
	if len(demands) > 0 {
		b.WriteString("\n")
	}
	width := 0
	demands = gate.Alike(demands)
	for _, m := range demands {
		if w := term.Width(term.Clean(m.Name)); w <= demandWidth {
			width = max(width, w)
		}
	}
	for _, m := range demands {
		lines := append(wrap(term.Clean(m.Reason), room(s, width)), behind(m, room(s, width))...)
		if m.Answer != gate.Yes && m.Next != "" {
			lines = append(lines, "next: "+s.Paint(term.Bold, term.Clean(m.Next)))
		}
		b.WriteString(demandLines(s, m, width, lines))
	}
	return b.String()
}

// demandLines puts what is told of a demand beside its name, or below a name that is too long for that.
func demandLines(s term.Screen, m gate.Demand, width int, lines []string) string {
	var b strings.Builder
	name := term.Clean(m.Name)
	if term.Width(name) > width {
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(markOfAnswer(m.Answer)), strings.Join(wrap(name, cells(s)-4), "\n    "))
	} else {
		fmt.Fprintf(&b, "  %s %s  %s\n", s.Mark(markOfAnswer(m.Answer)), term.Pad(name, width), lines[0])
		lines = lines[1:]
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "    %s  %s\n", term.Pad("", width), line)
	}
	return b.String()
}

// room is how many cells stand beside the names of demands.
func room(s term.Screen, width int) int { return cells(s) - width - len("  ? ") - len("  ") }

// signedLines tell who signed the evidence behind an answer, and when.
func signedLines(s term.Screen, p *gate.Proof, width int, now time.Time) []string {
	return quiet(s, strings.TrimSuffix("signed by "+signer(p.Signer, p.Key)+", "+when(p.At, now), ", "), width)
}

// dependenceLines tell what evidence depends on, and what of that is not as it was.
func dependenceLines(s term.Screen, depends []gate.Dependence, width int) (lines []string) {
	var holds []string
	for _, d := range depends {
		if d.Holds {
			holds = append(holds, term.Clean(d.On))
		}
	}
	if len(holds) > 0 {
		lines = quiet(s, "still as it was: "+strings.Join(holds, ", "), width)
	}
	for _, d := range depends {
		if !d.Holds {
			lines = append(lines, s.Mark(term.Fail)+" "+fmt.Sprintf("%s: was %s, is %s", term.Clean(d.On), fingerprint(d.Was), fingerprint(d.Is)))
		}
	}
	return lines
}

// quiet is text in lines that do not stand out.
func quiet(s term.Screen, text string, width int) []string {
	lines := wrap(text, width)
	for i := range lines {
		lines[i] = s.Paint(term.Dim, lines[i])
	}
	return lines
}

// signer is what people call a key, or else its id.
func signer(name string, id evidence.KeyID) string {
	switch {
	case name != "":
		return term.Clean(name)
	case id != "":
		return term.Clean(string(id))
	default:
		return "nobody known"
	}
}

// fingerprint is a part of a baseline, short.
func fingerprint(f string) string {
	if f == "" {
		return "nothing"
	}
	return term.Clean(release.Digest(f).Short())
}
