package evidence

import (
	"fmt"
	"slices"
	"strings"
)

// Isolation is whether the processes of a stage could reach anything but the stage's own services, and by what that is
// known.
type Isolation struct {
	Isolated bool   `json:"isolated"`
	Because  string `json:"because,omitempty"`  // why it is not, for a person
	Accepted string `json:"accepted,omitempty"` // in the definition's words: why production's data may be there all the same
	Facts    []Fact `json:"facts,omitempty"`    // what was tried from inside, as the stage's own user
}

// Fact is one thing that was tried from inside a stage.
type Fact struct {
	What    string  `json:"what"`  // what kind of thing it is, in the plural: "addresses outside the machine"
	Tried   string  `json:"tried"` // "tcp 192.0.2.1:443"
	Found   string  `json:"found"` // "network is unreachable"
	Verdict Verdict `json:"verdict"`
	Count   int     `json:"count"` // how many of the kind gave the same; then Tried is one of them
}

// OwnServices is the kind of fact that is about what has to be reached.
const OwnServices = "own services"

// String is the isolation in one line, beginning with isolated or not isolated.
func (i Isolation) String() string {
	if i.Isolated {
		return "isolated: " + i.proven()
	}
	text := "not isolated: " + i.Because
	if i.Accepted != "" {
		text += fmt.Sprintf(" (accepted, because %s)", strings.TrimSuffix(i.Accepted, "."))
	}
	return text
}

// proven counts what could not be reached and what could, kind by kind in the order of the facts.
func (i Isolation) proven() string {
	count := map[string]int{}
	var kinds []string
	for _, f := range i.Facts {
		if count[f.What] == 0 { // the first of its kind
			kinds = append(kinds, f.What)
		}
		count[f.What] += f.Count
	}
	var parts []string
	for _, kind := range kinds {
		if kind != OwnServices {
			parts = append(parts, fmt.Sprintf("%s (%d)", kind, count[kind]))
		}
	}
	text := "from inside, nothing could be reached of " + strings.Join(parts, ", ")
	if n := count[OwnServices]; n > 0 {
		text += fmt.Sprintf("; its own services (%d) were", n)
	}
	return text
}

// With is the isolation with the facts of an earlier test about kinds of things that were tried only then. One of which
// either found a fault stays as it is.
func (i Isolation) With(earlier Isolation) Isolation {
	if !i.Isolated || !earlier.Isolated {
		return i
	}
	tried := map[string]bool{}
	for _, f := range i.Facts {
		tried[f.What] = true
	}
	i.Facts = slices.Clone(i.Facts)
	for _, f := range earlier.Facts {
		if !tried[f.What] {
			i.Facts = append(i.Facts, f)
		}
	}
	return i
}

// Faults are the facts that speak against it: what was reached and must not be, or could not be decided.
func (i Isolation) Faults() []Fact {
	var all []Fact
	for _, f := range i.Facts {
		if f.Verdict != Pass {
			all = append(all, f)
		}
	}
	return all
}
