package mask

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
)

// numberMask makes another number with as many digits, and the same sign and places behind the point. What is greatest in
// a type of whole numbers is never passed: a number below it stays below it, so that every type still takes it.
type numberMask struct {
	plainMask
	span *span
}

func (w *worker) numbers(r Rule) masker {
	s, err := r.span()
	if err != nil {
		panic("mask: a rule that was not checked: " + err.Error())
	}
	return &numberMask{plainMask{w: w, k: w.keyed("number"), family: w.facts["number"]}, s}
}

// number is a number's text in parts.
type number struct {
	sign     []byte // "-", "+" or nothing
	digits   []byte // whole and fraction with the point in between
	exponent []byte
	scale    int
}

// trimmed is the number without the zeros at its end that say nothing, and those. So 2.50 becomes what 2.5 does, and a
// whole number stays one.
func (n number) trimmed() (short number, zeros []byte) {
	if n.scale == 0 {
		return n, nil
	}
	digits := bytes.TrimRight(n.digits, "0")
	short, zeros = n, n.digits[len(digits):]
	short.digits, short.scale = digits, n.scale-len(zeros)
	return short, zeros
}

func parseNumber(text []byte) (n number, ok bool) {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		n.sign, text = text[:1], text[1:]
	}
	if e := bytes.IndexAny(text, "eE"); e >= 0 {
		n.exponent = text[e:]
		text = text[:e]
		exponent := bytes.TrimLeft(n.exponent[1:], "+-")
		if len(exponent) == 0 || len(n.exponent)-len(exponent) > 2 || !allDigits(exponent) {
			return n, false
		}
	}
	whole, fraction, _ := bytes.Cut(text, []byte{'.'})
	if len(whole)+len(fraction) == 0 || !allDigits(whole) || !allDigits(fraction) {
		return n, false
	}
	n.digits, n.scale = text, len(fraction)
	return n, true
}

func allDigits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func (m *numberMask) mask(dst, value []byte) []byte {
	n, ok := parseNumber(value)
	switch {
	case !ok && isNotFinite(value):
		return append(dst, value...)
	case !ok:
		return m.plainMask.mask(dst, value)
	case m.span != nil:
		return m.ranged(dst, value, n)
	}
	n, zeros := n.trimmed()
	units, count, fits := n.units()
	if count == 0 {
		return append(dst, value...) // zero
	}
	dst = append(dst, n.sign...)
	if fits {
		dst = n.put(dst, m.other(n, units, count))
	} else {
		dst = m.long(dst, n)
	}
	dst = append(dst, zeros...)
	return append(dst, n.exponent...)
}

// other permutes a number of so many digits. Behind a point the last of them is not zero, and stays so.
func (m *numberMask) other(n number, units uint64, count int) uint64 {
	low, size := band(units, count, n.scale == 0, len(n.sign) == 1 && n.sign[0] == '-')
	at, t := units-low, tweak{0, low}
	if n.scale == 0 || count == 1 {
		return low + m.k.index(t, at, size)
	}
	t[0] = 1 << 63
	at = m.k.index(t, at/10*9+at%10-1, size/10*9)
	return low + at/9*10 + at%9 + 1
}

// long is for numbers with more digits than fit into a machine's word.
func (m *numberMask) long(dst []byte, n number) []byte {
	r := &m.w.row
	r.clear()
	seen := false
	for _, c := range n.digits {
		kind := byte(byteKept)
		switch {
		case c == '.', c == '0' && !seen:
		case !seen:
			kind, seen = byteFirst, true
			r.add(uint32(c-'1'), 9)
		default:
			kind = byteDigit
			r.add(uint32(c-'0'), 10)
		}
		r.kinds = append(r.kinds, kind)
	}
	r.permute(m.k, tweak{})
	return r.put(dst, n.digits)
}

func isNotFinite(value []byte) bool {
	v := bytes.TrimLeft(value, "+-")
	return bytes.EqualFold(v, []byte("nan")) || bytes.EqualFold(v, []byte("infinity")) || bytes.EqualFold(v, []byte("inf"))
}

