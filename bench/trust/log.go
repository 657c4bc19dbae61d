package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

const (
	alone    = 5_000  // entries that one writer appends
	together = 50_000 // entries that many do
	writers  = 64
	chain    = 100_000
)

// log appends entries, each signed, linked and on disk before it is acknowledged, and verifies them.
func (b *bench) log(ctx context.Context) (err error) {
	s, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	entry := store.Audit{Actor: name, Action: "entry", App: name, Because: "to be measured"}
	appendOne := func() error { return s.Change(ctx, entry, func(*store.Tx) error { return nil }) }

	began := time.Now()
	for range alone {
		if err := appendOne(); err != nil {
			return err
		}
	}
	b.row("signed, durable, linked entries a second, one writer (asked: 2,500)", "%.0f", rate(alone, began))
	began = time.Now()
	if err := in(writers, together, appendOne); err != nil {
		return err
	}
	b.row(fmt.Sprintf("  %d writers, who share commits (asked: 10,000)", writers), "%.0f", rate(together, began))

	if err := b.fill(ctx, s); err != nil {
		return err
	}
	return b.verify(ctx, s)
}

// in shares n calls of do among some goroutines.
func in(goroutines, n int, do func() error) error {
	errs := make([]error, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for range n / goroutines {
				if errs[g] == nil {
					errs[g] = do()
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func rate(n int, since time.Time) float64 { return float64(n) / time.Since(since).Seconds() }

// fill records many releases, a hundred in a change.
func (b *bench) fill(ctx context.Context, s *store.Store) error {
	const batch = 100
	for from := 0; from < releases; from += batch {
		err := s.Change(ctx, store.Audit{Actor: name, Action: "fill", App: name}, func(t *store.Tx) error {
			for i := from; i < from+batch; i++ {
				r := release.Release{Format: release.Format, App: name, Files: map[string]release.Artifact{fmt.Sprint(i): {}}}
				build := store.Build{Release: r.Digest(), App: name, Revision: fmt.Sprintf("%040x", i), At: time.Now(), By: name}
				if err := t.PutRelease(ctx, r.Bytes(), build); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// verify walks a log of 100,000 entries: its links and its head's signature, then all signatures beside the bare library.
func (b *bench) verify(ctx context.Context, s *store.Store) error {
	if err := in(writers, chain, func() error {
		return s.Change(ctx, store.Audit{Actor: name, Action: "entry", App: name}, func(*store.Tx) error { return nil })
	}); err != nil {
		return err
	}
	entries, err := s.Log(ctx, 0, chain)
	if err != nil {
		return err
	}
	public := b.keys.Signer().Public()
	roots := evidence.Keys{{ID: evidence.IDOf(public), Public: public, Own: true}}
	began := time.Now()
	if err := evidence.NewVerifier(evidence.Head{}, roots).Skim(entries); err != nil {
		return err
	}
	b.row(fmt.Sprintf("a log of %d entries: links and head's signature (asked: 1 s)", len(entries)), "%s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := evidence.NewVerifier(evidence.Head{}, roots).Next(entries); err != nil {
		return err
	}
	all := time.Since(began)
	began = time.Now()
	bare(public, entries)
	b.row("  all signatures, on all cores: share of bare ed25519.Verify's speed (asked: 0.9)", "%.2f (%s)",
		time.Since(began).Seconds()/all.Seconds(), all.Round(time.Millisecond))
	return nil
}

// bare verifies as many signatures with the library alone, on all cores.
func bare(public ed25519.PublicKey, entries []evidence.Entry) {
	message := entries[0].Hash
	var all sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for range cores {
		all.Go(func() {
			for i := range len(entries) / cores {
				ed25519.Verify(public, message, entries[i].Signature)
			}
		})
	}
	all.Wait()
}
