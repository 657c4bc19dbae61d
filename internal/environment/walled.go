package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/edge"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/wall"
)

// The containers of a stage that is to hold production's data are in networks of the Engine that have no way out, and
// between each of these and the machine stands a wall. Edge and daemon reach the containers, whose answers come through; what
// is no container of the stage is in the stage's network namespace, as it is where services are processes, and there the
// edge listens for it.

// nobodyToAsk is whom the Engine asks for the names that it does not know: in each container's own network, where nobody
// listens. Before version 26 it would ask the machine's own server of names for a container that has no way out
// (CVE-2024-29018).
var nobodyToAsk = netip.AddrFrom4([4]byte{127, 83, 71, 53})

// engineNames is where containers ask the Engine for names.
const engineNames = "127.0.0.11:53"

// wallName is the name of the network with which it is tried whether a wall can be built. No release's short digest is it.
const wallName = "wall"

func wallOf(n docker.Network) wall.Wall {
	return wall.Wall{Bridge: n.Bridge, Address: netip.PrefixFrom(n.Gateway, n.Subnet.Bits())}
}

// walled makes a network of a stage that is in one of its own, or one as all others.
func (e *Environment) walled(ctx context.Context, d *docker.Driver, name string) (docker.Network, error) {
	inside, err := e.network(ctx)
	if err != nil {
		return docker.Network{}, err
	}
	n, err := d.EnsureNetwork(ctx, e.App, e.Name, name, inside != "")
	if err != nil || inside == "" {
		return n, err
	}
	return n, wallOf(n).Build()
}

// seal is what a container of a stage that is in a network of its own has to have beside its own settings.
func (e *Environment) seal(ctx context.Context, s app.Service, c *driver.Container) error {
	inside, err := e.network(ctx)
	if err != nil || inside == "" {
		return err
	}
	why, err := breaksOut(s)
	if err != nil {
		return err
	}
	if why != "" {
		return e.refused(why)
	}
	c.DNS = []netip.Addr{nobodyToAsk}
	return nil
}

// breaksOut says which setting of a service lets its container around every wall; "" for none.
func breaksOut(s app.Service) (string, error) {
	for _, setting := range s.Dangers() {
		if !strings.HasPrefix(setting, "volumes ") {
			return fmt.Sprintf("service %s has %s, which is a way around every wall", s.Name, setting), nil
		}
	}
	if s.Container == nil {
		return "", nil
	}
	for _, m := range s.Container.Mounts {
		if m.Path == "" {
			continue
		}
		what, err := leadsOut(m.Path)
		if err != nil {
			return "", err
		}
		if what != "" {
			return fmt.Sprintf("service %s has volumes %s, in which is %s", s.Name, m.Path, what), nil
		}
	}
	return "", nil
}

// systems are the folders by which the machine itself is changed and spoken to.
var systems = []string{"/dev", "/proc", "/run", "/sys"}

// leadsOut says what of a folder of the machine leads out of a container that has it: the machine's own files of that kind,
// or the socket of a program; "" for nothing.
func leadsOut(folder string) (string, error) {
	paths := []string{filepath.Clean(folder), followed(filepath.Clean(folder))}
	there, err := machineSockets()
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		for _, s := range systems {
			if inFolder(s, p) || inFolder(p, s) {
				return "the machine's " + s, nil
			}
		}
		for _, a := range there {
			if inFolder(a.try.Address, p) {
				return "the socket " + a.try.Address, nil
			}
		}
	}
	return "", nil
}

// followed is where a path leads, as far as it is there.
func followed(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || path == "/" {
		return real
	}
	dir, name := filepath.Split(path)
	return filepath.Join(followed(filepath.Clean(dir)), name)
}

// inFolder says whether a path is in a folder, or the folder.
func inFolder(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// canBeWalled says, as a noNetwork, why no wall would keep the stage's containers in.
func (e *Environment) canBeWalled(ctx context.Context) error {
	for _, s := range e.contained {
		why, err := breaksOut(s)
		if err != nil {
			return err
		}
		if why != "" {
			return noNetwork{errors.New(why)}
		}
	}
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return err
	}
	return e.world.Engine.walls(func() error { return e.tryWall(ctx, d) })
}

