package evidence

import (
	"crypto/ed25519"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// bundle is what a check with all its output leaves: 64 KiB of it, and a hundred failing tests.
func bundle() Statement {
	s := goodStatement()
	s.Result.Output = strings.Repeat("ok   greenroom/internal/evidence 0.1s\n", 64<<10/38)
	for i := range 100 {
		s.Result.Failures = append(s.Result.Failures, Failure{Name: fmt.Sprintf("Test%d", i), Message: strings.Repeat("got 500 ", 32)})
	}
	return s
}

func BenchmarkSeal(b *testing.B) {
	own := signer(1)
	for name, s := range map[string]Statement{"small": goodStatement(), "bundle": bundle()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Seal(s, own); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	own := signer(1)
	keys := Keys{trusted("own", own)}
	for name, s := range map[string]Statement{"small": goodStatement(), "bundle": bundle()} {
		b.Run(name, func(b *testing.B) {
			e := mustSeal(b, check(s), own)
			for b.Loop() {
				if _, _, err := Open(e, keys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLink(b *testing.B) {
	own := signer(1)
	e := writeLog(1, always(own))[0]
	for b.Loop() {
		e = Link(e, Head{Seq: e.Seq, Hash: e.Hash}, own)
	}
}

// BenchmarkChain verifies entries; each operation is one entry, so 100,000 of them take 100,000 times as long. "bare" is
// ed25519.Verify alone on all cores.
func BenchmarkChain(b *testing.B) {
	own := signer(1)
	keys := Keys{trusted("own", own)}
	log := writeLog(20_000, always(own))
	perEntry := func(b *testing.B, walk func([]Entry)) {
		b.ReportAllocs()
		for left := b.N; left > 0; left -= len(log) {
			walk(log[:min(left, len(log))])
		}
	}
	b.Run("hashes", func(b *testing.B) {
		perEntry(b, func(es []Entry) {
			if err := NewVerifier(Head{}, keys).Skim(es); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("signatures", func(b *testing.B) {
		perEntry(b, func(es []Entry) {
			if err := NewVerifier(Head{}, keys).Next(es); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		perEntry(b, func(es []Entry) { bare(b, es, own.Public()) })
	})
}

func bare(b *testing.B, log []Entry, public ed25519.PublicKey) {
	var cores sync.WaitGroup
	share := (len(log) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < len(log); from += share {
		cores.Go(func() {
			for _, e := range log[from:min(from+share, len(log))] {
				message := signed([32]byte(e.Hash))
				if !ed25519.Verify(public, message[:], e.Signature) {
					b.Error("a wrong signature")
				}
			}
		})
	}
	cores.Wait()
}
