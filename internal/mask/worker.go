package mask

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// masker makes something of a value that is not null. A nil result is null.
type masker interface {
	mask(dst, value []byte) []byte
}

// worker is what the maskers of one goroutine share: scratch, and the functions of the families.
type worker struct {
	row      row
	key      Key
	families map[string]*keyed
	facts    map[string]family
	memos    map[string]*memo
	folded   []byte
}

// family is what all columns of a family's uses have in common, so that none of it tells tables apart.
type family struct {
	unique bool // one of its columns is unique: different values must stay different
	limit  int  // the most characters that the narrowest of its columns takes; 0: any number
}

// familyOf is the family of a use.
func familyOf(use string) string {
	switch use {
	case "first_name", "last_name":
		return "name"
	}
	return use
}

func newWorker(k Key, facts map[string]family) *worker {
	return &worker{key: k, facts: facts, families: map[string]*keyed{}, memos: map[string]*memo{}}
}

// keyed is the function of a family. It is the same for every column, and never used by two at once.
func (w *worker) keyed(family string) *keyed {
	k := w.families[family]
	if k == nil {
		k = newKeyed(w.key, family)
		w.families[family] = k
	}
	return k
}

// memo is what is remembered of a family.
func (w *worker) memo(family string) *memo {
	m := w.memos[family]
	if m == nil {
		m = &memo{}
		w.memos[family] = m
	}
	return m
}

// masker makes what carries out a rule that was checked; nil for keep.
func (w *worker) masker(r Rule) masker {
	fam := familyOf(r.Use)
	base := plainMask{w: w, k: w.keyed(fam), family: w.facts[fam]}
	switch r.Use {
	case "keep":
		return nil
	case "null":
		return nullMask{}
	case "constant":
		return constantMask(r.Value)
	case "name", "first_name", "last_name", "company", "address", "city":
		return &wordsMask{plainMask: base, known: w.memo(fam)}
	case "email":
		return &emailMask{plainMask: base, domains: w.memo(fam), tweaks: w.memo("tweaks of " + fam)}
	case "phone":
		return &phoneMask{base}
	case "number":
		return w.numbers(r)
	case "date":
		return w.dates(r)
	case "uuid":
		return &uuidMask{base}
	case "token":
		return &tokenMask{base}
	case "hash":
		return &hashMask{base}
	case "ip":
		return &ipMask{plainMask: base}
	case "url":
		return &urlMask{base}
	case "iban":
		return &ibanMask{base}
	case "card":
		return &cardMask{base}
	case "bytes":
		return &bytesMask{plainMask: base}
	case "xml":
		return &xmlMask{plainMask: base, text: w.masker(Rule{Use: "text"})}
	case "json":
		return newJSONMask(w, r)
	case "array":
		return &arrayMask{of: w.masker(*r.Of)}
	case "text":
		return &textMask{plainMask: base, date: w.masker(Rule{Use: "date"}), uuid: w.masker(Rule{Use: "uuid"})}
	}
	return &base // username, postcode
}

type nullMask struct{}

func (nullMask) mask(_, _ []byte) []byte { return nil }

type constantMask string

func (m constantMask) mask(dst, _ []byte) []byte { return append(dst, m...) }

// plainMask is text as such: other letters and digits at the same places.
type plainMask struct {
	w *worker
	k *keyed
	family
}

func (m *plainMask) mask(dst, value []byte) []byte { return m.as(dst, value, tweak{}, asText) }

func (m *plainMask) as(dst, value []byte, t tweak, how reading) []byte {
	return m.w.row.text(m.k, t, dst, value, how)
}

// fits says whether a value that grows by so many characters still has room in every column of the family.
func (m *plainMask) fits(value []byte, more int) bool {
	return m.limit == 0 || utf8.RuneCount(value)+more <= m.limit
}

// textMask is plainMask, but a text that is a moment or a UUID as a whole stays one, since somebody may cast it.
type textMask struct {
	plainMask
	date, uuid masker
}

func (m *textMask) mask(dst, value []byte) []byte {
	switch {
	case looksLikeMoment(value):
		return m.date.mask(dst, value)
	case isUUID(value):
		return m.uuid.mask(dst, value)
	}
	begin := len(dst)
	dst = m.plainMask.mask(dst, value)
	for looksLikeMoment(dst[begin:]) || isUUID(dst[begin:]) { // on to one that no moment and no UUID comes out as
		again := append(m.w.folded[:0], dst[begin:]...)
		m.w.folded = again
		dst = m.plainMask.mask(dst[:begin], again)
	}
	return dst
}

// fold is a text however it is written: in small letters. It is good until the next call.
func (w *worker) fold(text []byte) []byte {
	out := slices.Grow(w.folded[:0], len(text)) // at once: growing into it would take it several times
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			out = append(out, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError {
			out = append(out, text[i:i+size]...)
		} else {
			out = utf8.AppendRune(out, unicode.ToLower(r))
		}
		i += size
	}
	w.folded = out
	return out
}
