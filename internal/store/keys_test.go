package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
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

func openWith(t testing.TB, file string, r *ring) *Store {
	t.Helper()
	s, err := Open(t.Context(), file, Options{Now: clock(), Signer: r.Signer, Ring: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustKeys(t *testing.T, s *Store) []KnownKey {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestTheLifeOfKeys(t *testing.T) {
	r := newRing()
	s := openWith(t, filepath.Join(t.TempDir(), "state.db"), r)
	bob, ci := key(20), key(21)
	if got := mustKeys(t, s); len(got) != 1 || got[0].ID != key(1).ID() || !got[0].Own || !got[0].Active || got[0].Name != thisName {
		t.Errorf("%+v", got)
	}
	for range 2 { // the second time changes nothing
		if err := s.EnrollKey(t.Context(), "bob", "builder bob", bob.Public()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.EnrollKey(t.Context(), "eve", "builder eve", bob.Public()); err != nil {
		t.Fatal(err)
	}
	if err := s.EnrollKey(t.Context(), "eve", "this Greenroom", key(1).Public()); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, s.RevokeKey(t.Context(), "ann", key(1).ID(), "x"), problem.Blocked, "this Greenroom signs with", "greenroom key rotate")
	if id, err := s.RotateKey(t.Context(), "ann", "yearly"); err != nil || id != key(2).ID() || r.Signer().ID() != id {
		t.Fatal(id, err)
	}
	for range 2 {
		for _, id := range []evidence.KeyID{key(1).ID(), bob.ID(), ci.ID()} {
			if err := s.RevokeKey(t.Context(), "ann", id, "stolen"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.EnrollKey(t.Context(), "bob", "builder bob", bob.Public()); err != nil {
		t.Fatal(err)
	}
	if head := verified(t, s); head.Seq != 5 {
		t.Errorf("%d entries", head.Seq)
	}
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	revoked := func(seconds int) *evidence.Revocation {
		return &evidence.Revocation{At: at(seconds), Because: "stolen"}
	}
	want := []KnownKey{
		{Key: evidence.Key{ID: key(1).ID(), Public: key(1).Public(), Name: thisName, Own: true, Retired: 2, Revoked: revoked(7)}, Left: at(6)},
		{Key: evidence.Key{ID: key(2).ID(), Public: key(2).Public(), Name: thisName, Own: true}, Active: true, Added: at(6)},
		{Key: evidence.Key{ID: bob.ID(), Public: bob.Public(), Name: "builder bob", Revoked: revoked(8)}, User: "bob", Added: at(1)},
		{Key: evidence.Key{ID: ci.ID(), Revoked: revoked(9)}},
	}
	if diff := cmp.Diff(want, mustKeys(t, s)); diff != "" {
		t.Error(diff)
	}
}

// A kill, or a failure, between the entry that hands the log over and the key that takes it: nothing is signed by the old
// key any more, and the next start or change goes on with the new one.
func TestARotationThatWasInterrupted(t *testing.T) {
	file, r := filepath.Join(t.TempDir(), "state.db"), newRing()
	s := openWith(t, file, r)
	change(t, s, putApp("a"))
	r.refuse = errors.New("the disk is full")
	if _, err := s.RotateKey(t.Context(), "ann", "yearly"); !errors.Is(err, r.refuse) {
		t.Fatal(err)
	}
	if err := s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, putApp("b")); !errors.Is(err, r.refuse) {
		t.Errorf("signed with the old key: %v", err)
	}
	if _, err := Open(t.Context(), file, Options{Signer: r.Signer, Ring: r}); !errors.Is(err, r.refuse) {
		t.Errorf("opened with the old key: %v", err)
	}
	if got := mustKeys(t, s); len(got) != 2 || !got[0].Active || got[0].Retired != 2 || !got[1].Own || got[1].Active {
		t.Errorf("%+v", got)
	}
	r.refuse = nil
	change(t, s, putApp("c"))
	if got := names(t, s); got != "a c" || r.Signer().ID() != key(2).ID() {
		t.Errorf("%s are here", got)
	}
	verified(t, s)

	// The same, with a start in between.
	r.refuse = errors.New("killed")
	if _, err := s.RotateKey(t.Context(), "ann", "again"); !errors.Is(err, r.refuse) {
		t.Fatal(err)
	}
	r.refuse = nil
	again := openWith(t, file, r)
	if r.Signer().ID() != key(3).ID() {
		t.Error("the new key is not active after a start")
	}
	change(t, again, putApp("d"))
	verified(t, again)
}

// Rotating among many writers: each entry is signed by the key whose turn it was, and so is each statement.
func TestRotationsAmongManyWriters(t *testing.T) {
	r := newRing()
	s := openWith(t, filepath.Join(inMemory(t), "state.db"), r)
	d := release.Of([]byte("x"))
	var work sync.WaitGroup
	for w := range 6 {
		work.Go(func() {
			for i := range 15 {
				change(t, s, func(tx *Tx) error { return tx.PutStatement(context.Background(), statement(fmt.Sprint(w, "-", i), d)) })
			}
		})
	}
	for range 2 {
		work.Go(func() {
			for range 3 {
				if _, err := s.RotateKey(context.Background(), "ann", "test"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	verified(t, s)
	if n := len(mustKeys(t, s)); n != 7 {
		t.Errorf("%d keys after 6 rotations", n)
	}
	var keys evidence.Keys
	for _, k := range mustKeys(t, s) {
		k.Checks, k.Environments = []string{evidence.Any}, []string{evidence.Any}
		keys = append(keys, k.Key)
	}
	recorded, err := s.Evidence(t.Context(), "shop", d)
	if err != nil || len(recorded) != 90 {
		t.Fatal(len(recorded), err)
	}
	for _, e := range recorded {
		word, err := e.Read(keys)
		if err := errors.Join(err, word.Doubt, e.Check(keys)); err != nil {
			t.Error(err)
		}
	}
}

// Keys are what the signed log says: whoever edits it makes none, and gives none back.
func TestKeysCantBeEditedIn(t *testing.T) {
	for name, query := range map[string]string{
		"a name":       `UPDATE audit SET detail = replace(detail, 'bob', 'eve') WHERE action = 'key enrolled'`,
		"a revocation": `UPDATE audit SET action = 'key enrolled' WHERE action = 'key revoked'`,
		"a subject":    `UPDATE audit SET subject = 'SHA256:x' WHERE action = 'key revoked'`,
	} {
		s := openWith(t, filepath.Join(inMemory(t), "state.db"), newRing())
		if err := s.EnrollKey(t.Context(), "bob", "builder bob", key(20).Public()); err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeKey(t.Context(), "ann", key(20).ID(), "stolen"); err != nil {
			t.Fatal(err)
		}
		byHand(t, s, query)
		_, err := s.Keys(t.Context())
		if err == nil {
			t.Fatal(name)
		}
		wantProblem(t, err, problem.Unavailable, "what the log says about keys", "")
	}
}
