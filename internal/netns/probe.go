package netns

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Question is what the self-test tries from inside, and as whom.
type Question struct {
	UID   int   `json:"uid"`
	GID   int   `json:"gid"`
	Tries []Try `json:"tries"`
}

// Try is one thing that is tried.
type Try struct {
	// Network is tcp, udp (where a server of names is asked), unix, unixgram, unixpacket; name, to look the address up; or
	// http, to ask the API at a unix socket; family, to open a socket of the kind that Address numbers; datagram, to send one
	// to an Ear; resolver, to ask a server of names that has nobody to ask further but the address in Token, which is here.
	Network string `json:"network"`
	Address string `json:"address"`
	// Token is what whoever listens there says at once, so that nobody else is taken for him; "" where he says nothing. A
	// datagram is its token.
	Token string `json:"token,omitempty"`
	// Patient tries for longer: a neighbour that is not there is asked for three times, a second apart.
	Patient bool `json:"patient,omitempty"`
}

// Answer is what came of a try.
type Answer struct {
	Reached bool          `json:"reached"`           // somebody was there, or answered
	Other   bool          `json:"other,omitempty"`   // and did not say the token
	Refused bool          `json:"refused,omitempty"` // http, resolver: there was an answer, and it was that one may not
	Sent    bool          `json:"sent,omitempty"`    // datagram: it went out; whether it came anywhere the Ear knows
	Own     bool          `json:"own,omitempty"`     // resolver: it asked further where it should
	Late    bool          `json:"late,omitempty"`    // nothing came within TryTime
	Error   string        `json:"error,omitempty"`
	Errno   syscall.Errno `json:"errno,omitempty"`
}

// Answers are what the self-test found.
type Answers struct {
	// Fault is why nothing of it can be believed: the test did not run as whom it was to, or could not even reach itself.
	Fault      string   `json:"fault,omitempty"`
	Namespace  string   `json:"namespace"`  // the network namespace, as /proc has it
	Interfaces []string `json:"interfaces"` // there
	Addresses  []string `json:"addresses"`  // there, as IP/bits, without those of the loopback and of single links
	Answers    []Answer `json:"answers"`    // in the order of the tries
}

// TryTime bounds each try, PatientTime one that is patient.
const (
	TryTime     = 2 * time.Second
	PatientTime = 8 * time.Second
)

// Probe is the body of the self-test: a process inside, as root, that becomes the user of the question on in, tries
// everything at once, and writes its answers to out.
func Probe(ctx context.Context, in io.Reader, out io.Writer) error {
	var q Question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return fmt.Errorf("read the question: %w", err)
	}
	if err := become(q.UID, q.GID); err != nil {
		return json.NewEncoder(out).Encode(Answers{Fault: "it can't become user " + fmt.Sprint(q.UID) + ": " + err.Error()})
	}
	a := Answers{Answers: make([]Answer, len(q.Tries))}
	if err := a.look(ctx); err != nil {
		a.Fault = err.Error()
	}
	slots := make(chan struct{}, 64)
	var all sync.WaitGroup
	for i, t := range q.Tries {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			a.Answers[i] = t.Do(ctx)
		})
	}
	all.Wait()
	return json.NewEncoder(out).Encode(a)
}

// become gives up every right but those of a user, for good.
func become(uid, gid int) error {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return err
	}
	if os.Getuid() != uid || os.Geteuid() != uid || os.Getegid() != gid || syscall.Setuid(0) == nil {
		return errors.New("it still has other rights")
	}
	return nil
}

// look says where the test is, and makes sure that it would notice it if something could be reached.
func (a *Answers) look(ctx context.Context) (err error) {
	if a.Namespace, err = os.Readlink("/proc/self/ns/net"); err != nil {
		return err
	}
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		a.Interfaces = append(a.Interfaces, i.Name)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, at := range addresses {
		if n, ok := at.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			a.Addresses = append(a.Addresses, n.String())
		}
	}
	decoy, err := NewDecoy("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("nothing can listen on 127.0.0.1: %w", err)
	}
	defer decoy.Close()
	if got := decoy.Try.Do(ctx); !got.Reached || got.Other {
		return fmt.Errorf("it can't even reach itself at %s: %s", decoy.Try.Address, got.Error)
	}
	return nil
}

