package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"sync"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// key is a signer with a key of that number.
func key(n byte) evidence.Signer {
	return evidence.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
}

// ring is keys in memory that outlive a store.
type ring struct {
	mu     sync.Mutex
	keys   []evidence.Signer // the active one last
	next   *evidence.Signer
	refuse error // of Activate
}

func newRing() *ring { return &ring{keys: []evidence.Signer{key(1)}} }

func (r *ring) Signer() evidence.Signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[len(r.keys)-1]
}

func (r *ring) Publics() (all []ed25519.PublicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		all = append(all, k.Public())
	}
	return all
}

func (r *ring) Prepare() (evidence.Signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		next := key(byte(len(r.keys) + 1))
		r.next = &next
	}
	return *r.next, nil
}

func (r *ring) Activate(id evidence.KeyID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.refuse != nil:
		return r.refuse
	case r.next == nil || r.next.ID() != id:
		return errors.New("it was not prepared")
	}
	r.keys, r.next = append(r.keys, *r.next), nil
	return nil
}

// statement is one that makes sense.
func statement(id string, d release.Digest) evidence.Statement {
	return evidence.Statement{ID: id, App: "shop", Release: d, Environment: evidence.Stage, Run: "r1", Policy: string(release.Of([]byte("p"))), At: noon,
		Result: evidence.Result{Check: "checkout", Verdict: evidence.Pass, Summary: "1 passed", Passed: 1, Started: noon}}
}
