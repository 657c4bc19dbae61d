package environment

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"greenroom/internal/driver"
	"greenroom/internal/evidence"
	"greenroom/internal/human"
	"greenroom/internal/netns"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// What the self-test tries. Addresses outside are those that are reserved for documentation (RFC 5737, RFC 3849), so that
// a stage which is not isolated sends nobody anything.
const (
	outside4 = "192.0.2.1:443"
	outside6 = "[2001:db8::1]:443"
	names4   = "192.0.2.1:53"
	nobodys  = "example.com" // RFC 2606
	vsock    = "40"          // AF_VSOCK, by which a virtual machine speaks to its host
)

// kind is what one kind of try has to show.
type kind struct {
	what  string
	judge func(netns.Answer) (evidence.Verdict, string)
}

// The kinds, in the words of the proof.
var (
	abroad  = kind{"addresses outside the machine", never(syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT)}
	decoys  = kind{"listeners of the machine", never(syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT)}
	others  = kind{"addresses of other environments", decoys.judge}
	names   = kind{"servers of names", never(syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT)}
	foreign = kind{"kinds of sockets without a namespace", never(syscall.EAFNOSUPPORT, syscall.EPERM)}
	lookups = kind{"names looked up", unnamed}
	sockets = kind{"unix sockets of other programs", never(syscall.ECONNREFUSED, syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR)}
	apis    = kind{"requests to Greenroom", unheard}
	own     = kind{evidence.OwnServices, reached}
)

// never is the judge of what must not be reached: nothing but these errors, which come at once, shows that.
func never(errnos ...syscall.Errno) func(netns.Answer) (evidence.Verdict, string) {
	return func(a netns.Answer) (evidence.Verdict, string) {
		switch {
		case a.Reached && a.Other:
			return evidence.Inconclusive, "somebody else answered there"
		case a.Reached:
			return evidence.Fail, "it was reached"
		case a.Late:
			return evidence.Inconclusive, "no answer in " + human.Duration(netns.TryTime) + ", which proves nothing"
		case slices.Contains(errnos, a.Errno):
			return evidence.Pass, a.Error
		}
		return evidence.Inconclusive, a.Error + ", which proves nothing"
	}
}

// unnamed is the judge of a name that was looked up. That nobody can be asked has no number of its own.
func unnamed(a netns.Answer) (evidence.Verdict, string) {
	switch {
	case a.Reached:
		return evidence.Fail, "somebody answered"
	case a.Late || a.Error == "":
		return evidence.Inconclusive, "no answer in " + human.Duration(netns.TryTime) + ", which proves nothing"
	}
	return evidence.Pass, a.Error
}

// unheard is the judge of a request to the API: the socket is closed to the stage's user, or Greenroom says that it may
// not.
func unheard(a netns.Answer) (evidence.Verdict, string) {
	if a.Refused {
		return evidence.Pass, "refused"
	}
	if a.Reached {
		return evidence.Fail, "it answered: " + a.Error
	}
	return sockets.judge(a)
}

func reached(a netns.Answer) (evidence.Verdict, string) {
	if a.Reached {
		return evidence.Pass, "reached"
	}
	return evidence.Inconclusive, "it can't be reached: " + a.Error
}

// attempt is one try, and what it has to show.
type attempt struct {
	kind   kind
	try    netns.Try
	inodes []uint64 // of the sockets that are bound to that path
	remedy string   // what is to be done where it shows a fault; "" where that follows from what it is
}

func (a attempt) tried() string { return a.try.Network + " " + a.try.Address }

// survey is all that is tried, and what listens for it meanwhile.
type survey struct {
	attempts []attempt
	decoys   []*netns.Decoy
}

func (s *survey) add(k kind, network, address string) {
	s.attempts = append(s.attempts, attempt{kind: k, try: netns.Try{Network: network, Address: address}})
}

func (s *survey) tries() []netns.Try {
	tries := make([]netns.Try, len(s.attempts))
	for i, a := range s.attempts {
		tries[i] = a.try
	}
	return tries
}

func (s *survey) close() {
	for _, d := range s.decoys {
		d.Close()
	}
}

