package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// three is a plan with an effect in each of its first two steps, and a stage to take down.
func three() Plan {
	return Plan{Format: Format, Kind: Promotion, App: "shop", Environment: "production", Steps: []Step{
		{Name: "look", Action: "x", Says: "look around"},
		{Name: "migrate", Action: "x", Says: "migrate", Changes: true},
		{Name: "shift", Action: "x", Says: "shift", Changes: true},
		{Name: "down", Action: "x", Says: "take the stage down", Always: true},
	}}
}

// entries reads "look started, look done" into a journal.
func entries(journal string) []Entry {
	var all []Entry
	for _, line := range strings.Split(journal, ", ") {
		step, state, ok := strings.Cut(line, " ")
		switch {
		case line == "":
			continue
		case !ok:
			all = append(all, Entry{State: State(line), Error: "cancelled by ann"})
		case State(state) == Failed || State(state) == Stuck:
			all = append(all, Entry{Step: step, State: State(state), Error: "no luck", Hint: "try harder"})
		default:
			all = append(all, Entry{Step: step, State: State(state)})
		}
	}
	return all
}

func (m Move) String() string {
	if m.Kind == Finish {
		return strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", m.Kind, m.Outcome, m.Reason), ": ")
	}
	return fmt.Sprintf("%s %s #%d", m.Kind, m.Step.Name, m.Attempt)
}

func TestNext(t *testing.T) {
	const done = "look started, look done, migrate started, migrate done, "
	for _, c := range []struct{ name, journal, want string }{
		{"nothing yet", "", "do look #1"},
		{"next step", "look started, look done", "do migrate #1"},
		{"interrupted", "look started, look done, migrate started", "do migrate #2"},
		{"all done", done + "shift started, shift done, down started, down done", "finish: succeeded"},
		{"the first step fails", "look started, look failed", "do down #1"},
		{"nothing to take back", "look started, look failed, down started, down done", "finish: failed: look around: no luck"},
		{"the failed step is taken back", done + "shift started, shift failed", "undo shift #1"},
		{"taking back goes on", done + "shift started, shift failed, shift undoing", "undo shift #2"},
		{"in reverse", done + "shift started, shift failed, shift undoing, shift undone", "undo migrate #1"},
		{"what has no effect is not taken back", done + "shift started, shift failed, shift undoing, shift undone, migrate undoing, migrate undone", "do down #1"},
		{"rolled back", done + "shift started, shift failed, shift undoing, shift undone, migrate undoing, migrate undone, down started, down done",
			"finish: rolled back: shift: no luck"},
		{"stuck", done + "shift started, shift failed, shift undoing, shift stuck",
			"finish: needs operator: shift could not be taken back: no luck (after: shift: no luck)"},
		{"cancelled before it began", "cancelled", "finish: failed: cancelled by ann"},
		{"cancelled while a step runs", "look started, look done, migrate started, cancelled", "undo migrate #1"},
		{"cancelled between", done + "cancelled", "undo migrate #1"},
		{"cancelled too late", done + "shift started, shift done, cancelled", "do down #1"},
		{"cancelled too late, then done", done + "shift started, shift done, cancelled, down started, down done", "finish: succeeded"},
		{"crash loop", "look started, look done" + strings.Repeat(", migrate started", Attempts), "undo migrate #1"},
		{"crash loop, taken back", "look started, look done" + strings.Repeat(", migrate started", Attempts) +
			", migrate undoing, migrate undone, down started, down done", "finish: rolled back: migrate was interrupted 5 times"},
		{"crash loop while taking back", done + "shift started, shift failed" + strings.Repeat(", shift undoing", Attempts),
			"finish: needs operator: shift could not be taken back: interrupted 5 times (after: shift: no luck)"},
		{"crash loop in what is done always", done + "shift started, shift done" + strings.Repeat(", down started", Attempts),
			"finish: needs operator: take the stage down could not be done: interrupted 5 times"},
		{"a journal of another plan", "sing started", `finish: needs operator: the journal names the step "sing", which is not in the plan`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Next(three(), entries(c.journal))
			if m.String() != c.want {
				t.Errorf("got  %s\nwant %s", m, c.want)
			}
			if m.Outcome == NeedsOperator && m.Hint == "" {
				t.Error("needs an operator, and does not say what to do")
			}
		})
	}
}

