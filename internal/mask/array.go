package mask

import (
	"bytes"
	"slices"
)

// arrayMask masks the elements of an array as PostgreSQL writes it: {a,"b c",NULL,{d}}, with [0:2]= in front where it
// does not begin at one. A text that is no array is one element.
type arrayMask struct {
	of      masker // nil: they stay
	element []byte
	masked  []byte
}

func (m *arrayMask) mask(dst, value []byte) []byte {
	if m.of == nil {
		return append(dst, value...)
	}
	begin := len(dst)
	body := value
	if value[0] == '[' {
		if i := bytes.IndexByte(value, '='); i > 0 {
			dst = append(dst, value[:i+1]...)
			body = value[i+1:]
		}
	}
	dst, ok := m.elements(dst, body)
	if !ok {
		if dst = m.of.mask(dst[:begin], value); dst == nil {
			return nil
		}
	}
	return dst
}

// elements masks what stands between the braces. Their depth needs no stack: they are taken over as they come.
func (m *arrayMask) elements(dst, body []byte) ([]byte, bool) {
	depth, full := 0, false // whether an element stands before
	for i := 0; i < len(body); {
		if c := body[i]; full && c != '}' && c != ',' {
			return dst, false
		}
		full = body[i] != '{' && body[i] != ','
		switch c := body[i]; c {
		case '{', '}', ',':
			depth += nesting(c)
			dst = append(dst, c)
			if i++; depth < 1 {
				return dst, depth == 0 && i == len(body)
			}
		case '"':
			n, ok := m.quoted(body[i:])
			if !ok || depth < 1 {
				return dst, false
			}
			dst = m.put(dst, m.element)
			i += n
		default:
			n := bytes.IndexAny(body[i:], `{},"\`)
			if n < 0 || depth < 1 {
				return dst, false
			}
			text := body[i : i+n]
			if body[i+n] == '\\' {
				return dst, false
			}
			if bytes.EqualFold(text, []byte("NULL")) {
				dst = append(dst, text...)
			} else {
				dst = m.put(dst, text)
			}
			i += n
		}
	}
	return dst, false
}

// quoted reads an element in quotes into m.element, and says how long it is with them.
func (m *arrayMask) quoted(text []byte) (n int, ok bool) {
	m.element = m.element[:0]
	if len(text) > immense {
		end := bytes.IndexByte(text[1:], '"')
		m.element = slices.Grow(m.element, max(0, end))
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1, true
		case '\\':
			if i++; i == len(text) {
				return 0, false
			}
		}
		m.element = append(m.element, text[i])
	}
	return 0, false
}

// put appends an element, masked, in quotes where it needs them.
func (m *arrayMask) put(dst, element []byte) []byte {
	if len(element) == 0 {
		return append(dst, `""`...)
	}
	masked := m.of.mask(roomFor(m.masked, element), element)
	if masked == nil {
		return append(dst, "NULL"...)
	}
	m.masked = masked
	if !bytes.ContainsAny(masked, "{},\"\\ \t\n\r\v\f") && !bytes.EqualFold(masked, []byte("NULL")) && len(masked) > 0 {
		return append(dst, masked...)
	}
	dst = append(dst, '"')
	for _, c := range masked {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// roomFor is scratch with room for what becomes of a text, made at once: growing into it would take it several times.
func roomFor(scratch, text []byte) []byte { return slices.Grow(scratch[:0], len(text)+len(text)/8) }

// nesting is by how much a sign of an array's text leads deeper.
func nesting(c byte) int {
	switch c {
	case '{':
		return 1
	case '}':
		return -1
	default:
		return 0
	}
}
