package mask

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wordsMask makes words that can be spoken. They have the length and the case of those that they stand for and nothing
// else of theirs, as vowels at the same places would give a rare name away. Two words may become the same one; where
// that must not be, each word is permuted instead and looks it.
type wordsMask struct {
	plainMask
	known *memo
}

func (m *wordsMask) mask(dst, value []byte) []byte {
	var numbers tweak
	drawn := byte(0)
	for i := 0; i < len(value); {
		n, kind := run(value[i:])
		word := value[i : i+n]
		switch {
		case kind == runOther:
			dst = append(dst, word...)
		case m.unique:
			dst = m.as(dst, word, tweak{}, asText)
		case kind == runDigits:
			if numbers == (tweak{}) {
				numbers = m.k.tweakOf(m.w.fold(value))
			}
			dst = m.w.row.drawn(m.k, numbers, drawn, dst, word)
			drawn++
		case n == 1 || kind == runScript:
			dst = m.as(dst, word, tweak{}, asText)
		default:
			dst = m.known.mask(dst, word, m.speak)
		}
		i += n
	}
	return dst
}

// The kinds of runs that a text of words is made of.
const (
	runOther  = iota
	runWord   // of Latin letters
	runScript // of letters, some of another script
	runDigits
	noRun
)

const lastLatin = 0x24f

// run finds how many bytes of one kind begin the text.
func run(text []byte) (n, kind int) {
	if len(text) > 0 && text[0] < utf8.RuneSelf {
		plain := plainRuns[text[0]]
		for n < len(text) && plainRuns[text[n]] == plain {
			n++
		}
		if kind = int(plain); n == len(text) || text[n] < utf8.RuneSelf {
			return n, kind
		}
	}
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		is := runOther
		switch {
		case r < utf8.RuneSelf:
			is = int(plainRuns[r])
		case r == utf8.RuneError && size == 1, unicode.IsLetter(r) && r > lastLatin, unicode.IsMark(r), unicode.IsDigit(r):
			is = runScript
		case unicode.IsLetter(r):
			is = runWord
		}
		if n == 0 {
			kind = is
		}
		if is != kind {
			if !isLetters(is) || !isLetters(kind) {
				return n, kind
			}
			kind = runScript
		}
		n += size
	}
	return n, kind
}

// plainRuns are the kinds of ASCII's characters, and of no byte besides.
var plainRuns = func() (kinds [256]byte) {
	for c := range utf8.RuneSelf {
		switch {
		case c >= '0' && c <= '9':
			kinds[c] = runDigits
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			kinds[c] = runWord
		}
	}
	for c := utf8.RuneSelf; c < len(kinds); c++ {
		kinds[c] = noRun
	}
	return kinds
}()

func isLetters(kind int) bool { return kind == runWord || kind == runScript }

const (
	consonants = "bcdfghjklmnprstvwz"
	vowels     = "aeiouy"
	speakTries = 8
)

// speak makes a word of vowels and consonants by turns. Letters with accents become others with accents.
func (m *wordsMask) speak(dst, word []byte) []byte {
	begin := len(dst)
	folded := m.w.fold(word)
	for try := range speakTries {
		m.k.ofSized(tweak{0, uint64(try)}, roundWord, folded, len(folded))
		d := digits{k: m.k}
		dst = m.spoken(dst[:begin], word, &d)
		if !bytes.EqualFold(dst[begin:], word) {
			return dst
		}
	}
	return m.as(dst[:begin], word, tweak{}, asText)
}

