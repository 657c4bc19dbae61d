package gate

import (
	"slices"
	"strings"
)

// Alike puts checks of which the same is to be told into one demand that has all their names, where the first of them stood:
// a rehearsal that did not get to ten of them has one reason for that, and one way out.
func Alike(demands []Demand) []Demand {
	type told struct{ answer, reason, next, signer string }
	at := map[told]int{}
	var all []Demand
	for _, m := range demands {
		t := told{string(m.Answer), m.Reason, m.Next, ""}
		if m.Proof != nil {
			t.signer = m.Proof.Signer + "\x00" + string(m.Proof.Key)
		}
		check, is := strings.CutPrefix(m.Name, "check ")
		i, seen := at[t]
		switch {
		case !is || m.Answer == Yes:
			all = append(all, m)
		case !seen:
			at[t] = len(all)
			all = append(all, m)
		default:
			if first, one := strings.CutPrefix(all[i].Name, "check "); one {
				all[i].Name = "checks " + first
			}
			all[i].Name += ", " + check
			all[i].Proof = withDependences(all[i].Proof, m.Proof)
		}
	}
	return all
}

// withDependences is a proof that depends on what another one does as well.
func withDependences(p, other *Proof) *Proof {
	if p == nil || other == nil {
		return p
	}
	both := *p
	both.DependsOn = slices.Clone(p.DependsOn)
	for _, d := range other.DependsOn {
		if !slices.Contains(both.DependsOn, d) {
			both.DependsOn = append(both.DependsOn, d)
		}
	}
	return &both
}
