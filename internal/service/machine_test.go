package service_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/internal/edge/acmetest"
)

// These tests change the machine that they run on: they install Greenroom as its service. scripts/service-test makes a
// machine for them, a container whose first process is systemd, and runs them inside, before and after a reboot. There the
// state folder, the program and the app of the test lie in /root.
const (
	phaseEnv = "GREENROOM_SERVICE_TEST" // "before" or "after" the reboot
	childEnv = "GREENROOM_SERVICE_TEST_ACME"
	host     = "shop.example.com"
	rootFile = "/root/site-root.pem" // by whom the site's certificate is signed
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		fmt.Fprintln(os.Stderr, acmetest.Serve(acmetest.Config{HTTP: 80, TLS: 443}, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func phase(t *testing.T, name string) {
	t.Helper()
	if os.Getenv(phaseEnv) != name {
		t.Skip("it changes the machine that it runs on: scripts/service-test runs it in a container")
	}
}

// do runs a command line and gives what it printed.
func do(t *testing.T, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir = "/root/shop"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	t.Logf("%s\n%s", line, out)
	return strings.TrimSpace(string(out))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func pid(t *testing.T, unit string) string {
	t.Helper()
	out, err := exec.Command("systemctl", "show", "--property=MainPID", "--value", unit).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// replicas are the processes of everything that runs in the environments.
func replicas(t *testing.T) string {
	t.Helper()
	return do(t, "pgrep -f '[g]reenroom .* supervise -- ' | sort -n | tr '\\n' ' '")
}

// site is a client of the app's public address.
func site(t *testing.T, two bool) *http.Client {
	t.Helper()
	b, err := os.ReadFile(rootFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b)
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols), MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:443")
		},
	}
	tr.Protocols.SetHTTP1(!two)
	tr.Protocols.SetHTTP2(two)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// customers ask all the time, over kept-alive connections of both kinds, and over new ones.
type customers struct {
	stop   chan struct{}
	all    sync.WaitGroup
	asked  atomic.Int64
	mu     sync.Mutex
	failed []string
}

func visit(t *testing.T) *customers {
	c := &customers{stop: make(chan struct{})}
	anew := site(t, false)
	anew.Transport.(*http.Transport).DisableKeepAlives = true
	for _, client := range []*http.Client{site(t, true), site(t, true), site(t, false), site(t, false), anew} {
		c.all.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-c.stop:
					return
				case <-tick.C:
					c.one(client)
				}
			}
		})
	}
	return c
}

func (c *customers) one(client *http.Client) {
	c.asked.Add(1)
	res, err := client.Get("https://" + host + "/")
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", res.Status)
		}
	}
	if err != nil {
		c.mu.Lock()
		c.failed = append(c.failed, time.Now().Format("15:04:05.000 ")+err.Error())
		c.mu.Unlock()
	}
}

// during does something while the customers ask, and fails when one of them was not served.
func during(t *testing.T, what string, something func()) {
	t.Helper()
	c := visit(t)
	eventually(t, "customers are there", func() bool { return c.asked.Load() > 50 })
	something()
	after := c.asked.Load() + 200
	eventually(t, "customers go on", func() bool { return c.asked.Load() > after })
	close(c.stop)
	c.all.Wait()
	t.Logf("%s: %d requests, %d failed", what, c.asked.Load(), len(c.failed))
	for i, f := range c.failed {
		if i < 10 {
			t.Errorf("%s: %s", what, f)
		}
	}
}

// acmeServer starts one that reaches the machine's ports 80 and 443.
func acmeServer(t *testing.T) acmetest.Ready {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r acmetest.Ready
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServiceBeforeReboot(t *testing.T) {
	phase(t, "before")
	a := acmeServer(t)
	for name, b := range map[string][]byte{rootFile: a.Root, "/root/acme.pem": a.Own} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := "service install --acme-root /etc/acme.pem --acme-directory " + a.URL
	do(t, "cp /root/acme.pem /etc/acme.pem; /root/greenroom "+install)
	do(t, "/root/greenroom "+install) // again, which changes nothing but the processes
	do(t, "greenroom up && greenroom build && greenroom rehearse && greenroom promote latest production")
	eventually(t, "the site is there, with a certificate", func() bool {
		res, err := site(t, true).Get("https://" + host + "/")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == 200
	})
	if v := do(t, "greenroom service status"); !strings.Contains(v, "certificate of "+host+", by ") {
		t.Error("no certificate is shown")
	}

	during(t, "promotion", func() {
		do(t, "echo more > note && greenroom build && greenroom rehearse && greenroom promote latest production")
	})
	before := replicas(t)
	during(t, "restart of the control plane", func() { do(t, "systemctl restart greenroom") })
	during(t, "kill -9 of the control plane", func() {
		old := pid(t, "greenroom")
		do(t, "systemctl kill --kill-whom=main --signal=KILL greenroom")
		eventually(t, "it is there again", func() bool {
			now := pid(t, "greenroom")
			return now != "0" && now != old && exec.Command("greenroom", "status").Run() == nil
		})
	})
	edge := pid(t, "greenroom-edge")
	during(t, "upgrade", func() { do(t, "/root/newer/greenroom "+install) })
	if now := pid(t, "greenroom-edge"); now == edge || now == "0" {
		t.Errorf("the edge was process %s and is %s", edge, now)
	}
	during(t, "reload of the edge", func() { do(t, "systemctl reload greenroom-edge") })
	if after := replicas(t); after != before {
		t.Errorf("replicas were %s and are %s", before, after)
	}
	if v := do(t, "greenroom version"); !strings.Contains(v, "newer") {
		t.Errorf("the upgrade did not come: %s", v)
	}
	do(t, "systemctl is-system-running; test $(systemctl --failed --no-legend | wc -l) = 0")
}

func TestServiceAfterReboot(t *testing.T) {
	phase(t, "after")
	eventually(t, "the site is there again", func() bool {
		res, err := site(t, true).Get("https://" + host + "/")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == 200
	})
	do(t, "greenroom service status; greenroom status")
	during(t, "after the reboot", func() {})
	do(t, "greenroom service uninstall")
	left, err := filepath.Glob("/etc/systemd/system/greenroom*")
	if err != nil || len(left) != 0 {
		t.Errorf("units are left: %v %v", left, err)
	}
	if out, _ := exec.Command("pgrep", "-af", "/var/lib/greenroom|bin/shop").Output(); len(bytes.TrimSpace(out)) != 0 {
		t.Errorf("still running: %s", out)
	}
	if _, err := os.Stat("/var/lib/greenroom/greenroom.db"); err != nil {
		t.Errorf("the state is gone: %v", err)
	}
}
