package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// uuidMask makes another UUID of the same version and variant.
type uuidMask struct{ plainMask }

// isUUID says whether a text is a UUID as databases write it.
func isUUID(text []byte) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	for i, c := range text {
		if i != 8 && i != 13 && i != 18 && i != 23 && !isHex(c) {
			return false
		}
	}
	return true
}

// Where the digits of a UUID stand that say what the others are.
const (
	uuidVersion = 14
	uuidVariant = 19
)

func (m *uuidMask) mask(dst, value []byte) []byte {
	if !isUUID(value) {
		return m.plainMask.mask(dst, value)
	}
	r := &m.w.row
	r.clear()
	for i, c := range value {
		if c != '-' && i != uuidVersion && i != uuidVariant {
			r.add(hexDigit(c), 16)
		}
	}
	r.permute(m.k, tweak{})
	capital := bytes.ContainsAny(value, "ABCDEF") && !bytes.ContainsAny(value, "abcdef")
	next := 0
	for i, c := range value {
		if c != '-' && i != uuidVersion && i != uuidVariant {
			c = hexOf(r.index[next], capital)
			next++
		}
		dst = append(dst, c)
	}
	return dst
}

func hexDigit(c byte) uint32 {
	if c <= '9' {
		return uint32(c - '0')
	}
	return uint32(c|0x20-'a') + 10
}

func hexOf(n uint32, capital bool) byte {
	if capital {
		return "0123456789ABCDEF"[n]
	}
	return "0123456789abcdef"[n]
}

// tokenMask makes what looks as random as it was, of the same characters at the same places.
type tokenMask struct{ plainMask }

// tokenAlphabets are what tokens are made of, each with all of the ones before it. A token is of the first that it fits.
var tokenAlphabets = []string{
	"0123456789",
	"0123456789abcdef",
	"0123456789ABCDEF",
	"0123456789abcdefghijklmnopqrstuvwxyz",
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}

// The characters of a token in classes, and which of these an alphabet takes.
const (
	tokenDigit = 1 << iota
	tokenLowHex
	tokenHighHex
	tokenLow
	tokenHigh
)

var tokenClasses = []byte{
	tokenDigit,
	tokenDigit | tokenLowHex,
	tokenDigit | tokenHighHex,
	tokenDigit | tokenLowHex | tokenLow,
	tokenDigit | tokenHighHex | tokenHigh,
	tokenDigit | tokenLowHex | tokenHighHex | tokenLow | tokenHigh,
}

func tokenClass(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return tokenDigit
	case c >= 'a' && c <= 'f':
		return tokenLowHex
	case c >= 'A' && c <= 'F':
		return tokenHighHex
	case c >= 'g' && c <= 'z':
		return tokenLow
	case c >= 'G' && c <= 'Z':
		return tokenHigh
	}
	return 0
}

// tokenAlphabet is the number of the alphabet that a text is of; -1 where it has no character of any.
func tokenAlphabet(text []byte) int {
	all := byte(0)
	for _, c := range text {
		all |= tokenClass(c)
	}
	if all == 0 {
		return -1
	}
	for i, classes := range tokenClasses {
		if all&^classes == 0 {
			return i
		}
	}
	return -1
}

func tokenIndex(alphabet int, c byte) uint32 {
	switch {
	case c <= '9':
		return uint32(c - '0')
	case c <= 'Z' && alphabet == len(tokenAlphabets)-1:
		return uint32(c-'A') + 36
	case c <= 'Z':
		return uint32(c-'A') + 10
	}
	return uint32(c-'a') + 10
}

func (m *tokenMask) mask(dst, value []byte) []byte {
	n := tokenAlphabet(value)
	if n < 0 || len(value) > textPart || bytes.ContainsFunc(value, func(r rune) bool { return r > '~' }) {
		return m.plainMask.mask(dst, value)
	}
	begin := len(dst)
	dst = m.step(dst, value, n)
	for tokenAlphabet(dst[begin:]) != n { // on to one that is of this alphabet and of none before it
		again := append(m.w.folded[:0], dst[begin:]...)
		m.w.folded = again
		dst = m.step(dst[:begin], again, n)
	}
	return dst
}

func (m *tokenMask) step(dst, value []byte, n int) []byte {
	alphabet := tokenAlphabets[n]
	r := &m.w.row
	r.clear()
	for _, c := range value {
		if tokenClass(c) != 0 {
			r.add(tokenIndex(n, c), uint32(len(alphabet)))
		}
	}
	r.permute(m.k, tweak{0, uint64(n)})
	next := 0
	for _, c := range value {
		if tokenClass(c) != 0 {
			c = alphabet[r.index[next]]
			next++
		}
		dst = append(dst, c)
	}
	return dst
}

// hashMask makes hexadecimal digits of the whole value. Nothing of its shape is left but whether it was empty.
type hashMask struct{ plainMask }

const (
	hashDigits = 64
	hashLeast  = 24 // digits that differ where values do: 96 bits
)

func (m *hashMask) mask(dst, value []byte) []byte {
	m.k.ofSized(tweak{}, roundHash, value, len(value))
	var sum [hashDigits / 2]byte
	for i := 0; i < len(sum); i += 8 {
		binary.LittleEndian.PutUint64(sum[i:], m.k.word())
	}
	begin, most := len(dst), hashDigits
	if _, ok := bytesOf(nil, value); ok { // bytes, of which there are whole ones only
		dst = append(dst, `\x`...)
		begin += 2
		if m.limit > 0 {
			most = min(most, (m.limit-2)&^1)
		}
	} else if m.limit > 0 {
		most = min(most, m.limit)
	}
	return hex.AppendEncode(dst, sum[:])[:begin+most]
}
