package environment

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/home"
)

// Engine is the Docker Engine, which is spoken to only where an app has containers.
type Engine struct {
	home home.Home
	open func() (*docker.Driver, error)

	mu     sync.Mutex
	driver *docker.Driver

	wall   sync.Mutex
	tried  bool  // whether walls can be built for its networks
	noWall error // why they can't
}

// NewEngine is the Engine that open connects to, of the Greenroom whose state is in that folder.
func NewEngine(h home.Home, open func() (*docker.Driver, error)) *Engine {
	return &Engine{home: h, open: open}
}

// Driver connects to the Engine, unless that is done. A problem says that none answers. Whoever asks while another is kept waiting by
// the Engine asks himself, and is kept waiting no longer than that.
func (e *Engine) Driver() (*docker.Driver, error) {
	e.mu.Lock()
	there := e.driver
	e.mu.Unlock()
	if there != nil {
		return there, nil
	}
	opened, err := e.open()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.driver != nil {
		return e.driver, opened.Close()
	}
	e.driver = opened
	return opened, nil
}

// begin notes that an app has, or is about to have, something in the Engine: from then on whoever asks what runs of it asks
// there as well, and takes an Engine that does not answer for an answer that is missing.
func (e *Engine) begin(app string) (*docker.Driver, error) {
	name := filepath.Join(e.home.Containers(), app)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return e.Driver()
}

// of is the driver where the app has, or may have, something in the Engine; nil where it has not, and in a world without
// one. An app of "" is any.
func (e *Engine) of(app string) (*docker.Driver, error) {
	if e == nil {
		return nil, nil
	}
	there, err := os.ReadDir(e.home.Containers())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if app == "" && len(there) == 0 || app != "" && !slices.ContainsFunc(there, func(d os.DirEntry) bool { return d.Name() == app }) {
		return nil, nil
	}
	return e.Driver()
}

// away says why the Engine can't be asked about what an app has in it; nil where it can, and where there is nothing to ask.
func (e *Engine) away(ctx context.Context, app string) error {
	d, err := e.of(app)
	if err != nil || d == nil {
		return err
	}
	return d.Answers(ctx)
}

// only says whether no other app has, or may have, anything in the Engine.
func (e *Engine) only(app string) bool {
	there, err := os.ReadDir(e.home.Containers())
	return err != nil || !slices.ContainsFunc(there, func(d os.DirEntry) bool { return d.Name() != app })
}

// forget notes that an app has nothing in the Engine any more.
func (e *Engine) forget(app string) error {
	err := os.Remove(filepath.Join(e.home.Containers(), app))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Close gives back the connection to the Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.driver == nil {
		return nil
	}
	return e.driver.Close()
}

// Drivers runs processes and containers as one driver. A replica's id begins with its app's name and a dot.
type Drivers struct {
	Processes driver.Driver
	Engine    *Engine
}

var _ driver.Driver = Drivers{}

// Start implements driver.Driver.
func (d Drivers) Start(ctx context.Context, s driver.Spec) (driver.Status, error) {
	if s.Container == nil {
		return d.Processes.Start(ctx, s)
	}
	e, err := d.Engine.begin(s.App)
	if err != nil {
		return driver.Status{}, err
	}
	return e.Start(ctx, s)
}

// Stop implements driver.Driver.
func (d Drivers) Stop(ctx context.Context, id string) error {
	err := d.Processes.Stop(ctx, id)
	e, none := d.Engine.of(appOf(id))
	if none != nil || e == nil {
		return errors.Join(err, none)
	}
	return errors.Join(err, e.Stop(ctx, id))
}

// Status implements driver.Driver.
func (d Drivers) Status(ctx context.Context, id string) (driver.Status, error) {
	of, err := d.that(ctx, id)
	if err != nil {
		return driver.Status{}, err
	}
	return of.Status(ctx, id)
}

// that is the driver which knows a replica; the one of processes where none does.
func (d Drivers) that(ctx context.Context, id string) (driver.Driver, error) {
	if _, err := d.Processes.Status(ctx, id); !errors.Is(err, driver.ErrNotFound) {
		return d.Processes, nil
	}
	e, err := d.Engine.of(appOf(id))
	if err != nil || e == nil {
		return d.Processes, err
	}
	return e, nil
}

// List implements driver.Driver.
func (d Drivers) List(ctx context.Context, f driver.Filter) ([]driver.Status, error) {
	all, err := d.Processes.List(ctx, f)
	if err != nil {
		return nil, err
	}
	e, err := d.Engine.of(f.App)
	if err != nil || e == nil {
		return all, err
	}
	containers, err := e.List(ctx, f)
	all = append(all, containers...)
	slices.SortStableFunc(all, func(a, b driver.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, err
}

// Wait implements driver.Driver.
func (d Drivers) Wait(ctx context.Context, id string) (driver.Status, error) {
	of, err := d.that(ctx, id)
	if err != nil {
		return driver.Status{}, err
	}
	return of.Wait(ctx, id)
}

// Logs implements driver.Driver.
func (d Drivers) Logs(ctx context.Context, id string, o driver.LogOptions, w io.Writer) error {
	of, err := d.that(ctx, id)
	if err != nil {
		return err
	}
	return of.Logs(ctx, id, o, w)
}

func appOf(id string) string {
	app, _, _ := strings.Cut(id, ".")
	return app
}
