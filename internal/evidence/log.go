package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"greenroom/internal/release"
)

// Entry is one line of the log of everything that happened. Its hash is over all that is in it and the hash of the one
// before, so that none can be changed, removed, inserted or moved without a trace; its signature is over the hash.
type Entry struct {
	Seq         int64     `json:"seq"` // 1, 2, 3 … without a gap
	At          time.Time `json:"at"`  // to the nanosecond, in UTC
	Actor       string    `json:"actor"`
	Action      string    `json:"action"` // "promotion started", "secret set", "evidence"
	App         string    `json:"app,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Subject     string    `json:"subject,omitempty"` // what it is about: a release's digest, the name of a secret
	Run         string    `json:"run,omitempty"`
	Because     string    `json:"because,omitempty"`
	Detail      string    `json:"detail,omitempty"` // JSON, for programs; never a secret
	Previous    []byte    `json:"previous"`         // hash of the entry before; 32 zeros in the first
	Hash        []byte    `json:"hash"`             // 32 bytes, SHA-256
	Key         KeyID     `json:"key"`
	Signature   []byte    `json:"signature"`
}

// Head is the end of a log: written elsewhere, it tells when the end was cut off.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash []byte `json:"hash"`
}

// ActionEvidence is the action of an entry that records evidence: Subject is the release's digest, Detail the envelope's
// as a JSON string.
const ActionEvidence = "evidence"

// ActionRotated is the action of the entry that hands the log over to a new key: signed by the old one, Subject is the new
// one's ID, Detail its public key as a JSON string (see FormatPublic). It is the last entry that the old key may sign.
const ActionRotated = "key rotated"

// Link completes an entry: its number, the hash of the one before, its own hash, and the signature.
func Link(e Entry, after Head, by Signer) Entry {
	e.Seq = after.Seq + 1
	e.Previous = after.previous()
	e.Key = by.ID()
	sum := e.sum()
	e.Hash = sum[:]
	message := signed(sum)
	e.Signature = ed25519.Sign(by.private, message[:])
	return e
}

// Check says whether an entry is what its key signed, by itself: not whether it is where it was in the log, which a
// Verifier says.
func (e Entry) Check(keys Keys) error {
	if err := e.checkHash(); err != nil {
		return err
	}
	k, err := keys.signerOf(e)
	if err != nil {
		return err
	}
	return e.checkSignature(k)
}

// Evidence is the digest of the envelope that an entry of ActionEvidence records; an error where the entry is none.
func (e Entry) Evidence() (release.Digest, error) {
	var d release.Digest
	if e.Action != ActionEvidence {
		return "", fmt.Errorf("entry %d of the log is about %q, not about evidence", e.Seq, e.Action)
	}
	if err := strict([]byte(e.Detail), &d); err != nil || !d.Valid() {
		return "", fmt.Errorf("entry %d of the log names no envelope", e.Seq)
	}
	return d, nil
}

// rotatedTo is the key that an entry of ActionRotated hands the log over to.
func (e Entry) rotatedTo() (Key, error) {
	var text string
	if err := json.Unmarshal([]byte(e.Detail), &text); err != nil {
		return Key{}, fmt.Errorf("entry %d of the log names no key: %w", e.Seq, err)
	}
	public, err := ParsePublic(text)
	if err != nil {
		return Key{}, fmt.Errorf("entry %d of the log: %w", e.Seq, err)
	}
	k := Key{ID: IDOf(public), Public: public, Own: true}
	if string(k.ID) != e.Subject {
		return Key{}, fmt.Errorf("entry %d of the log hands over to %s, and gives the key %s", e.Seq, e.Subject, k.ID)
	}
	return k, nil
}

// signerOf is the key that may have signed an entry: one of this Greenroom's own, not after it was retired. What a revoked
// one signed before its retirement stands, because the keys after it signed the chain that it is part of.
func (k Keys) signerOf(e Entry) (Key, error) {
	key, err := k.one(e.Key)
	switch {
	case err != nil:
	case !key.Own:
		err = fmt.Errorf("the key %s may not sign the log", key)
	case key.Retired != 0 && e.Seq > key.Retired:
		err = fmt.Errorf("the key %s was retired by entry %d", key, key.Retired)
	case key.Revoked != nil && key.Retired == 0:
		err = key.revoked()
	}
	if err != nil {
		return Key{}, fmt.Errorf("entry %d of the log: %w", e.Seq, err)
	}
	return key, nil
}

func (e Entry) checkHash() error {
	sum := e.sum()
	if !bytes.Equal(e.Hash, sum[:]) {
		return fmt.Errorf("entry %d of the log is not what it was when it was written", e.Seq)
	}
	return nil
}

// checkSignature expects that the hash was checked.
func (e Entry) checkSignature(k Key) error {
	message := signed([sha256.Size]byte(e.Hash))
	if !k.verify(message[:], e.Signature) {
		return fmt.Errorf("entry %d of the log: the signature is not one of the key %s", e.Seq, k)
	}
	return nil
}

// domain begins what is hashed and what is signed, so that nothing else that these keys sign can be taken for an entry.
const domain = "greenroom log entry v1\n"

// sum is the hash over all of an entry but its hash and signature: each field with its length before it, so that no two
// entries give the same bytes.
func (e Entry) sum() [sha256.Size]byte {
	var room [512]byte
	b := append(room[:0], domain...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(e.At.Nanosecond()))
	for _, field := range [...]string{e.Actor, e.Action, e.App, e.Environment, e.Subject, e.Run, e.Because, e.Detail, string(e.Key)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(len(e.Previous)))
	b = append(b, e.Previous...)
	return sha256.Sum256(b)
}

// signed is what is signed of an entry.
func signed(sum [sha256.Size]byte) [len(domain) + sha256.Size]byte {
	var message [len(domain) + sha256.Size]byte
	copy(message[copy(message[:], domain):], sum[:])
	return message
}

// previous is the hash that the entry after this head names.
func (h Head) previous() []byte {
	if h.Seq == 0 {
		return make([]byte, sha256.Size)
	}
	return h.Hash
}

func (h Head) sense() error {
	if h.Seq < 1 || len(h.Hash) != sha256.Size {
		return fmt.Errorf("%d is not the end of a log", h.Seq)
	}
	return nil
}
