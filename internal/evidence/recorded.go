package evidence

import (
	"errors"
	"fmt"

	"greenroom/internal/release"
)

// Recorded is a piece of evidence as it is kept: the envelope, byte for byte, and the log's entry that says when it came.
type Recorded struct {
	Envelope []byte         // nil when it is gone
	Digest   release.Digest // of the envelope, as the log has it
	Entry    Entry          // the log's
}

// Word is what a recorded piece of evidence says, and whether that counts.
type Word struct {
	Summary
	Statement Statement // of a check; the zero value for other kinds
	Signer    Key       // only its ID is known of a key that nobody here knows
	Doubt     error     // why it does not count: it is not signed, or by a key that may not say it; nil: it counts
}

// Check says whether the log's entry is what this Greenroom wrote, and about this envelope. Where it is not, nobody knows
// what was recorded when.
func (r Recorded) Check(keys Keys) error {
	if err := r.Entry.Check(keys); err != nil {
		return err
	}
	d, err := r.Entry.Evidence()
	if err == nil && d != r.Digest {
		err = fmt.Errorf("entry %d of the log is about another envelope", r.Entry.Seq)
	}
	return err
}

// Read reads what was recorded, as strictly as Open. An error says that it is gone, damaged or can't be understood: it may
// have been anything. What can be read and does not count comes with a doubt, so that a failure is still seen when the key
// that told of it is trusted no more.
func (r Recorded) Read(keys Keys) (Word, error) {
	switch {
	case r.Envelope == nil:
		return Word{}, fmt.Errorf("the evidence of entry %d of the log is gone", r.Entry.Seq)
	case release.Of(r.Envelope) != r.Digest:
		return Word{}, fmt.Errorf("the evidence of entry %d of the log is not what it was when it was recorded", r.Entry.Seq)
	}
	e, err := unpack(r.Envelope)
	if err != nil {
		return Word{}, fmt.Errorf("the evidence of entry %d of the log: %w", r.Entry.Seq, err)
	}
	d, err := parse(e.payload)
	if err != nil {
		return Word{}, fmt.Errorf("the evidence of entry %d of the log: %w", r.Entry.Seq, err)
	}
	w := Word{Summary: d.summary(), Signer: Key{ID: e.key}}
	w.Key = e.key
	if c, ok := d.(check); ok {
		w.Statement = Statement(c)
	}
	if k, err := e.verify(keys); err != nil {
		w.Doubt = err
	} else {
		w.Signer, w.Doubt = k, r.doubt(w, k)
	}
	return w, nil
}

// doubt says why the word of a key that signed it does not count.
func (r Recorded) doubt(w Word, k Key) error {
	switch {
	case w.App != r.Entry.App || string(w.Release) != r.Entry.Subject:
		return errors.New("the log recorded it for another release")
	case k.Revoked != nil:
		return k.revoked()
	case k.Retired != 0 && r.Entry.Seq >= k.Retired:
		return fmt.Errorf("the key %s was retired before it was recorded", k)
	case w.Kind == KindCheck:
		return k.May(w.Statement)
	}
	return nil
}
