package gate

import (
	"fmt"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// piece is a recorded piece of evidence as the gate reads it.
type piece struct {
	evidence.Word
	digest release.Digest
	fault  error // why it can't be read; then it may have said anything
}

// pieces reads all that was recorded. An envelope that was recorded twice counts where it came first, also when it is gone:
// shown again after a failure, an old pass would hide it.
func pieces(recorded []evidence.Recorded, keys evidence.Keys) []piece {
	var all []piece
	seen := map[release.Digest]bool{}
	for _, r := range recorded {
		if seen[r.Digest] {
			continue
		}
		seen[r.Digest] = true
		w, err := r.Read(keys)
		all = append(all, piece{Word: w, digest: r.Digest, fault: err})
	}
	return all
}

// Believed are the statements about checks that count: recorded, whole, and signed by a key that may say so; the oldest
// first, each once. Which of them a later one contradicts is for the reader to see.
func Believed(recorded []evidence.Recorded, keys evidence.Keys) []evidence.Statement {
	var believed []evidence.Statement
	seen := map[release.Digest]bool{}
	for _, r := range recorded {
		if seen[r.Digest] || r.Check(keys) != nil {
			continue
		}
		seen[r.Digest] = true
		if w, err := r.Read(keys); err == nil && w.Doubt == nil && w.Kind == evidence.KindCheck {
			believed = append(believed, w.Statement)
		}
	}
	return believed
}

// log demands that what was recorded is what this Greenroom recorded, in that order. Evidence without its place in the log
// can't be told from evidence that something newer contradicts.
func (q Question) log() Demand {
	d := Demand{Name: demandLog, Answer: Yes, Reason: "every entry is signed and follows on the one before"}
	fault := q.LogFault
	var seq int64
	for _, r := range q.Evidence {
		if fault != "" {
			break
		}
		if err := r.Check(q.Keys); err != nil {
			fault = err.Error()
		} else if r.Entry.Seq <= seq {
			fault = fmt.Sprintf("entry %d of the log comes after entry %d", r.Entry.Seq, seq)
		}
		seq = r.Entry.Seq
	}
	if fault != "" {
		d.Answer, d.Reason, d.Next = Unknown, fault, "greenroom audit verify"
	}
	return d
}
