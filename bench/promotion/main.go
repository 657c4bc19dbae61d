// Command promotion measures what a promotion adds to the application's own start-up, how soon after health the traffic
// is switched, and how long `greenroom status` takes with 10,000 releases. It runs everything itself, on loopback, in a
// folder of its own.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/daemon"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/plan"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

const (
	rounds   = 12
	releases = 10_000
	name     = "bench"
	target   = "dev"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "promotion:", err)
		os.Exit(1)
	}
}

// bench is one run of the benchmark.
type bench struct {
	dir     string
	home    home.Home
	program daemon.Program
	client  *api.Client
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "greenroom-bench-")
	if err != nil {
		return err
	}
	b := &bench{dir: dir, home: home.Home(filepath.Join(dir, "home"))}
	defer func() { err = errors.Join(err, b.end(), artifact.RemoveTree(dir)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	own, err := b.ownStart(ctx)
	if err != nil {
		return err
	}
	total, toSwitch, err := b.promotions(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-62s %8s %8s\n", "", "median", "worst")
	row := func(what string, ds []time.Duration) {
		slices.Sort(ds)
		fmt.Fprintf(out, "%-62s %8s %8s\n", what, tidy(ds[len(ds)/2]), tidy(ds[len(ds)-1]))
	}
	row("the application's own start, from exec to its first answer", own)
	row("a promotion without backup, migration and watch, all in all", total)
	row("from the last replica's health to the whole traffic", toSwitch)
	fmt.Fprintf(out, "%-62s %8s\n", "what a promotion adds to the application's own start", tidy(total[len(total)/2]-own[len(own)/2]))
	status, err := b.status(ctx)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("greenroom status with %d releases, as typed", releases), status)
	return nil
}

func tidy(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// prepare builds Greenroom and two releases of the app, and starts the environment.
func (b *bench) prepare(ctx context.Context) error {
	path := filepath.Join(b.dir, "greenroom")
	if err := command(ctx, "", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/greenroom"); err != nil {
		return err
	}
	b.program = daemon.Program{Version: "bench", Path: path}
	shop := filepath.Join(b.dir, "repository")
	if err := os.MkdirAll(shop, 0o755); err != nil {
		return err
	}
	if err := command(ctx, "", "go", "build", "-trimpath", "-o", filepath.Join(shop, "app"), "./bench/promotion/app"); err != nil {
		return err
	}
	if err := write(shop, "compose.yaml", `services:
  web:
    ports: ["8080:8080"]
    healthcheck: {test: [CMD, curl, -f, "http://localhost:8080/"]}
    x-greenroom: {run: ./app, files: [app, version]}
`); err != nil {
		return err
	}
	if err := write(shop, "greenroom.yaml", "app: "+name+"\nenvironments:\n  "+target+": {rollout: {watch: 0s}}\n  production: {after: "+target+"}\n"); err != nil {
		return err
	}
	return b.connect(ctx)
}

func write(dir, file, text string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644)
}

func command(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, out)
	}
	return nil
}

func (b *bench) connect(ctx context.Context) (err error) {
	if err := b.program.EnsureDaemon(ctx, b.home); err != nil {
		return err
	}
	b.client, err = api.Dial(ctx, b.home.Socket(), b.program.Version)
	return err
}

// build makes a release that differs from the others in one file.
func (b *bench) build(ctx context.Context, version int) (release.Digest, error) {
	repository := filepath.Join(b.dir, "repository")
	if err := write(repository, "version", strconv.Itoa(version)); err != nil {
		return "", err
	}
	d, err := b.program.Load(ctx, repository)
	if err != nil {
		return "", err
	}
	if _, err := b.client.Register(ctx, api.Registration{App: name, Repository: repository, Policy: d.App.Policy}); err != nil {
		return "", err
	}
	built, err := b.program.Build(ctx, d, func(api.Event) {})
	if err != nil {
		return "", err
	}
	r, err := b.client.Import(ctx, built.Info, built.Layout)
	return r.Digest, errors.Join(err, built.Layout.Close())
}