// tryWall builds a wall for a network of the Engine, and takes both away again.
func (e *Environment) tryWall(ctx context.Context, d *docker.Driver) error {
	n, err := d.EnsureNetwork(ctx, e.App, e.Name, wallName, true)
	if err != nil {
		return err
	}
	built := wallOf(n).Build()
	if p := problem.From(built); p != nil && p.Code == problem.Unavailable {
		built = noNetwork{built}
	}
	return errors.Join(built, d.RemoveNetworks(ctx, e.App, e.Name, func(name string) bool { return name != wallName }))
}

// walls remembers why walls can't be built for the Engine's networks: that does not change while this process runs.
func (e *Engine) walls(try func() error) error {
	e.wall.Lock()
	defer e.wall.Unlock()
	if e.tried {
		return e.noWall
	}
	err := try()
	var none noNetwork
	if err == nil || errors.As(err, &none) {
		e.tried, e.noWall = true, err
	}
	return err
}

// rebuild makes sure that the walls of all networks of the stage stand: the Engine may have made a bridge anew since.
func (e *Environment) rebuild(ctx context.Context) error {
	all, err := e.internal(ctx)
	for _, n := range all {
		err = errors.Join(err, wallOf(n).Build())
	}
	return err
}

// internal are the stage's networks in the Engine that have no way out.
func (e *Environment) internal(ctx context.Context) ([]docker.Network, error) {
	d, err := e.world.Engine.of(e.App)
	if err != nil || d == nil || runtime.GOOS != "linux" {
		return nil, err
	}
	return d.InternalNetworks(ctx, e.App, e.Name)
}

// databaseRoute is how what is in the stage's network namespace, such as its checks, reaches a database server that is a
// container; none where the stage has no namespace, or its server is in it.
func (e *Environment) databaseRoute(ctx context.Context, t Traffic) ([]edge.Route, error) {
	there, err := e.namespace().Exists()
	if err != nil || !there {
		return nil, err
	}
	for _, r := range t.Running {
		if _, ok := databaseContainer(r); !ok {
			continue
		}
		to, err := e.serverAddress(ctx, r)
		if err != nil {
			return nil, err
		}
		route := edge.Route{Name: e.serverRoute(r), Protocol: edge.TCP, Internal: true, Pools: []edge.Pool{{
			Release: string(r.Digest()), Weight: 100, Backends: []edge.Backend{{ID: e.serverID(r), Network: "tcp", Address: to}},
		}}}
		route.Listen, err = e.listen(ctx, route.Name)
		return []edge.Route{route}, err // a stage has one server, whatever runs there
	}
	return nil, nil
}

// serverRoute is the name of the database server's route.
func (e *Environment) serverRoute(r release.Release) string {
	return e.RouteName() + "/" + e.serverName(r) + serverSuffix
}

// serverWithin is the database server's address for a process of the environment's: in the stage's network namespace, where
// it has one.
func (e *Environment) serverWithin(ctx context.Context, r release.Release) (string, error) {
	there, err := e.namespace().Exists()
	if _, ok := databaseContainer(r); err != nil || !there || !ok {
		address, addressErr := e.serverAddress(ctx, r)
		return address, errors.Join(err, addressErr)
	}
	addresses, err := e.listen(ctx, e.serverRoute(r))
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}

// The kinds of what is tried where walls are: silence is what is to be seen there, of somebody who answers this machine at
// once.
var (
	walledOff = kind{decoys.what, silent(decoys)}
	neighbors = kind{others.what, silent(others)}
	// Older Engines give a container a default route, by an address that nobody has.
	gateless      = kind{abroad.what, lost(abroad)}
	namesGateless = kind{names.what, lost(names)}
	datagrams     = kind{"datagrams to the machine", unheardOf}
	resolvers     = kind{lookups.what, unresolved}
)

