package cli

import (
	"fmt"
	"slices"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// verification verifies envelopes with keys, and remembers what it found.
type verification struct {
	keys  evidence.Keys
	items []verified
	lists []evidence.Collection // that were signed: what has to be there
}

// verified is one envelope and what became of it.
type verified struct {
	evidence.Summary
	Digest  release.Digest `json:"digest"`
	Signer  string         `json:"signer,omitempty"`
	OK      bool           `json:"ok"`
	Unknown bool           `json:"unknown,omitempty"` // signed by a key that is not among those given
	Fault   string         `json:"fault,omitempty"`
}

func (v *verified) fail(format string, args ...any) {
	v.OK, v.Fault = false, fmt.Sprintf(format, args...)
}

// counts are how many are good, and how many are signed by unknown keys.
func (v *verification) counts() (good, unknown int) {
	for _, one := range v.items {
		if one.OK {
			good++
		}
		if one.Unknown {
			unknown++
		}
	}
	return good, unknown
}

// strangers are the keys that signed something and are not among those given, each once.
func (v *verification) strangers() (ids []evidence.KeyID) {
	for _, one := range v.items {
		if one.Unknown && one.Key != "" && !slices.Contains(ids, one.Key) {
			ids = append(ids, one.Key)
		}
	}
	return ids
}

// envelope verifies one: the signature, and that its key may speak about what it says.
func (v *verification) envelope(envelope []byte) verified {
	one := verified{Digest: release.Of(envelope)}
	e, err := signature(envelope)
	if err != nil {
		one.fail("%v", err)
		return one
	}
	id := evidence.KeyID(e.Signatures[0].KeyID)
	if _, known := v.keys.Find(id); !known && len(e.Signatures) == 1 && !v.twice(id) {
		one.Unknown, one.Key = true, id
		one.fail("signed by %s, which is none of the keys to verify with", id)
		return one
	}
	summary, key, err := evidence.Read(envelope, v.keys)
	if err == nil {
		one.Summary, one.Signer = summary, key.Name
		err = v.may(envelope, summary, key)
	}
	if err != nil {
		one.fail("%v", err)
		return one
	}
	one.OK = true
	return one
}

// twice says whether several of the keys have the same id: then it is not unknown but wrong.
func (v *verification) twice(id evidence.KeyID) bool {
	return slices.ContainsFunc(v.keys, func(k evidence.Key) bool { return k.ID == id })
}

// may says whether a key may say what it says.
func (v *verification) may(envelope []byte, summary evidence.Summary, key evidence.Key) error {
	switch summary.Kind {
	case evidence.KindCheck:
		statement, _, err := evidence.Open(envelope, v.keys)
		if err != nil {
			return err
		}
		return key.May(statement)
	case evidence.KindCollection:
		list, _, err := evidence.OpenCollection(envelope, v.keys)
		v.lists = append(v.lists, list)
		return err
	case evidence.KindStanding, evidence.KindRollout:
		if !slices.Contains(key.Environments, evidence.Any) && !slices.Contains(key.Environments, summary.Environment) {
			return fmt.Errorf("the key %s may not speak for %s", key.Name, summary.Environment)
		}
	}
	return nil
}

// file verifies all that is in a file. A bundle holds one release, whole, and a signed list of all evidence about it.
func (v *verification) file(b envelopeFile) {
	for _, e := range b.envelopes {
		v.items = append(v.items, v.envelope(e))
	}
	v.oneRelease(b.bundle)
	for _, list := range v.lists {
		v.complete(list)
	}
	for _, name := range b.damaged {
		v.items = append(v.items, verified{Digest: release.Digest("sha256:" + name), Fault: "this part of the bundle is not what its name says"})
	}
	if good, unknown := v.counts(); b.bundle && good > 0 && len(v.lists) == 0 {
		// Where a key is not known, it may be the one that signed the list.
		v.items = append(v.items, verified{Unknown: unknown > 0, Fault: "nothing that these keys signed says that this is all the evidence"})
	}
}

// oneRelease demands that all of a bundle is about one release.
func (v *verification) oneRelease(bundle bool) {
	var about release.Digest
	for i := range v.items {
		one := &v.items[i]
		switch {
		case !bundle || !one.OK:
		case about == "":
			about = one.Release
		case one.Release != about:
			one.fail("it is about %s, and the bundle about %s", one.Release.Short(), about.Short())
		}
	}
}

// complete demands that everything which a list names is there.
func (v *verification) complete(list evidence.Collection) {
	for _, want := range list.Evidence {
		if !slices.ContainsFunc(v.items, func(one verified) bool { return one.Digest == want }) {
			missing := verified{Digest: want, Fault: "the list of all evidence names it, and it is not here"}
			missing.Release = list.Release
			v.items = append(v.items, missing)
		}
	}
}
