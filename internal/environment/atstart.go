package environment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// A release that migrates as it starts is watched like any migrator until its replica is healthy, and left alone from then on:
// its sessions are the app's. They are known by their name, which follows from the run and so is known also to whoever goes
// on after a kill, and by who is at their other end (clients), should the app take another name.

// appName is the variable that names sessions; libpq, pgx, node-postgres and others read it.
const appName = "PGAPPNAME"

// startsItself says whether a replica migrates as it starts.
func (m *migrator) startsItself() bool { return m.release.Contents.Migrations.AtStart != "" }

// atStart starts one replica of the service that migrates itself, alone, and waits for its health. One that is there already
// and still at it, because the control plane died meanwhile, is waited for. The replica is the first of its service
// and stays; one that failed is stopped, so that what is looked at then does not change any more.
func (m *migrator) atStart(ctx context.Context) (failed string, err error) {
	spec, v, err := m.migratingReplica(ctx)
	if err != nil {
		return "", err
	}
	if _, err := m.endStart(ctx, m.release, m.whose); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, m.Limit)
	defer cancel()
	m.guard(cancel)
	err = m.start(limited, spec)
	cancelled := m.unguard()
	switch {
	case ctx.Err() != nil: // whoever goes on takes it over, or stops it
		return "", ctx.Err()
	case err == nil && !cancelled:
		return "", nil
	case cancelled: // also where it is healthy: what it needs for that is not there
		failed = "what it waited for was cancelled"
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		failed = fmt.Sprintf("it was not healthy within %s", human.Duration(m.Limit))
	default:
		failed = m.quoted(v.redact(err.Error()))
	}
	return failed, m.world.Driver.Stop(ctx, spec.ID)
}

// start starts the replica and waits for it. One that is there, and whose time for a start is over, is at work as far as anybody
// knows: the control plane that saw it died. Only where it is seen at nothing it is begun anew.
func (m *migrator) start(ctx context.Context, spec driver.Spec) error {
	if s, err := m.world.Driver.Status(ctx, spec.ID); err == nil && s.Phase == driver.Sick {
		m.mu.Lock()
		m.seenAt = time.Now()
		m.mu.Unlock()
		if err := m.awaitStart(ctx, spec.ID); err == nil || ctx.Err() != nil {
			return err
		}
		if err := m.world.Driver.Stop(ctx, spec.ID); err != nil {
			return err
		}
		if _, err := m.endStart(ctx, m.release, m.whose); err != nil {
			return err
		}
	}
	if _, err := m.world.Driver.Start(ctx, spec); err != nil {
		return err
	}
	return m.awaitStart(ctx, spec.ID)
}

// quiet is how long nothing may be seen of a migration until it is taken for one that has ended: an app may think between
// two statements.
const quiet = 5 * time.Second

// awaitStart returns when the replica is healthy, or with the reason why it will not be. A migration may take longer than a
// start: one whose time for that is over is waited for as long as it is seen at work.
func (m *migrator) awaitStart(ctx context.Context, id string) error {
	again := time.NewTicker(quiet / 20)
	defer again.Stop()
	for {
		_, err := m.world.Driver.Wait(ctx, id)
		if err == nil || ctx.Err() != nil {
			return err
		}
		s, gone := m.world.Driver.Status(ctx, id)
		if gone != nil || s.Phase != driver.Sick && s.Phase != driver.Healthy || !m.atWork() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// atWork says whether the migration was seen at work not long ago.
func (m *migrator) atWork() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.seenAt.IsZero() && time.Since(m.seenAt) < quiet
}

// migratingReplica is the replica that migrates: told a name for its sessions unless it has one, and not started again by
// itself before it was healthy, or it would migrate beside what the one before left in the server.
func (m *migrator) migratingReplica(ctx context.Context) (driver.Spec, variables, error) {
	r := m.release
	s, err := m.migratingService(r)
	if err != nil {
		return driver.Spec{}, variables{}, err
	}
	v, err := m.variables(ctx, r)
	if err != nil {
		return driver.Spec{}, v, err
	}
	spec, err := m.spec(ctx, r, s, v, 0)
	if err != nil {
		return spec, v, err
	}
	spec.Careful = true
	if _, named := spec.Env[appName]; !named {
		spec.Env[appName] = m.name
	} else if m.whose.Clients == nil {
		m.say("%s sets %s itself, and who is at the other end of its sessions can't be told here: they are known by what they lock", s.Name, appName)
	}
	return spec, v, nil
}

// migratingService is the service of a release that migrates as it starts.
func (e *Environment) migratingService(r release.Release) (app.Service, error) {
	s, ok := r.Contents.Service(r.Contents.Migrations.AtStart)
	if !ok {
		return s, problem.New(problem.Invalid, "migrations of %s name the service %s, which does not exist", e.App, r.Contents.Migrations.AtStart)
	}
	return s, nil
}

// guard begins to look after a replica that starts; giveUp ends the wait for it.
func (m *migrator) guard(giveUp func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.giveUp = giveUp
}

// unguard leaves a replica alone. It says whether something that it waited for was cancelled, and returns when nothing of
// it will be any more.
func (m *migrator) unguard() (cancelled bool) {
	m.mu.Lock()
	m.giveUp, cancelled = nil, m.ended
	m.mu.Unlock()
	m.ending.Wait()
	return cancelled
}

// letPass lets everybody pass who stands behind a migrator that waits for a lock. One that starts is told by its database, as
// by a lock_timeout, before it is given up: until it is stopped it may take all the time that it has for that.
func (m *migrator) letPass(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	m.mu.Lock()
	giveUp := m.giveUp
	m.mu.Unlock()
	var err error
	if db, ok := m.db.(data.Sessions); ok && giveUp != nil {
		_, err = db.CancelWaiting(ctx, m.whose)
	} else if !m.startsItself() {
		_, err = m.db.EndMigrator(ctx, m.name)
	}
	if giveUp != nil {
		giveUp()
	}
	if err != nil {
		m.world.Log.Warn("a migration that waits could not be ended", "environment", m.RouteName(), "error", err)
	}
}

// whose are the sessions of a run's migrator.
func (e *Environment) whose(r release.Release, db data.Database, run string) data.Whose {
	w := data.Whose{Name: migratorName(run)}
	if service, ok := r.Contents.Service(r.Contents.Migrations.AtStart); ok && db != nil {
		if c := e.clientsOf(r, db, e.replicaID(r, service, 0)); c != nil {
			w.Clients = c.of
		}
	}
	return w
}

// endStart ends what a replica left in the server that died while it migrated, or was stopped. One that is healthy, or still
// on the way, is left alone with all its sessions; so is one that took longer than a start may, since a migration may.
func (e *Environment) endStart(ctx context.Context, r release.Release, w data.Whose) (ended int, err error) {
	service, err := e.migratingService(r)
	if err != nil {
		return 0, err
	}
	id := e.replicaID(r, service, 0)
	s, err := e.world.Driver.Status(ctx, id)
	switch {
	case errors.Is(err, driver.ErrNotFound):
	case err != nil:
		return 0, err
	case s.Phase == driver.Healthy || s.Phase == driver.Starting || s.Phase == driver.Sick:
		return 0, nil
	default:
		if err := e.world.Driver.Stop(ctx, id); err != nil {
			return 0, err
		}
	}
	db, err := e.Database(ctx, r)
	if err != nil || db == nil {
		return 0, err
	}
	if sessions, ok := db.(data.Sessions); ok {
		return sessions.EndSessions(ctx, w)
	}
	return db.EndMigrator(ctx, w.Name)
}
