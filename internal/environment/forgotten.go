package environment

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/netns"
)

// Forgotten are the environments and stages of an app of which anything is here, data too, and which its policy does not know, or no
// more. They are good for Leave and Erase alone. What is in an Engine that is away is not among them: whoever takes away what the
// policy knows is told of that one.
func (w *World) Forgotten(ctx context.Context, p app.Policy) ([]*Environment, error) {
	names, err := w.namesHere(ctx, p.App)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []*Environment
	for _, name := range slices.Compact(names) {
		if _, known := p.Environment(name); !known && name != "" {
			all = append(all, &Environment{App: p.App, Name: name, world: w, asked: new(asked)})
		}
	}
	return all, nil
}

// namesHere are the environments of an app of which anything is here, some more than once.
func (w *World) namesHere(ctx context.Context, of string) (names []string, err error) {
	folders, err := os.ReadDir(w.Home.Environment(of, ""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range folders {
		names = append(names, f.Name())
	}
	networks, err := netns.List(w.Home.Networks(), 2)
	if err != nil {
		return nil, err
	}
	for _, at := range networks {
		if at[0] == of {
			names = append(names, at[1])
		}
	}
	table, err := w.Edge.Table(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range table.Routes {
		if parts := strings.SplitN(r.Name, "/", 3); len(parts) > 1 && parts[0] == of {
			names = append(names, parts[1])
		}
	}
	running, err := w.processes().List(ctx, driver.Filter{App: of})
	if err != nil {
		return nil, err
	}
	for _, s := range running {
		names = append(names, s.Environment)
	}
	if w.Engine.away(ctx, of) != nil {
		return names, ctx.Err()
	}
	d, err := w.Engine.of(of)
	if err != nil || d == nil {
		return names, err
	}
	contained, err := d.Places(ctx, of)
	return append(names, contained...), err
}

// processes is the driver of what is no container.
func (w *World) processes() driver.Driver {
	if d, ok := w.Driver.(Drivers); ok {
		return d.Processes
	}
	return w.Driver
}
