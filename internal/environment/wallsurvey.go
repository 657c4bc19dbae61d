package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"greenroom/internal/account"
	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
)

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
	replica  driver.Status // the container, where the place is one
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
			proofs[i], err = e.tryPatiently(ctx, u, w, w.places[i])
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

// mostRestarts is how often a container may end while things are tried from it.
const mostRestarts = 3

// tryPatiently is tryFrom, and tries again from a container that was started anew meanwhile: its network was taken from it.
func (e *Environment) tryPatiently(ctx context.Context, u account.User, w *wallSurvey, p place) (evidence.Isolation, error) {
	for n := 0; ; n++ {
		proof, err := e.tryFrom(ctx, u, w, p)
		if err == nil && (proof.Isolated || gotOut(proof)) || p.replica.ID == "" || n == mostRestarts || ctx.Err() != nil {
			return proof, err
		}
		d, engineErr := e.world.Engine.Driver()
		if engineErr != nil {
			return proof, engineErr
		}
		was := p.replica.PID
		next, there, againErr := w.inContainer(ctx, d, p.replica)
		switch {
		case againErr != nil:
			return proof, againErr
		case !there: // it ended, and is no place any more
			return evidence.Isolation{Isolated: true}, nil
		}
		defer next.close() //nolint:errcheck // it was only for the test
		if next.replica.PID == was {
			return proof, err
		}
		p = next
	}
}

// gotOut says whether something was reached from a place: then it does not matter what became of that meanwhile.
func gotOut(proof evidence.Isolation) bool {
	return slices.ContainsFunc(proof.Facts, func(f evidence.Fact) bool { return f.Verdict == evidence.Fail })
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
	st, ns, err := namespaceOf(ctx, d, st.ID)
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
	p = place{from: st.ID, file: fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), attempts: append(attempts, w.own...), close: ns.Close, replica: st}
	return p, true, nil
}

// namespaceOf is a container as it is now, and its network namespace; nil where it does not run.
func namespaceOf(ctx context.Context, d *docker.Driver, id string) (driver.Status, *os.File, error) {
	for {
		st, err := d.Status(ctx, id)
		if errors.Is(err, driver.ErrNotFound) || err == nil && st.PID == 0 {
			return st, nil, nil
		}
		if err != nil {
			return st, nil, err
		}
		f, openErr := os.Open(fmt.Sprintf("/proc/%d/ns/net", st.PID))
		again, err := d.Status(ctx, id)
		if openErr == nil && err == nil && again.PID == st.PID { // else the number may be another process's by now
			return st, f, nil
		}
		if openErr == nil {
			openErr = f.Close()
		}
		if err == nil && again.PID == st.PID {
			return st, nil, openErr
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
