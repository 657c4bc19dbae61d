package daemon

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/problem"
)

// TestDamagedState damages a file of the state folder while no daemon runs. The next one names it and ends; nothing is
// overwritten, and with the file as it was it starts again.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// The last one to close the state file empties its log, so that all is in the one file.
	must(t, h.client.Shutdown(h.ctx()))
	must(t, <-h.ended)
	damaged := h.home.Store() + " is damaged"
	for _, c := range []struct {
		file, what string
		damage     func([]byte) []byte
		words      []string
	}{
		{h.home.Store(), "cut to nothing", func([]byte) []byte { return nil }, []string{damaged, "put a copy of the file in its place"}},
		{h.home.Store(), "another file", func(b []byte) []byte { return bytes.Repeat([]byte("pudding "), len(b)/8) }, []string{damaged}},
		{h.home.Store(), "flipped inside", func(b []byte) []byte {
			for i := 100; i < 1000; i++ { // what describes the tables
				b[i] ^= 0xff
			}
			return b
		}, []string{damaged}},
		{h.home.Store(), "cut in half", func(b []byte) []byte { return b[:len(b)/2] }, []string{damaged}},
		{filepath.Join(h.home.Secrets(), "identity.age"), "cut to nothing", func([]byte) []byte { return nil }, []string{filepath.Join(h.home.Secrets(), "identity.age")}},
		{filepath.Join(h.home.Artifacts(), "index.json"), "cut in half", func(b []byte) []byte { return b[:len(b)/2] }, []string{h.home.Artifacts() + " is damaged"}},
	} {
		t.Run(filepath.Base(c.file)+" "+c.what, func(t *testing.T) {
			good, err := os.ReadFile(c.file)
			must(t, err)
			bad := c.damage(bytes.Clone(good))
			must(t, os.WriteFile(c.file, bad, 0o600))
			defer func() { must(t, os.WriteFile(c.file, good, 0o600)) }()
			code, out := h.greenroom("daemon")
			if code != problem.ExitCode(problem.New(problem.Unavailable, "")) {
				t.Errorf("exit code %d", code)
			}
			for _, word := range c.words {
				if !strings.Contains(out, word) {
					t.Errorf("%q says nothing of %q", out, word)
				}
			}
			if now, err := os.ReadFile(c.file); err != nil || !bytes.Equal(now, bad) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	h.start()
}

// TestTakenPorts has other programs listen where an environment and where a replica are to listen. What nobody knows
// moves away; an address that people know stays, and they are told who has it.
func TestTakenPorts(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := withPostgres()
	h.part(t, "an address that nobody knows yet", func() {
		h.register(s)
		address := h.status().Address
		defer h.take(address)()
		must(h, h.upAgain())
		if now := h.status().Address; now == address {
			h.Errorf("it is still %s", address)
		}
	})
	live := h.live(s)
	h.part(t, "the address of an environment", func() {
		address := h.status().Address
		h.end() // as long as Greenroom runs, the edge keeps the address of an environment that is stopped
		free := h.take(address)
		h.start()
		wantProblem(h, h.upAgain(), problem.Unavailable, "the edge cannot listen on "+strings.TrimPrefix(address, "http://"),
			fmt.Sprintf("pid %d", os.Getpid()), "stop ")
		free()
		must(h, h.upAgain())
		h.wantSound(live)
	})
	h.part(t, "the port of a replica", func() {
		address := h.replica("web").Listen.Address
		h.down()
		defer h.take(address)()
		must(h, h.upAgain())
		h.wantSound(live)
		if strings.Contains(fmt.Sprint(h.replicas()), address) {
			h.Errorf("a replica is still on %s", address)
		}
	})
}

// take listens on an address, until free is called.
func (h *house) take(address string) (free func()) {
	h.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(address, "http://"))
	must(h, err)
	return func() { must(h, l.Close()) }
}

func (h *house) down() {
	h.Helper()
	events, err := h.client.Down(h.ctx(), api.EnvironmentsRequest{App: appUnderTest})
	must(h, err)
	_, err = drain(events)
	must(h, err)
}

// upAgain starts the app's environments.
func (h *house) upAgain() error {
	h.Helper()
	events, err := h.client.Up(h.ctx(), api.EnvironmentsRequest{App: appUnderTest})
	must(h, err)
	_, err = drain(events)
	return err
}
