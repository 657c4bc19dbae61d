// Package watch keeps what should run running: it compares what the store says of every environment with what is there,
// starts what is missing, and stops what belongs to nobody.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"greenroom/internal/app"
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

	told   map[string]string // what was complained of last, by where
	taking sync.WaitGroup    // what a team's stop command takes away
}

// Run reconciles at once and then every Every, until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	defer l.taking.Wait()
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	var pruned time.Time
	for {
		l.Once(ctx)
		if time.Since(pruned) > pruneEvery {
			pruned = time.Now()
			l.complain(ctx, "what is not needed any more could not be removed", l.World.Prune(ctx))
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
	l.complain(ctx, "environments could not be read", err)
	if err != nil {
		return
	}
	for _, k := range known {
		l.complain(ctx, "environment could not be kept", l.environment(ctx, k), "app", k.policy.App, "environment", k.name)
	}
	l.complain(ctx, "strays could not be stopped", l.strays(ctx, known))
}

// complain logs what went wrong, once for as long as it stays the same: the log of a trouble that lasts for weeks must
// not fill the disk. A nil error says that it is over.
func (l *Loop) complain(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() != nil {
		return
	}
	where := fmt.Sprint(append([]any{what}, args...)...)
	if err == nil {
		delete(l.told, where)
		return
	}
	if l.told == nil {
		l.told = map[string]string{}
	}
	if l.told[where] != err.Error() {
		l.told[where] = err.Error()
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

// environment keeps one environment. One that somebody is starting or stopping is left alone: waiting for him would keep
// all others waiting.
func (l *Loop) environment(ctx context.Context, k place) error {
	unlock, free := l.Locks.TryLock(k.policy.App, k.name)
	if !free {
		return nil
	}
	defer func() { unlock() }()
	if busy, err := l.busy(ctx, k.policy.App, k.name); err != nil || busy {
		return err
	}
	record, err := l.World.Store.Environment(ctx, k.policy.App, k.name)
	if err != nil {
		return err
	}
	env, _ := l.World.Open(k.policy, k.name)
	if record.Want != store.Up {
		owed, err := l.owed(ctx, env, record.Live)
		if err != nil {
			return err
		}
		if owed == nil {
			return env.Down(ctx) // what a kill in the middle of stopping it left, or a first release that did not make it
		}
		free := unlock
		unlock = func() {}
		l.taking.Go(func() { l.takeDown(ctx, env, *owed, free) })
		return nil
	}
	if record.SchemaState == gate.SchemaHalfMigrated {
		return nil // neither release is known to run on it: what stands there stays until a person acts
	}
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

// owed is the live release of an environment that is to be down, where its team's stop command was not run yet; nil for none.
func (l *Loop) owed(ctx context.Context, e *environment.Environment, live release.Digest) (*release.Release, error) {
	if !e.Deployed() || live == "" {
		return nil, nil
	}
	r, err := l.World.Release(ctx, live)
	if err != nil {
		return nil, err
	}
	owed, err := e.StopOwed(ctx, r)
	if err != nil || !owed {
		return nil, err
	}
	return &r, nil
}

// takeDown goes on with stopping an environment beside the others, which don't wait for a team's stop command.
func (l *Loop) takeDown(ctx context.Context, e *environment.Environment, live release.Release, unlock func()) {
	defer unlock()
	log := l.Log.With("app", e.App, "environment", e.Name)
	log.Warn("it was not stopped to the end: running its stop command")
	err := e.TakeDown(ctx, &live, false, func(string) {})
	if err != nil && ctx.Err() == nil {
		log.Error("it is not known to be stopped", "error", err)
	}
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
	names := map[[2]string]bool{}
	for _, k := range known {
		names[[2]string{k.policy.App, k.name}] = true
	}
	there, err := l.World.Inhabited(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, e := range there {
		if !names[[2]string{e.App, e.Name}] {
			all = append(all, l.stray(ctx, e))
		}
	}
	return errors.Join(all...)
}

func (l *Loop) stray(ctx context.Context, e *environment.Environment) error {
	unlock, free := l.Locks.TryLock(e.App, e.Name)
	if !free {
		return nil
	}
	defer unlock()
	if busy, err := l.busy(ctx, e.App, e.Name); err != nil || busy {
		return err
	}
	l.Log.Warn("stopping what belongs to no environment", "app", e.App, "environment", e.Name)
	return e.Leave(ctx)
}

// Locks keep what changes an environment apart: runs are created, environments started, stopped and reconciled each
// under its lock, so that nobody sees the environment free that somebody else is about to take.
type Locks struct {
	mu   sync.Mutex
	held map[[2]string]*sync.Mutex
}

// Lock waits for the environment's lock and returns what gives it back.
func (l *Locks) Lock(app, environment string) (unlock func()) {
	m := l.of(app, environment)
	m.Lock()
	return m.Unlock
}

// TryLock is Lock for somebody who does not wait: free is false where another has it.
func (l *Locks) TryLock(app, environment string) (unlock func(), free bool) {
	m := l.of(app, environment)
	return m.Unlock, m.TryLock()
}

func (l *Locks) of(app, environment string) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[[2]string]*sync.Mutex{}
	}
	key := [2]string{app, environment}
	if l.held[key] == nil {
		l.held[key] = &sync.Mutex{}
	}
	return l.held[key]
}
