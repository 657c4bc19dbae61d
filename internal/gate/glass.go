package gate

import (
	"strings"

	"greenroom/internal/problem"
)

// Glass is a person's word to take a release past a no.
type Glass struct {
	Because      string
	HalfMigrated bool // also on a database that is half-migrated, or whose schema is not known: never in silence
}

// Break says whether a decision can be broken past, which demands that overrides, and why not where it can't: a question
// that makes no sense can't be, nor what the policy alone accepts, a reason is needed, and a schema that is half-migrated or unknown needs a word of its own.
// The errors are problems. Of a yes nothing is overridden.
func (d Decision) Break(g Glass) (overridden []Demand, err error) {
	missing := d.Missing()
	if strings.TrimSpace(g.Because) == "" {
		return nil, problem.New(problem.Invalid, "breaking the glass needs a reason").WithHint("add --because REASON")
	}
	if !d.Allowed && len(missing) == 0 {
		return nil, problem.New(problem.Blocked, "the gate says no without a reason, and nothing breaks past that")
	}
	for _, m := range missing {
		switch {
		case m.Name == demandSense:
			return nil, problem.New(problem.Blocked, "nothing breaks past a question that makes no sense: %s", m.Reason).WithHint("%s", m.Next)
		case m.Name == demandWalls:
			return nil, problem.New(problem.Blocked, "%s, and nobody but the policy can", m.Reason).WithHint("%s", m.Next)
		case m.Name == demandSchema && !g.HalfMigrated:
			return nil, problem.New(problem.Blocked, "%s; breaking the glass does not skip that in silence", m.Reason).
				WithHint("%s; or add --half-migrated, if it has to be", m.Next)
		}
	}
	return missing, nil
}
