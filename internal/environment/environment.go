// Package environment is one running copy of the app, as Greenroom handles it: its database, its replicas in the order
// in which they need one another, its routes at the edge, and what its processes and checks get to know. A stage is one
// as well.
//
// Every method is idempotent: after a kill it is called again.
package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/data/postgres"
	"greenroom/internal/driver"
	"greenroom/internal/driver/command"
	"greenroom/internal/edge"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/netns"
	"greenroom/internal/release"
	"greenroom/internal/secret"
	"greenroom/internal/store"
)

// World is what environments are made of.
type World struct {
	Home      home.Home
	Driver    driver.Driver
	Deploys   *command.Driver // for apps that their teams deploy; what it runs the Driver lists
	Engine    *Engine         // where containers run; the Driver knows of it
	Edge      *edge.Client
	Store     *store.Store
	Artifacts *artifact.Store
	Secrets   *secret.Box
	Ring      *key.Ring
	Accounts  *account.Accounts
	Log       *slog.Logger
	Now       func() time.Time
	LogCheck  LogCheck
	Program   string // path of this program, which has commands for what runs inside a stage's network

	FirstAddress int // the port from which environments' own addresses are given out, usually the constant of that name

	programs postgres.Finder      // PostgreSQL's, on this machine
	arriving sync.Mutex           // a database is being made what its backup from another machine holds
	networks appLocks             // held while the network of a stage of an app is made or removed, for which an Engine may be asked
	moving   sync.Mutex           // held while an environment gets its resident
	reasons  sync.Map             // RouteName -> why it has none
	unpacked sync.RWMutex         // read: files are being unpacked; written: those that nobody needs are being removed
	held     sync.RWMutex         // read: releases come in, go out, or are about to be named; written: those that nobody names are being removed
	idle     map[string]time.Time // since when no release needs an image that the Engine keeps; guarded by held
	tidy     bool                 // no sweep of releases that was interrupted left anything; guarded by held
}

// LogCheck knows whether the log of what happened is whole.
type LogCheck interface {
	// Fault says why the log can't be believed; "" when it is whole.
	Fault(ctx context.Context) string
	// Missing says why what was recorded about a release can't be all; "" when it is. It comes after Fault.
	Missing(app string, d release.Digest, recorded []evidence.Recorded) string
	// Policy is the digest of the policy that was put in force last, as the log has it. It comes after Fault.
	Policy(app string) string
	// Bad is what the log has against a release; nil for nothing. It comes after Fault.
	Bad(app string, d release.Digest) *gate.KnownBad
}

// Environment is one environment or stage of an app.
type Environment struct {
	App       string
	Name      string
	Settings  app.Environment // scale and differences; a stage has staging's
	Stage     bool            // disposable: its data is thrown away with it
	like      string          // a stage: the environment that it is built like, whose secrets it has
	contained []app.Service   // a stage: the containers of what runs there
	world     *World
	asked     *asked // of the Engine, by this value
}

// Open is the environment of that name under a policy.
func (w *World) Open(p app.Policy, name string) (*Environment, bool) {
	s, ok := p.Environment(name)
	if !ok {
		return nil, false
	}
	return &Environment{App: p.App, Name: name, Settings: s, world: w, asked: new(asked)}, true
}

// Stage is a stage built like the environment that production comes after, or like production where there is none.
func (w *World) Stage(p app.Policy, name string) *Environment {
	settings := p.Staging()
	like := settings.Name
	settings.Name, settings.Hosts = name, nil
	return &Environment{App: p.App, Name: name, Settings: settings, Stage: true, like: like, world: w, asked: new(asked)}
}

// For is the stage for releases, which decide where their services run.
func (e *Environment) For(releases ...release.Release) *Environment {
	of := *e
	for _, r := range releases {
		for _, s := range r.Contents.Services {
			if s.Container != nil {
				of.contained = append(of.contained, s)
			}
		}
	}
	return &of
}

// Folder is where the environment's data lies.
func (e *Environment) Folder() string { return e.world.Home.Environment(e.App, e.Name) }

// Data is the folder of files that services keep: volumes and SQLite databases.
func (e *Environment) Data() string { return filepath.Join(e.Folder(), "data") }

// URL is the environment's address for people and checks.
func (e *Environment) URL(ctx context.Context) (string, error) {
	if e.Deployed() {
		return e.Settings.URL, nil
	}
	return e.url(ctx, e.RouteName())
}

