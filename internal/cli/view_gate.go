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

// explainPage is decisionPage with the evidence behind each answer.
func explainPage(s term.Screen, what, environment string, d gate.Decision, now time.Time) string {
	return gatePage(s, what, environment, d, func(m gate.Demand, width int) []string { return proofLines(s, m, width, now) })
}

func gatePage(s term.Screen, what, environment string, d gate.Decision, behind func(m gate.Demand, width int) []string) string {
	var b strings.Builder
	head, mark := " takes ", term.Pass
	if !d.Allowed {
		head, mark = " does not take ", term.Fail
	}
	fmt.Fprintf(&b, "%s %s\n", s.Mark(mark), s.Paint(term.Bold, term.Clean(environment)+head+what))
	if len(d.Demands) > 0 {
		b.WriteString("\n")
	}
	width := 0
	for _, m := range d.Demands {
		if w := term.Width(term.Clean(m.Name)); w <= demandWidth {
			width = max(width, w)
		}
	}
	for _, m := range d.Demands {
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
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(markOfAnswer(m.Answer)), name)
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

// proofLines tell of the evidence behind an answer: who signed it and when, what it depends on, and what of that is not
// as it was.
func proofLines(s term.Screen, m gate.Demand, width int, now time.Time) (lines []string) {
	p := m.Proof
	if p == nil {
		return nil
	}
	quietly := func(text string) {
		for _, line := range wrap(text, width) {
			lines = append(lines, s.Paint(term.Dim, line))
		}
	}
	quietly(strings.TrimSuffix("signed by "+signer(p.Signer, p.Key)+", "+when(p.At, now), ", "))
	var holds []string
	for _, d := range p.DependsOn {
		if d.Holds {
			holds = append(holds, term.Clean(d.On))
		}
	}
	if len(holds) > 0 {
		quietly("still as it was: " + strings.Join(holds, ", "))
	}
	for _, d := range p.DependsOn {
		if !d.Holds {
			lines = append(lines, s.Mark(term.Fail)+" "+fmt.Sprintf("%s: was %s, is %s", term.Clean(d.On), fingerprint(d.Was), fingerprint(d.Is)))
		}
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