// survey looks at the machine for all that must not be reached, and proves for its own listeners that from outside they
// can be. Addresses of others are tried only while nothing of the stage runs, which may have the same inside.
func (e *Environment) survey(ctx context.Context, running *release.Release) (s *survey, err error) {
	s = &survey{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.add(abroad, "tcp", outside4)
	s.add(abroad, "tcp", outside6)
	s.add(abroad, "udp", names4)
	s.add(foreign, "family", vsock)
	s.add(lookups, "name", nobodys)
	for _, server := range nameservers() {
		s.add(names, "udp", server)
	}
	if err := s.layOut(ctx); err != nil {
		return s, err
	}
	s.add(apis, "http", e.world.Home.Socket())
	there, err := machineSockets()
	if err != nil {
		return s, err
	}
	for _, a := range there {
		if a.try.Address != e.world.Home.Socket() {
			s.attempts = append(s.attempts, a)
		}
	}
	if running != nil {
		return s, e.addOwn(ctx, s, *running)
	}
	return s, e.addOthers(ctx, s)
}

// layOut makes decoys at every address that the machine has, and an abstract socket. That of 127.0.0.1 has to work.
func (s *survey) layOut(ctx context.Context) error {
	places := [][2]string{{"unix", "@greenroom-" + rand.Text()}}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			places = append(places, [2]string{"tcp", net.JoinHostPort(n.IP.String(), "0")})
		}
	}
	local := false
	for _, p := range places {
		d, err := netns.NewDecoy(p[0], p[1])
		if err != nil {
			continue // an address that is just going
		}
		s.decoys = append(s.decoys, d)
		if a := d.Try.Do(ctx); !a.Reached || a.Other {
			continue // a wall of the machine's own: nothing could be learnt from it
		}
		s.attempts = append(s.attempts, attempt{kind: decoys, try: d.Try})
		local = local || strings.HasPrefix(d.Try.Address, "127.0.0.1:")
	}
	if !local && ctx.Err() == nil {
		return problem.New(problem.Inconclusive, "a listener on 127.0.0.1 can't be reached from the machine itself, so that it can't be from a stage proves nothing")
	}
	return ctx.Err()
}

// addOthers adds where other environments can be reached on this machine: at the edge, and their replicas and databases.
// What answers nobody is left out.
func (e *Environment) addOthers(ctx context.Context, s *survey) error {
	table, err := e.world.Edge.Table(ctx)
	if err != nil {
		return err
	}
	running, err := e.world.Driver.List(ctx, driver.Filter{})
	if err != nil {
		return err
	}
	all := slices.Clone(table.Front)
	for _, r := range table.Routes {
		if !e.owns(r.Name) {
			all = append(all, r.Listen...)
		}
	}
	for _, st := range running {
		if st.Listen.Network == "tcp" && (st.App != e.App || st.Environment != e.Name) {
			all = append(all, st.Listen.Address)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, address := range all {
		t := netns.Try{Network: "tcp", Address: address}
		if t.Do(ctx).Reached {
			s.attempts = append(s.attempts, attempt{kind: others, try: t})
		}
	}
	return ctx.Err()
}

// addOwn adds the stage's own services, which have to answer.
func (e *Environment) addOwn(ctx context.Context, s *survey, r release.Release) error {
	routes := []string{e.RouteName()}
	for _, service := range r.Contents.Services {
		if service.Released() && service.Port != 0 {
			routes = append(routes, e.internalRoute(service.Name, r.Digest()))
		}
	}
	for _, route := range routes {
		addresses, err := e.listen(ctx, route)
		if err != nil {
			return err
		}
		s.add(own, "tcp", addresses[0])
	}
	if !e.hasServer(r) {
		return nil
	}
	address, err := e.serverWithin(ctx, r)
	if err == nil {
		s.add(own, "tcp", address)
	}
	return err
}

// nameservers are the servers of names that the machine asks.
func nameservers() []string {
	b, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, netip.AddrPortFrom(a, 53).String())
		}
	}
	return all
}

// machineSockets are the unix sockets at which programs of the machine's network can be spoken to, as proc(5) lists them:
// flags in the 4th field, type in the 5th, the inode in the 7th, the path in the 8th. The names of abstract ones begin with
// an @.
func machineSockets() ([]attempt, error) {
	b, err := os.ReadFile("/proc/net/unix")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return parseSockets(b), err
}

// listening is the flag of a socket that takes connections, __SO_ACCEPTCON.
const listening = "00010000"

func parseSockets(b []byte) []attempt {
	networks := map[string]string{"0001": "unix", "0002": "unixgram", "0005": "unixpacket"}
	var all []attempt
	at := map[netns.Try]int{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 8 || networks[f[4]] == "" || f[4] != "0002" && f[3] != listening {
			continue
		}
		path := s.Text() // which may have spaces in it
		for range 7 {
			_, path, _ = strings.Cut(strings.TrimLeft(path, " "), " ")
		}
		t := netns.Try{Network: networks[f[4]], Address: path}
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") {
			continue // what was bound by a relative name can't be found by it
		}
		i, seen := at[t]
		if !seen { // the file of one may have been removed, and another be bound there
			i = len(all)
			at[t] = i
			all = append(all, attempt{kind: sockets, try: t})
		}
		if inode, err := strconv.ParseUint(f[6], 10, 64); err == nil {
			all[i].inodes = append(all[i].inodes, inode)
		}
	}
	return all
}

// advise says of each socket of another program that could be reached whose it is, and what is to be done.
func advise(attempts []attempt, answers []netns.Answer) {
	for i := range attempts {
		a := &attempts[i]
		if a.kind.what != sockets.what {
			continue
		}
		if verdict, _ := sockets.judge(answers[i]); verdict == evidence.Pass {
			continue
		}
		whoever := "whoever listens there"
		if found, err := proc.Holders(a.inodes...); err == nil && len(found) > 0 {
			whoever = fmt.Sprintf("%s (process %d of the user %s)", found[0].Program, found[0].PID, found[0].User)
		}
		a.remedy = "stop " + whoever + ", or have it keep that file in a folder that only its own user may enter"
	}
}