// silent is the judge of another kind's tries where no answer shows that nobody was reached.
func silent(k kind) func(netns.Answer) (evidence.Verdict, string) {
	return func(a netns.Answer) (evidence.Verdict, string) {
		if a.Late && !a.Reached {
			return evidence.Pass, "no answer"
		}
		return k.judge(a)
	}
}

// lost is the judge of another kind's tries where the way leads by a neighbour that is not there.
func lost(k kind) func(netns.Answer) (evidence.Verdict, string) {
	return func(a netns.Answer) (evidence.Verdict, string) {
		if a.Errno == syscall.EHOSTUNREACH && !a.Reached && !a.Late {
			return evidence.Pass, a.Error
		}
		return k.judge(a)
	}
}

// unheardOf is the judge of a datagram, of which it was seen whether it came to the machine.
func unheardOf(a netns.Answer) (evidence.Verdict, string) {
	switch {
	case a.Reached:
		return evidence.Fail, "it came through"
	case a.Sent:
		return evidence.Pass, "it did not come through"
	}
	return gateless.judge(a)
}

// unresolved is the judge of a name for which the Engine was asked.
func unresolved(a netns.Answer) (evidence.Verdict, string) {
	switch {
	case a.Reached:
		return evidence.Fail, "somebody answered: " + a.Error
	case a.Own || a.Refused:
		return evidence.Pass, "the Engine asks nobody outside"
	}
	return names.judge(a)
}

// place is one from which things are tried.
type place struct {
	from     string // what is there, for a person
	file     string // of its network namespace
	attempts []attempt
	close    func() error
}

// testWalls tries from inside each network of the stage, and from each container that runs, to get out.
func (e *Environment) testWalls(ctx context.Context, u account.User) (evidence.Isolation, error) {
	if len(e.contained) > 0 { // before anything of it runs, too
		d, err := e.world.Engine.begin(e.App)
		if err == nil {
			_, err = e.commonNetwork(ctx, d)
		}
		if err != nil {
			return evidence.Isolation{}, err
		}
	}
	networks, err := e.internal(ctx)
	if err != nil || len(networks) == 0 {
		return evidence.Isolation{Isolated: true}, err
	}
	w, err := e.surveyWalls(ctx, networks)
	if err == nil {
		defer w.close()
		err = e.places(ctx, w)
	}
	proofs := make([]evidence.Isolation, len(w.places))
	if err == nil {
		err = each(len(w.places), func(i int) (err error) {
			proofs[i], err = e.tryFrom(ctx, u, w, w.places[i])
			return err
		})
	}
	if ctx.Err() != nil {
		return evidence.Isolation{}, ctx.Err()
	}
	if err != nil {
		return evidence.Isolation{Because: fmt.Sprintf("the self-test from inside the containers' networks proves nothing: %v", err)}, nil
	}
	return together(proofs...), nil
}

// tryFrom has everything of a place tried from there.
func (e *Environment) tryFrom(ctx context.Context, u account.User, w *wallSurvey, p place) (evidence.Isolation, error) {
	tries := make([]netns.Try, len(p.attempts))
	for i, a := range p.attempts {
		tries[i] = a.try
	}
	answers, err := e.probe(ctx, p.file, u, tries)
	if err == nil && answers.Fault != "" {
		err = errors.New(answers.Fault)
	}
	if err == nil {
		err = w.ear.Listens(ctx)
	}
	if err != nil {
		return evidence.Isolation{}, fmt.Errorf("from %s: %w", p.from, err)
	}
	for i, t := range tries {
		if t.Network == "datagram" {
			answers.Answers[i].Reached = w.ear.Heard(t)
		}
	}
	facts := append([]evidence.Fact{w.inPlace(p, answers)}, found(p.attempts, answers)...)
	for i := range facts {
		if facts[i].Verdict != evidence.Pass {
			facts[i].Tried = "from " + p.from + ", " + facts[i].Tried
		}
	}
	return proven(facts), nil
}

// wallSurvey is what is tried from inside the containers' networks, and what listens for it meanwhile.
type wallSurvey struct {
	survey
	ear      *netns.Ear
	networks []docker.Network
	own      []attempt // the stage's containers that listen
	places   []place
}