// CandidateURL is the address of a release without a share of the traffic.
func (e *Environment) CandidateURL(ctx context.Context) (string, error) {
	return e.url(ctx, e.candidateRoute())
}

func (e *Environment) url(ctx context.Context, route string) (string, error) {
	addresses, err := e.listen(ctx, route)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "http", Host: addresses[0]}).String(), nil
}

// Remove stops everything of a stage and throws its data away.
func (e *Environment) Remove(ctx context.Context) error {
	if !e.Stage {
		return fmt.Errorf("%s is no stage: its data is not thrown away", e.RouteName())
	}
	err := errors.Join(e.Unroute(ctx), e.StopAll(ctx))
	if err != nil {
		return err
	}
	// It keeps its own address: without the slash, that of an environment whose name only begins alike would go as well.
	if err := e.world.Store.ReleasePrefixes(ctx, "route:"+e.RouteName()+"/", "replica:"+e.App+"."+e.Name+"."); err != nil {
		return err
	}
	if err := e.leaveEngine(ctx, true); err != nil {
		return err
	}
	if err := os.RemoveAll(e.Folder()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Inhabited are the environments and stages of which anything runs, which have a network, or of which anything is in the edge's table, whether a policy
// knows them or not. They are good for Leave alone.
func (w *World) Inhabited(ctx context.Context) ([]*Environment, error) {
	running, err := w.places(ctx)
	if err != nil {
		return nil, err
	}
	table, err := w.Edge.Table(ctx)
	if err != nil {
		return nil, err
	}
	var all []*Environment
	seen := map[[2]string]bool{}
	add := func(app, name string) {
		if at := [2]string{app, name}; !seen[at] {
			seen[at] = true
			all = append(all, &Environment{App: app, Name: name, world: w, asked: new(asked)})
		}
	}
	for _, at := range running {
		add(at[0], at[1])
	}
	networks, err := netns.List(w.Home.Networks(), 2)
	for _, names := range networks {
		add(names[0], names[1])
	}
	for _, r := range table.Routes {
		if parts := strings.SplitN(r.Name, "/", 3); len(parts) > 1 {
			add(parts[0], parts[1])
		}
	}
	return all, err
}

// places are the apps and environments of which anything runs. How it is does not matter, which takes an Engine its time to tell.
func (w *World) places(ctx context.Context) (all [][2]string, err error) {
	running, err := w.processes().List(ctx, driver.Filter{})
	if err != nil {
		return nil, err
	}
	for _, s := range running {
		all = append(all, [2]string{s.App, s.Environment})
	}
	if err := w.Engine.away(ctx, ""); err != nil {
		return nil, err
	}
	d, err := w.Engine.of("")
	if err != nil || d == nil {
		return all, err
	}
	contained, err := d.Environments(ctx)
	return append(all, contained...), err
}

// stopProcesses stops what of the environment runs outside the Engine.
func (e *Environment) stopProcesses(ctx context.Context) error {
	d, ok := e.world.Driver.(Drivers)
	if !ok {
		return nil
	}
	all, err := d.Processes.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return err
	}
	stop := func(i int) error {
		if all[i].Deploy { // what the team deployed stays, as in StopAll
			return e.world.Deploys.Forget(ctx, all[i].ID)
		}
		return d.Processes.Stop(ctx, all[i].ID)
	}
	if err := each(len(all), stop); err != nil {
		return err
	}
	return errors.Join(e.endResident(ctx), e.endNetwork())
}

// StopAll stops every replica of the environment, the database server last, and takes away its network. What the team
// deployed itself stays: only a person who asks for it has it taken away, see TakeDown.
func (e *Environment) StopAll(ctx context.Context) error {
	all, err := e.world.Driver.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return err
	}
	var services, lasting, servers []string
	deployed := e.Deployed()
	for _, s := range all {
		switch deployed = deployed || s.Deploy; {
		case s.Deploy:
			if err := e.world.Deploys.Forget(ctx, s.ID); err != nil {
				return err
			}
		case s.Release != "":
			services = append(services, s.ID)
		case !strings.HasSuffix(s.ID, serverSuffix):
			lasting = append(lasting, s.ID)
		default:
			servers = append(servers, s.ID)
		}
	}
	for _, ids := range [][]string{services, lasting, servers} {
		if err := e.stop(ctx, ids); err != nil {
			return err
		}
	}
	if deployed { // its resident's processes are the app
		return nil
	}
	return errors.Join(e.endResident(ctx), e.endNetwork(), e.leaveEngine(ctx, false))
}
