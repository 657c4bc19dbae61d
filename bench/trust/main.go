// Command trust measures what proof costs: signed, durable, linked entries a second; verifying the log; signing a bundle's
// list, beside cosign where the machine has it; a daemon at rest; and the commands that people type, with many releases.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/key"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

const (
	name     = "bench"
	releases = 100_000
	rounds   = 21
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trust:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	dir     string
	home    home.Home
	program string
	keys    *key.Ring
	out     io.Writer
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "greenroom-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir, home: home.Home(filepath.Join(dir, "home")), program: filepath.Join(dir, "greenroom"), out: out}
	if err := b.home.Make(); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, "./cmd/greenroom")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, text)
	}
	if b.keys, err = key.Open(b.home.Keys()); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{b.idle, b.log, b.bundle, b.commands} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) row(what, format string, args ...any) {
	fmt.Fprintf(b.out, "%-72s %s\n", what, fmt.Sprintf(format, args...))
}

func (b *bench) open(ctx context.Context) (*store.Store, error) {
	return store.Open(ctx, b.home.Store(), store.Options{Signer: b.keys.Signer, Ring: b.keys})
}

// bundle signs the list of all evidence about a release, which is what a bundle needs signed.
func (b *bench) bundle(ctx context.Context) error {
	c := evidence.Collection{App: name, Release: release.Of([]byte(name)), At: time.Now().UTC(), Log: evidence.Head{Seq: 1, Hash: make([]byte, 32)}}
	for i := range 20 {
		c.Evidence = append(c.Evidence, release.Of([]byte{byte(i)}))
	}
	var took []time.Duration
	for range rounds {
		began := time.Now()
		if _, err := evidence.SealCollection(c, b.keys.Signer()); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	b.row("a bundle's list of 20 pieces of evidence signed", "%s", median(took))
	return b.cosign(ctx)
}

// cosign signs a file with a key of its own, where the machine has it.
func (b *bench) cosign(ctx context.Context) error {
	program, err := exec.LookPath("cosign")
	if err != nil {
		b.row("  cosign sign-blob", "not here")
		return nil
	}
	env := append(os.Environ(), "COSIGN_PASSWORD=")
	generate := exec.CommandContext(ctx, program, "generate-key-pair")
	generate.Dir, generate.Env = b.dir, env
	if text, err := generate.CombinedOutput(); err != nil {
		return fmt.Errorf("cosign generate-key-pair: %w: %s", err, text)
	}
	var took []time.Duration
	for range rounds {
		sign := exec.CommandContext(ctx, program, "sign-blob", "--yes", "--tlog-upload=false", "--key", "cosign.key", b.program)
		sign.Dir, sign.Env = b.dir, env
		began := time.Now()
		if text, err := sign.CombinedOutput(); err != nil {
			return fmt.Errorf("cosign sign-blob: %w: %s", err, text)
		}
		took = append(took, time.Since(began))
	}
	b.row("  cosign sign-blob, one file", "%s", median(took))
	return nil
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	d := ds[len(ds)/2]
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}
