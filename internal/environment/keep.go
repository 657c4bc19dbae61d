package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Keep makes the environment what its live release asks for: its database server, every replica, its routes; and stops
// what belongs to nobody. It starts and does not wait for health, and says what it had to mend. It must not be called
// while a run owns the environment.
func (e *Environment) Keep(ctx context.Context, live *release.Release) (mended []string, err error) {
	if live != nil && (live.Contents.Deploy != nil) != e.Deployed() {
		return nil, problem.New(problem.Blocked, "%s is live in %s, and the policy in force has another driver", live.Digest().Short(), e.Name).
			WithHint("let greenroom.yaml have the driver of before, then: greenroom apply")
	}
	if e.Deployed() {
		return nil, e.keepDeployed(ctx, live)
	}
	if err := e.world.Engine.away(ctx, e.App); err != nil { // else everybody waits for it
		return nil, err
	}
	running, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	if live != nil {
		wanted = e.wanted(*live)
	}
	var stray []string
	alive := map[string]bool{} // or ended as it was meant to
	for _, s := range running {
		switch {
		case s.Deploy: // what the team deployed stays
			err = errors.Join(err, e.world.Deploys.Forget(ctx, s.ID))
		case !wanted[s.ID]:
			stray = append(stray, s.ID)
		case s.Phase != driver.Exited || live != nil && !restarts(*live, s.Service):
			alive[s.ID] = true
		}
	}
	if err != nil {
		return nil, err
	}
	traffic := Traffic{}
	if live != nil {
		traffic = All(*live)
	}
	routed := e.Route(ctx, traffic)
	if len(stray) > 0 && routed == nil { // until it is, somebody may be sent there
		if err := e.stop(ctx, stray); err != nil {
			return nil, err
		}
		mended = append(mended, "stopped "+strings.Join(stray, ", ")+", which belong to no release that is live")
	}
	if len(alive) == len(wanted) {
		if routed == nil { // else the edge may still listen for the others
			routed = e.forgetOthers(ctx, live)
		}
		return mended, routed
	}
	if err := e.launch(ctx, *live, alive); err != nil {
		return mended, errors.Join(routed, err)
	}
	for id := range wanted {
		if !alive[id] {
			mended = append(mended, "started "+id+" again")
		}
	}
	return mended, routed
}

// restarts says whether a replica of the service that has ended is to be started again; a database server always is.
func restarts(r release.Release, service string) bool {
	s, ok := r.Contents.Service(service)
	return !ok || s.Restart || s.Kind == app.KindPostgres
}

// Replicas are all that a release has here, or had, by id, service and index.
func (e *Environment) Replicas(r release.Release) []driver.Status {
	var out []driver.Status
	for _, s := range r.Contents.Services {
		if !s.Released() || s.Job {
			continue
		}
		for i := range e.Settings.Scale.Of(s.Replicas) {
			out = append(out, driver.Status{ID: e.replicaID(r, s, i), Service: s.Name, Index: i})
		}
	}
	return out
}

// wanted are the ids of all replicas that a live release has, with the database server.
func (e *Environment) wanted(r release.Release) map[string]bool {
	wanted := map[string]bool{}
	for _, s := range e.Replicas(r) {
		wanted[s.ID] = true
	}
	if e.hasServer(r) {
		wanted[e.serverID(r)] = true
	}
	return wanted
}

// launch starts the replicas that do not run, without waiting for their health.
func (e *Environment) launch(ctx context.Context, r release.Release, alive map[string]bool) error {
	v, err := e.variables(ctx, r)
	if err != nil {
		return err
	}
	order, err := startOrder(r.Contents)
	if err != nil {
		return err
	}
	for _, s := range order {
		if s.Job {
			continue
		}
		for i := range e.Settings.Scale.Of(s.Replicas) {
			if alive[e.replicaID(r, s, i)] {
				continue
			}
			spec, err := e.spec(ctx, r, s, v, i)
			if err != nil {
				return err
			}
			if err := e.run(ctx, r, s, spec); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	return nil
}

// Up starts a live release and returns once all of it is healthy.
func (e *Environment) Up(ctx context.Context, live *release.Release, say func(string)) error {
	if e.Deployed() {
		if err := e.sayResident(ctx, say); err != nil {
			return err
		}
	}
	if live == nil {
		return e.Route(ctx, Traffic{})
	}
	if live.Contents.Deploy != nil {
		return e.upDeployed(ctx, *live, say)
	}
	if err := e.Route(ctx, All(*live)); err != nil {
		return err
	}
	if live.Contents.Database != nil {
		say("its database")
	}
	return e.Start(ctx, *live, processNames(live.Contents), say)
}

// Down stops everything of the environment and keeps its data, and its address: the edge answers there that nothing runs,
// so that nobody else can take it. Where the Engine is away, what runs in it goes on, and the error is a problem that says so.
func (e *Environment) Down(ctx context.Context) error {
	if err := e.Route(ctx, Traffic{}); err != nil {
		return err
	}
	away := e.world.Engine.away(ctx, e.App)
	if away == nil {
		return e.StopAll(ctx)
	}
	if err := errors.Join(e.stopProcesses(ctx), ctx.Err()); err != nil {
		return err
	}
	return problem.New(problem.Unavailable, "nobody is let in to %s any more, but its containers may still run: %w", e.Name, away).
		WithHint("%s; then: greenroom down %s", problem.From(away).Hint, e.Name)
}

// Erase takes away all data of an environment of which nothing runs: volumes, databases, backups and snapshots.
func (e *Environment) Erase(ctx context.Context) error {
	if err := e.leaveEngine(ctx, true); err != nil {
		return err
	}
	if err := e.world.Store.ReleasePrefixes(ctx, addressKey(e.RouteName()+"/"), replicaKey(e.App+"."+e.Name+".")); err != nil {
		return err
	}
	if err := os.RemoveAll(e.Folder()); err != nil {
		return err
	}
	// The folder of the app's environments, as long as no other is in it.
	_ = os.Remove(filepath.Dir(e.Folder()))
	return nil
}

// Leave stops everything of an environment that nobody knows any more and gives its address away.
func (e *Environment) Leave(ctx context.Context) error {
	if err := e.Unroute(ctx); err != nil {
		return err
	}
	return e.StopAll(ctx)
}

func processNames(c app.Contents) []string {
	var names []string
	for _, s := range c.Services {
		if s.Released() {
			names = append(names, s.Name)
		}
	}
	return names
}
