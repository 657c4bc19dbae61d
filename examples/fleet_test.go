package examples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// program is a release's bin/shop, built as compose.yaml says.
type program string

func build(t *testing.T, release string) program {
	t.Helper()
	dir := materialised(t, release)
	goTool(t, dir, "build", "-o", "bin/shop", ".")
	return program(filepath.Join(dir, "bin", "shop"))
}

// does runs a command of the program to its end.
func (p program) does(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(p), args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p program) migrates(t *testing.T, database string) {
	t.Helper()
	if out, err := p.does(t, []string{"DATABASE_URL=" + database}, "migrate"); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
}

// succeeds wants journeys of the program, by default all, to succeed in the shop at that address.
func (p program) succeeds(t *testing.T, shop string, journeys ...string) {
	t.Helper()
	if len(journeys) == 0 {
		journeys = []string{"browse", "buy"}
	}
	for _, journey := range journeys {
		if out, err := p.does(t, []string{"APP_URL=" + shop}, "journey", journey); err != nil {
			t.Errorf("the journey %s: %v\n%s", journey, err, out)
		}
	}
}

// runs starts a command that serves until the test ends, and returns its address. It has to end well when it is asked.
func (p program) runs(t *testing.T, database, payment, command string) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(string(p), command)
	cmd.Env = []string{fmt.Sprintf("PORT=%d", port), "DATABASE_URL=" + database, "PAYMENT_URL=" + payment, "RELEASE=r-1"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("shop %s did not end well: %v\n%s", command, err, out.String())
		}
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	eventually(t, "shop "+command+" is up", func() bool {
		res, err := http.Get(address + "/up")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return address
}

// opens runs replicas of a release on a database, with a payment provider, behind one address.
func (p program) opens(t *testing.T, database string, replicas int) string {
	t.Helper()
	return open(t, database, slices.Repeat([]program{p}, replicas)...)
}

// open runs one replica of each program behind one address that takes them in turn.
func open(t *testing.T, database string, replicas ...program) string {
	t.Helper()
	payment := replicas[0].runs(t, database, "", "payment")
	var back []*url.URL
	for _, p := range replicas {
		u, err := url.Parse(p.runs(t, database, payment, "serve"))
		must(t, err)
		back = append(back, u)
	}
	var turn atomic.Int64
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(back[int(turn.Add(1))%len(back)])
			r.Out.Host = r.In.Host
		},
	})
	t.Cleanup(front.Close)
	return front.URL
}

// report is what a line of `shop customers` says.
type report struct {
	Summary  bool           `json:"summary"`
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Orders   int            `json:"orders"`
	NewPrice int            `json:"new_price"`
	Twice    int            `json:"booked_twice"`
	P99      float64        `json:"p99_ms"`
	Failures map[string]int `json:"failures"`
}

// customers sends customers to a shop until enough says so, then ends them, and returns their summary.
func (p program) customers(t *testing.T, shop string, enough func(soFar report) bool) report {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), string(p), "customers", "--url", shop, "--rate", "40", "--concurrency", "2000", "--duration", "3m") // on a busy machine they stand in line, as they do in the demo
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var sum, last report
	ending := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = report{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		sum.Failed, sum.Orders, sum.NewPrice = sum.Failed+last.Failed, sum.Orders+last.Orders, sum.NewPrice+last.NewPrice
		if !ending && enough(sum) {
			ending = true
			must(t, cmd.Process.Signal(syscall.SIGTERM))
		}
	}
	must(t, cmd.Wait())
	if !last.Summary || !ending {
		t.Fatalf("the customers ended with %+v", last)
	}
	return last
}

// buys sends the click on "Pay" for one cup.
func buys(t *testing.T, shop, key string) (status int, order string) {
	t.Helper()
	form := url.Values{"key": {key}, "total": {"890"}, "email": {"customer@shop.example"}}.Encode()
	req, err := http.NewRequestWithContext(t.Context(), "POST", shop+"/checkout", strings.NewReader(form))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.AddCookie(&http.Cookie{Name: "cart", Value: "cup.1"})
	res, err := http.DefaultTransport.RoundTrip(req) // no redirect is followed
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Location")
}
