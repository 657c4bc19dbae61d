package plan

import "fmt"

// Attempts is how often a step is begun, in one direction, before it is given up. Kills count as well as failures, so a
// step that brings the control plane down each time can't do so for ever.
const Attempts = 5

// MoveKind is what a move does.
type MoveKind string

// The kinds of move.
const (
	Do     MoveKind = "do"
	Undo   MoveKind = "undo"
	Finish MoveKind = "finish"
)

// Move is what comes next in a run.
type Move struct {
	Kind    MoveKind
	Step    Step    // for Do and Undo
	Attempt int     // for Do and Undo: 1 for the first, more after a kill, or when an attempt failed and is repeated
	Outcome Outcome // for Finish
	Reason  string  // for Finish: why it did not succeed, for a person
	Hint    string  // for Finish: the next command
}

// Next decides what comes now, from a valid plan and its journal alone. The rules:
//
//   - Steps are done in the order of the plan. One that was begun and not ended (a kill) is begun again.
//   - The run turns round when a step failed, was begun Attempts times in vain, or a person cancelled. Then each step
//     that was touched and Changes something is taken back, the last one first, the failed one included, because its
//     effect may have partly happened. What can't be taken back is Stuck, and nothing before it is touched any more: an
//     older state under a newer one is worse than a halt.
//   - Always steps that are not done follow, in the order of the plan, unless nothing was touched at all. They are
//     repeated like the taking back of a step, and Stuck when that does not help.
//
// A run never turns twice.
func Next(p Plan, journal []Entry) Move {
	r, err := read(p, journal)
	if err != nil {
		return Move{Kind: Finish, Outcome: NeedsOperator, Reason: err.Error(), Hint: p.hint()}
	}
	if m, ok := r.stuck(); ok {
		return m
	}
	if r.turned {
		return r.back()
	}
	return r.forward()
}

// Turned says why the run is being taken back, and whether because a person cancelled it; "" while it goes forward.
func Turned(p Plan, journal []Entry) (reason string, cancelled bool) {
	r, err := read(p, journal)
	if err != nil {
		return err.Error(), false
	}
	return r.reason, r.asked
}

// progress is what a journal says about one step.
type progress struct {
	state  State
	starts int // Started entries
	undos  int // Undoing entries
	last   Entry
}

func (s progress) touched() bool { return s.state != "" }

// givenUp is whether the step was begun as often as it may be, in the direction in which it stands.
func (s progress) givenUp() bool {
	return s.state == Started && s.starts >= Attempts || s.state == Undoing && s.undos >= Attempts
}

// record is a journal, read.
type record struct {
	plan   Plan
	steps  []progress // as in plan
	turned bool
	asked  bool   // a person's cancel turned it
	reason string // why it turned
	hint   string
}

func read(p Plan, journal []Entry) (record, error) {
	r := record{plan: p, steps: make([]progress, len(p.Steps))}
	index := make(map[string]int, len(p.Steps))
	for i, s := range p.Steps {
		index[s.Name] = i
	}
	for _, e := range journal {
		if e.State == Cancelled {
			r.cancel(e)
			continue
		}
		i, ok := index[e.Step]
		if !ok {
			return record{}, fmt.Errorf("the journal names the step %q, which is not in the plan", e.Step)
		}
		r.apply(i, e)
	}
	for i, s := range r.steps {
		if !p.Steps[i].Always && s.state == Started && s.givenUp() {
			r.turn(p.Steps[i].interrupted(), "")
		}
	}
	return r, nil
}

func (r *record) apply(i int, e Entry) {
	s := &r.steps[i]
	s.state, s.last = e.State, e
	switch e.State {
	case Started:
		s.starts++
	case Undoing:
		s.undos++
		r.turn(r.plan.Steps[i].interrupted(), "") // nothing else turned it: it was begun in vain too often
	case Failed:
		r.turn(fmt.Sprintf("%s: %s", r.plan.Steps[i].title(), e.Error), e.Hint)
	}
}

// cancel turns the run round, unless all that could be cancelled is done already.
func (r *record) cancel(e Entry) {
	for i, s := range r.steps {
		if !r.plan.Steps[i].Always && s.state != Done {
			r.asked = r.asked || !r.turned
			r.turn(e.Error, e.Hint)
			return
		}
	}
}

// turn keeps the first reason: what follows are its consequences.
func (r *record) turn(reason, hint string) {
	if !r.turned {
		r.turned, r.reason, r.hint = true, reason, hint
	}
}

// stuck ends a run that can go neither on nor back.
func (r *record) stuck() (Move, bool) {
	for i, s := range r.steps {
		step := r.plan.Steps[i]
		gone := s.givenUp() && (step.Always || s.state == Undoing)
		if s.state != Stuck && !gone {
			continue
		}
		what := "could not be taken back"
		if step.Always {
			what = "could not be done"
		}
		why, hint := s.last.Error, s.last.Hint
		if s.state != Stuck {
			why = fmt.Sprintf("interrupted %d times", Attempts)
		}
		if hint == "" {
			hint = r.plan.hint()
		}
		reason := fmt.Sprintf("%s %s: %s", step.title(), what, why)
		if r.reason != "" {
			reason += fmt.Sprintf(" (after: %s)", r.reason)
		}
		return Move{Kind: Finish, Outcome: NeedsOperator, Reason: reason, Hint: hint}, true
	}
	return Move{}, false
}

func (r *record) forward() Move {
	for i, s := range r.steps {
		if s.state != Done {
			return r.do(i)
		}
	}
	return Move{Kind: Finish, Outcome: Succeeded}
}

func (r *record) back() Move {
	touched, changed := false, false
	for i := len(r.steps) - 1; i >= 0; i-- {
		s, step := r.steps[i], r.plan.Steps[i]
		touched = touched || s.touched()
		if step.Always || !step.Changes || !s.touched() {
			continue
		}
		changed = true
		if s.state != Undone {
			return Move{Kind: Undo, Step: step, Attempt: s.undos + 1}
		}
	}
	for i, s := range r.steps {
		if touched && r.plan.Steps[i].Always && s.state != Done {
			return r.do(i)
		}
	}
	outcome := Stopped
	if changed {
		outcome = RolledBack
	}
	return Move{Kind: Finish, Outcome: outcome, Reason: r.reason, Hint: r.hint}
}

func (r *record) do(i int) Move {
	return Move{Kind: Do, Step: r.plan.Steps[i], Attempt: r.steps[i].starts + 1}
}

// title is how a person knows the step.
func (s Step) title() string {
	if s.Says != "" {
		return s.Says
	}
	return s.Name
}

func (s Step) interrupted() string {
	return fmt.Sprintf("%s was interrupted %d times", s.title(), Attempts)
}

// hint is the next command where no step knows a better one.
func (p Plan) hint() string {
	switch p.Kind {
	case Rehearsal:
		return fmt.Sprintf("greenroom rehearse %s", p.Release.Short())
	default:
		return fmt.Sprintf("greenroom status, then greenroom rollback %s", p.Environment)
	}
}
