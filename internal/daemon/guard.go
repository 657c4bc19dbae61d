package daemon

import (
	"context"
	"os"
	"slices"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

var _ api.Guard = (*Daemon)(nil)

// May is api.Guard's. The owner is the user that the daemon runs as, and root. He alone has what the policy gives nobody;
// and he may always apply another policy, so that a slip of the pen in `roles:` locks nobody out.
func (d *Daemon) May(ctx context.Context, right app.Right, name string) error {
	peer := api.PeerOf(ctx)
	owner := peer.UID == 0 || peer.UID == os.Getuid()
	roles, err := d.roles(ctx, name)
	if err != nil {
		return err
	}
	who, listed := roles[right]
	switch {
	case right == api.RightRead:
		if owner || slices.ContainsFunc(named(roles), func(w string) bool { return is(peer, w) }) {
			return nil
		}
	case right == app.RightApply && owner, !listed && owner:
		return nil
	case slices.ContainsFunc(who, func(w string) bool { return is(peer, w) }):
		return nil
	}
	return denied(peer, right, name, who, listed)
}

// openDoor lets other users than the owner reach the socket, if root runs this and a policy gives anybody a role: the
// guard asks each for their right. Where nobody has one, nobody can even knock.
func (d *Daemon) openDoor(ctx context.Context) error {
	if os.Getuid() != 0 {
		return nil
	}
	roles, err := d.roles(ctx, "")
	if err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if len(named(roles)) > 0 {
		mode = 0o666
	}
	return os.Chmod(d.opts.Home.Socket(), mode) //nolint:gosec // G302: see above
}

// MayRun is api.Guard's.
func (d *Daemon) MayRun(ctx context.Context, right app.Right, run string) error {
	r, err := d.world.Store.Run(ctx, run)
	if problem.From(err) != nil && problem.From(err).Code == problem.NotFound {
		return d.May(ctx, api.RightRead, "") // who may not even look is not told whether it exists
	}
	if err != nil {
		return err
	}
	if right == app.RightRollback && r.Plan.Kind == plan.Rehearsal {
		right = app.RightRehearse // who may start one may stop it
	}
	return d.May(ctx, right, r.Plan.App)
}

// roles are those of an app; of all apps together where none is named; none of one that nobody knows.
func (d *Daemon) roles(ctx context.Context, name string) (map[app.Right][]string, error) {
	apps, err := d.world.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	all := map[app.Right][]string{}
	for _, a := range apps {
		if name != "" && a.Name != name {
			continue
		}
		for right, who := range a.Policy.Roles {
			if name == "" && right != api.RightRead {
				right = api.RightRead // what concerns no single app, people with a role in some may only look at
			}
			all[right] = append(all[right], who...) // also of nobody: then the right is listed, and nobody has it
		}
	}
	return all, nil
}

// named are all people and groups with any role.
func named(roles map[app.Right][]string) (all []string) {
	for _, who := range roles {
		all = append(all, who...)
	}
	return all
}

// is says whether a role's entry means the peer: a user's name, or a group's as "@oncall".
func is(peer api.Peer, who string) bool {
	if group, ok := strings.CutPrefix(who, "@"); ok {
		return slices.Contains(peer.Groups, group)
	}
	return peer.Name != "" && peer.Name == who
}

func denied(peer api.Peer, right app.Right, name string, who []string, listed bool) error {
	p := problem.New(problem.Blocked, "%s has not the right %s", peer.Name, right)
	if name != "" {
		p = problem.New(problem.Blocked, "%s has not the right %s in %s", peer.Name, right, name)
	}
	if listed && len(who) > 0 {
		return p.WithHint("ask %s; the definition's roles say who", strings.Join(who, ", "))
	}
	return p.WithHint("ask the owner of this Greenroom; the definition's roles say who")
}
