package evidence

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Verifier walks along a log.
type Verifier struct {
	keys   Keys
	head   Head
	signer Key // of the head
}

// NewVerifier starts after a head that is known to be good; the zero Head is the beginning. roots are the keys that may
// sign from there; keys that the log itself hands over to (ActionRotated) join them, and retire the one before.
func NewVerifier(after Head, roots Keys) *Verifier {
	return &Verifier{keys: slices.Clone(roots), head: after}
}

// Next takes entries in their order, checks numbers, hashes and links at once, and the signatures on all cores. The error
// names the first entry that is wrong and in what.
func (v *Verifier) Next(entries []Entry) error { return v.walk(entries, everyone) }

// Skim is Next with few signatures: those of hand-overs, and that of the last entry, which vouches for all before it
// because its hash is over theirs. What Next finds beyond that is an entry whose signature alone was damaged.
func (v *Verifier) Skim(entries []Entry) error { return v.walk(entries, last) }

// Head is how far it came: the last entry that was right.
func (v *Verifier) Head() Head { return v.head }

// End says why the log can't end here. Entries of a revoked key stand only because a key that is not revoked signed what
// came after; whoever has the revoked one can make up a log that ends with it.
func (v *Verifier) End() error {
	if v.signer.Revoked == nil {
		return nil
	}
	return fmt.Errorf("entry %d ends the log: %w", v.head.Seq, v.signer.revoked())
}

// whose picks those of a stretch of entries whose signatures are verified.
type whose func([]Entry) []Entry

func everyone(es []Entry) []Entry { return es }
func last(es []Entry) []Entry     { return es[len(es)-1:] }

// walk goes from stretch to stretch: entries of one key, up to the one that hands over.
func (v *Verifier) walk(entries []Entry, verified whose) error {
	for len(entries) > 0 {
		n := stretch(entries)
		if err := v.stretch(entries[:n], verified); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func stretch(entries []Entry) int {
	for i := range entries {
		if i > 0 && entries[i].Key != entries[0].Key {
			return i
		}
		if entries[i].Action == ActionRotated {
			return i + 1
		}
	}
	return len(entries)
}

func (v *Verifier) stretch(entries []Entry, verified whose) error {
	linked, broken := v.links(entries)
	if linked == 0 {
		return broken
	}
	good := entries[:linked]
	k, err := v.keys.signerOf(good[0])
	if err != nil {
		return err
	}
	if n := k.Retired - good[0].Seq + 1; k.Retired != 0 && n < int64(len(good)) {
		_, broken = v.keys.signerOf(good[n])
		good = good[:n]
	}
	if wrong := firstForged(verified(good), k); wrong >= 0 {
		return verified(good)[wrong].checkSignature(k)
	}
	end := good[len(good)-1]
	v.head, v.signer = Head{Seq: end.Seq, Hash: end.Hash}, k
	if broken != nil {
		return broken
	}
	if end.Action == ActionRotated {
		return v.handOver(end)
	}
	return nil
}

// links counts the entries that follow on the head, one on the other, and says what is wrong with the next.
func (v *Verifier) links(entries []Entry) (int, error) {
	seq, previous := v.head.Seq, v.head.previous()
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Seq != seq+1:
			return i, fmt.Errorf("entry %d of the log is missing: after %d comes %d", seq+1, seq, e.Seq)
		case !bytes.Equal(e.Previous, previous):
			return i, fmt.Errorf("entry %d of the log does not follow on entry %d", e.Seq, seq)
		}
		if err := e.checkHash(); err != nil {
			return i, err
		}
		seq, previous = e.Seq, e.Hash
	}
	return len(entries), nil
}

// handOver lets the next key sign, and the one before no more.
func (v *Verifier) handOver(e Entry) error {
	next, err := e.rotatedTo()
	if err != nil {
		return err
	}
	for i := range v.keys {
		if v.keys[i].ID == e.Key {
			v.keys[i].Retired = e.Seq
		}
	}
	if i := slices.IndexFunc(v.keys, func(k Key) bool { return k.ID == next.ID }); i < 0 {
		v.keys = append(v.keys, next)
	} else if !v.keys[i].Own {
		return fmt.Errorf("entry %d of the log hands over to the key %s, which is somebody else's", e.Seq, v.keys[i])
	}
	return nil
}

// batch is how many signatures a core verifies before it asks for more.
const batch = 32

// firstForged is the index of the first entry that the key did not sign, or -1.
func firstForged(entries []Entry, k Key) int {
	var next atomic.Int64
	var wrong atomic.Int64 // 1 + the lowest index so far; 0: none
	work := func() {
		for {
			from := int(next.Add(batch)) - batch
			if from >= len(entries) {
				return
			}
			for i := from; i < min(from+batch, len(entries)); i++ {
				if entries[i].checkSignature(k) != nil {
					lower(&wrong, int64(i)+1)
					return // what comes later is not the first
				}
			}
		}
	}
	var cores sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (len(entries)+batch-1)/batch) - 1 {
		cores.Go(work)
	}
	work()
	cores.Wait()
	return int(wrong.Load()) - 1
}

// lower sets n to a value where it is 0 or more than that.
func lower(n *atomic.Int64, to int64) {
	for {
		now := n.Load()
		if now != 0 && now <= to || n.CompareAndSwap(now, to) {
			return
		}
	}
}
