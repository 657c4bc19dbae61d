package netns_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"greenroom/internal/netns"
)

// An ear hears what is sent to it from the machine, and nothing that is sent inside.
func TestEar(t *testing.T) {
	n := newNetwork(t)
	ear, err := netns.NewEar()
	must(t, err)
	defer ear.Close()
	local := netip.MustParseAddr("127.0.0.1")
	outside, inside, away := ear.At(local), ear.At(local), ear.At(netip.MustParseAddr("192.0.2.1"))
	if got := probe(t, nil, nobody, outside).Answers[0]; !got.Sent || got.Reached {
		t.Errorf("outside it was sent as %+v", got)
	}
	for i, got := range probe(t, &n, nobody, inside, away).Answers {
		if want := []syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH}[i]; got.Sent || got.Errno != want {
			t.Errorf("inside it was sent as %+v, want %v", got, want)
		}
	}
	must(t, ear.Listens(t.Context()))
	if !ear.Heard(outside) || ear.Heard(inside) || ear.Heard(away) {
		t.Errorf("heard: outside %v, inside %v, far away %v", ear.Heard(outside), ear.Heard(inside), ear.Heard(away))
	}
}

// A server of names passes for one that asks nobody else when it asks where it should, or says that it can't, and gives no
// other answer.
func TestResolver(t *testing.T) {
	const further = "127.83.71.54:53535"
	for name, c := range map[string]struct {
		says    dnsmessage.RCode
		silent  bool
		forward bool
		want    netns.Answer
	}{
		"asks further, and is told nothing": {silent: true, forward: true, want: netns.Answer{Late: true, Own: true}},
		"asks further, and knows it anyhow": {says: dnsmessage.RCodeSuccess, forward: true, want: netns.Answer{Reached: true}},
		"can ask nobody":                    {says: dnsmessage.RCodeServerFailure, want: netns.Answer{Refused: true}},
		"will not":                          {says: dnsmessage.RCodeRefused, want: netns.Answer{Refused: true}},
		"knows that there is no such name":  {says: dnsmessage.RCodeNameError, want: netns.Answer{Reached: true}},
		"is silent":                         {silent: true, want: netns.Answer{Late: true}},
	} {
		t.Run(name, func(t *testing.T) {
			address := ""
			if c.forward {
				address = further
			}
			at := resolver(t, address, c.says, c.silent)
			got := netns.Try{Network: "resolver", Address: at, Token: further}.Do(t.Context())
			got.Own = got.Own && !got.Reached // which of the two is heard first is up to chance
			if got.Error = ""; got != c.want {
				t.Errorf("it is %+v, want %+v", got, c.want)
			}
		})
	}
	if got := (netns.Try{Network: "resolver", Address: "127.0.0.1:9", Token: further}).Do(t.Context()); got.Errno != syscall.ECONNREFUSED {
		t.Errorf("where nobody is: %+v", got)
	}
}

// resolver is the address of a server of names that sends each question further, where that is not "", and then says this.
func resolver(t *testing.T, further string, says dnsmessage.RCode, silent bool) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil {
				continue
			}
			if to, err := net.ResolveUDPAddr("udp", further); err == nil {
				_, _ = c.WriteTo(b[:n], to)
			}
			if silent {
				continue
			}
			m.Response, m.RCode = true, says
			if answer, err := m.Pack(); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		must(t, c.Close())
		<-done
	})
	return c.LocalAddr().String()
}
