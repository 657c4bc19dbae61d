package sqltext

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Opening is what stands before what a text, bits or a quoted name hold: E', $tag$, [. It is "" for other tokens.
func (t Token) Opening() string {
	switch t.Kind {
	case Dollar:
		return dollarTag(t.Text)
	case String, Bits, Escape, Unicode:
		return t.Text[:strings.IndexByte(t.Text, '\'')+1]
	case Name:
		if i := strings.IndexByte(t.Text, '"'); i >= 0 && t.Text[0]|0x20 == 'u' {
			return t.Text[:i+1]
		}
		return t.Text[:1]
	}
	return ""
}

// Inside is what a text, bits or a quoted name hold, as it stands there, quotes doubled and escapes written. Where a text
// goes on behind the end of a line that is as if it stood in one piece. It is all of any other token.
func (t Token) Inside() string {
	from := len(t.Opening())
	switch {
	case from == 0:
		return t.Text
	case t.Kind == Dollar && !t.Open:
		return t.Text[from : len(t.Text)-from]
	case t.Kind == Dollar || t.Kind == Name && t.Open:
		return t.Text[from:]
	case t.Kind == Name:
		return t.Text[from : len(t.Text)-1]
	}
	var pieces []string
	for {
		end, open := closing(t.Text, from, '\'', t.Kind == Escape)
		if open {
			pieces = append(pieces, t.Text[from:end])
			break
		}
		pieces = append(pieces, t.Text[from:end-1])
		more := continued(t.Text[end:])
		if more == 0 {
			break
		}
		from = end + more
	}
	return strings.Join(pieces, "")
}

// Joined is a text or bits that go on behind the end of a line, in one piece and without what stands between; and any other
// token as it is.
func (t Token) Joined() Token {
	if t.Kind >= String && t.Kind <= Bits && t.Kind != Dollar {
		text := t.Opening() + t.Inside()
		if !t.Open {
			text += "'"
		}
		t.Text = text
	}
	return t
}

// Value is the text or the name that a token stands for; a word stands for itself. In U&'…' and U&"…" the backslash escapes.
func (t Token) Value() string { return t.ValueBy('\\') }

// ValueBy is Value with another character that escapes in U&'…', as UESCAPE says it.
func (t Token) ValueBy(mark byte) string {
	inside := t.Inside()
	switch t.Kind {
	case String:
		return strings.ReplaceAll(inside, "''", "'")
	case Escape:
		return unescaped(inside)
	case Unicode:
		return unicodeUnescaped(strings.ReplaceAll(inside, "''", "'"), mark)
	case Name:
		switch quote := t.Text[:1]; {
		case quote == "[":
			return inside
		case len(t.Opening()) > 1:
			return unicodeUnescaped(strings.ReplaceAll(inside, `""`, `"`), mark)
		default:
			return strings.ReplaceAll(inside, quote+quote, quote)
		}
	}
	return inside
}

// With is a text that stands for another value, written as this one is, or in plain quotes where it can't be.
func (t Token) With(value string, mark byte) string {
	open, quotes := t.Opening(), strings.ReplaceAll(value, "'", "''")
	switch t.Kind {
	case Dollar:
		if !strings.Contains(value+open[:len(open)-1], open) {
			return open + value + open
		}
	case Escape:
		return open + strings.ReplaceAll(quotes, `\`, `\\`) + "'"
	case Unicode:
		return open + strings.ReplaceAll(quotes, string(mark), string([]byte{mark, mark})) + "'"
	}
	return "'" + quotes + "'"
}

// unescaper takes what escapes stand for. A letter beyond the first 65,536 may be written as two halves, as in UTF-16.
type unescaper struct {
	strings.Builder
	half rune
}

func (u *unescaper) letter(r rune) {
	switch {
	case u.half != 0:
		r, u.half = utf16.DecodeRune(u.half, r), 0
	case utf16.IsSurrogate(r):
		u.half = r
		return
	}
	u.WriteRune(r)
}

// unescaped takes the escapes out of the inside of E'…'.
func unescaped(text string) string {
	var b unescaper
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\'':
			i++ // doubled
		case c == '\\' && i+1 < len(text):
			i += b.escape(text[i+1:])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escape takes one, and says how long it is behind its backslash.
func (u *unescaper) escape(text string) (n int) {
	c := text[0]
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		u.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7':
		value, n := digits(text, 3, 8)
		u.WriteByte(byte(value))
		return n
	case 'x':
		if value, n := digits(text[1:], 2, 16); n > 0 {
			u.WriteByte(byte(value))
			return 1 + n
		}
	case 'u', 'U':
		most := 4
		if c == 'U' {
			most = 8
		}
		if value, n := digits(text[1:], most, 16); n > 0 {
			u.letter(value)
			return 1 + n
		}
	}
	_, n = utf8.DecodeRuneInString(text)
	u.WriteString(text[:n])
	return n
}

// unicodeUnescaped takes \XXXX and \+XXXXXX out of the inside of U&'…'.
func unicodeUnescaped(text string, mark byte) string {
	var b unescaper
	for i := 0; i < len(text); i++ {
		if text[i] != mark || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		rest, most := text[i+1:], 4
		switch rest[0] {
		case mark:
			b.WriteByte(mark)
			i++
			continue
		case '+':
			rest, most = rest[1:], 6
			i++
		}
		value, n := digits(rest, most, 16)
		b.letter(value)
		i += n
	}
	return b.String()
}

// digits reads a number of at most so many digits, and says how many there are.
func digits(text string, most int, base rune) (value rune, n int) {
	for n < len(text) && n < most {
		digit := rune(strings.IndexByte("0123456789abcdef", lower(text[n])))
		if digit < 0 || digit >= base {
			break
		}
		value = value*base + digit
		n++
	}
	return value, n
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}
