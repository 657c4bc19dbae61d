package environment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/edge"
	"greenroom/internal/netns"
	"greenroom/internal/problem"
)

// A stage that is to hold production's data has a network of its own: a namespace in which there is nothing but what runs
// of the stage. Everything of it is started there and nothing outside, its database server and its checks too. The edge
// reaches in through the network's broker, the daemon reaches the database by its unix socket.

// brokerName is the broker among the services of a stage, and ends its id.
const brokerName = "broker"

func (e *Environment) brokerID() string { return e.App + "." + e.Name + "." + brokerName }

func (e *Environment) namespace() netns.Network {
	return netns.At(e.world.Home.Network(e.App, e.Name))
}

// secluded says whether everything of the environment has to be in a network of its own. A stage that has one stays in it,
// whatever the policy says by now.
func (e *Environment) secluded() (bool, error) {
	if !e.Stage {
		return false, nil
	}
	if e.Settings.Data != nil {
		return true, nil
	}
	return e.namespace().Exists()
}

// network is the file of the network namespace in which all of the environment runs; "" for the machine's own network. It
// is there, with its broker, when network returns. Where a stage with production's data can't have one, it is an error, so
// that nothing of it is ever started outside, unless the definition accepts that.
func (e *Environment) network(ctx context.Context) (string, error) {
	if secluded, err := e.secluded(); err != nil || !secluded {
		return "", err
	}
	err := e.ensureNetwork(ctx)
	var none noNetwork
	switch {
	case err == nil:
		return e.namespace().File(), nil
	case errors.As(err, &none) && e.accepted() != "":
		return "", nil
	case errors.As(err, &none):
		return "", e.refused(none.Error())
	}
	return "", err
}

// accepted is why production's data may be where processes can reach the network, in the definition's words; "": it may
// not.
func (e *Environment) accepted() string {
	if e.Settings.Data == nil {
		return ""
	}
	return e.Settings.Data.NotIsolated
}

// refused says that production's data may not come here.
func (e *Environment) refused(because string) error {
	return problem.New(problem.Blocked, "production's data does not come to a stage that is not isolated, and this one is not: %s", because).
		WithHint(`repair that, or accept it in greenroom.yaml: environments: {%s: {data: {not_isolated: "why it may be all the same"}}}, then: greenroom apply`, e.like)
}

// noNetwork is why a stage can have no network of its own on this machine.
type noNetwork struct{ error }

func (n noNetwork) Unwrap() error { return n.error }

// ensureNetwork makes sure that the network is there and its broker runs. The error is a noNetwork where there is none and
// can be none; a stage that is in one already is never told so.
func (e *Environment) ensureNetwork(ctx context.Context) error {
	defer e.world.networks.lock(e.App)()
	there, err := e.namespace().Exists()
	if err != nil {
		return err
	}
	if there {
		if err := e.rebuild(ctx); err != nil {
			return err
		}
		return e.startBroker(ctx)
	}
	if err := e.canBeSecluded(ctx); err != nil {
		return err
	}
	if err := e.namespace().Make(); err != nil {
		return noNetwork{err}
	}
	err = e.startBroker(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// What runs nowhere would be taken for a network that the stage is in.
	if err := errors.Join(e.world.Driver.Stop(ctx, e.brokerID()), e.namespace().Remove()); err != nil {
		return err
	}
	return noNetwork{fmt.Errorf("nothing can be started in a network of its own: %w", err)}
}

func (e *Environment) startBroker(ctx context.Context) error {
	if _, err := e.world.Driver.Start(ctx, e.broker()); err != nil {
		return err
	}
	_, err := e.world.Driver.Wait(ctx, e.brokerID())
	return err
}

// canBeSecluded says, as a noNetwork, why a network of its own would keep nobody in.
func (e *Environment) canBeSecluded(ctx context.Context) error {
	if inRun(string(e.world.Home)) {
		return noNetwork{errors.New("the state folder lies in /run, of which a stage in a network of its own sees nothing")}
	}
	if _, err := e.prepare(ctx); err != nil {
		return err
	}
	if _, err := e.resident(); err != nil {
		return noNetwork{fmt.Errorf("it has no system user of its own, and the daemon's could leave a network: %w", err)}
	}
	if len(e.contained) == 0 {
		return nil
	}
	return e.canBeWalled(ctx)
}

func inRun(dir string) bool {
	return strings.HasPrefix(dir, "/run/") || strings.HasPrefix(dir, "/var/run/")
}

// broker is the process through which the edge reaches into the network. It outlives a control plane, and is listed and
// stopped like all that runs of the stage.
func (e *Environment) broker() driver.Spec {
	n := e.namespace()
	return driver.Spec{
		ID: e.brokerID(), App: e.App, Environment: e.Name, Service: brokerName,
		Command: e.world.inside("serve"), Dir: n.Dir(), Env: map[string]string{"PATH": defaultPath}, Network: n.File(),
		Listen:  driver.Endpoint{Network: "unix", Address: n.Broker()},
		Health:  app.Health{TCP: true, Interval: time.Second, Timeout: 2 * time.Second, Retries: 3, Start: 30 * time.Second},
		Stop:    app.Stop{Grace: time.Second},
		Restart: true,
	}
}

// inside is a command of this program that runs inside a stage's network.
func (w *World) inside(what string) []string {
	return []string{w.Program, "--home", string(w.Home), "network", "--", what}
}

// appLocks are one lock for each app: nobody waits for another app's Engine.
type appLocks struct{ of sync.Map }

func (l *appLocks) lock(app string) (unlock func()) {
	one, _ := l.of.LoadOrStore(app, new(sync.Mutex))
	m := one.(*sync.Mutex)
	m.Lock()
	return m.Unlock
}

// endNetwork takes the network away when nothing of the environment runs any more.
func (e *Environment) endNetwork() error {
	defer e.world.networks.lock(e.App)()
	if err := e.namespace().Remove(); err != nil {
		return err
	}
	// The folder of the app's networks, as long as no other is in it.
	_ = os.Remove(e.world.Home.Network(e.App, ""))
	return nil
}

// seclude puts routes into the stage's network, where it has one. What people look at is outside too, at the same address;
// what services ask one another is inside alone.
func (e *Environment) seclude(routes []edge.Route) error {
	there, err := e.namespace().Exists()
	if err != nil || !there {
		return err
	}
	broker := e.namespace().Broker()
	for i := range routes {
		r := &routes[i]
		r.Inside = &edge.Inside{Broker: broker, Listen: r.Listen}
		if r.Internal {
			r.Listen = nil
		}
		for p := range r.Pools {
			for b := range r.Pools[p].Backends {
				if at, err := netip.ParseAddrPort(r.Pools[p].Backends[b].Address); err == nil && at.Addr().IsLoopback() { // else it is a container's
					r.Pools[p].Backends[b].Broker = broker
				}
			}
		}
	}
	return nil
}
