package daemon

import (
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"greenroom/internal/edge"
)

// The edge takes its ports from whoever opened them as systemd does.
func TestEdgeBySocketActivation(t *testing.T) {
	needPrograms(t)
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		missing(t, "systemd-socket-activate: taking sockets from systemd is not tested")
	}
	plain, secure := unusedAddress(t), unusedAddress(t)
	dir := t.TempDir()
	cmd := exec.Command(activate, "--listen="+plain, "--listen="+secure, "--fdname=http:https", built.greenroom, "--home", dir, "edge", "--", "service")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// The first connection is what starts the edge; it waits in the socket's queue meanwhile.
	var res *http.Response
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if res, err = http.Get("http://" + plain + "/"); err == nil {
			_ = res.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("answered %s", res.Status)
	}
	stats, err := edge.NewClient(dir + "/edge").Stats(t.Context())
	if got := strings.Join(stats.Entrances, ", "); err != nil || got != "https "+secure+", redirect "+plain {
		t.Errorf("it listens at %q, %v", got, err)
	}
}

func unusedAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it only found a port
	return ln.Addr().String()
}
