package environment

import (
	"net/netip"
	"os"
	"testing"

	"greenroom/internal/driver/docker"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
)

// TestInContainer judges where a test from inside a container was.
func TestInContainer(t *testing.T) {
	w := &wallSurvey{networks: []docker.Network{{Subnet: netip.MustParsePrefix("10.1.0.0/26")}, {Subnet: netip.MustParsePrefix("10.1.0.64/26")}}}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Skip("SKIPPED: this system has no namespaces")
	}
	for name, c := range map[string]struct {
		answers netns.Answers
		want    evidence.Verdict
	}{
		"in both networks":       {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "10.1.0.66/26"}}, evidence.Pass},
		"in another one, too":    {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "10.2.0.2/26"}}, evidence.Fail},
		"with an IPv6 address":   {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "fd00::2/64"}}, evidence.Fail},
		"in none":                {netns.Answers{Namespace: "net:[1]"}, evidence.Inconclusive},
		"nobody knows where":     {netns.Answers{Addresses: []string{"10.1.0.2/26"}}, evidence.Inconclusive},
		"in the machine's":       {netns.Answers{Namespace: own, Addresses: []string{"10.1.0.2/26"}}, evidence.Fail},
		"with what is no prefix": {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2"}}, evidence.Fail},
	} {
		if f := w.inPlace(place{}, c.answers); f.Verdict != c.want {
			t.Errorf("%s: %s, %q", name, f.Verdict, f.Found)
		}
	}
}

// TestTogether keeps what speaks against a proof, wherever it was found.
func TestTogether(t *testing.T) {
	fact := func(v evidence.Verdict, n int) evidence.Isolation {
		return proven([]evidence.Fact{{What: "listeners of the machine", Tried: "tcp a:1", Found: string(v), Verdict: v, Count: n}})
	}
	if got := together(fact(evidence.Pass, 2), fact(evidence.Pass, 3), evidence.Isolation{Isolated: true}); !got.Isolated || len(got.Facts) != 1 || got.Facts[0].Count != 5 {
		t.Errorf("nothing was reached: %+v", got)
	}
	for _, bad := range []evidence.Isolation{fact(evidence.Fail, 1), fact(evidence.Inconclusive, 1), {Because: "nothing could be tried"}} {
		for _, got := range []evidence.Isolation{together(fact(evidence.Pass, 1), bad), together(bad, fact(evidence.Pass, 1))} {
			if got.Isolated || got.Because == "" {
				t.Errorf("%+v", got)
			}
		}
	}
}

// TestGotOut: what was reached stays reached, whatever its container does then; what only proves nothing is tried again.
func TestGotOut(t *testing.T) {
	for verdicts, want := range map[[2]evidence.Verdict]bool{
		{evidence.Pass, evidence.Pass}: false, {evidence.Pass, evidence.Inconclusive}: false, {evidence.Inconclusive, evidence.Fail}: true,
	} {
		proof := proven([]evidence.Fact{{What: "a", Verdict: verdicts[0], Count: 1}, {What: "b", Verdict: verdicts[1], Count: 1}})
		if got := gotOut(proof); got != want {
			t.Errorf("%v: %t", verdicts, got)
		}
	}
}
