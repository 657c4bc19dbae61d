package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// As root, everything of an environment runs as a system user of its own, the resident: its replicas, jobs, migrations and
// checks, and its database server. To it belong the environment's data, and nothing else: releases' files are shared and
// read-only, logs, backups and the state folder are Greenroom's.
//
// Whose the data folder is says who the resident is. It changes only while nothing of the environment runs.

// prepare makes the environment's folders and returns its resident; nobody where everything runs as the daemon's own user.
func (e *Environment) prepare(ctx context.Context) (account.User, error) {
	if err := os.MkdirAll(e.Folder(), 0o711); err != nil {
		return nobody, err
	}
	if err := os.MkdirAll(e.Data(), 0o700); err != nil {
		return nobody, err
	}
	u, err := e.resident()
	if shared(err) {
		u, err = e.moveIn(ctx)
	}
	switch {
	case shared(err):
		e.notIsolated(err)
		return nobody, e.open(0, 0o711) // PostgreSQL's own user has to pass
	case err != nil:
		return nobody, err
	}
	e.world.reasons.Delete(e.RouteName())
	return u, e.open(u.GID, 0o710)
}

// nobody is the resident of an environment without one.
var nobody account.User

// shared says whether this is why an environment has no resident, and not a failure.
func shared(err error) bool {
	p := problem.From(err)
	return p != nil && (p.Code == problem.Unavailable || p.Code == problem.NotFound)
}

// resident is the system user that the environment has. A problem says why it has none.
func (e *Environment) resident() (account.User, error) {
	u, err := e.world.Accounts.Find(e.App, e.Name)
	if err != nil {
		return u, err
	}
	in, err := home.Belongs(e.Data(), u.UID, u.GID)
	if err == nil && !in {
		err = problem.New(problem.Unavailable, "its data belong to another user than %s", u.Name)
	}
	return u, err
}

// moveIn makes the environment's user and gives it the environment's data, unless something of it runs.
func (e *Environment) moveIn(ctx context.Context) (account.User, error) {
	e.world.moving.Lock()
	defer e.world.moving.Unlock()
	u, err := e.world.Accounts.Make(ctx, e.App, e.Name)
	if err != nil {
		return u, err
	}
	running, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return u, err
	}
	for _, s := range running {
		if s.Phase != driver.Exited {
			return u, problem.New(problem.Unavailable, "it has been running since before it could have a system user of its own").
				WithHint("greenroom down %[1]s, greenroom up %[1]s", e.Name)
		}
	}
	if err := e.open(u.GID, 0o710); err != nil {
		return u, err
	}
	if err := reach(ctx, u.Name, e.Folder(), e.world.Home.Files(), e.world.Home.Runs()); err != nil {
		return u, err
	}
	return u, home.Give(e.Data(), u.UID, u.GID)
}

// endResident ends what still runs as the environment's resident when all of it was stopped: a process that hid itself
// would see what the resident has next, as the next rehearsal's stage.
func (e *Environment) endResident(ctx context.Context) error {
	u, err := e.world.Accounts.Find(e.App, e.Name)
	if err != nil {
		return nil // without one of its own nobody knows what is the environment's
	}
	ended, err := endAll(ctx, func() ([]proc.Identity, error) { return proc.Of(u.UID) })
	if ended > 0 {
		e.world.Log.Warn("ended what hid itself", "environment", e.RouteName(), "processes", ended)
	}
	return err
}

// open lets a group, or everybody, pass through the environment's folder. It stays the daemon's own: what is in it can't
// be exchanged by those who may only pass.
func (e *Environment) open(group int, perm os.FileMode) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.Join(os.Chown(e.Folder(), 0, group), os.Chmod(e.Folder(), perm))
}

// reach lets a user enter folders, because permissions alone don't tell whether it can.
func reach(ctx context.Context, user string, dirs ...string) error {
	out := proc.NewTail(4 << 10)
	exit, err := proc.Run(ctx, proc.Command{
		Argv: append([]string{"/bin/sh", "-c", `for d; do cd -P -- "$d" 2>/dev/null || { echo "$d"; exit 1; }; done`, "sh"}, dirs...),
		Dir:  "/", User: user, Stdout: out,
	})
	if err != nil || exit.OK() {
		return err
	}
	return problem.New(problem.Unavailable, "the folder %s, or one above it, is closed to the system user %s", strings.TrimSpace(out.String()), user).
		WithHint("set GREENROOM_HOME to a folder that everybody may pass through, such as /var/lib/greenroom")
}

// notIsolated remembers why the environment has no resident, and logs it when it is news.
func (e *Environment) notIsolated(why error) {
	if old, known := e.world.reasons.Swap(e.RouteName(), why.Error()); !known || old != why.Error() {
		e.world.Log.Warn("not isolated", "environment", e.RouteName(), "because", why)
	}
}

// Isolation says what does not keep this environment and others of the machine apart, in sentences for a person; nothing
// where all does. That a process can reach every address on the network is not in it.
func (e *Environment) Isolation(r release.Release) []string {
	var all []string
	who := e.Name
	if e.Stage {
		who = "the stage"
	}
	if _, err := e.resident(); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be gone by now
		why := err.Error()
		if remembered, ok := e.world.reasons.Load(e.RouteName()); ok {
			why = remembered.(string)
		}
		all = append(all, fmt.Sprintf("not isolated: %s has no system user of its own: %s", who, why))
	}
	if db := r.Contents.Database; e.hasServer(r) && !db.External && db.PasswordSecret == "" {
		all = append(all, fmt.Sprintf("not isolated: the database's password stands in the Compose file, so every environment knows that of %s", who))
	}
	return all
}

// makeVolumes makes the folders of a release's volumes for the resident. What is in the data folder is the resident's to
// change, so no link in it is followed out of it.
func (e *Environment) makeVolumes(c app.Contents, resident account.User) error {
	root, err := os.OpenRoot(e.Data())
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	for _, s := range c.Services {
		for _, volume := range s.Volumes {
			if err := root.MkdirAll(volume, 0o700); err != nil {
				return err
			}
			if resident == nobody {
				continue
			}
			if err := root.Lchown(volume, resident.UID, resident.GID); err != nil {
				return err
			}
		}
	}
	return nil
}

// within makes sure that a file of the data folder is no link that leads out of it.
func (e *Environment) within(name string) error {
	root, err := os.OpenRoot(e.Data())
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	if _, err := root.Stat(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return problem.New(problem.Blocked, "%s is no file of %s: %w", filepath.Join(e.Data(), name), e.Name, err)
	}
	return nil
}
