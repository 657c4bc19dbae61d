package api

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// anchorWords is how many words an anchor's line has: greenroom log SEQ HASH KEY SIGNATURE.
const anchorWords = 6

// NewAnchor is the anchor of a log that ends with that entry. Its signature is the entry's: the hash that was signed is
// over everything before it.
func NewAnchor(last evidence.Entry) Anchor {
	return Anchor{
		Head: evidence.Head{Seq: last.Seq, Hash: last.Hash},
		Line: fmt.Sprintf("greenroom log %d %s %s %s", last.Seq, hex.EncodeToString(last.Hash), last.Key,
			base64.StdEncoding.EncodeToString(last.Signature)),
	}
}

// ParseAnchor reads the line of an anchor. The entry has only what the line tells: Seq, Hash, Key and Signature.
func ParseAnchor(line string) (evidence.Entry, error) {
	words := strings.Fields(line)
	var e evidence.Entry
	if len(words) != anchorWords || words[0] != "greenroom" || words[1] != "log" {
		return e, problem.New(problem.Invalid, "this is not the line of an anchor: greenroom log NUMBER HASH KEY SIGNATURE")
	}
	if _, err := fmt.Sscanf(words[2], "%d", &e.Seq); err != nil || e.Seq < 1 || fmt.Sprint(e.Seq) != words[2] {
		return e, problem.New(problem.Invalid, "the anchor's number %q is none", words[2])
	}
	var err error
	if e.Hash, err = hex.DecodeString(words[3]); err != nil || len(e.Hash) != 32 {
		return e, problem.New(problem.Invalid, "the anchor's hash %q is none", words[3])
	}
	e.Key = evidence.KeyID(words[4])
	if e.Signature, err = base64.StdEncoding.DecodeString(words[5]); err != nil {
		return e, problem.New(problem.Invalid, "the anchor's signature is none: %w", err)
	}
	return e, nil
}
