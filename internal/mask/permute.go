package mask

import (
	"bytes"
	"math/bits"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A permutation takes a value to another one of the same shape, and no two to the same. The value is a row of small
// numbers, the places of its characters in their alphabets; it is cut in two, and in each round a keyed function of one
// half is added to the other (a Feistel network over the alphabets, as format-preserving encryption has it).
//
// No value may come out as it went in. Where that could happen by chance, the permutation is a cyclic step between
// scrambling and unscrambling: scramble⁻¹(scramble(x) + 1) is never x.

const (
	rounds     = 6  // and twice as many where scrambling is undone again
	roundsLong = 4  // with halves as large as they are then, they do what six do else
	longBits   = 96 // bits of a row that is long
	chanceBits = 40 // with as many bits coming out unchanged is no longer a chance
	smallCard  = 64 // alphabets up to here have a random permutation of their own for values of one character
)

// row is a value taken apart, and the scratch for it. It is for one goroutine, and one value at a time.
type row struct {
	index  []uint32 // place in the alphabet
	size   []uint32 // of the alphabet
	kinds  []byte   // by byte of the value
	sets   []*alphabet
	packed []byte
	wide   bool // an alphabet has more than 256 characters
	find   alphabets
}

func (r *row) clear() {
	r.index, r.size, r.kinds, r.sets, r.wide = r.index[:0], r.size[:0], r.kinds[:0], r.sets[:0], false
}

func (r *row) add(index, size uint32) {
	r.index, r.size = append(r.index, index), append(r.size, size)
	r.wide = r.wide || size > 256
}

// bits are how many bits a row of these alphabets holds, rounded down; of a long one no more than that it is long.
func (r *row) bits() (n int) {
	for _, s := range r.size {
		n += bits.Len32(s) - 1
		if n >= longBits {
			break
		}
	}
	return n
}

// permute replaces the row by the one that stands for it.
func (r *row) permute(k *keyed, t tweak) {
	if len(r.index) < 2 {
		if len(r.index) == 1 {
			r.index[0] = k.card(t, r.size[0], r.index[0])
		}
		return
	}
	switch n := r.bits(); {
	case n >= longBits:
		r.scramble(k, t, roundsLong)
	case n >= chanceBits:
		r.scramble(k, t, rounds)
	default:
		r.scramble(k, t, rounds)
		for i, size := range r.size {
			if r.index[i]++; r.index[i] == size {
				r.index[i] = 0
			}
		}
		r.unscramble(k, t, rounds)
	}
}

// drawn appends another text of the shape of a short one. It is drawn and not permuted, which is a twelfth of the work where
// two texts may become the same one: of the tweak and the place alone, and again until it is another.
func (r *row) drawn(k *keyed, t tweak, place byte, dst, value []byte) []byte {
	if len(value) > textPart {
		return r.text(k, t, dst, value, asText)
	}
	r.take(value, asText)
	begin := len(dst)
	k.ofSized(t, roundDraw, []byte{place}, len(r.index))
	for d := (digits{k: k}); ; {
		for i, size := range r.size {
			r.index[i] = d.below(size)
		}
		dst = r.put(dst[:begin], value)
		if len(r.index) == 0 || !bytes.Equal(dst[begin:], value) {
			return dst
		}
	}
}

func (r *row) scramble(k *keyed, t tweak, n int) {
	for round := range n {
		r.turn(k, t, round, false)
	}
}

func (r *row) unscramble(k *keyed, t tweak, n int) {
	for round := n - 1; round >= 0; round-- {
		r.turn(k, t, round, true)
	}
}

// turn is one round: it adds to one half what is drawn from the other, or takes it away again. What it draws are digits, and
// it is below written out, since nothing in a mask takes more time.
func (r *row) turn(k *keyed, t tweak, round int, back bool) {
	from, to := r.half(k, t, round)
	index, sizes := r.index[from:to], r.size[from:to]
	var d digits
	for i, at := range index {
		size := sizes[i]
		need := needOf(size)
		if d.left < need {
			d.word, d.left = k.word(), digitsLeft
		}
		drawn, rest := bits.Mul64(d.word, uint64(size))
		d.word, d.left = rest, d.left-need
		if back {
			drawn = uint64(size) - drawn
		}
		at += uint32(drawn)
		if at >= size {
			at -= size
		}
		index[i] = at
	}
}

// half makes the stream of the half that stays in a round, and says which places are added to.
func (r *row) half(k *keyed, t tweak, round int) (from, to int) {
	cut := len(r.index) / 2
	stay, from, to := r.index[cut:], 0, cut
	if round%2 == 1 {
		stay, from, to = r.index[:cut], cut, len(r.index)
	}
	if len(stay) <= shortMost && !r.wide {
		var in uint64
		for i, index := range stay {
			in |= uint64(index) << (8 * i)
		}
		k.ofShort(t, byte(round), in, len(r.index))
		return from, to
	}
	p := r.packed[:0]
	for _, i := range stay {
		p = append(p, byte(i))
		if r.wide {
			p = append(p, byte(i>>8), byte(i>>16))
		}
	}
	r.packed = p
	k.ofSized(t, byte(round), p, len(r.index))
	return from, to
}

// card is the permutation of a single character. A small alphabet has a random one, of one cycle, so that none stands
// for itself; a large one is shifted.
func (k *keyed) card(t tweak, size, index uint32) uint32 {
	if size < 2 {
		return index
	}
	if size > smallCard {
		k.ofSized(t, roundShuffle, nil, int(size))
		return (index + 1 + uint32(k.below(uint64(size-1)))) % size
	}
	if t != (tweak{}) {
		k.ofSized(t, roundShuffle, nil, int(size))
		return k.shuffled(size)[index]
	}
	to := k.cards[size]
	if to == nil {
		k.ofSized(t, roundShuffle, nil, int(size))
		to = slices.Clone(k.shuffled(size))
		k.cards[size] = to
	}
	return to[index]
}

// shuffled is a cyclic permutation drawn from the stream (Sattolo's).
func (k *keyed) shuffled(size uint32) []uint32 {
	if cap(k.deck) < smallCard {
		k.deck = make([]uint32, smallCard)
	}
	deck := k.deck[:size]
	for i := range deck {
		deck[i] = uint32(i)
	}
	for i := size - 1; i > 0; i-- {
		j := k.below(uint64(i))
		deck[i], deck[j] = deck[j], deck[i]
	}
	return deck
}

// The kinds of a value's bytes.
const (
	byteKept = iota
	byteSmall
	byteCapital
	byteDigit
	byteFirst // a digit that is not zero and has no digit but zeros before it
	byteRune
	byteRuneCapital
	byteRest // of a character
	byteRaw  // no UTF-8
)

// How a text is taken apart.
type reading int

const (
	asText   reading = iota // zeros in front of a number stay, and none come to be: a cast to a number loses them
	asDigits                // every digit is one
	asURL                   // as text, with escapes as %20 left alone
	asMarkup                // as text, with references as &amp; left alone
)

// take takes a text apart: letters and digits are permuted, all else stays.
func (r *row) take(value []byte, how reading) {
	r.clear()
	inNumber := how == asDigits
	for i := 0; i < len(value); i++ {
		c := value[i]
		if how >= asURL {
			if n := skipped(value[i:], how); n > 0 {
				for range n {
					r.kinds = append(r.kinds, byteKept)
				}
				i, inNumber = i+n-1, false
				continue
			}
		}
		if c >= utf8.RuneSelf {
			i += r.takeRune(value[i:]) - 1
			inNumber = how == asDigits
			continue
		}
		p := plains[c]
		switch {
		case p.kind != byteDigit:
			inNumber = how == asDigits
		case inNumber:
		case c == '0':
			p.size = 0
		default:
			p, inNumber = plain{byteFirst, '1', 9}, true
		}
		if p.size == 0 {
			p.kind = byteKept
		} else {
			r.add(uint32(c-p.first), uint32(p.size))
		}
		r.kinds = append(r.kinds, p.kind)
	}
}

// plain is the alphabet of an ASCII character; without a size it stays.
type plain struct{ kind, first, size byte }

var plains = func() (all [utf8.RuneSelf]plain) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c >= 'a' && c <= 'z':
			all[c] = plain{byteSmall, 'a', 26}
		case c >= 'A' && c <= 'Z':
			all[c] = plain{byteCapital, 'A', 26}
		case c >= '0' && c <= '9':
			all[c] = plain{byteDigit, '0', 10}
		}
	}
	return all
}()

