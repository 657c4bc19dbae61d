package mask

import (
	"encoding/json"
	"strings"

	"greenroom/internal/problem"
)

// path is a way into JSON.
type path []pathStep

// pathStep is a member's name, any member, or any element. An element is never named by its number.
type pathStep struct {
	name    string
	any     bool
	element bool
}

// parsePath reads $, then any number of .name, .*, ["name"], [*].
func parsePath(text string) (path, error) {
	bad := func(at string) (path, error) {
		return nil, problem.New(problem.Invalid, "%q is not a path: it can't be read from %q on; paths look like $.address.street, $.items[*].note, $.*.id, $[\"a.b\"]", text, at)
	}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return bad(text)
	}
	p := path{}
	for rest != "" {
		var step pathStep
		var ok bool
		switch {
		case strings.HasPrefix(rest, "[*]"):
			step, rest, ok = pathStep{element: true}, rest[3:], true
		case strings.HasPrefix(rest, `["`):
			step, rest, ok = quotedStep(rest)
		case rest[0] == '.':
			end := 1 + strings.IndexAny(rest[1:], ".[")
			if end == 0 {
				end = len(rest)
			}
			step, ok = pathStep{name: rest[1:end]}, end > 1
			if step.name == "*" {
				step = pathStep{any: true}
			}
			if ok {
				rest = rest[end:]
			}
		}
		if !ok {
			return bad(rest)
		}
		p = append(p, step)
	}
	return p, nil
}

// quotedStep reads ["name"], the name as JSON writes it.
func quotedStep(rest string) (step pathStep, behind string, ok bool) {
	d := json.NewDecoder(strings.NewReader(rest[1:]))
	if err := d.Decode(&step.name); err != nil {
		return step, rest, false
	}
	behind, ok = strings.CutPrefix(rest[1+d.InputOffset():], "]")
	if !ok {
		return step, rest, false
	}
	return step, behind, true
}
