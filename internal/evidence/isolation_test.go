package evidence

import "testing"

func TestIsolationInWords(t *testing.T) {
	fact := func(what string, count int) Fact {
		return Fact{What: what, Tried: what, Found: "no", Verdict: Pass, Count: count}
	}
	proven := func(facts ...Fact) Isolation { return Isolation{Isolated: true, Facts: facts} }
	before := proven(fact("addresses outside", 3), fact("others", 2), fact("others", 5))
	for want, i := range map[string]Isolation{
		"isolated: from inside, nothing could be reached of addresses outside (3), others (7)":                before,
		"isolated: from inside, nothing could be reached of addresses outside (4); its own services (2) were": proven(fact("addresses outside", 4), fact(OwnServices, 2)),
		"isolated: from inside, nothing could be reached of addresses outside (4), others (7); its own services (2) were": proven(
			fact("addresses outside", 4), fact(OwnServices, 2)).With(before),
		"not isolated: it got out":                           Isolation{Because: "it got out"}.With(before),
		"not isolated: it got out (accepted, because I may)": {Because: "it got out", Accepted: "I may."},
		"isolated: from inside, nothing could be reached of it (1)": proven(fact("it", 1)).With(
			Isolation{Because: "it was not", Facts: []Fact{{What: "other", Verdict: Fail, Count: 1}}}),
	} {
		if got := i.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n := len(Isolation{Facts: []Fact{{Verdict: Pass}, {Verdict: Fail}, {Verdict: Inconclusive}, {}}}.Faults()); n != 3 {
		t.Errorf("%d facts speak against it, want 3", n)
	}
}
