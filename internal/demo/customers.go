package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"greenroom/internal/problem"
)

// patience is how long the customers may take to leave.
const patience = 15 * time.Second

// report is a line of what `shop customers` prints: one second, or all of them.
type report struct {
	Summary  bool    `json:"summary"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	P99      float64 `json:"p99_ms"`
	Orders   int     `json:"orders"`
	Twice    int     `json:"booked_twice"`
}

func (r *report) add(o report) {
	r.Requests, r.Failed, r.Orders, r.Twice = r.Requests+o.Requests, r.Failed+o.Failed, r.Orders+o.Orders, r.Twice+o.Twice
}

// customers are a process of their own, so that what they measure is not the demo's own load.
type customers struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	all report
}

// enter starts customers at an address with a copy of the shop's program: the next build replaces the original.
func enter(shop, url string, tell func(second, all report)) (*customers, error) {
	program := filepath.Join(filepath.Dir(shop), "customers")
	if err := copyFile(filepath.Join(shop, "bin", "shop"), program); err != nil {
		return nil, err
	}
	// On a slow machine they wait, and are not turned away: only what the shop does to them may count as failed.
	cmd := exec.Command(program, "customers", "--url", url, "--rate", "40", "--concurrency", "2000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is the demo's to handle
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return nil, problem.New(problem.Unavailable, "the customers can't come: %w", err)
	}
	c := &customers{cmd: cmd, done: make(chan struct{})}
	came := make(chan struct{})
	go c.read(out, tell, sync.OnceFunc(func() { close(came) }))
	select {
	case <-came:
		return c, nil
	case <-c.done:
		return nil, problem.New(problem.Unavailable, "the customers left at once: %s", complaint.String())
	}
}

// read counts what they see until they have left.
func (c *customers) read(out io.Reader, tell func(second, all report), came func()) {
	defer close(c.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil || r.Summary {
			continue
		}
		c.mu.Lock()
		c.all.add(r)
		all := c.all
		c.mu.Unlock()
		came()
		tell(r, all)
	}
	_ = c.cmd.Wait() // they are told to leave by a signal, and say so in their exit code
}

// total is what they have seen so far.
func (c *customers) total() report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// leave sends them home.
func (c *customers) leave() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
