package environment

import (
	"context"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// A PostgreSQL server may be a container, of the image that the Compose file names: then it has the app's role, password and
// database from the image's own first start, and the daemon comes in as that role, at the server's address in the environment's
// network. Services reach it there by its name.

// postgresPort is where the server in a container listens.
const postgresPort = 5432

// Where the official image and Bitnami's keep their data, unless they are told otherwise. Which folder the official one says itself:
// from version 18 on it is another one.
const (
	postgresData = "/var/lib/postgresql/data"
	bitnamiData  = "/bitnami/postgresql"
)

// databaseContainer is the service that is the release's database server, where that is a container.
func databaseContainer(r release.Release) (app.Service, bool) {
	db := r.Contents.Database
	if db == nil || db.Engine != app.Postgres || db.Service == "" {
		return app.Service{}, false
	}
	s, ok := r.Contents.Service(db.Service)
	return s, ok && s.Container != nil
}

// startDatabaseContainer makes sure that the server runs and answers.
func (e *Environment) startDatabaseContainer(ctx context.Context, r release.Release, s app.Service) (data.Database, error) {
	spec, err := e.databaseSpec(ctx, r, s)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if _, err := e.world.Driver.Start(ctx, spec); err != nil {
			return nil, err
		}
		_, err := e.world.Driver.Wait(ctx, spec.ID)
		if err == nil {
			break
		}
		if s, gone := e.world.Driver.Status(ctx, spec.ID); try == launches || ctx.Err() != nil || gone == nil && s.Phase != driver.Exited {
			return nil, err
		}
	}
	db, err := e.containerDatabase(ctx, r, s, spec.Listen.Address)
	if err != nil { // a nil *postgres.Database would be no nil interface
		return nil, err
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := db.Ready(ready); err != nil {
		return nil, err
	}
	return db, nil
}

// databaseSpec is the server's container. It outlives releases, and so has no release's network.
func (e *Environment) databaseSpec(ctx context.Context, r release.Release, s app.Service) (driver.Spec, error) {
	v := variables{environment: e.Name, release: r.Digest(), contents: r.Contents, config: e.config(r.Contents), addresses: map[string]string{}, data: e.Data()}
	var err error
	if v.secrets, err = e.secrets(ctx); err != nil {
		return driver.Spec{}, err
	}
	d, err := e.containers(ctx, r, s)
	if err != nil {
		return driver.Spec{}, err
	}
	spec := driver.Spec{
		ID: e.serverID(r), App: e.App, Environment: e.Name, Service: e.serverName(r), Dir: s.Dir, User: s.Container.User,
		Command: v.command(s), Env: v.inContainer(s), Secrets: v.secretsOf(s), Restart: true,
		Health: app.Health{TCP: true, Interval: time.Second, Timeout: 2 * time.Second, Retries: 3, Start: time.Minute},
		Stop:   app.Stop{Signal: postgres.StopSignal, Grace: 30 * time.Second},
	}
	// Neither the release nor the database's own address is anything that the server should know, or be made anew for.
	for _, name := range []string{"GREENROOM_RELEASE", r.Contents.Database.Variable} {
		delete(spec.Env, name)
	}
	c := settings(s)
	if err := e.seal(ctx, s, &c); err != nil {
		return spec, err
	}
	all, err := e.commonNetwork(ctx, d)
	if err != nil {
		return spec, err
	}
	c.Networks = []driver.Attach{{Network: all.ID, Aliases: []string{s.Name}}}
	if c.Mounts, err = e.mounts(ctx, d, r, s); err != nil {
		return spec, err
	}
	if err := e.keepData(ctx, d, s, spec.Env, &c); err != nil {
		return spec, err
	}
	if c.Files, err = v.files(s); err != nil {
		return spec, err
	}
	spec.Container = &c
	s.Port, s.Kind = postgresPort, app.KindContainer
	return spec, e.dial(ctx, &spec, s)
}

// dataVolume ends the name of the volume that a server gets for its data; no Compose file has a volume of such a name.
const dataVolume = ".data"

// keepData has the server keep its data in a volume of the environment's where the Compose file does not see to that.
func (e *Environment) keepData(ctx context.Context, d *docker.Driver, s app.Service, env map[string]string, c *driver.Container) error {
	image, err := d.Resolve(ctx, s.Image)
	if err != nil {
		return err
	}
	target := unkept(image, env, c)
	if target == "" {
		return nil
	}
	name, err := d.EnsureVolume(ctx, e.App, e.Name, s.Name+dataVolume)
	c.Mounts = append(c.Mounts, driver.Mount{Volume: name, Target: target})
	return err
}

// unkept is the folder with the server's data, where that would be gone with the container: nothing is mounted there, or the image
// asks for a volume further down than what is. That one goes with the container. "" is that the data stays.
func unkept(image docker.Image, env map[string]string, c *driver.Container) string {
	at := dataFolder(image, env)
	var volumes []string
	for _, folder := range image.Volumes {
		volumes = append(volumes, path.Clean(folder))
	}
	kept, lost := app.Innermost(at, c.Mounted()), app.Innermost(at, volumes) // whoever wants it in memory has it there
	switch {
	case len(lost) > len(kept):
		return lost
	case kept == "":
		return at
	}
	return ""
}

// dataFolder is where a server of this image keeps its data.
func dataFolder(image docker.Image, env map[string]string) string {
	if at := env["PGDATA"]; at != "" {
		return path.Clean(at)
	}
	for _, line := range image.Env {
		if at, ok := strings.CutPrefix(line, "PGDATA="); ok && at != "" {
			return path.Clean(at)
		}
	}
	if slices.Contains(image.Volumes, bitnamiData) {
		return bitnamiData
	}
	return postgresData
}

// containerDatabase is the app's database in the container that listens at address.
func (e *Environment) containerDatabase(ctx context.Context, r release.Release, s app.Service, address string) (*postgres.Database, error) {
	a, err := e.account(ctx, r)
	if err != nil {
		return nil, err
	}
	programs, err := e.world.programs.FindFor(tagOf(s.Container.Tag), filepath.Join(e.Folder(), "postgres"))
	if err != nil {
		return nil, err
	}
	at := func(host string) string {
		u := url.URL{Scheme: "postgres", User: url.UserPassword(a.Role, a.Password), Host: host, Path: "/" + a.Database, RawQuery: "sslmode=disable"}
		return u.String()
	}
	return postgres.Open(postgres.Config{URL: at(net.JoinHostPort(s.Name, strconv.Itoa(postgresPort))), Admin: at(address), Programs: programs})
}

// reachable is the database's address as a process of the environment's reaches it, in the place of the one that containers have.
func (e *Environment) reachable(ctx context.Context, r release.Release, of string) (string, error) {
	if _, ok := databaseContainer(r); !ok || of == "" {
		return of, nil
	}
	u, err := url.Parse(of)
	if err != nil {
		return "", problem.New(problem.Invalid, "the database's address: %w", err)
	}
	u.Host, err = e.serverWithin(ctx, r)
	return u.String(), err
}

// serverAddress is where a process of this machine reaches the environment's own database server.
func (e *Environment) serverAddress(ctx context.Context, r release.Release) (string, error) {
	s, ok := databaseContainer(r)
	if !ok {
		port, err := e.replicaPort(ctx, e.serverID(r))
		return loopback(port), err
	}
	s.Port, s.Kind = postgresPort, app.KindContainer
	at, err := e.endpoint(ctx, s, e.serverID(r))
	return at.Address, err
}
