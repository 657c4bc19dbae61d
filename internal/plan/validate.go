package plan

import (
	"greenroom/internal/problem"
)

// Validate says whether this Greenroom can carry the plan out: a format that it knows, and steps that can be told
// apart. A plan of a newer format is a problem that a person solves with the Greenroom that made it.
func (p Plan) Validate() error {
	switch {
	case p.Format > Format:
		return problem.New(problem.Unavailable, "the plan has format %d, this Greenroom knows %d", p.Format, Format).
			WithHint("finish it with the Greenroom that made it, or a newer one")
	case p.Format < 1:
		return problem.New(problem.Internal, "the plan has no format")
	case p.App == "" || p.Environment == "":
		return problem.New(problem.Internal, "the plan names no app or no environment")
	case len(p.Steps) == 0:
		return problem.New(problem.Internal, "the plan has no steps")
	}
	seen := make(map[string]bool, len(p.Steps))
	for i, s := range p.Steps {
		switch {
		case s.Name == "" || s.Action == "":
			return problem.New(problem.Internal, "step %d of the plan has no name or no action", i+1)
		case seen[s.Name]:
			return problem.New(problem.Internal, "two steps of the plan are called %q", s.Name)
		case s.Always && s.Changes:
			return problem.New(problem.Internal, "step %q of the plan is done always, so it can't be taken back", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}
