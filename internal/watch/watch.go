// Package watch keeps what should run running: it compares what the store says of every environment with what is there,
// starts what is missing, and stops what belongs to nobody.
package watch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/environment"
	"greenroom/internal/gate"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// pruneEvery is how often what nobody needs any more is removed.
const pruneEvery = 10 * time.Minute

// Loop is the reconciliation of all environments.
type Loop struct {
	World *environment.World
	Log   *slog.Logger
	Every time.Duration
	Locks *Locks
}

// Run reconciles at once and then every Every, until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	var pruned time.Time
	for {
		l.Once(ctx)
		if time.Since(pruned) > pruneEvery {
			pruned = time.Now()
			if err := l.World.Prune(ctx); err != nil {
				l.complain(ctx, "what is not needed any more could not be removed", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Once looks at every environment. What goes wrong in one is logged and does not keep it from the others.
func (l *Loop) Once(ctx context.Context) {
	known, err := l.known(ctx)
	if err != nil {
		l.complain(ctx, "environments could not be read", err)
		return
	}
	for _, k := range known {
		if err := l.environment(ctx, k); err != nil {
			l.complain(ctx, "environment could not be kept", err, "app", k.policy.App, "environment", k.name)
		}
	}
	if err := l.strays(ctx, known); err != nil {
		l.complain(ctx, "stray replicas could not be stopped", err)
	}
}

func (l *Loop) complain(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() == nil {
		l.Log.Error(what, append(args, "error", err)...)
	}
}

type place struct {
	policy app.Policy
	name   string
}

func (l *Loop) known(ctx context.Context) ([]place, error) {
	apps, err := l.World.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	var out []place
	for _, a := range apps {
		for _, e := range a.Policy.Environments {
			out = append(out, place{a.Policy, e.Name})
		}
	}
	return out, nil
}

func (l *Loop) environment(ctx context.Context, k place) error {
	unlock := l.Locks.Lock(k.policy.App, k.name)
	defer unlock()
	if busy, err := l.busy(ctx, k.policy.App, k.name); err != nil || busy {
		return err
	}
	record, err := l.World.Store.Environment(ctx, k.policy.App, k.name)
	if err != nil || record.Want != store.Up || record.SchemaState == gate.SchemaHalfMigrated {
		return err // on a half-migrated schema neither release is known to run: what stands there stays until a person acts
	}
	env, _ := l.World.Open(k.policy, k.name)
	var live *release.Release
	if record.Live != "" {
		r, err := l.World.Release(ctx, record.Live)
		if err != nil {
			return err
		}
		live = &r
	}
	mended, err := env.Keep(ctx, live)
	for _, m := range mended {
		l.Log.Warn("mended", "app", k.policy.App, "environment", k.name, "what", m)
	}
	return err
}

// busy says whether a run owns the environment, or waits for it.
func (l *Loop) busy(ctx context.Context, app, environment string) (bool, error) {
	runs, err := l.World.Store.Unfinished(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range runs {
		if r.Plan.App == app && r.Plan.Environment == environment {
			return true, nil
		}
	}
	return false, nil
}

// strays stops what runs in environments that nobody knows: stages whose rehearsal is over, environments that were
// taken out of the definition.
func (l *Loop) strays(ctx context.Context, known []place) error {
	running, err := l.World.Driver.List(ctx, driver.Filter{})
	if err != nil {
		return err
	}
	names := map[[2]string]bool{}
	for _, k := range known {
		names[[2]string{k.policy.App, k.name}] = true
	}
	for _, s := range running {
		at := [2]string{s.App, s.Environment}
		if names[at] {
			continue
		}
		if err := l.stray(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) stray(ctx context.Context, s driver.Status) error {
	unlock := l.Locks.Lock(s.App, s.Environment)
	defer unlock()
	if busy, err := l.busy(ctx, s.App, s.Environment); err != nil || busy {
		return err
	}
	l.Log.Warn("stopping what belongs to no environment", "replica", s.ID)
	return l.World.Driver.Stop(ctx, s.ID)
}

// Locks keep what changes an environment apart: runs are created, environments started, stopped and reconciled each
// under its lock, so that nobody sees the environment free that somebody else is about to take.
type Locks struct {
	mu   sync.Mutex
	held map[[2]string]*sync.Mutex
}

// Lock waits for the environment's lock and returns what gives it back.
func (l *Locks) Lock(app, environment string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[[2]string]*sync.Mutex{}
	}
	key := [2]string{app, environment}
	if l.held[key] == nil {
		l.held[key] = &sync.Mutex{}
	}
	m := l.held[key]
	l.mu.Unlock()
	m.Lock()
	return m.Unlock
}
