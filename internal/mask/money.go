package mask

// ibanMask makes another account of the same country. The check digits are right, as those of the value are.
type ibanMask struct{ plainMask }

const (
	ibanLeast = 15
	ibanMost  = 34
	ibanHead  = 4 // the country and the check digits, which are counted last
)

// isIBAN says whether a text is one, blanks aside: with check digits that are right.
func isIBAN(text []byte) bool {
	n, rest := 0, 0
	head := make([]byte, 0, ibanHead)
	for _, c := range text {
		if c == ' ' {
			continue
		}
		if n < ibanHead {
			if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; letter != (n < 2) || !letter && (c < '0' || c > '9') {
				return false
			}
			head = append(head, c)
		} else {
			if !isAlnum(c) {
				return false
			}
			rest = mod97(rest, c)
		}
		n++
	}
	if n < ibanLeast || n > ibanMost {
		return false
	}
	for _, c := range head {
		rest = mod97(rest, c)
	}
	return rest == 1
}

// mod97 takes another character in: letters count from 10 on, as two digits.
func mod97(rest int, c byte) int {
	if c <= '9' {
		return (rest*10 + int(c-'0')) % 97
	}
	return (rest*100 + int(c|0x20-'a') + 10) % 97
}

func (m *ibanMask) mask(dst, value []byte) []byte {
	if !isIBAN(value) {
		return m.plainMask.mask(dst, value)
	}
	r := &m.w.row
	r.clear()
	var head [4]byte
	n := 0
	for _, c := range value {
		switch {
		case c == ' ':
			continue
		case n < 4:
			head[n] = c | 0x20
		case c <= '9':
			r.add(uint32(c-'0'), 10)
		default:
			r.add(uint32(c|0x20-'a'), 26)
		}
		n++
	}
	r.permute(m.k, tweak{0, uint64(head[0])<<8 | uint64(head[1])})
	return m.put(dst, value, head)
}

func (m *ibanMask) put(dst, value []byte, head [4]byte) []byte {
	r := &m.w.row
	begin, next, n, rest := len(dst), 0, 0, 0
	for _, c := range value {
		switch {
		case c == ' ':
			dst = append(dst, c)
			continue
		case n < 4:
		case c <= '9':
			c = '0' + byte(r.index[next])
		default:
			c = c&0xe0 + 1 + byte(r.index[next])
		}
		if n >= 4 {
			rest = mod97(rest, c)
			next++
		}
		dst = append(dst, c)
		n++
	}
	for _, c := range []byte{head[0], head[1], '0', '0'} {
		rest = mod97(rest, c)
	}
	check := 98 - rest
	for i, n := begin, 0; n < 4; i++ {
		if dst[i] == ' ' {
			continue
		}
		switch n {
		case 2:
			dst[i] = '0' + byte(check/10)
		case 3:
			dst[i] = '0' + byte(check%10)
		}
		n++
	}
	return dst
}

// cardMask makes another card number of the same kind: the first digit stays, and the last is right, as the value's is.
type cardMask struct{ plainMask }

const (
	cardLeast = 12
	cardMost  = 19
)

// isCard says whether a text is a card's number, blanks and dashes aside.
func isCard(text []byte) bool {
	n := 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			n++
		case c != ' ' && c != '-':
			return false
		}
	}
	return n >= cardLeast && n <= cardMost && luhn(text, n) == 0
}

// luhn is the sum of n digits by Luhn's rule, to ten.
func luhn(text []byte, n int) (sum int) {
	for _, c := range text {
		if c < '0' || c > '9' {
			continue
		}
		d := int(c - '0')
		if n%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n--
	}
	return sum % 10
}

func (m *cardMask) mask(dst, value []byte) []byte {
	if !isCard(value) {
		return m.plainMask.mask(dst, value)
	}
	r := &m.w.row
	r.clear()
	n := 0
	first := byte(0)
	for _, c := range value {
		if c < '0' || c > '9' {
			continue
		}
		if n++; n == 1 {
			first = c
			continue
		}
		r.add(uint32(c-'0'), 10)
	}
	r.index, r.size = r.index[:n-2], r.size[:n-2] // without the check digit
	r.permute(m.k, tweak{0, uint64(first)})
	begin, next, last := len(dst), -1, 0
	for i, c := range value {
		if c >= '0' && c <= '9' {
			if next >= 0 && next < n-2 {
				c = '0' + byte(r.index[next])
			} else if next == n-2 {
				c, last = '0', begin+i
			}
			next++
		}
		dst = append(dst, c)
	}
	dst[last] = '0' + byte((10-luhn(dst[begin:], n))%10)
	return dst
}