// promotions promotes two releases in turn and reads how long each took out of its journal.
func (b *bench) promotions(ctx context.Context) (total, toSwitch []time.Duration, err error) {
	var ids [2]release.Digest
	for i := range ids {
		if ids[i], err = b.build(ctx, i); err != nil {
			return nil, nil, err
		}
	}
	for i := range rounds {
		r, err := b.promote(ctx, ids[i%2])
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			continue // the first has nothing to switch from
		}
		total = append(total, r.Ended.Sub(r.Started))
		toSwitch = append(toSwitch, at(r, "share-100").Sub(at(r, "start")))
	}
	return total, toSwitch, nil
}

// at is when a step was done.
func at(r api.RunView, step string) time.Time {
	for _, e := range r.Journal {
		if e.Step == step && e.State == plan.Done {
			return e.At
		}
	}
	return time.Time{}
}

func (b *bench) promote(ctx context.Context, id release.Digest) (api.RunView, error) {
	r, err := b.client.Start(ctx, api.RunRequest{Kind: plan.Promotion, App: name, Release: string(id), Environment: target})
	if err != nil {
		return r, err
	}
	events, err := b.client.Events(ctx, r.ID, 0)
	if err != nil {
		return r, err
	}
	for _, err := range events {
		if err != nil {
			return r, err
		}
	}
	if r, err = b.client.Run(ctx, r.ID); err == nil && r.Outcome != plan.Succeeded {
		err = fmt.Errorf("the promotion ended as %s: %s", r.Outcome, r.Reason)
	}
	return r, err
}

// ownStart measures how long the app takes without anybody around it.
func (b *bench) ownStart(ctx context.Context) ([]time.Duration, error) {
	var ds []time.Duration
	for range rounds {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if err := l.Close(); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "repository", "app"))
		cmd.Env = []string{"PORT=" + port}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		err = answers(ctx, "http://127.0.0.1:"+port+"/")
		ds = append(ds, time.Since(began))
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if err != nil {
			return nil, err
		}
	}
	return ds, nil
}

// answers returns once a server answers.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(url)
		if err == nil {
			return res.Body.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// status fills the store while the daemon is away, and times the command as a person types it.
func (b *bench) status(ctx context.Context) ([]time.Duration, error) {
	if err := b.stop(ctx); err != nil {
		return nil, err
	}
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	if err := b.connect(ctx); err != nil {
		return nil, err
	}
	var ds []time.Duration
	for range 2 * rounds {
		cmd := exec.CommandContext(ctx, b.program.Path, "--home", string(b.home), "--app", name, "status")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("status: %w: %s", err, out.String())
		}
		ds = append(ds, time.Since(began))
	}
	return ds, nil
}

// fill records releases that differ in a word of their document.
func (b *bench) fill(ctx context.Context) (err error) {
	keys, err := key.Open(b.home.Keys())
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, b.home.Store(), store.Options{Signer: keys.Signer, Ring: keys})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Change(ctx, store.Audit{Actor: name, Action: "fill", App: name}, func(t *store.Tx) error {
		for i := range releases {
			r := release.Release{Format: release.Format, App: name, Files: map[string]release.Artifact{strconv.Itoa(i): {}}}
			build := store.Build{Release: r.Digest(), App: name, Revision: strconv.Itoa(i), At: time.Now(), By: name}
			if err := t.PutRelease(ctx, r.Bytes(), build); err != nil {
				return err
			}
		}
		return nil
	})
}

// stop ends the daemon; the environment goes on.
func (b *bench) stop(ctx context.Context) error {
	if err := b.client.Shutdown(ctx); err != nil {
		return err
	}
	for !b.program.Gone(b.home) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// end takes everything away.
func (b *bench) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if b.client == nil {
		return nil
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	events, err := b.client.Down(ctx, api.EnvironmentsRequest{Everything: true})
	if err != nil {
		return err
	}
	for _, err := range events {
		if err != nil {
			return err
		}
	}
	return errors.Join(b.stop(ctx), account.New(b.home).Remove(ctx))
}