func (w *wallSurvey) close() {
	w.survey.close()
	if w.ear != nil {
		w.ear.Close()
	}
	for _, p := range w.places {
		_ = p.close() // it was only for the test
	}
}

// surveyWalls looks at the machine for all that must not be reached from behind the walls.
func (e *Environment) surveyWalls(ctx context.Context, networks []docker.Network) (w *wallSurvey, err error) {
	w = &wallSurvey{networks: networks}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.layOut(ctx); err != nil {
		return w, err
	}
	if err := e.addOthers(ctx, &w.survey); err != nil {
		return w, err
	}
	w.attempts = slices.DeleteFunc(w.attempts, func(a attempt) bool { // there it is somebody's own
		at, err := netip.ParseAddrPort(a.try.Address)
		return err == nil && at.Addr().IsLoopback()
	})
	for i := range w.attempts {
		switch a := &w.attempts[i]; a.kind.what {
		case decoys.what:
			a.kind = walledOff
		case others.what:
			a.kind = neighbors
		}
	}
	if w.ear, err = netns.NewEar(); err != nil {
		return w, err
	}
	return w, w.ear.Listens(ctx)
}

// attemptsFrom are what is tried from everywhere behind a wall: what the machine listens on, and datagrams to its addresses
// and to all.
func (w *wallSurvey) attemptsFrom() ([]attempt, error) {
	all := slices.Clone(w.attempts)
	targets := []netip.Addr{netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	for _, n := range w.networks {
		last := numberOf(n.Subnet.Masked().Addr()) + 1<<(32-n.Subnet.Bits()) - 1
		targets = append(targets, addressOf(last))
	}
	here, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range here {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		if at, ok := netip.AddrFromSlice(n.IP); ok {
			targets = append(targets, at.Unmap())
		}
	}
	for _, at := range targets {
		all = append(all, attempt{kind: datagrams, try: w.ear.At(at)})
	}
	return all, nil
}

// places finds all that there is to try from: each network, and each container that runs. The walls have to stand.
func (e *Environment) places(ctx context.Context, w *wallSurvey) error {
	d, err := e.world.Engine.begin(e.App)
	if err != nil {
		return err
	}
	running, err := d.List(ctx, driver.Filter{App: e.App, Environment: e.Name})
	if err != nil {
		return err
	}
	for _, st := range running {
		if st.Phase == driver.Healthy && st.Listen.Network == "tcp" {
			w.own = append(w.own, attempt{kind: own, try: netns.Try{Network: "tcp", Address: st.Listen.Address}})
		}
	}
	for _, n := range w.networks {
		if err := wallOf(n).Check(); err != nil {
			return err
		}
		p, err := e.plug(ctx, w, n)
		if err != nil {
			return err
		}
		w.places = append(w.places, p)
	}
	for _, st := range running {
		p, there, err := w.inContainer(ctx, d, st)
		if err != nil {
			return err
		}
		if there {
			w.places = append(w.places, p)
		}
	}
	return nil
}

// plug is a place in a network, with a route to everywhere that no container has: what is silent there is so because of the
// wall.
func (e *Environment) plug(ctx context.Context, w *wallSurvey, n docker.Network) (place, error) {
	at, err := e.world.Store.Reserve(ctx, replicaKey(e.App+"."+e.Name+".probe."+n.ID), func(taken func(int) bool) (int, error) {
		return freeIn(n.Subnet, taken)
	})
	if err != nil {
		return place{}, err
	}
	attempts, err := w.attemptsFrom()
	if err != nil {
		return place{}, err
	}
	for _, a := range w.own {
		if to, err := netip.ParseAddrPort(a.try.Address); err == nil && n.Subnet.Contains(to.Addr()) {
			attempts = append(attempts, a)
		}
	}
	p, err := wallOf(n).Plug(addressOf(at))
	if err != nil {
		return place{}, err
	}
	if there, err := w.byLinkLocal(n); err != nil {
		return place{}, errors.Join(err, p.Close())
	} else if there != nil {
		attempts = append(attempts, *there)
	}
	return place{from: "the network " + n.Name, file: p.File(), attempts: attempts, close: p.Close}, nil
}

// byLinkLocal is the try of a listener on all addresses at the one that IPv6 gave the bridge; nil where it has none.
func (w *wallSurvey) byLinkLocal(n docker.Network) (*attempt, error) {
	at, err := wallOf(n).LinkLocal()
	if err != nil || at == "" {
		return nil, err
	}
	d, err := netns.NewDecoy("tcp", "[::]:0")
	if err != nil {
		return nil, err
	}
	w.decoys = append(w.decoys, d)
	_, port, err := net.SplitHostPort(d.Try.Address)
	t := d.Try
	t.Address = net.JoinHostPort(at, port)
	return &attempt{kind: walledOff, try: t}, err
}

// inContainer is a place in a container's own network namespace; there is false where it does not run.
func (w *wallSurvey) inContainer(ctx context.Context, d *docker.Driver, st driver.Status) (p place, there bool, err error) {
	ns, err := namespaceOf(ctx, d, st.ID)
	if err != nil || ns == nil {
		return place{}, false, err
	}
	attempts, err := w.attemptsFrom()
	if err != nil {
		return place{}, false, errors.Join(err, ns.Close())
	}
	add := func(k kind, t netns.Try) { attempts = append(attempts, attempt{kind: k, try: t}) }
	add(gateless, netns.Try{Network: "tcp", Address: outside4, Patient: true})
	add(gateless, netns.Try{Network: "tcp", Address: outside6, Patient: true})
	for _, server := range nameservers() { // by TCP: who sends a datagram is not told that its way is lost
		add(namesGateless, netns.Try{Network: "tcp", Address: server, Patient: true})
	}
	add(resolvers, netns.Try{Network: "resolver", Address: engineNames, Token: netip.AddrPortFrom(nobodyToAsk, 53).String()})
	return place{from: st.ID, file: fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), attempts: append(attempts, w.own...), close: ns.Close}, true, nil
}

