package cli

import (
	"slices"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// livePage is what the gate would say today of a release that the environment runs. sound are the passes that count
// still, whatever they depend on. A demand that is not met only because the release's own going live changed what
// production is speaks against nothing, and nothing has to be done about it.
func livePage(s term.Screen, what, environment string, d gate.Decision, sound map[release.Digest]bool) string {
	var demands []gate.Demand
	var moved []string
	alarm := false
	for _, m := range d.Demands {
		if m.Answer != gate.Yes && movedOn(m, sound) {
			moved = append(moved, term.Clean(m.Name))
			continue
		}
		alarm = alarm || m.Answer != gate.Yes
		demands = append(demands, m)
	}
	mark, head := s.Mark(term.Pass), term.Clean(environment)+" runs "+what
	if alarm {
		mark, head = s.Paint(term.Yellow, "!"), head+", and would not take it today"
	}
	page := mark + " " + s.Paint(term.Bold, head) + "\n" + demandsPage(s, demands, func(gate.Demand, int) []string { return nil })
	if len(moved) > 0 {
		page += "  " + s.Mark(term.Note) + " its own going live changed what its rehearsal was held against: " + strings.Join(moved, ", ") + "\n"
	}
	return page
}

// movedOn says whether a demand is not met only because parts of the baseline are not what they were: the pass itself
// counts, and the conditions of the stage are the same.
func movedOn(m gate.Demand, sound map[release.Digest]bool) bool {
	if m.Proof == nil || !sound[m.Proof.Envelope] {
		return false
	}
	broken := 0
	for _, d := range m.Proof.DependsOn {
		switch {
		case d.Holds:
		case !slices.Contains(release.Parts, release.Part(d.On)):
			return false
		default:
			broken++
		}
	}
	return broken > 0
}

// soundPasses are the envelopes of passes that are whole, and signed by a key whose word counts for them.
func soundPasses(l api.EvidenceList) map[release.Digest]bool {
	sound := map[release.Digest]bool{}
	for _, v := range l.Items {
		if v.Kind == evidence.KindCheck && v.Verdict == evidence.Pass && v.Fault == "" {
			sound[v.Digest] = true
		}
	}
	return sound
}