func TestStuckGivesTheStepsOwnHint(t *testing.T) {
	m := Next(three(), entries("look started, look done, migrate started, migrate failed, migrate undoing, migrate stuck"))
	if m.Hint != "try harder" {
		t.Errorf("hint %q", m.Hint)
	}
}

func TestTurned(t *testing.T) {
	for _, c := range []struct {
		journal   string
		reason    string
		cancelled bool
	}{
		{"", "", false},
		{"look started, look done", "", false},
		{"look started, look failed, cancelled", "look around: no luck", false},
		{"look started, cancelled, look failed", "cancelled by ann", true},
		{"look started, look done, migrate started, migrate done, shift started, shift done, cancelled", "", false},
		{"migrate started" + strings.Repeat(", migrate started", Attempts-1) + ", migrate undoing", "migrate was interrupted 5 times", false},
		{"sing started", `the journal names the step "sing", which is not in the plan`, false},
	} {
		if reason, cancelled := Turned(three(), entries(c.journal)); reason != c.reason || cancelled != c.cancelled {
			t.Errorf("%s: %q, %v", c.journal, reason, cancelled)
		}
	}
}

// world is what the steps of a model run do, whatever is killed when.
type world struct {
	plan     Plan
	fails    map[string]bool // Do never works
	sticks   map[string]bool // Undo never works
	cancel   int             // after so many steps ended forward; -1: never
	killDo   map[string]int  // how often the first attempts are killed
	killUndo map[string]int
}

func drawWorld(t *rapid.T, kills *rapid.Generator[int]) world {
	w := world{plan: Plan{Format: Format, App: "a", Environment: "e"}, fails: map[string]bool{}, sticks: map[string]bool{},
		killDo: map[string]int{}, killUndo: map[string]int{}}
	for i := range rapid.IntRange(1, 6).Draw(t, "steps") {
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		s := Step{Name: fmt.Sprintf("s%d", i), Action: "x", Changes: kind > 1, Always: kind == 0}
		w.plan.Steps = append(w.plan.Steps, s)
		w.fails[s.Name] = rapid.IntRange(0, 5).Draw(t, "fails") == 0
		w.sticks[s.Name] = rapid.IntRange(0, 5).Draw(t, "sticks") == 0
		w.killDo[s.Name], w.killUndo[s.Name] = kills.Draw(t, "kills"), kills.Draw(t, "undo kills")
	}
	w.cancel = rapid.IntRange(-6, len(w.plan.Steps)).Draw(t, "cancel")
	return w
}

// without is the same world in which nothing is killed.
func (w world) without() world {
	w.killDo, w.killUndo = nil, nil
	return w
}

// ended counts the steps that ended forward and can be cancelled.
func (w world) ended(journal []Entry) int {
	n := 0
	for _, e := range journal {
		for _, s := range w.plan.Steps {
			if s.Name == e.Step && !s.Always && (e.State == Done || e.State == Failed) {
				n++
			}
		}
	}
	return n
}

// run carries the plan out from a journal on, as an executor does, and returns the whole journal and the last move.
func (w world) run(t *rapid.T, journal []Entry) ([]Entry, Move) {
	for range 1000 {
		if w.cancel == w.ended(journal) && !slices.ContainsFunc(journal, func(e Entry) bool { return e.State == Cancelled }) {
			journal = append(journal, Entry{State: Cancelled, Error: "cancelled"})
		}
		m := Next(w.plan, journal)
		name := m.Step.Name
		add := func(s State) { journal = append(journal, Entry{Step: name, State: s, Error: "no luck"}) }
		switch m.Kind {
		case Finish:
			return journal, m
		case Do:
			add(Started)
			switch {
			case m.Attempt <= w.killDo[name]:
			case !w.fails[name]:
				add(Done)
			case !m.Step.Always:
				add(Failed)
			case m.Attempt == Attempts:
				add(Stuck)
			}
		case Undo:
			add(Undoing)
			switch {
			case m.Attempt <= w.killUndo[name]:
			case !w.sticks[name]:
				add(Undone)
			case m.Attempt == Attempts:
				add(Stuck)
			}
		}
	}
	t.Fatalf("it does not end: %v", journal)
	return nil, Move{}
}

