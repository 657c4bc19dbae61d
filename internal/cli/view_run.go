package cli

import (
	"fmt"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// planPage is what would be done, step by step.
func planPage(s term.Screen, p plan.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", s.Paint(term.Bold, sentence(p)))
	width := 0
	for _, step := range p.Steps {
		width = max(width, term.Width(term.Clean(step.Name)))
	}
	for i, step := range p.Steps {
		fmt.Fprintf(&b, "  %2d  %s  %s\n", i+1, term.Pad(term.Clean(step.Name), width), term.Clean(step.Says))
	}
	return b.String()
}

// sentence tells what a plan is for.
func sentence(p plan.Plan) string {
	name := term.Clean(p.App) + " " + p.Release.Short()
	switch p.Kind {
	case plan.Rehearsal:
		if p.From == "" {
			return "rehearsal of " + name + ", with nothing live to compare with"
		}
		return "rehearsal of " + name + " against " + p.From.Short()
	case plan.Restore:
		return "restore of " + term.Clean(p.Environment) + ", with " + name + " live afterwards"
	case plan.Rollback:
		return "rollback of " + term.Clean(p.Environment) + " from " + p.From.Short() + " to " + name
	default:
		text := "promotion of " + name + " to " + term.Clean(p.Environment)
		if p.From != "" {
			text += ", in place of " + p.From.Short()
		}
		return text
	}
}

// runPage is how a promotion or rollback ended, and the proof.
func runPage(s term.Screen, r api.RunView) string {
	name := term.Clean(r.Plan.App) + " " + r.Plan.Release.Short()
	env := term.Clean(r.Plan.Environment)
	var b strings.Builder
	switch {
	case r.Outcome == plan.Succeeded && r.Plan.Kind == plan.Restore:
		fmt.Fprintf(&b, "%s %s\n  %s\n", s.Mark(term.Pass), s.Paint(term.Bold, env+restored(r.Plan)), name+" is live in "+env)
	case r.Outcome == plan.Succeeded:
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Pass), s.Paint(term.Bold, name+" is live in "+env))
	case r.Outcome == plan.RolledBack && r.Plan.Kind == plan.Restore:
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Back), s.Paint(term.Bold, fmt.Sprintf("taken back: %s has its data again, and %s", env, former(r))))
	case r.Outcome == plan.RolledBack:
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Back), s.Paint(term.Bold, fmt.Sprintf("rolled back: %s has %s again", env, former(r))))
	case r.Outcome == plan.NeedsOperator:
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Fail), s.Paint(term.Bold, env+" needs you: the "+string(r.Plan.Kind)+" could not go on, nor be taken back"))
	default:
		fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Fail), s.Paint(term.Bold, "the "+string(r.Plan.Kind)+" failed; "+env+" is as it was"))
	}
	if r.Reason != "" {
		b.WriteString(term.Indent("  ", term.CleanBlock(r.Reason)))
	}
	if r.Glass != nil {
		b.WriteString(glassPage(s, env, *r.Glass))
	}
	if r.Migration != "" {
		fmt.Fprintf(&b, "  %s\n", term.Clean(r.Migration))
	}
	if r.Measurement != nil {
		b.WriteString(proof(s, *r.Measurement))
	}
	if r.Hint != "" {
		fmt.Fprintf(&b, "  next: %s\n", term.Clean(r.Hint))
	}
	return b.String()
}

// restoring is the name of the step of a restore that changes the data.
const restoring = "restore"

// restored says what an environment's data is after a restore: the plan says which copy it came from.
func restored(p plan.Plan) string {
	for _, step := range p.Steps {
		if what, says := strings.CutPrefix(step.Says, "make the data "); says && step.Name == restoring {
			return "'s data is " + term.Clean(what)
		}
	}
	return "'s data is restored"
}

func former(r api.RunView) string {
	if r.Plan.From == "" {
		return "nothing"
	}
	return r.Plan.From.Short()
}

// telling is how many requests it takes until the time between two of them says something about the app.
const telling = 200

// proof is what the people who used the app noticed of it.
func proof(s term.Screen, m api.Measurement) string {
	if m.Probed != nil {
		return probed(m)
	}
	if m.Requests == 0 {
		return "  no request came meanwhile, so there is nothing to prove it with\n"
	}
	failed := s.Paint(term.Green, "0 failed")
	if m.Failed > 0 {
		failed = s.Paint(term.Red, thousands(m.Failed)+" failed")
	}
	text := fmt.Sprintf("  %s during the switch, %s", count(int(m.Requests), "request", "requests"), failed)
	if m.Requests >= telling { // with fewer, a gap only says that nobody asked
		text += fmt.Sprintf("; longest gap between two good answers %s; slowest answer %s", term.Duration(m.LongestGap), term.Duration(m.SlowestSecond))
	}
	text += "\n"
	if !m.Journeys {
		text += "  not proven by a journey: no check is marked `production: true`\n"
	}
	return text
}

// probed is what was seen by asking. It proves nothing of the requests that came between two probes.
func probed(m api.Measurement) string {
	text := "  " + term.Clean(m.Probed.String()) + "\n"
	if m.Probed.Failure != "" {
		text += "  the first failure: " + term.Clean(m.Probed.Failure) + "\n"
	}
	if !m.Journeys {
		text += "  no journey was run against it: no check is marked `production: true`\n"
	}
	return text
}

// ended is a run's outcome as the end of a command.
func ended(r api.RunView) error {
	switch {
	case r.Outcome == plan.Succeeded:
		return nil
	case r.Cancelled:
		return silently(problem.Interrupted, "the %s was cancelled", r.Plan.Kind)
	default:
		return silently(problem.Fail, "the %s ended as %s", r.Plan.Kind, r.Outcome)
	}
}