// namespaceOf is the network namespace of a container; nil where it does not run.
func namespaceOf(ctx context.Context, d *docker.Driver, id string) (*os.File, error) {
	for {
		st, err := d.Status(ctx, id)
		if errors.Is(err, driver.ErrNotFound) || err == nil && st.PID == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		f, openErr := os.Open(fmt.Sprintf("/proc/%d/ns/net", st.PID))
		again, err := d.Status(ctx, id)
		if openErr == nil && err == nil && again.PID == st.PID { // else the number may be another process's by now
			return f, nil
		}
		if openErr == nil {
			openErr = f.Close()
		}
		if err == nil && again.PID == st.PID {
			return nil, openErr
		}
	}
}

// inPlace is the fact that the test was in the stage's networks and in no other.
func (w *wallSurvey) inPlace(p place, answers netns.Answers) evidence.Fact {
	f := evidence.Fact{What: "networks but the stage's", Tried: "the list of addresses", Found: "none", Verdict: evidence.Pass, Count: 1}
	own, err := os.Readlink("/proc/self/ns/net")
	foreign := slices.DeleteFunc(slices.Clone(answers.Addresses), func(a string) bool {
		at, err := netip.ParsePrefix(a)
		return err == nil && slices.ContainsFunc(w.networks, func(n docker.Network) bool { return n.Subnet.Contains(at.Addr()) })
	})
	switch {
	case err != nil || answers.Namespace == "":
		f.Found, f.Verdict = "it is not known in which network the test was", evidence.Inconclusive
	case own == answers.Namespace:
		f.Found, f.Verdict = "the network is the machine's own", evidence.Fail
	case len(answers.Addresses) == 0:
		f.Found, f.Verdict = "it has no address, so that nothing is reached proves nothing", evidence.Inconclusive
	case len(foreign) > 0:
		f.Found, f.Verdict = strings.Join(foreign, ", "), evidence.Fail
	}
	return f
}