func (m *wordsMask) spoken(dst, word []byte, d *digits) []byte {
	turn := d.below(2)
	for i := 0; i < len(word); {
		r, size := utf8.DecodeRune(word[i:])
		i += size
		letters := consonants
		if turn == 1 {
			letters = vowels
		}
		turn = 1 - turn
		if r >= utf8.RuneSelf {
			if a, _, capital := m.w.row.find.find(r); a != nil {
				r = a.at(d.below(a.size))
				if capital {
					r = unicode.ToUpper(r)
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		c := letters[d.below(uint32(len(letters)))]
		if r >= 'A' && r <= 'Z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// emailMask makes addresses that are nobody's: below .example, and .test for those without a dot in the domain. People
// of one domain stay together, as domain and local part are permuted each, the latter for this domain.
type emailMask struct {
	plainMask
	domains *memo
	tweaks  *memo // of domains: the bytes of what their local parts are bound to
	bound   [2 * 8]byte
}

const (
	reserved    = ".example"
	reservedToo = ".test"
	anywhere    = "@x.example" // no domain with a dot and none without becomes this
	emailLeast  = 24           // fewer characters don't take anywhere and enough of a hash
	hashedMost  = 26           // base32 digits: 130 bits
)

// domainTweak tells domains from local parts.
var domainTweak = tweak{0, 1}

func (m *emailMask) mask(dst, value []byte) []byte {
	count := bytes.Count(value, []byte{'@'})
	if count == 0 {
		return m.plainMask.mask(dst, value)
	}
	if !m.fits(value, count*len(reserved)) {
		return m.hashed(dst, value)
	}
	dst = slices.Grow(dst, len(value)+count*len(reserved))
	for rest := value; ; {
		local, domain, ok := address(rest)
		if !ok {
			return m.plainMask.mask(dst, rest)
		}
		if local > 0 {
			dst = m.plainMask.mask(dst, rest[:local])
		}
		at := local + bytes.IndexByte(rest[local:], '@')
		dst = m.address(dst, rest[local:at], rest[at+1:domain])
		rest = rest[domain:]
		if len(rest) == 0 {
			return dst
		}
	}
}

func (m *emailMask) address(dst, local, domain []byte) []byte {
	t := m.tweaks.mask(m.bound[:0], domain, m.tweak)
	dst = m.as(dst, local, tweak{binary.LittleEndian.Uint64(t), binary.LittleEndian.Uint64(t[8:])}, asText)
	dst = append(dst, '@')
	return m.domains.mask(dst, domain, m.masked)
}

func (m *emailMask) tweak(dst, domain []byte) []byte {
	t := m.k.tweakOf(m.w.fold(domain))
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, t[0]), t[1])
}

func (m *emailMask) masked(dst, domain []byte) []byte {
	dst = m.as(dst, domain, domainTweak, asText)
	if bytes.IndexByte(domain, '.') < 0 {
		return append(dst, reservedToo...)
	}
	return append(dst, reserved...)
}

// hashed is for addresses that have no room for what shows that they are nobody's.
func (m *emailMask) hashed(dst, value []byte) []byte {
	folded := m.w.fold(value)
	m.k.ofSized(tweak{}, roundHash, folded, len(folded))
	for range min(hashedMost, m.limit-len(anywhere)) {
		dst = append(dst, "abcdefghijklmnopqrstuvwxyz234567"[m.k.below(32)])
	}
	return append(dst, anywhere...)
}

// address finds the first address in a text: where it begins, and ends.
func address(text []byte) (begin, end int, ok bool) {
	for from := 0; ; {
		at := bytes.IndexByte(text[from:], '@')
		if at < 0 {
			return 0, 0, false
		}
		at += from
		begin, end = at, at+1
		for begin > from && isLocal(text[begin-1]) {
			begin--
		}
		for end < len(text) && isDomain(text[end]) {
			end++
		}
		for end > at+1 && (text[end-1] == '.' || text[end-1] == '-') {
			end--
		}
		if begin < at && end > at+1 {
			return begin, end, true
		}
		from = at + 1
	}
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func isDomain(c byte) bool {
	return isAlnum(c) || c == '.' || c == '-' || c >= utf8.RuneSelf
}

func isLocal(c byte) bool {
	return isDomain(c) || strings.IndexByte("!#$%&'*+/=?^_`{|}~", c) >= 0
}

// phoneMask makes numbers that nobody has: no country's begins with 0, which is what stands behind + then; and no area's
// with 000, which is how the others begin. The count of digits stays. Where numbers have to stay different, those digits
// come in addition, as long as they find room.
type phoneMask struct{ plainMask }

const phoneLeast = 7 // digits; shorter ones are extensions

func (m *phoneMask) mask(dst, value []byte) []byte {
	n := 0
	for _, c := range value {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	if n == 0 {
		return m.plainMask.mask(dst, value)
	}
	if n < phoneLeast {
		return m.as(dst, value, tweak{}, asDigits)
	}
	first := bytes.IndexAny(value, "0123456789")
	lead := "000"
	if first > 0 && value[first-1] == '+' {
		lead = "0"
	}
	if m.unique {
		dst = m.as(dst, value[:first], tweak{}, asText)
		if m.fits(value, len(lead)) {
			dst = append(dst, lead...)
		}
		return m.as(dst, value[first:], tweak{}, asDigits)
	}
	dst = m.as(dst, value[:first], tweak{}, asText)
	at, left := first, len(lead)
	for ; left > 0; at++ {
		if c := value[at]; c >= '0' && c <= '9' {
			dst = append(dst, '0')
			left--
		} else {
			dst = append(dst, c)
		}
	}
	return m.as(dst, value[at:], m.k.tweakOf(value[first:at]), asDigits)
}
