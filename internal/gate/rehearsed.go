package gate

import (
	"fmt"
	"reflect"
	"slices"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// rehearsed demands every check, own and built in.
func (q Question) rehearsed(env app.Environment) []Demand {
	if len(q.Builtin) == 0 {
		return []Demand{{Name: "a rehearsal", Answer: Unknown, Reason: "the question names no built-in check"}}
	}
	if q.First != (q.Baseline[release.PartRelease] == "") {
		return []Demand{{Name: "a baseline", Answer: Unknown, Reason: fmt.Sprintf(
			"what %s is now could not be read", env.Name), Next: "greenroom status"}}
	}
	var demands []Demand
	seen := map[string]bool{}
	for _, c := range slices.Concat(q.Checks, q.Builtin) {
		d := q.check(env, c)
		if seen[c.Name] {
			d.Answer, d.Reason, d.Next = Unknown, fmt.Sprintf("two checks are called %s", c.Name), "greenroom build"
		}
		seen[c.Name] = true
		demands = append(demands, d)
	}
	return demands
}

func (q Question) check(env app.Environment, c app.Check) Demand {
	name := "check " + c.Name
	except, excepted := q.Policy.Gates[env.Name].Except[c.Name]
	if excepted && (except.Until.IsZero() || q.Now.Before(except.Until)) {
		reason := "not demanded: " + except.Because
		if !except.Until.IsZero() {
			reason += ", until " + day(except.Until)
		}
		return Demand{Name: name, Answer: Yes, Reason: reason}
	}
	d := q.proof(env, c)
	d.Name = name
	if excepted && d.Answer != Yes {
		d.Reason += fmt.Sprintf(" (the exception ended on %s)", day(except.Until))
	}
	if d.Answer == Yes {
		return d
	}
	d.Next = "greenroom rehearse " + q.Release.Short()
	if c.AtBuild {
		d.Next = "greenroom build"
	}
	return d
}

// proof looks for a pass of the check that counts and that nothing later contradicts: the newest statement that is not
// a pass hides every pass before it, wherever it was made, and never the reverse. So taking a pass away, or giving one
// again, can't make a no a yes.
func (q Question) proof(env app.Environment, c app.Check) Demand {
	d := Demand{Answer: No, Reason: "there is no evidence about it for this release"}
	if c.AtBuild {
		d.Reason = "it did not run when the release was built"
	}
	for _, s := range q.about(c.Name) {
		answer, reason := verdict(s)
		if s.Result.Verdict == evidence.Fail && c.Name == OldOnNew && env.Rollout.Downtime {
			// The old release does not have to live on the new schema where it is stopped before the schema changes.
			answer, reason = Yes, fmt.Sprintf("it failed in %s, and %s accepts downtime: %s", s.Run, env.Name, s.Result.Summary)
		}
		if answer == Yes {
			if why := q.void(c, s); why != "" {
				if d.Answer == Yes {
					continue // an older pass counts; this one says nothing against it
				}
				answer, reason = No, why
			}
		}
		d = Demand{Answer: answer, Reason: reason, Statement: s.ID}
	}
	return d
}

// about lists the statements about one check of exactly this release, each once, the oldest first. Where one id says
// two things, neither is believed.
func (q Question) about(check string) []evidence.Statement {
	var about []evidence.Statement
	first := map[string]evidence.Statement{}
	for _, s := range q.Statements {
		if s.App != q.App || s.Release != q.Release || s.Result.Check != check {
			continue
		}
		if before, known := first[s.ID]; known {
			if reflect.DeepEqual(before, s) {
				continue
			}
			s.Result.Verdict = "contradicting itself"
		}
		first[s.ID] = s
		about = append(about, s)
	}
	return about
}

// verdict reads what a statement says. Only a clean pass is a yes.
func verdict(s evidence.Statement) (Answer, string) {
	r := s.Result
	switch {
	case r.Verdict == evidence.Fail:
		return No, fmt.Sprintf("it failed in %s: %s", s.Run, r.Summary)
	case r.Verdict == evidence.Inconclusive:
		return Unknown, fmt.Sprintf("it could not decide in %s: %s", s.Run, r.Summary)
	case r.Verdict != evidence.Pass, r.Failed > 0, s.ID == "", s.Run == "":
		return Unknown, fmt.Sprintf("its evidence from %q makes no sense (verdict %q, %d failed)", s.Run, r.Verdict, r.Failed)
	}
	return Yes, fmt.Sprintf("passed in %s: %s", s.Run, r.Summary)
}

// void says why a pass does not count, or nothing.
func (q Question) void(c app.Check, s evidence.Statement) string {
	if c.AtBuild {
		if s.Run != BuildRun {
			return fmt.Sprintf("it passed in %s, but belongs to the build", s.Run)
		}
		return "" // the build knows no production and no policy
	}
	if s.Run == BuildRun {
		return "it passed at the build, but not in a rehearsal"
	}
	if _, live := q.Policy.Environment(s.Environment); live {
		return fmt.Sprintf("it passed in %s, but not in a rehearsal", s.Environment)
	}
	if s.Policy != q.Policy.Digest() {
		return fmt.Sprintf("the policy changed since it passed in %s", s.Run)
	}
	changed := s.Baseline.Changed(q.Baseline, dependsOn(c, s))
	if len(changed) == 0 {
		return ""
	}
	part := changed[0]
	return fmt.Sprintf("it passed in %s, but production's %s changed since (was %s, is %s)",
		s.Run, part, short(s.Baseline[part]), short(q.Baseline[part]))
}

// dependsOn is what the check and its evidence name together, and everything where the check names nothing or
// something that is not a part.
func dependsOn(c app.Check, s evidence.Statement) []release.Part {
	if len(c.DependsOn) == 0 {
		return release.Parts
	}
	parts := slices.Clone(s.DependsOn)
	for _, p := range c.DependsOn {
		if !slices.Contains(release.Parts, release.Part(p)) {
			return release.Parts
		}
		parts = append(parts, release.Part(p))
	}
	return parts
}

func short(fingerprint string) string {
	if fingerprint == "" {
		return "nothing"
	}
	return release.Digest(fingerprint).Short()
}
