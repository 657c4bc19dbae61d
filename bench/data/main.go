// Command data measures what copying, resetting and watching a database costs, beside what PostgreSQL's own programs do with
// the same one, in one run on one machine. It makes the database, in a server of its own, and removes all of it at the end.
//
// The contenders take turns in rounds, so that a slow minute of the machine hits all of them, and the median round counts.
// Times say little elsewhere; the ratios do, and each stands beside what was asked of it.
//
//	go run ./bench/data [-size 1GB] [-rounds 3] [-only masks] [-postgres 16]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/data/postgres"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

type options struct {
	size     int64 // bytes
	rounds   int
	postgres string
	only     string
	limit    time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(childEnv) != "" {
		os.Exit(child(ctx))
	}
	o := options{size: 1e9}
	flag.Func("size", "about how large the database is, with its indexes: 100MB, 1GB (the default), 20GB", func(s string) (err error) {
		o.size, err = bytesOf(s)
		return err
	})
	flag.IntVar(&o.rounds, "rounds", 3, "how many rounds")
	flag.StringVar(&o.postgres, "postgres", "", "major version of PostgreSQL, where the machine has several")
	flag.StringVar(&o.only, "only", "", "measure only one part: masks, copies, resets, migrations")
	flag.DurationVar(&o.limit, "limit", time.Hour, "when to give up")
	flag.Parse()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "data:", err)
		os.Exit(1)
	}
}

var sizes = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([MG])B$`)

func bytesOf(s string) (int64, error) {
	m := sizes.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no size; one looks like 100MB or 1GB", s)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	n *= map[string]float64{"M": 1e6, "G": 1e9}[m[2]]
	if err != nil || n < 20e6 || n > 400e9 {
		return 0, errors.New("the size has to be between 20MB and 400GB")
	}
	return int64(n), nil
}

// bench is one run.
type bench struct {
	options
	out    io.Writer
	dir    string
	jobs   int // connections that each contender may read and write with
	server *server
	large  *database
	small  *database // an eighth of it
	target *database
	most   map[string]int64 // bytes of memory that a process of ours had at most, by what it did
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	// Another system user runs the server and has to get through; MkdirTemp's folders are closed to him.
	dir, err := os.MkdirTemp("", "greenroom-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	b := &bench{options: o, out: out, dir: dir, jobs: min(4, runtime.NumCPU()), most: map[string]int64{}}
	programs, err := postgres.Find(o.postgres)
	if err != nil {
		return err
	}
	if b.server, err = boot(ctx, programs, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.end()) }()
	if err = b.measure(ctx); ctx.Err() != nil {
		return context.Cause(ctx) // what failed, failed because of it
	}
	return err
}

func (b *bench) measure(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	parts := []struct {
		name string
		do   func(context.Context) error
	}{{"masks", b.masks}, {"copies", b.copies}, {"resets", b.resets}, {"migrations", b.migrations}}
	known := b.only == ""
	for _, p := range parts {
		if b.only != "" && b.only != p.name {
			continue
		}
		known = true
		if err := p.do(ctx); err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("there is no part %q", b.only)
	}
	return nil
}

// prepare makes the databases.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.small, err = b.server.shop(ctx, "small", b.size/8); err != nil {
		return err
	}
	if b.large, err = b.server.shop(ctx, "large", b.size); err != nil {
		return err
	}
	if b.target, err = b.server.database(ctx, "target"); err != nil {
		return err
	}
	b.say("a shop of %s with %s customers, in PostgreSQL %s; %d connections each, medians of %d rounds", migration.Bytes(b.large.size),
		migration.Thousands(b.large.customers), b.server.Programs.Version, b.jobs, b.rounds)
	return nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// took is a line of one contender, with the rows that it copies in a second.
func (b *bench) took(what string, all []spent, rows int64) {
	clock, rate := median(clocks(all)), ""
	if rows > 0 {
		rate = migration.Thousands(int64(float64(rows)/clock.Seconds())) + " rows/s"
	}
	b.say("%s", strings.TrimRight(fmt.Sprintf("  %-72s %8.3f s %18s", what, clock.Seconds(), rate), " "))
}

// aim is a line with what was measured, the most that was asked for, and whether it was met.
func (b *bench) aim(what string, got, most float64, aside string) {
	verdict := "met"
	if got > most {
		verdict = "MISSED"
	}
	fmt.Fprintf(b.out, "* %-72s %8.2f (asked: at most %g) %s%s\n", what, got, most, verdict, aside)
}

// times is an aim that something takes at most so many times as long as something else.
func (b *bench) times(what string, over, under []spent, most float64) {
	b.aim(what, ratio(clocks(over), clocks(under)), most, aside(over, under))
}

func median[T int64 | float64 | time.Duration](all []T) T {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}

// ratio is the median of the rounds' ratios: what else the machine does is in both halves of a round.
func ratio(over, under []time.Duration) float64 {
	var all []float64
	for i := range over {
		all = append(all, float64(over[i])/math.Max(1, float64(under[i])))
	}
	return median(all)
}

// key is what masks are made with here.
var key = mask.Key("a benchmark's key, opens nothing")
