package cli

import (
	"context"
	"slices"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// toApply is the next command where what the file says is not in force.
const toApply = "greenroom apply, since what greenroom.yaml and its mask say of `data` is not in force yet"

// dataUnapplied says whether the definition here says of production's data what is not in force. It is an aside of other
// commands, which do without a definition: one that is wrong is apply's to tell.
func (s *shell) dataUnapplied(ctx context.Context, c *api.Client, app string) bool {
	d, err := s.Load(ctx, s.dir)
	if err != nil || d.App.Name != app {
		return false
	}
	would, err := c.Apply(ctx, api.Registration{App: app, Repository: d.Dir, Policy: d.App.Policy}, true)
	return err == nil && slices.ContainsFunc(would.Changes, aboutData)
}

// aboutData says whether a change of the policy is one of environments.NAME.data.
func aboutData(c app.Change) bool {
	parts := strings.SplitN(c.Path, ".", 4)
	return len(parts) > 2 && parts[0] == "environments" && parts[2] == "data"
}

// orApply is err; where it asks for `data` in the definition in force, and the one here has it, the next command is apply.
func (s *shell) orApply(ctx context.Context, c *api.Client, app string, err error) error {
	if err == nil {
		return nil
	}
	if p := problem.From(err); strings.Contains(p.Hint, "`data:") && s.dataUnapplied(ctx, c, app) {
		return p.WithHint("%s", toApply)
	}
	return err
}
