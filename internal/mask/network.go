package mask

import (
	"bytes"
	"strconv"
)

// ipMask makes addresses that lead nowhere outside. An address that has to stay different from others is permuted among
// all of its version, as there are fewer private ones. What is zero behind a network's prefix stays zero.
type ipMask struct {
	plainMask
	room int // characters that a column of text takes; 0: any number. What may find no room is masked as text
	part [16]byte
}

// How long addresses may become.
const (
	ipv4Long = 15
	ipv6Long = 39
)

func (m *ipMask) holds(length int) bool { return m.room == 0 || length <= m.room }

func (m *ipMask) mask(dst, value []byte) []byte {
	text, prefix := value, []byte(nil)
	if i := bytes.IndexByte(value, '/'); i >= 0 {
		text, prefix = value[:i], value[i:]
	}
	if isHardware(text) { // before all else: eight bytes with colons could be groups of an IPv6 address
		return m.hardware(dst, value)
	}
	if a, ok := parseIPv4(text); ok && m.holds(ipv4Long+len(prefix)) {
		return append(m.v4(dst, a, prefixBits(prefix, 32)), prefix...)
	}
	if a, ok := parseIPv6(text); ok && m.holds(ipv6Long+len(prefix)) {
		return append(m.v6(dst, a, prefixBits(prefix, 128)), prefix...)
	}
	return m.plainMask.mask(dst, value)
}

// prefixBits is the length of a prefix, of so many bits where there is none that can be read.
func prefixBits(prefix []byte, most int) int {
	if len(prefix) > 1 {
		if n, ok := small(prefix[1:]); ok && int(n) <= most {
			return int(n)
		}
	}
	return most
}

func (m *ipMask) v4(dst []byte, a uint32, prefix int) []byte {
	host := uint64(1)<<(32-prefix) - 1
	network := uint64(a)&host == 0
	var out uint64
	switch {
	case network && prefix == 0:
	case network && (m.unique || prefix < privateLeast):
		out = m.k.index(tweak{0, uint64(prefix)}, uint64(a)>>(32-prefix), 1<<prefix) << (32 - prefix)
	case m.unique:
		out = m.k.index(tweak{0, 32}, uint64(a), 1<<32)
	case network:
		out = m.private(a, host)
	default:
		out = m.private(a, 0)
	}
	for i := 3; i >= 0; i-- {
		dst = strconv.AppendUint(dst, out>>(8*i)&0xff, 10)
		if i > 0 {
			dst = append(dst, '.')
		}
	}
	return dst
}

// privateLeast is from which prefix on there are enough networks in 10.0.0.0/8.
const privateLeast = 12

func (m *ipMask) private(a uint32, host uint64) uint64 {
	in := [4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}
	m.k.ofSized(tweak{}, roundPick, in[:], len(in))
	for {
		if out := (10<<24 | m.k.below(1<<24)) &^ host; out != uint64(a) {
			return out
		}
	}
}

func (m *ipMask) v6(dst []byte, a [16]byte, prefix int) []byte {
	whole := (prefix + 3) / 4 // hexadecimal digits that the network has
	for i := whole; i < 32; i++ {
		if nibble(a, i) != 0 {
			whole = 32
		}
	}
	r := &m.w.row
	r.clear()
	from := 0
	if !m.unique {
		from = 8
	}
	// Where others may be the same the first 32 bits are given, and the last ones take them in.
	m.part = a
	t := m.k.tweakOf(m.part[:from/2])
	for i := from; i < whole; i++ {
		r.add(nibble(a, i), 16)
	}
	r.permute(m.k, t)
	for i := range 32 {
		if i%4 == 0 && i > 0 {
			dst = append(dst, ':')
		}
		switch {
		case i < from:
			dst = append(dst, "20010db8"[i])
		case i < whole:
			dst = append(dst, hexOf(r.index[i-from], false))
		default:
			dst = append(dst, '0')
		}
	}
	return dst
}

func nibble(a [16]byte, i int) uint32 {
	return uint32(a[i/2] >> (4 * (1 - i%2)) & 0xf)
}

func parseIPv4(text []byte) (a uint32, ok bool) {
	parts := 0
	for len(text) > 0 {
		n := 0
		for n < len(text) && text[n] != '.' {
			n++
		}
		part, ok := small(text[:n])
		if !ok || n > 3 || part > 255 || n > 1 && text[0] == '0' {
			return 0, false
		}
		a, parts = a<<8|uint32(part), parts+1
		if n == len(text) {
			return a, parts == 4
		}
		text = text[n+1:]
	}
	return 0, false
}