func count(journal []Entry, step string, s State) int {
	n := 0
	for _, e := range journal {
		if e.Step == step && e.State == s {
			n++
		}
	}
	return n
}

// final is the last state of each step.
func final(journal []Entry) map[string]State {
	last := map[string]State{}
	for _, e := range journal {
		if e.Step != "" {
			last[e.Step] = e.State
		}
	}
	return last
}

func order(journal []Entry, s State, of func(Step) bool, p Plan) []string {
	var names []string
	for _, e := range journal {
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == e.Step })
		if e.State == s && of(p.Steps[i]) && !slices.Contains(names, e.Step) {
			names = append(names, e.Step)
		}
	}
	return names
}

func checkEnd(t *rapid.T, w world, journal []Entry, end Move) {
	last := final(journal)
	changes := func(s Step) bool { return s.Changes }
	touched := order(journal, Started, changes, w.plan)
	undone := order(journal, Undoing, changes, w.plan)
	slices.Reverse(touched)
	if len(undone) > len(touched) || !slices.Equal(undone, touched[:len(undone)]) {
		t.Fatalf("taken back %v, touched in reverse %v", undone, touched)
	}
	for _, s := range w.plan.Steps {
		if count(journal, s.Name, Done) > 1 || count(journal, s.Name, Undone) > 1 {
			t.Fatalf("%s was done or undone twice: %v", s.Name, journal)
		}
		if count(journal, s.Name, Started) > Attempts || count(journal, s.Name, Undoing) > Attempts {
			t.Fatalf("%s was tried too often: %v", s.Name, journal)
		}
		state := last[s.Name]
		ok := true
		switch end.Outcome {
		case Succeeded:
			ok = state == Done
		case RolledBack:
			ok = s.Always && state == Done || s.Changes && (state == "" || state == Undone) || !s.Always && !s.Changes
		case Stopped:
			ok = !s.Changes || state == ""
		case NeedsOperator:
			ok = end.Reason != "" && end.Hint != ""
		}
		if !ok {
			t.Fatalf("%s: %s is %q in %v", end.Outcome, s.Name, state, journal)
		}
	}
	if end.Outcome != Succeeded && end.Reason == "" {
		t.Fatalf("%s without a reason", end.Outcome)
	}
}

func TestARunEndsAsItWouldWithoutKills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, rapid.IntRange(0, Attempts-1))
		calm, calmEnd := w.without().run(t, nil)
		checkEnd(t, w, calm, calmEnd)
		journal, end := w.run(t, nil)
		checkEnd(t, w, journal, end)
		if end.Outcome != calmEnd.Outcome {
			t.Fatalf("%s with kills, %s without", end.Outcome, calmEnd.Outcome)
		}
		if end.Outcome != NeedsOperator {
			if diff := cmp.Diff(final(calm), final(journal)); diff != "" {
				t.Fatalf("kills change the end: %s", diff)
			}
		}
	})
}

func TestARunEndsFromEveryPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, rapid.IntRange(0, Attempts+1))
		journal, _ := w.run(t, nil)
		cut := rapid.IntRange(0, len(journal)).Draw(t, "cut")
		before := slices.Clone(journal[:cut])
		again, end := w.run(t, slices.Clone(before))
		checkEnd(t, w, again, end)
		if !cmp.Equal(before, again[:cut]) {
			t.Fatal("the past changed")
		}
	})
}

func TestACrashLoopEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, rapid.Just(1000))
		journal, end := w.run(t, nil)
		if end.Outcome == Succeeded {
			t.Fatal("nothing was ever done, and it succeeded")
		}
		if bound := 2 * Attempts * len(w.plan.Steps); len(journal) > bound+1 {
			t.Fatalf("%d entries, at most %d are needed", len(journal), bound)
		}
	})
}
