package gate

import (
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// TestWayBack: a way back counts while the conditions are those it was found under, and until something later is no yes.
func TestWayBack(t *testing.T) {
	yes, no := true, false
	to := release.Of([]byte("old"))
	said := func(run string, goes *bool, change ...func(*evidence.Statement)) evidence.Statement {
		s := evidence.Statement{Run: run, Environment: evidence.Stage, Policy: "now", Baseline: release.Baseline{release.PartRelease: string(to)},
			Result: evidence.Result{Check: Rollback, Verdict: evidence.Pass, Summary: "buy of old failed", GoBack: goes}}
		for _, do := range change {
			do(&s)
		}
		return s
	}
	otherPolicy := func(s *evidence.Statement) { s.Policy = "then" }
	otherRelease := func(s *evidence.Statement) {
		s.Baseline = release.Baseline{release.PartRelease: string(release.Of([]byte("older")))}
	}
	elsewhere := func(s *evidence.Statement) { s.Environment = evidence.Build }
	otherCheck := func(s *evidence.Statement) { s.Result.Check = "own" }
	const nobody = "no rehearsal showed that it works on the new one"
	const changed = "that it works on the new one was shown in r1, but the policy changed since"
	for name, c := range map[string]struct {
		said []evidence.Statement
		why  string // "": it works
	}{
		"nothing":                        {nil, nobody},
		"yes":                            {[]evidence.Statement{said("r1", &yes)}, ""},
		"no":                             {[]evidence.Statement{said("r1", &no)}, "the rehearsal r1 showed that it does not work on the new one: buy of old failed"},
		"not known":                      {[]evidence.Statement{said("r1", nil)}, "the rehearsal r1 could not decide whether it works on the new one: buy of old failed"},
		"under another policy":           {[]evidence.Statement{said("r1", &yes, otherPolicy)}, changed},
		"of another release":             {[]evidence.Statement{said("r1", &yes, otherRelease)}, nobody},
		"at the build":                   {[]evidence.Statement{said("r1", &yes, elsewhere)}, nobody},
		"another check":                  {[]evidence.Statement{said("r1", &yes, otherCheck)}, nobody},
		"yes, then no":                   {[]evidence.Statement{said("r1", &yes), said("r2", &no)}, "the rehearsal r2 showed that it does not work on the new one: buy of old failed"},
		"yes, then no of another policy": {[]evidence.Statement{said("r1", &yes), said("r2", &no, otherPolicy)}, "the rehearsal r2 showed that it does not work on the new one: buy of old failed"},
		"no, then yes":                   {[]evidence.Statement{said("r1", &no), said("r2", &yes)}, ""},
		"no, then yes of another policy": {[]evidence.Statement{said("r0", &no), said("r1", &yes, otherPolicy)}, changed},
		"yes, then yes of another":       {[]evidence.Statement{said("r1", &yes), said("r2", &yes, otherPolicy)}, ""},
		"yes, then not known":            {[]evidence.Statement{said("r1", &yes), said("r2", nil)}, "the rehearsal r2 could not decide whether it works on the new one: buy of old failed"},
	} {
		works, why := WayBack(c.said, "now", to)
		if works != (c.why == "") || why != c.why {
			t.Errorf("%s: %t, %q; want %q", name, works, why, c.why)
		}
	}
}
