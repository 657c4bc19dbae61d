package mask

import (
	"unicode"
	"unicode/utf8"
)

// alphabet is a set of characters that stand for one another. All of one are written in as many bytes, or nearly, and a
// cased one holds small letters of which each has one capital and is its only small one: so that what differs however
// it is written, differs afterwards however it is written.
type alphabet struct {
	runes []rune // nil: size runes from first on
	first rune
	size  uint32
	cased bool
}

func (a *alphabet) at(i uint32) rune {
	if a.runes == nil {
		return a.first + rune(i)
	}
	return a.runes[i]
}

// The kinds of characters that stand for others of the same script.
const (
	otherRune = iota
	casedRune
	plainRune
	markRune
	digitRune
)

// pageSize is how many code points a script's alphabet is looked for in: most scripts have one or two pages.
const pageSize = 128

// combining accents stay, as the letters below them are what matters.
const (
	firstAccent = 0x300
	lastAccent  = 0x36f
)

func runeKind(r rune) int {
	switch {
	case r >= firstAccent && r <= lastAccent:
		return otherRune
	case unicode.IsLetter(r):
		if low, ok := smallOf(r); ok && low == r {
			return casedRune
		}
		return plainRune
	case unicode.Is(unicode.Nd, r):
		return digitRune
	case unicode.IsMark(r):
		return markRune
	}
	return otherRune
}

// smallOf is the small letter of a letter that is one of exactly two.
func smallOf(r rune) (rune, bool) {
	low := unicode.ToLower(r)
	up := unicode.ToUpper(low)
	return low, low != up && unicode.ToLower(up) == low && (r == low || r == up)
}

// alphabets finds alphabets, and remembers those of the scripts that it met. It is for one goroutine.
type alphabets struct {
	pages map[rune]*page
}

// page is what is known of pageSize code points.
type page struct {
	sets  [digitRune + 1]alphabet
	kind  [pageSize]byte
	index [pageSize]uint16
}

var (
	han    = alphabet{first: 0x4e00, size: 0x9fff - 0x4e00 + 1}
	hangul = alphabet{first: 0xac00, size: 0xd7a3 - 0xac00 + 1}
)

// find gives the alphabet of a character outside ASCII, its place there and whether it is a capital; nil for one that
// stands for nothing but itself.
func (as *alphabets) find(r rune) (a *alphabet, index uint32, capital bool) {
	for _, set := range []*alphabet{&han, &hangul} {
		if i := uint32(r - set.first); r >= set.first && i < set.size {
			return set, i, false
		}
	}
	low, cased := smallOf(r)
	if !cased {
		low = r
	}
	p := as.page(low / pageSize)
	at := low % pageSize
	a = &p.sets[p.kind[at]]
	if p.kind[at] == otherRune || a.size < 2 {
		return nil, 0, false
	}
	return a, uint32(p.index[at]), low != r
}

func (as *alphabets) page(n rune) *page {
	if p := as.pages[n]; p != nil {
		return p
	}
	p := &page{}
	for i := range rune(pageSize) {
		r := n*pageSize + i
		if r < utf8.RuneSelf || !utf8.ValidRune(r) {
			continue
		}
		kind := runeKind(r)
		if low, cased := smallOf(r); cased && low != r {
			kind = otherRune // a capital is found by its small letter
		}
		set := &p.sets[kind]
		p.kind[i], p.index[i] = byte(kind), uint16(set.size)
		set.cased = kind == casedRune
		set.runes = append(set.runes, r)
		set.size++
	}
	if as.pages == nil {
		as.pages = map[rune]*page{}
	}
	as.pages[n] = p
	return p
}
