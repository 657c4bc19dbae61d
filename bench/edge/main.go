// Command edge measures Greenroom's edge beside its peers, in one run on one machine: every proxy alone on one core,
// load generator (wrk) and back end on another. Rounds are interleaved, so that a slow minute of the machine hits all of
// them, and the median of the rounds counts.
//
//	go run ./bench/edge [-duration 5s] [-rounds 3] [-connections 32]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

type options struct {
	duration    time.Duration
	rounds      int
	connections int
	only        string
}

func main() {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	var o options
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long each proxy is measured in a round")
	flag.IntVar(&o.rounds, "rounds", 3, "how many rounds")
	flag.IntVar(&o.connections, "connections", 32, "connections that wrk keeps open")
	flag.StringVar(&o.only, "only", "", "measure only these, separated by commas; direct always is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	for _, tool := range []string{"wrk", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is needed: apt-get install %s", tool, map[string]string{"wrk": "wrk", "taskset": "util-linux"}[tool])
		}
	}
	dir, err := os.MkdirTemp("", "greenroom-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	backend, err := startRole(loadCore, "backend", freeAddr())
	if err != nil {
		return err
	}
	defer backend.stop()
	targets := choose(available(targetsFor(dir, backend.addr)), o.only)
	rounds := map[string][]sample{}
	for r := range o.rounds {
		for _, t := range targets {
			s, err := measure(ctx, t, o)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d  %-20s %7.0f requests/s\n", r+1, t.name, s.rate)
			rounds[t.name] = append(rounds[t.name], s)
		}
	}
	report(targets, rounds)
	aim(rounds)
	return switches(ctx, dir)
}

// choose keeps those that the person asked for; all without a wish.
func choose(ts []target, only string) []target {
	if only == "" {
		return ts
	}
	return slices.DeleteFunc(ts, func(t target) bool {
		return t.name != "direct" && !slices.Contains(strings.Split(only, ","), t.name)
	})
}

func report(targets []target, rounds map[string][]sample) {
	direct := median(rounds["direct"], func(s sample) float64 { return s.rate })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tproxy\trequests/s\tof direct\tp50\tp99\tCPU per request\terrors\t") //nolint:errcheck // to a person
	for _, t := range targets {
		ss := rounds[t.name]
		rate := median(ss, func(s sample) float64 { return s.rate })
		p50 := median(ss, func(s sample) float64 { return float64(s.p50) })
		p99 := median(ss, func(s sample) float64 { return float64(s.p99) })
		cpu := median(ss, func(s sample) float64 { return float64(s.cpu) })
		errs := 0
		for _, s := range ss {
			errs += s.errors
		}
		cost := "-"
		if cpu > 0 {
			cost = time.Duration(cpu).Round(100 * time.Nanosecond).String()
		}
		fmt.Fprintf(w, "\t%s\t%.0f\t%.2f\t%s\t%s\t%s\t%d\t\n", t.name, rate, rate/direct, //nolint:errcheck // to a person
			time.Duration(p50).Round(time.Microsecond), time.Duration(p99).Round(time.Microsecond), cost, errs)
	}
	_ = w.Flush() // to a person
}

// aim tells how the edge stands to the bare ReverseProxy, by rate, and by CPU, which other work on the machine disturbs
// less.
func aim(rounds map[string][]sample) {
	own, bare := rounds["greenroom"], rounds["bare ReverseProxy"]
	if len(own) == 0 || len(bare) == 0 {
		return
	}
	rate := func(s sample) float64 { return s.rate }
	cpu := func(s sample) float64 { return float64(s.cpu) }
	fmt.Printf("\ngreenroom beside the bare ReverseProxy: %.2f of its requests/s, %.2f of its CPU per request (aim: 0.9 or more of the requests)\n",
		median(own, rate)/median(bare, rate), median(own, cpu)/median(bare, cpu))
}

func median(ss []sample, of func(sample) float64) float64 {
	if len(ss) == 0 {
		return 0
	}
	var v []float64
	for _, s := range ss {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// freeAddr is an address of the loopback interface that nobody listens on now.
func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // whoever listens there tells what is wrong
	}
	defer l.Close() //nolint:errcheck // it only reserved a port
	return l.Addr().String()
}

// await returns when somebody listens at addr.
func await(addr string) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
	}
	return errors.New("nobody listens at " + addr + " after 10 s")
}
