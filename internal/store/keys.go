package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// Which keys are known, and what became of them, is what the log says: there is no table of keys that could be edited. An
// entry is believed if it carries the signature of one of this Greenroom's own keys.
const (
	actionEnrolled = "key enrolled" // Subject is the key's ID, Detail an enrolment
	actionRevoked  = "key revoked"  // Subject is the key's ID
)

// enrolment is the detail of an entry that makes a key known.
type enrolment struct {
	Public string `json:"public"` // see evidence.FormatPublic
	Name   string `json:"name"`
}

// KnownKey is a public key that is known here. What it may speak about is the policy's to say: Checks and Environments are
// empty.
type KnownKey struct {
	evidence.Key           // Public is nil of a key that was revoked without ever being known
	User         string    // who enrolled it; "" for this Greenroom's own
	Active       bool      // this Greenroom signs with it
	Added        time.Time // zero for the key that the log began with
	Left         time.Time // when it was retired; zero while it is in use
}

// thisName is what this Greenroom's own keys are called.
const thisName = "this Greenroom"

// Keys lists this Greenroom's own keys, the oldest first, then those that were enrolled or revoked in the order of the
// log. A log that says something about keys without a good signature is damaged, and a problem.
func (s *Store) Keys(ctx context.Context) ([]KnownKey, error) {
	entries, err := collect(ctx, s.Reader, scanLog, `SELECT `+entryColumns+` FROM audit a
		WHERE action IN ('key enrolled', 'key revoked', 'key rotated') ORDER BY a.seq`)
	if err != nil {
		return nil, err
	}
	var known knownKeys
	for _, public := range s.ring.Publics() {
		known.add(KnownKey{Key: evidence.Key{ID: evidence.IDOf(public), Public: public, Name: thisName, Own: true}})
	}
	for _, e := range entries {
		if err := cmp.Or(e.Check(known.own()), known.learn(e)); err != nil {
			return nil, damaged(s.file, fmt.Errorf("what the log says about keys: %w", err))
		}
	}
	known.find(s.signer().ID()).Active = true
	return known, nil
}

type knownKeys []KnownKey

func (k *knownKeys) add(key KnownKey) *KnownKey {
	*k = append(*k, key)
	return &(*k)[len(*k)-1]
}

// find returns the key of that name, which is known from now on.
func (k *knownKeys) find(id evidence.KeyID) *KnownKey {
	for i := range *k {
		if (*k)[i].ID == id {
			return &(*k)[i]
		}
	}
	return k.add(KnownKey{Key: evidence.Key{ID: id}})
}

// own are those that may sign the log.
func (k *knownKeys) own() evidence.Keys {
	var own evidence.Keys
	for _, key := range *k {
		if key.Own {
			own = append(own, key.Key)
		}
	}
	return own
}

// learn takes in what an entry says about keys.
func (k *knownKeys) learn(e evidence.Entry) error {
	about := evidence.KeyID(e.Subject)
	switch e.Action {
	case evidence.ActionRotated:
		old := k.find(e.Key)
		old.Retired, old.Left = e.Seq, e.At
		next := k.find(about)
		next.Name, next.Own, next.Added = thisName, true, e.At
	case actionRevoked:
		k.find(about).Revoked = &evidence.Revocation{At: e.At, Because: e.Because}
	case actionEnrolled:
		var d enrolment
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			return err
		}
		public, err := evidence.ParsePublic(d.Public)
		if err != nil {
			return err
		}
		key := k.find(about)
		key.Public, key.Name, key.User, key.Added = public, d.Name, e.Actor, e.At
	}
	return nil
}

// EnrollKey makes a user's key known under a name. One that is known already stays what it is, also when it was revoked.
func (s *Store) EnrollKey(ctx context.Context, user, name string, public ed25519.PublicKey) error {
	id := evidence.IDOf(public)
	detail, err := json.Marshal(enrolment{Public: evidence.FormatPublic(public), Name: name})
	if err != nil {
		return err
	}
	return s.transact(ctx, func(t *Tx) error {
		for _, own := range s.ring.Publics() {
			if own.Equal(public) {
				return nil
			}
		}
		if known, err := t.said(ctx, actionEnrolled, id); err != nil || known {
			return err
		}
		_, err := t.record(ctx, Audit{Actor: user, Action: actionEnrolled, Subject: string(id), Detail: detail})
		return err
	})
}

// RevokeKey makes that nothing which a key signed counts any more: any key, also one that only a policy names. The key
// that signs the log has to be replaced first.
func (s *Store) RevokeKey(ctx context.Context, actor string, id evidence.KeyID, because string) error {
	return s.transact(ctx, func(t *Tx) error {
		if id == t.signer.ID() {
			return problem.New(problem.Blocked, "%s is the key that this Greenroom signs with", id).WithHint("greenroom key rotate")
		}
		if known, err := t.said(ctx, actionRevoked, id); err != nil || known {
			return err
		}
		_, err := t.record(ctx, Audit{Actor: actor, Action: actionRevoked, Subject: string(id), Because: because})
		return err
	})
}

// said tells whether the log has an entry of that action about a key.
func (t *Tx) said(ctx context.Context, action string, id evidence.KeyID) (bool, error) {
	_, found, err := first(ctx, t.Reader, scanLog, `SELECT `+entryColumns+` FROM audit a
		WHERE action IN ('key enrolled', 'key revoked', 'key rotated') AND action = ? AND subject = ? LIMIT 1`, action, id)
	return found, err
}

// RotateKey replaces the key that this Greenroom signs with by a new one. The log's entry that says so is the last that the
// old one signs; the new one is active before anything else is written. A kill in between leaves what the log says, and the
// next change makes it so.
func (s *Store) RotateKey(ctx context.Context, actor, because string) (id evidence.KeyID, err error) {
	_, err = s.alone(ctx, func(t *Tx) error {
		next, err := s.ring.Prepare() // here, where the active key is not about to change
		if err != nil {
			return err
		}
		id = next.ID()
		detail, err := json.Marshal(evidence.FormatPublic(next.Public()))
		if err != nil {
			return err
		}
		_, err = t.record(ctx, Audit{Actor: actor, Action: evidence.ActionRotated, Subject: string(id), Because: because, Detail: detail})
		return err
	})
	if err != nil {
		return "", s.explain(err)
	}
	return id, s.activate(ctx)
}

// activate makes what the log says about its key so.
func (s *Store) activate(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	_, err := s.handOver(ctx, s.Reader)
	return err
}

// handOver is the log's head, and sees to it that the key which the log is in the hands of is the one that signs.
func (s *Store) handOver(ctx context.Context, r Reader) (evidence.Head, error) {
	last, found, err := r.last(ctx)
	if err != nil || !found {
		return evidence.Head{}, err
	}
	head, owner := evidence.Head{Seq: last.Seq, Hash: last.Hash}, last.Key
	if last.Action == evidence.ActionRotated {
		owner = evidence.KeyID(last.Subject)
	}
	if s.signer().ID() == owner {
		return head, nil
	}
	if err := s.ring.Activate(owner); err != nil {
		return head, problem.New(problem.Blocked, "the log in %s is to be signed by the key %s: %w", s.file, owner, err).
			WithHint("put the folder of the keys back that belongs to this state; a backup of the state has both")
	}
	return head, nil
}