// units are the digits as one number, and how many there are from the first that is not zero on.
func (n number) units() (units uint64, count int, fits bool) {
	for _, c := range n.digits {
		if c == '.' {
			continue
		}
		if c != '0' || count > 0 {
			count++
		}
		if count < 20 {
			units = units*10 + uint64(c-'0')
		}
	}
	return units, count, count < 20
}

// put appends the number with other digits, as many as it has.
func (n number) put(dst []byte, units uint64) []byte {
	begin := len(dst)
	dst = append(dst, n.digits...)
	for i := len(dst) - 1; i >= begin; i-- {
		if dst[i] != '.' {
			dst[i] = '0' + byte(units%10)
			units /= 10
		}
	}
	return dst
}

// tops are the greatest numbers of the types that databases have.
var tops = []uint64{math.MaxInt8, math.MaxUint8, math.MaxInt16, math.MaxUint16, 1<<23 - 1, 1<<24 - 1, math.MaxInt32, math.MaxUint32, math.MaxInt64}

// band is the numbers of so many digits that a number is permuted among: those on its side of each type's greatest.
func band(units uint64, count int, whole, negative bool) (low, size uint64) {
	low = 1
	for range count - 1 {
		low *= 10
	}
	high := low*9 + (low - 1) // 10 times low would pass what fits
	if whole {
		for _, top := range tops {
			if negative && top&(top+1) == 0 && top != math.MaxUint8 && top != math.MaxUint16 && top != math.MaxUint32 && top != 1<<24-1 {
				top++ // -128, -32768
			}
			if top >= low && units <= top {
				high = min(high, top)
			}
			if units > top {
				low = max(low, top+1)
			}
		}
	}
	return low, high - low + 1
}

// ranged draws a number of the range, with as many places behind the point as the value has. Where the range has none
// such, it draws with as many as the range's ends have.
func (m *numberMask) ranged(dst, value []byte, n number) []byte {
	scale := n.scale
	low, high, ok := m.span.units(scale)
	if !ok {
		scale = max(m.span.low.scale, m.span.high.scale)
		low, high, _ = m.span.units(scale)
	}
	m.k.ofSized(tweak{}, roundPick, value, len(value))
	size := uint64(high-low) + 1
	pick := m.k.below(size)
	begin := len(dst)
	dst = appendDecimal(dst, low+int64(pick), scale)
	if size > 1 && bytes.Equal(dst[begin:], value) {
		dst = appendDecimal(dst[:begin], low+int64((pick+1)%size), scale)
	}
	return dst
}

// units is the range in units of a scale: the ends rounded inwards. It is not ok where nothing is left, or it has too
// many digits.
func (s *span) units(scale int) (low, high int64, ok bool) {
	low, lowOK := s.low.to(scale, 1)
	high, highOK := s.high.to(scale, 0)
	return low, high, lowOK && highOK && low <= high
}

// to is a decimal in units of a scale, rounded down, or up with up as 1.
func (d decimal) to(scale int, up int64) (int64, bool) {
	if scale > mostDigits {
		return 0, false
	}
	tens := func(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
	n := big.NewInt(d.units)
	if scale >= d.scale {
		n.Mul(n, tens(scale-d.scale))
	} else {
		var rest big.Int
		n.DivMod(n, tens(d.scale-scale), &rest)
		if rest.Sign() != 0 {
			n.Add(n, big.NewInt(up))
		}
	}
	return n.Int64(), n.BitLen() < 62
}

func appendDecimal(dst []byte, units int64, scale int) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, units, 10)
	}
	if units < 0 {
		dst, units = append(dst, '-'), -units
	}
	tens := int64(1)
	for range scale {
		tens *= 10
	}
	dst = strconv.AppendInt(dst, units/tens, 10)
	dst = append(dst, '.')
	for rest := units % tens; scale > 0; scale-- {
		tens /= 10
		dst = append(dst, '0'+byte(rest/tens))
		rest %= tens
	}
	return dst
}