// Do tries it from where the caller is, as the caller.
func (t Try) Do(ctx context.Context) Answer {
	limit := TryTime
	if t.Patient {
		limit = PatientTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch t.Network {
	case "name":
		return lookUp(ctx, t.Address)
	case "udp":
		return askNames(ctx, t.Address)
	case "http":
		return askAPI(ctx, t.Address)
	case "family":
		return openFamily(ctx, t.Address)
	case "datagram":
		return t.send(ctx)
	case "resolver":
		return t.askResolver(ctx)
	}
	c, err := dial(ctx, t.Network, t.Address)
	if err != nil {
		return failed(ctx, err)
	}
	defer c.Close() //nolint:errcheck // it is over
	if t.Token == "" {
		return Answer{Reached: true}
	}
	got := make([]byte, len(t.Token))
	_, err = io.ReadFull(c, got)
	return Answer{Reached: true, Other: err != nil || string(got) != t.Token}
}

// dial connects, and bounds all that is done on the connection by ctx.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	until, _ := ctx.Deadline()
	return c, c.SetDeadline(until)
}

func failed(ctx context.Context, err error) Answer {
	var timeout net.Error
	a := Answer{Error: reason(err), Late: ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout()}
	_ = errors.As(err, &a.Errno)
	return a
}

// reason is an error without the addresses, which stand before it anyway.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

// lookUp resolves a name as the programs of a stage do.
func lookUp(ctx context.Context, name string) Answer {
	r := net.Resolver{PreferGo: true}
	_, err := r.LookupHost(ctx, name)
	if err == nil {
		return Answer{Reached: true}
	}
	a := failed(ctx, err)
	var dns *net.DNSError
	if errors.As(err, &dns) { // that there is no such name is an answer, too, and so is that the server won't say
		a.Error = dns.Err
		a.Reached = dns.IsNotFound || strings.Contains(dns.Err, "misbehaving")
		a.Late = a.Late || dns.IsTimeout
	}
	return a
}

// askNames asks a server of names, and waits for what it says.
func askNames(ctx context.Context, address string) Answer {
	c, err := dial(ctx, "udp", address)
	if err != nil {
		return failed(ctx, err)
	}
	defer c.Close() //nolint:errcheck // it is over
	// RFC 1035: id 1, recursion desired, one question: example.com, A, IN.
	_, err = c.Write([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"))
	if err == nil {
		_, err = c.Read(make([]byte, 512))
	}
	if err != nil {
		return failed(ctx, err)
	}
	return Answer{Reached: true}
}

// askAPI asks Greenroom how things stand.
func askAPI(ctx context.Context, socket string) Answer {
	c, err := dial(ctx, "unix", socket)
	if err != nil {
		return failed(ctx, err)
	}
	defer c.Close() //nolint:errcheck // it is over
	if _, err := io.WriteString(c, "GET /status HTTP/1.1\r\nHost: greenroom\r\nConnection: close\r\n\r\n"); err != nil {
		return failed(ctx, err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return failed(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // read as far as it is told
	said, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	// Who has no right is answered with a problem of code blocked, which is a conflict.
	return Answer{Reached: true, Refused: res.StatusCode == http.StatusConflict, Error: res.Status + " " + string(bytes.TrimSpace(said))}
}

// openFamily opens a socket of a family, as socket(2) numbers them.
func openFamily(ctx context.Context, number string) Answer {
	family, err := strconv.Atoi(number)
	if err != nil {
		return failed(ctx, err)
	}
	s, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return failed(ctx, err)
	}
	_ = syscall.Close(s)
	return Answer{Reached: true}
}
