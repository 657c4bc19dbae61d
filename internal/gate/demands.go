package gate

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/human"
)

// sensible refuses a question that contradicts itself, and finds the environment that it is about.
func (q Question) sensible() (app.Environment, *Demand) {
	fault := func(format string, args ...any) *Demand {
		return &Demand{Name: demandSense, Answer: Unknown, Reason: fmt.Sprintf(format, args...)}
	}
	env, ok := q.Policy.Environment(q.Environment)
	switch {
	case q.App == "" || q.Policy.App != q.App:
		return env, fault("the policy in force is that of %q, the release is one of %q", q.Policy.App, q.App)
	case !ok:
		d := fault("the policy in force knows no environment %q", q.Environment)
		d.Next = "greenroom up"
		return env, d
	case !q.Release.Valid():
		return env, fault("%q is not the digest of a release", q.Release)
	case q.Now.IsZero():
		return env, fault("nobody said what time it is")
	}
	return env, nil
}

func (q Question) schema() Demand {
	d := Demand{Name: demandSchema, Answer: Yes}
	switch q.Schema {
	case SchemaNone:
		d.Reason = fmt.Sprintf("%s has no schema yet", q.Environment)
	case SchemaProven:
		d.Reason = "the schema is the recorded one"
	case SchemaHalfMigrated:
		d.Answer = No
		d.Reason = fmt.Sprintf("a migration of %s began and did not end; neither release runs on its schema", q.Environment)
		d.Next = fmt.Sprintf("finish it by hand, or restore the backup; then: greenroom explain %s %s", q.Release.Short(), q.Environment)
	default:
		d.Answer = Unknown
		d.Reason = fmt.Sprintf("the schema of %s could not be read, or is not the recorded one: somebody changed it by hand", q.Environment)
		d.Next = fmt.Sprintf("see that the database is up, and take back what was changed by hand; then: greenroom explain %s %s", q.Release.Short(), q.Environment)
	}
	return d
}

func (q Question) notKnownBad() Demand {
	d := Demand{Name: "not known to be bad", Answer: Yes, Reason: "nothing bad is known about it"}
	if q.KnownBad == nil {
		return d
	}
	reason, _, _ := strings.Cut(q.KnownBad.Reason, "\n") // below it: what a command printed last
	bad := fmt.Sprintf("it was rolled back on %s: %s", day(q.KnownBad.At), reason)
	if because := strings.TrimSpace(q.Override); because != "" {
		d.Reason = fmt.Sprintf("%s; taken all the same because: %s", bad, because)
		return d
	}
	d.Answer, d.Reason = No, bad
	d.Next = fmt.Sprintf("greenroom promote %s %s --because REASON", q.Release.Short(), q.Environment)
	return d
}

// walls asks the policy about what takes the walls around the release's containers down. Of a release without such settings
// nothing is asked.
func (q Question) walls() []Demand {
	contents := app.Contents{Services: q.Services}
	all := app.Policy{}.Unaccepted(contents)
	if len(all) == 0 {
		return nil
	}
	d := Demand{Name: demandWalls, Answer: Yes, Reason: "the policy accepts " + app.DangerText(all)}
	if refused := q.Policy.Unaccepted(contents); len(refused) > 0 {
		d.Answer, d.Reason = No, "the policy in force does not accept "+app.DangerText(refused)
		d.Next = "greenroom apply, once production accepts it in greenroom.yaml"
	}
	return []Demand{d}
}

func (q Question) after(env app.Environment) Demand {
	d := Demand{
		Name:   "live in " + env.After,
		Answer: No,
		Next:   fmt.Sprintf("greenroom promote %s %s", q.Release.Short(), env.After),
	}
	switch p := q.After; {
	case p == nil || p.Release == "":
		d.Reason = fmt.Sprintf("nothing is live in %s", env.After)
	case p.Release != q.Release:
		d.Reason = fmt.Sprintf("%s is live in %s, not %s", p.Release.Short(), env.After, q.Release.Short())
	case !p.Healthy:
		d.Reason = fmt.Sprintf("it is live in %s, but not healthy there", env.After)
		d.Next = "greenroom logs --environment " + env.After
	default:
		d.Answer, d.Next = Yes, ""
		d.Reason = fmt.Sprintf("it is live and healthy in %s since %s", env.After, moment(p.Since))
	}
	return d
}

// soak reads the clock because it is about time; one that was set back makes it a no, never a yes.
func (q Question) soak(env app.Environment, soak time.Duration) Demand {
	d := Demand{Name: "live for " + human.Duration(soak), Answer: No}
	if env.After == "" {
		d.Reason = fmt.Sprintf("%s comes after no environment in which a release could be live before", env.Name)
		d.Next = "greenroom up"
		return d
	}
	d.Name = fmt.Sprintf("live in %s for %s", env.After, human.Duration(soak))
	if q.after(env).Answer != Yes || q.After.Since.IsZero() {
		d.Reason = fmt.Sprintf("it is not live and healthy in %s", env.After)
		d.Next = fmt.Sprintf("greenroom promote %s %s", q.Release.Short(), env.After)
		return d
	}
	until := q.Now
	if !q.After.Seen.IsZero() && q.After.Seen.Before(until) { // nobody vouches for what came after
		until = q.After.Seen
	}
	been := until.Sub(q.After.Since)
	d.Reason = "it is live there for " + human.Duration(been)
	if been >= soak {
		d.Answer = Yes
		return d
	}
	d.Next = fmt.Sprintf("greenroom explain %s %s, after %s", q.Release.Short(), env.Name, moment(q.After.Since.Add(soak)))
	return d
}

func day(t time.Time) string    { return t.UTC().Format(time.DateOnly) }
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
