package environment

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/release"
)

// A container that must not run twice, such as a cache, goes on when another release comes that has the same one: its replicas
// are named by what they are in place of their release, so that both releases mean the same ones. Others find it by its name in
// the environment's network; it finds them in the networks of the releases that run, in which it is besides.

// identity is what tells a service's replicas apart from those of the same service in other releases.
func identity(r release.Release, s app.Service) string {
	if !r.Contents.Lasting(s) {
		return r.Digest().Short()
	}
	text, err := json.Marshal(struct {
		Service app.Service
		Files   release.Digest
	}{s, r.Files["service/"+s.Name].Digest})
	if err != nil { // only texts, numbers and lists of them
		panic("service " + s.Name + ": " + err.Error())
	}
	return release.Of(text).Short()
}

// Shared are the services of a release that are the same ones in another release: whoever stops them stops both.
func Shared(r, other release.Release) (names []string) {
	for _, s := range r.Contents.Services {
		if !s.Released() || !r.Contents.Lasting(s) {
			continue
		}
		if o, ok := other.Contents.Service(s.Name); ok && other.Contents.Lasting(o) && identity(r, s) == identity(other, o) {
			names = append(names, s.Name)
		}
	}
	return names
}

// Stays are the services that run for the live release and can go on as they are for the next one: neither they nor what the
// environment gives them have changed.
func (e *Environment) Stays(ctx context.Context, next, live release.Release) (names []string, err error) {
	shared := Shared(next, live)
	if len(shared) == 0 {
		return nil, nil
	}
	if err := e.world.Engine.away(ctx, e.App); err != nil {
		return nil, err
	}
	v, err := e.variables(ctx, live) // what is there for the live one: nothing is made for a plan
	if err != nil {
		return nil, err
	}
	v.contents, v.config = next.Contents, e.config(next.Contents)
	for _, name := range shared {
		s, _ := next.Contents.Service(name)
		same, err := e.runsAs(ctx, next, s, v)
		if err != nil {
			return nil, err
		}
		if same {
			names = append(names, name)
		}
	}
	return names, nil
}

// Strayed are those of the services, which were found to stay as they are, of which that is not true any more: what the environment
// gives them has changed since, such as a secret, or they do not run.
func (e *Environment) Strayed(ctx context.Context, r release.Release, services []string) (changed, gone []string, err error) {
	v, err := e.variables(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range services {
		s, _ := r.Contents.Service(name)
		is, err := e.compared(ctx, r, s, v)
		switch {
		case err != nil:
			return nil, nil, err
		case is == differs:
			changed = append(changed, name)
		case is == absent:
			gone = append(gone, name)
		}
	}
	return changed, gone, nil
}

// comparison is how what runs of a service stands to what would be started now.
type comparison int

const (
	equal   comparison = iota
	differs            // one of its replicas at least
	absent             // one of its replicas at least does not run
)

// runsAs says whether all replicas of a service run, as they would be started now.
func (e *Environment) runsAs(ctx context.Context, r release.Release, s app.Service, v variables) (bool, error) {
	is, err := e.compared(ctx, r, s, v)
	return is == equal, err
}

func (e *Environment) compared(ctx context.Context, r release.Release, s app.Service, v variables) (comparison, error) {
	all := equal
	for i := range e.Settings.Scale.Of(s.Replicas) {
		is, err := e.world.Driver.Status(ctx, e.replicaID(r, s, i))
		if errors.Is(err, driver.ErrNotFound) || err == nil && is.Phase == driver.Exited {
			return absent, nil
		}
		if err != nil {
			return absent, err
		}
		spec, err := e.spec(ctx, r, s, v, i)
		if err != nil {
			return absent, err
		}
		want, err := driver.SpecDigest(spec)
		if err != nil {
			return absent, err
		}
		if is.Spec != want {
			all = differs
		}
	}
	return all, nil
}

// asLasting makes the spec of a service that outlives releases the same for each of them.
func (e *Environment) asLasting(spec *driver.Spec, s app.Service, v variables) {
	spec.Release = ""
	delete(spec.Env, "GREENROOM_RELEASE")
	for _, name := range slices.Sorted(slices.Values(s.Secrets)) {
		spec.Keyed += e.world.Secrets.Fingerprint(name, v.secrets[name])
	}
}

// join puts a replica that outlives releases into the network of one that it runs for from now on as well.
func (e *Environment) join(ctx context.Context, r release.Release, id string) error {
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return err
	}
	own, err := e.engineNetwork(ctx, d, r.Digest().Short())
	if err != nil {
		return err
	}
	return d.Join(ctx, id, own.ID)
}