func parseIPv6(text []byte) (a [16]byte, ok bool) {
	if len(text) < 2 || len(text) > 45 || bytes.Count(text, []byte{':'}) < 2 {
		return a, false
	}
	head, tail, gap := bytes.Cut(text, []byte("::"))
	n, ok := groups(a[:0], head)
	if !gap || !ok {
		return a, ok && n == len(a)
	}
	var b [16]byte
	k, ok := groups(b[:0], tail)
	if !ok || n+k >= len(a) {
		return a, false
	}
	copy(a[len(a)-k:], b[:k])
	return a, true
}

// groups reads groups of hexadecimal digits, the last two of which may be an IPv4 address, and says how many bytes they
// are.
func groups(dst, text []byte) (n int, ok bool) {
	for more := len(text) > 0; more; {
		var group []byte
		group, text, more = bytes.Cut(text, []byte{':'})
		if v4, isV4 := parseIPv4(group); isV4 && !more && len(dst) <= 12 {
			return len(append(dst, byte(v4>>24), byte(v4>>16), byte(v4>>8), byte(v4))), true
		}
		if len(group) == 0 || len(group) > 4 || len(dst) > 14 {
			return 0, false
		}
		value := uint32(0)
		for _, c := range group {
			if !isHex(c) {
				return 0, false
			}
			value = value<<4 | hexDigit(c)
		}
		dst = append(dst, byte(value>>8), byte(value))
	}
	return len(dst), true
}

// isHardware says whether a text is a hardware address: six or eight bytes with a mark between each, or three times two
// with points.
func isHardware(text []byte) bool {
	every := 3
	switch len(text) {
	case 17, 23:
	case 14:
		every = 5
	default:
		return false
	}
	for i, c := range text {
		switch {
		case i%every != every-1:
			if !isHex(c) {
				return false
			}
		case every == 5 && c != '.', every == 3 && c != ':' && c != '-', c != text[every-1]:
			return false
		}
	}
	return true
}

func (m *ipMask) hardware(dst, value []byte) []byte {
	r := &m.w.row
	r.clear()
	for _, c := range value {
		if isHex(c) {
			r.add(hexDigit(c), 16)
		}
	}
	r.permute(m.k, tweak{})
	if !m.unique {
		r.index[1] = r.index[1]&^1 | 2
	}
	next := 0
	for _, c := range value {
		if isHex(c) {
			c = hexOf(r.index[next], false)
			next++
		}
		dst = append(dst, c)
	}
	return dst
}

// urlMask makes addresses of hosts that are not there. The scheme and the port stay.
type urlMask struct{ plainMask }

// hashedURL is for addresses that have no room for what shows that their host is not there.
const (
	hashedURL = "https://x.example/"
	urlLeast  = 42
)

func (m *urlMask) mask(dst, value []byte) []byte {
	i := bytes.Index(value, []byte("://"))
	if i <= 0 || !isScheme(value[:i]) {
		return m.plainMask.mask(dst, value)
	}
	if !m.fits(value, len(reserved)) {
		return m.hashed(dst, value)
	}
	dst = append(dst, value[:i+3]...)
	rest := value[i+3:]
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if at := bytes.LastIndexByte(authority, '@'); at >= 0 {
		dst = m.as(dst, authority[:at], tweak{}, asURL)
		dst = append(dst, '@')
		authority = authority[at+1:]
	}
	host, port := authority, []byte(nil)
	if at := bytes.LastIndexByte(authority, ':'); at >= 0 && allDigits(authority[at+1:]) {
		host, port = authority[:at], authority[at:]
	}
	dst = m.host(dst, host)
	dst = append(dst, port...)
	return m.as(dst, rest, m.k.tweakOf(m.w.fold(host)), asURL)
}

func (m *urlMask) host(dst, host []byte) []byte {
	switch {
	case len(host) == 0:
		return dst
	case host[0] == '[': // an IPv6 address has no name below which it could stand
		m.k.ofSized(domainTweak, roundHash, host, len(host))
		dst = strconv.AppendUint(append(dst, 'h'), m.k.word(), 16)
		return append(dst, reservedToo...)
	case bytes.IndexByte(host, '.') < 0:
		return append(m.as(dst, host, domainTweak, asURL), reservedToo...)
	}
	return append(m.as(dst, host, domainTweak, asURL), reserved...)
}

func isScheme(text []byte) bool {
	for _, c := range text {
		if !isAlnum(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func (m *urlMask) hashed(dst, value []byte) []byte {
	m.k.ofSized(tweak{}, roundHash, value, len(value))
	dst = append(dst, hashedURL...)
	for range min(hashDigits, m.limit-len(hashedURL)) {
		dst = append(dst, hexOf(uint32(m.k.below(16)), false))
	}
	return dst
}