// skipped is how many bytes of an escape or a reference begin the text.
func skipped(text []byte, how reading) int {
	switch {
	case how == asURL && text[0] == '%' && len(text) > 2 && isHex(text[1]) && isHex(text[2]):
		return 3
	case how == asMarkup && text[0] == '&':
		end := bytes.IndexByte(text[:min(len(text), longestReference)], ';')
		return end + 1
	}
	return 0
}

// longestReference is how far a reference in markup may reach.
const longestReference = 32

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func (r *row) takeRune(value []byte) (size int) {
	c, size := utf8.DecodeRune(value)
	if c == utf8.RuneError && size == 1 {
		r.kinds = append(r.kinds, byteRaw)
		r.add(uint32(value[0]-utf8.RuneSelf), 256-utf8.RuneSelf)
		return 1
	}
	kind := byte(byteKept)
	if a, index, capital := r.find.find(c); a != nil {
		kind = byteRune
		if capital {
			kind = byteRuneCapital
		}
		r.add(index, a.size)
		r.sets = append(r.sets, a)
	}
	r.kinds = append(r.kinds, kind)
	for range size - 1 {
		r.kinds = append(r.kinds, byteRest)
	}
	return size
}

// firsts are the first characters of the alphabets of one byte.
var firsts = [...]byte{byteSmall: 'a', byteCapital: 'A', byteDigit: '0', byteFirst: '1', byteRaw: utf8.RuneSelf}

// put appends the text that the row is now, in the place of the one that it was taken from.
func (r *row) put(dst, value []byte) []byte {
	next, nextSet := 0, 0
	for i, kind := range r.kinds {
		switch kind {
		case byteRest:
			continue
		case byteKept:
			dst = append(dst, value[i])
			for j := i + 1; j < len(r.kinds) && r.kinds[j] == byteRest; j++ {
				dst = append(dst, value[j])
			}
			continue
		case byteRune, byteRuneCapital:
			c := r.sets[nextSet].at(r.index[next])
			nextSet++
			if kind == byteRuneCapital {
				c = unicode.ToUpper(c)
			}
			dst = utf8.AppendRune(dst, c)
		default:
			dst = append(dst, firsts[kind]+byte(r.index[next]))
		}
		next++
	}
	return dst
}

// textPart is how much of a text is permuted at once: what a row takes of memory is many times as much.
const textPart = 1 << 16

// text appends the text that stands for a value.
func (r *row) text(k *keyed, t tweak, dst, value []byte, how reading) []byte {
	for part := uint64(0); ; part++ {
		n := len(value)
		if n > textPart {
			for n = textPart; n > textPart-utf8.UTFMax && !utf8.RuneStart(value[n]); {
				n--
			}
		}
		r.take(value[:n], how)
		r.permute(k, tweak{t[0] ^ part<<32, t[1]})
		dst = r.put(dst, value[:n])
		if value = value[n:]; len(value) == 0 {
			return dst
		}
	}
}
