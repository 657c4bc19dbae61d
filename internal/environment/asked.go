package environment

import (
	"sync"

	"greenroom/internal/driver/docker"
)

// asked is what was found in the Engine, or put there, so that it is asked once and not for each replica. It lasts as long as the
// value of the environment, which is one step of a run or one pass of the reconciliation.
type asked struct {
	mu       sync.Mutex
	networks map[string]docker.Network // by their names in the environment
	images   map[string]bool
}

// network is the network of that name, which find finds or makes.
func (a *asked) network(name string, find func() (docker.Network, error)) (docker.Network, error) {
	if a == nil {
		return find()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, ok := a.networks[name]; ok {
		return n, nil
	}
	n, err := find()
	if err != nil {
		return n, err
	}
	if a.networks == nil {
		a.networks = map[string]docker.Network{}
	}
	a.networks[name] = n
	return n, nil
}

// image makes sure that an image is there.
func (a *asked) image(id string, bring func() error) error {
	if a == nil {
		return bring()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.images[id] {
		return nil
	}
	if err := bring(); err != nil {
		return err
	}
	if a.images == nil {
		a.images = map[string]bool{}
	}
	a.images[id] = true
	return nil
}

// forget is for when something was taken away.
func (a *asked) forget() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.networks, a.images = nil, nil
}
