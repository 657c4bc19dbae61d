package gate

import (
	"fmt"
	"slices"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// rehearsed demands every check, own and built in.
func (q Question) rehearsed(env app.Environment, log Demand) []Demand {
	if log.Answer != Yes {
		return []Demand{{Name: "a rehearsal", Answer: Unknown, Next: log.Next,
			Reason: "evidence counts by its place in the log, and the log can't be believed"}}
	}
	if len(q.Builtin) == 0 {
		return []Demand{{Name: "a rehearsal", Answer: Unknown, Reason: "the question names no built-in check"}}
	}
	if q.First != (q.Baseline[release.PartRelease] == "") {
		return []Demand{{Name: "a baseline", Answer: Unknown, Reason: fmt.Sprintf(
			"what %s is now could not be read", env.Name), Next: "greenroom status"}}
	}
	said := pieces(q.Evidence, q.Keys)
	var demands []Demand
	seen := map[string]bool{}
	for _, c := range slices.Concat(q.Checks, q.Builtin) {
		d := q.check(env, c, said)
		if seen[c.Name] {
			d.Answer, d.Reason, d.Next = Unknown, fmt.Sprintf("two checks are called %s", c.Name), "greenroom build"
		}
		seen[c.Name] = true
		demands = append(demands, d)
	}
	for _, c := range q.Live {
		if d, weaker := q.dropped(env, c); weaker {
			demands = append(demands, d)
		}
	}
	return demands
}

// dropped demands that a release is tried by what the live one was tried by, and where that was: a release that brings its own
// checks must not choose to have none. Doing without one is the policy's to say.
func (q Question) dropped(env app.Environment, c app.Check) (Demand, bool) {
	d := Demand{Name: "check " + c.Name + " kept", Answer: No}
	i := slices.IndexFunc(q.Checks, func(own app.Check) bool { return own.Name == c.Name })
	switch {
	case i < 0:
		d.Reason = fmt.Sprintf("the release that is live in %s is checked by it, and this one does not bring it", env.Name)
	case q.Checks[i].AtBuild && !c.AtBuild:
		d.Reason = fmt.Sprintf("for the release that is live in %s it runs in a rehearsal, and for this one only at the build", env.Name)
	default:
		return d, false
	}
	if reason, excepted := q.excepted(env, c.Name); excepted {
		d.Answer, d.Reason = Yes, reason
		return d, true
	}
	d.Next = fmt.Sprintf("bring it back, then: greenroom build; or gates.%s.except.%s in the definition, then: greenroom apply", env.Name, c.Name)
	return d, true
}

// excepted says why a check is not demanded, while that lasts.
func (q Question) excepted(env app.Environment, check string) (reason string, excepted bool) {
	except, named := q.Policy.Gates[env.Name].Except[check]
	if !named || !except.Until.IsZero() && !q.Now.Before(except.Until) {
		return "", false
	}
	reason = "not demanded: " + except.Because
	if !except.Until.IsZero() {
		reason += ", until " + day(except.Until)
	}
	return reason, true
}

func (q Question) check(env app.Environment, c app.Check, said []piece) Demand {
	name := "check " + c.Name
	if reason, excepted := q.excepted(env, c.Name); excepted {
		return Demand{Name: name, Answer: Yes, Reason: reason}
	}
	d := q.proof(env, c, said)
	d.Name = name
	if except, named := q.Policy.Gates[env.Name].Except[c.Name]; named && d.Answer != Yes {
		d.Reason += fmt.Sprintf(" (the exception ended on %s)", day(except.Until))
	}
	return d
}

// proof looks for a pass of the check that counts and that nothing later contradicts. What is not a pass hides every pass
// before it, wherever it was made and whoever signed it; so does what can't be read, because it may have been a failure.
// A pass that does not count hides nothing. So taking evidence away, damaging it, giving it again, or losing its key can't
// make a no a yes; and a failure that nobody trusted told of is got over by passing again.
func (q Question) proof(env app.Environment, c app.Check, said []piece) Demand {
	d := Demand{Answer: No, Reason: "there is no evidence about it for this release", Next: q.again(c)}
	if c.AtBuild {
		d.Reason = "nothing is known of it here: it did not run when the release was built, or who signed it was not trusted when it came"
	}
	for _, p := range said {
		if p.fault != nil {
			d = Demand{Answer: Unknown, Reason: fmt.Sprintf("%v, and may have been a failure", p.fault), Next: q.again(c)}
			continue
		}
		if p.Kind != evidence.KindCheck || p.Statement.App != q.App || p.Statement.Release != q.Release || p.Check != c.Name {
			continue
		}
		w := q.word(env, c, p)
		if w.Answer == Yes || d.Answer != Yes || p.Verdict != evidence.Pass {
			d = w
		}
	}
	return d
}

// word is what one statement says about a check.
func (q Question) word(env app.Environment, c app.Check, p piece) Demand {
	s, r := p.Statement, p.Statement.Result
	depends := q.dependences(c, s)
	d := Demand{Next: q.again(c), Proof: &Proof{
		Statement: s.ID, Envelope: p.digest, Key: p.Signer.ID, Signer: p.Signer.Name, At: s.At, DependsOn: depends,
	}}
	void := q.void(c, p, depends)
	// The old release does not have to live on the new schema where it is stopped before the schema changes.
	accepted := r.Verdict == evidence.Fail && c.Name == OldOnNew && env.Rollout.Downtime
	switch {
	case r.Verdict != evidence.Pass && p.Doubt != nil:
		d.Answer, d.Reason = Unknown, fmt.Sprintf("it may have failed in %s, but %v", s.Run, p.Doubt)
	case r.Verdict == evidence.Inconclusive:
		d.Answer, d.Reason = Unknown, fmt.Sprintf("it could not decide in %s: %s", s.Run, r.Summary)
	case r.Verdict == evidence.Fail && !accepted:
		d.Answer, d.Reason = No, fmt.Sprintf("it failed in %s: %s", s.Run, r.Summary)
		d.Next = "repair it, then: greenroom build" // the same release fails again
	case void != "":
		d.Answer, d.Reason = No, void
		if c.AtBuild && p.Doubt != nil && p.Signer.Public != nil && p.Signer.Revoked == nil && p.Signer.Retired == 0 {
			// Its signature is right, and building again would make the same: what is missing is trust.
			d.Next = fmt.Sprintf("greenroom key trust %s --as NAME --check %s --environment %s, then greenroom apply",
				evidence.FormatPublic(p.Signer.Public), c.Name, s.Environment)
		}
	case accepted:
		d.Answer, d.Next = Yes, ""
		d.Reason = fmt.Sprintf("it failed in %s, and %s accepts downtime: %s", s.Run, env.Name, r.Summary)
	default:
		d.Answer, d.Next = Yes, ""
		d.Reason = fmt.Sprintf("passed in %s: %s", s.Run, r.Summary)
	}
	return d
}

// again is the command that asks the check once more.
func (q Question) again(c app.Check) string {
	if c.AtBuild {
		return "greenroom build"
	}
	return "greenroom rehearse " + q.Release.Short()
}

// void says why a pass does not count, or nothing.
func (q Question) void(c app.Check, p piece, depends []Dependence) string {
	s := p.Statement
	switch {
	case p.Doubt != nil:
		return fmt.Sprintf("it passed in %s, but %v", s.Run, p.Doubt)
	case c.AtBuild && s.Environment != evidence.Build:
		return fmt.Sprintf("it passed in %s, but belongs to the build", s.Run)
	case c.AtBuild:
		return "" // the build knows no production and no policy
	case s.Environment == evidence.Build:
		return "it passed at the build, but not in a rehearsal"
	case s.Environment != evidence.Stage:
		return fmt.Sprintf("it passed in %s, but not in a rehearsal", s.Environment)
	}
	for _, d := range depends {
		switch {
		case d.Holds:
		case d.On == onPolicy:
			return fmt.Sprintf("the policy changed since it passed in %s", s.Run)
		default:
			return fmt.Sprintf("it passed in %s, but production's %s changed since (was %s, is %s)", s.Run, d.On, short(d.Was), short(d.Is))
		}
	}
	return ""
}

// onPolicy is the dependence on what the stage is built like.
const onPolicy = "policy"

// dependences are what the statement depends on, and whether that still holds: the policy, and the parts of the baseline
// that the check and its evidence name together. A part that this Greenroom does not know never holds.
func (q Question) dependences(c app.Check, s evidence.Statement) []Dependence {
	if c.AtBuild {
		return nil
	}
	conditions := q.Policy.Conditions()
	all := []Dependence{{On: onPolicy, Was: s.Policy, Is: conditions, Holds: s.Policy == conditions}}
	parts := append(named(c), s.DependsOn...)
	for _, p := range release.Parts {
		if slices.Contains(parts, p) {
			all = append(all, Dependence{On: string(p), Was: s.Baseline[p], Is: q.Baseline[p], Holds: s.Baseline[p] == q.Baseline[p]})
		}
	}
	for _, p := range s.DependsOn {
		if !slices.Contains(release.Parts, p) {
			all = append(all, Dependence{On: string(p), Was: s.Baseline[p]})
		}
	}
	return all
}

// named are the parts that a check names: all where it names none, or something that is not a part.
func named(c app.Check) []release.Part {
	var parts []release.Part
	for _, p := range c.DependsOn {
		parts = append(parts, release.Part(p))
	}
	unknown := func(p release.Part) bool { return !slices.Contains(release.Parts, p) }
	if len(parts) == 0 || slices.ContainsFunc(parts, unknown) {
		return slices.Clone(release.Parts)
	}
	return parts
}

func short(fingerprint string) string {
	if fingerprint == "" {
		return "nothing"
	}
	return release.Digest(fingerprint).Short()
}
