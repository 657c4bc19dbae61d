package store

import (
	"context"
	"fmt"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
	"strings"
	"sync"
	"testing"
	"time"
)

func entries(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAppend counts signed, durable, hash-linked entries from one writer.
func BenchmarkAppend(b *testing.B) {
	s := open(b)
	b.ResetTimer()
	for range b.N {
		change(b, s, func(*Tx) error { return nil })
	}
	entries(b)
}

// BenchmarkAppendGroup counts them from several writers at once.
func BenchmarkAppendGroup(b *testing.B) {
	for _, writers := range []int{4, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := open(b)
			b.ResetTimer()
			var work sync.WaitGroup
			for w := range writers {
				work.Go(func() {
					for i := w; i < b.N; i += writers {
						change(b, s, func(*Tx) error { return nil })
					}
				})
			}
			work.Wait()
			entries(b)
		})
	}
}

// BenchmarkJournal counts durable lines of a run's journal.
func BenchmarkJournal(b *testing.B) {
	s := open(b)
	r := mustCreate(b, s, promotion("production"))
	b.ResetTimer()
	for range b.N {
		mustAppend(b, s, r.ID, started)
	}
	entries(b)
}

// large is a store with 100,000 releases, each with four pieces of evidence in the log.
func large(b *testing.B) (*Store, []release.Digest) {
	b.Helper()
	s := open(b)
	const n, batch = 100_000, 1_000
	var all []release.Digest
	padding := strings.Repeat("x", 2000)
	for from := 0; from < n; from += batch {
		change(b, s, func(tx *Tx) error {
			for i := from; i < from+batch; i++ {
				document := fmt.Appendf(nil, "%d %s", i, padding)
				d := release.Of(document)
				all = append(all, d)
				if err := tx.PutRelease(b.Context(), document, Build{Release: d, App: "shop", Revision: string(release.Of([]byte(d))[7:47]),
					Ref: fmt.Sprint("branch-", i), At: noon.Add(time.Duration(i) * time.Minute), By: "ann"}); err != nil {
					return err
				}
				if _, err := tx.PutEvidence(b.Context(), "shop", d, evidence.KindCheck, document[:1000]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s, all
}

func BenchmarkLarge(b *testing.B) {
	s, all := large(b)
	i := 0
	each := func() release.Digest { i += 7919; return all[i%len(all)] }
	for _, c := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"resolve id", func(ctx context.Context) error { _, err := s.Resolve(ctx, "shop", each().Short()); return err }},
		{"resolve ref", func(ctx context.Context) error {
			_, err := s.Resolve(ctx, "shop", fmt.Sprint("branch-", i%len(all)))
			return err
		}},
		{"latest", func(ctx context.Context) error { _, err := s.Resolve(ctx, "shop", Latest); return err }},
		{"releases", func(ctx context.Context) error { _, err := s.Releases(ctx, "shop", 50); return err }},
		{"evidence", func(ctx context.Context) error { _, err := s.Evidence(ctx, "shop", each()); return err }},
		{"history", func(ctx context.Context) error { _, err := s.History(ctx, HistoryQuery{}); return err }},
		{"history of app", func(ctx context.Context) error { _, err := s.History(ctx, HistoryQuery{App: "blog"}); return err }},
		{"history of environment", func(ctx context.Context) error {
			_, err := s.History(ctx, HistoryQuery{App: "shop", Environment: "production"})
			return err
		}},
		{"environments", func(ctx context.Context) error { _, err := s.Environments(ctx, "shop"); return err }},
		{"keys", func(ctx context.Context) error { _, err := s.Keys(ctx); return err }},
		{"open", func(ctx context.Context) error {
			again, err := Open(ctx, s.file, testOptions())
			if err != nil {
				return err
			}
			return again.Close()
		}},
		{"check", s.Check},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				if err := c.do(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
