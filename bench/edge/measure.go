package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/proc"
)

// The cores: the proxy has one for itself.
const (
	proxyCore = 0
	loadCore  = 1
)

// process is something that serves at addr.
type process struct {
	addr string
	cmd  *exec.Cmd // nil: not ours to stop
}

// start runs a program on one core, and returns when it listens at addr (where that is not "").
func start(core int, addr string, env []string, argv ...string) (*process, error) {
	var said bytes.Buffer // told only when the program does not start
	cmd, err := proc.Command{
		Argv:   append([]string{"taskset", "-c", strconv.Itoa(core)}, argv...),
		Env:    append(os.Environ(), append(env, "GOMAXPROCS=1")...),
		Stderr: &said,
	}.Cmd()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{addr: addr, cmd: cmd}
	if addr == "" {
		return p, nil
	}
	if err := await(addr); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	return p, nil
}

func startRole(core int, role, addr string, args ...string) (*process, error) {
	return start(core, addr, []string{roleEnv + "=" + role}, append([]string{os.Args[0], addr}, args...)...)
}

// stop ends the process's whole group.
func (p *process) stop() {
	if p.cmd == nil {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it holds nothing that matters
	_ = p.cmd.Wait()
}

// cpu is what the process has used so far, in user and kernel mode. taskset replaces itself by the program, and every
// proxy here is one process. proc(5): utime and stime are fields 14 and 15, in ticks of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	if p.cmd == nil {
		return 0, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	kernel, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+kernel) * 10 * time.Millisecond, err
}

// sample is one measurement.
type sample struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      time.Duration // of the proxy, per request
	errors   int           // not answered with 2xx or 3xx, or not at all
}

func measure(ctx context.Context, t target, o options) (sample, error) {
	p, err := t.start()
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := wrk(ctx, p.addr, time.Second, o.connections); err != nil { // warm
		return sample{}, err
	}
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	out, err := wrk(ctx, p.addr, o.duration, o.connections)
	if err != nil {
		return sample{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	s, requests, err := read(out)
	if requests > 0 {
		s.cpu = (after - before) / time.Duration(requests)
	}
	return s, err
}

func wrk(ctx context.Context, addr string, d time.Duration, connections int) (string, error) {
	var out bytes.Buffer
	exit, err := proc.Run(ctx, proc.Command{
		Argv: []string{
			"taskset", "-c", strconv.Itoa(loadCore), "wrk", "-t1", "-c" + strconv.Itoa(connections),
			"-d" + strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + "s", "--latency", "http://" + addr + "/",
		},
		Env: os.Environ(), Stdout: &out, Stderr: os.Stderr,
	})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("wrk: %s", exit)
	}
	return out.String(), err
}

// read takes wrk's report apart.
func read(out string) (s sample, requests int, err error) {
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if m == nil {
			return ""
		}
		return m[1]
	}
	if s.rate, err = strconv.ParseFloat(find(`Requests/sec:\s+([\d.]+)`), 64); err != nil {
		return s, 0, fmt.Errorf("wrk's report is not readable: %q", out)
	}
	if requests, err = strconv.Atoi(find(`(\d+) requests in`)); err != nil {
		return s, 0, err
	}
	if s.p50, err = time.ParseDuration(find(`(?m)^\s+50%\s+(\S+)`)); err != nil {
		return s, 0, err
	}
	if s.p99, err = time.ParseDuration(find(`(?m)^\s+99%\s+(\S+)`)); err != nil {
		return s, 0, err
	}
	for _, pattern := range []string{`Non-2xx or 3xx responses: (\d+)`, `connect (\d+),`, `read (\d+),`, `write (\d+),`, `timeout (\d+)`} {
		n, _ := strconv.Atoi(find(pattern)) // absent: none
		s.errors += n
	}
	return s, requests, nil
}
