package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Dialect is whose SQL a text is.
type Dialect int

// The dialects. PostgreSQL's strings are read as with standard_conforming_strings on, which is how it writes them.
const (
	PostgreSQL Dialect = iota
	SQLite
)

// sqlKind is what a token of SQL is.
type sqlKind int

const (
	sqlSpace sqlKind = iota
	sqlComment
	sqlString  // 'it''s'
	sqlEscape  // E'it\'s'
	sqlUnicode // U&'\00e4'
	sqlDollar  // $tag$it's$tag$
	sqlBits    // B'01', X'ff'
	sqlName    // "a name"; in SQLite also `a name` and [a name]
	sqlWord
	sqlNumber
	sqlMark // one character of anything else
)

// sqlToken is a token and where it stands.
type sqlToken struct {
	kind sqlKind
	text string // as it stands there
}

// lexSQL cuts SQL into tokens. Together they are the text again, whatever it is: what begins and does not end reaches to
// the end.
func lexSQL(sql string, d Dialect) (tokens []sqlToken) {
	for len(sql) > 0 {
		kind, n := nextSQL(sql, d)
		tokens = append(tokens, sqlToken{kind, sql[:n]})
		sql = sql[n:]
	}
	return tokens
}

func nextSQL(sql string, d Dialect) (kind sqlKind, n int) {
	c := sql[0]
	two := sql[:min(2, len(sql))]
	switch {
	case isSpace(c):
		for n < len(sql) && isSpace(sql[n]) {
			n++
		}
		return sqlSpace, n
	case two == "--":
		if n = strings.IndexByte(sql, '\n'); n < 0 {
			n = len(sql)
		}
		return sqlComment, n
	case two == "/*":
		return sqlComment, blockComment(sql, d)
	case c == '\'':
		return sqlString, quotedSQL(sql, 1, '\'', false)
	case d == PostgreSQL && (two == "E'" || two == "e'"):
		return sqlEscape, quotedSQL(sql, 2, '\'', true)
	case d == PostgreSQL && len(sql) > 2 && (sql[:3] == "U&'" || sql[:3] == "u&'"):
		return sqlUnicode, quotedSQL(sql, 3, '\'', false)
	case d == PostgreSQL && len(sql) > 2 && (sql[:3] == `U&"` || sql[:3] == `u&"`):
		return sqlName, quotedSQL(sql, 3, '"', false)
	case strings.EqualFold(two, "x'") || strings.EqualFold(two, "b'") && d == PostgreSQL:
		return sqlBits, quotedSQL(sql, 2, '\'', false)
	case c == '"' || c == '`' && d == SQLite:
		return sqlName, quotedSQL(sql, 1, c, false)
	case c == '[' && d == SQLite:
		if n = strings.IndexByte(sql, ']') + 1; n == 0 {
			n = len(sql)
		}
		return sqlName, n
	case c == '$' && d == PostgreSQL:
		if tag, ok := dollarTag(sql); ok {
			n = strings.Index(sql[len(tag):], tag)
			if n < 0 {
				return sqlDollar, len(sql)
			}
			return sqlDollar, n + 2*len(tag)
		}
	}
	return wordSQL(sql)
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// wordSQL reads a word, a number, or one character of anything else.
func wordSQL(sql string) (kind sqlKind, n int) {
	r, size := utf8.DecodeRuneInString(sql)
	switch {
	case isWordStart(r):
		for n < len(sql) {
			r, size := utf8.DecodeRuneInString(sql[n:])
			if !isWordStart(r) && !unicode.IsDigit(r) && r != '$' {
				break
			}
			n += size
		}
		return sqlWord, n
	case r >= '0' && r <= '9':
		for n < len(sql) && (isAlnum(sql[n]) || sql[n] == '.' || sql[n] == '_') {
			n++
		}
		return sqlNumber, n
	}
	return sqlMark, size
}

func isWordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) || r >= utf8.RuneSelf }

// blockComment is how long a comment is; PostgreSQL's stand in one another.
func blockComment(sql string, d Dialect) int {
	depth := 0
	for i := 0; i+1 < len(sql); {
		switch sql[i : i+2] {
		case "/*":
			if depth == 0 || d == PostgreSQL {
				depth++
				i++
			}
		case "*/":
			depth--
			i++
		}
		if i++; depth == 0 {
			return i
		}
	}
	return len(sql)
}

// quotedSQL is how long a text in quotes is, the quote doubled within it, or behind a backslash.
func quotedSQL(sql string, from int, quote byte, backslash bool) int {
	for i := from; i < len(sql); i++ {
		switch {
		case backslash && sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return len(sql)
}

// dollarTag is the tag that a text in dollars begins with.
func dollarTag(sql string) (tag string, ok bool) {
	for i, r := range sql[1:] {
		switch {
		case r == '$':
			return sql[:i+2], true
		case !isWordStart(r) && (i == 0 || !unicode.IsDigit(r)):
			return "", false
		}
	}
	return "", false
}

// ended says whether a token of text has its last quote.
func (t sqlToken) ended() bool {
	switch t.kind {
	case sqlDollar:
		tag, _ := dollarTag(t.text)
		return len(t.text) >= 2*len(tag) && strings.HasSuffix(t.text, tag)
	case sqlString, sqlEscape, sqlUnicode:
		open := t.prefix()
		return len(t.text) > open && quotedSQL(t.text+" ", open, '\'', t.kind == sqlEscape) == len(t.text) && strings.HasSuffix(t.text, "'")
	}
	return true
}

// prefix is how many bytes stand before a text: E and the quote, or the tag.
func (t sqlToken) prefix() int {
	if t.kind == sqlDollar {
		tag, _ := dollarTag(t.text)
		return len(tag)
	}
	return strings.IndexByte(t.text, '\'') + 1
}

// value is the text that a token stands for; mark is the character that escapes in U&'…'.
func (t sqlToken) value(mark byte) string {
	if t.kind == sqlDollar {
		tag, _ := dollarTag(t.text)
		return t.text[len(tag) : len(t.text)-len(tag)]
	}
	body := strings.ReplaceAll(t.text[t.prefix():len(t.text)-1], "''", "'")
	switch t.kind {
	case sqlEscape:
		return unescaped(t.text[t.prefix() : len(t.text)-1])
	case sqlUnicode:
		return unicodeUnescaped(body, mark)
	}
	return body
}

// with is the token of another text, written as this one is.
func (t sqlToken) with(value string, mark byte) string {
	quotes := strings.ReplaceAll(value, "'", "''")
	switch t.kind {
	case sqlDollar:
		tag, _ := dollarTag(t.text)
		if strings.Contains(value+tag[:len(tag)-1], tag) {
			return "'" + quotes + "'"
		}
		return tag + value + tag
	case sqlEscape:
		return t.text[:t.prefix()] + strings.ReplaceAll(quotes, `\`, `\\`) + "'"
	case sqlUnicode:
		return t.text[:t.prefix()] + strings.ReplaceAll(quotes, string(mark), string([]byte{mark, mark})) + "'"
	}
	return "'" + quotes + "'"
}

// unescaped takes the escapes out of the inside of E'…'.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\'':
			i++ // doubled
		case c == '\\' && i+1 < len(text):
			n := escapeSQL(&b, text[i+1:])
			i += n
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escapeSQL writes what an escape stands for, and says how long it is behind its backslash.
func escapeSQL(b *strings.Builder, text string) (n int) {
	if i := strings.IndexByte("bfnrt", text[0]); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	digits, base := 0, rune(16)
	switch text[0] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	at := 1
	if text[0] >= '0' && text[0] <= '7' {
		digits, base, at = 3, 8, 0
	}
	value, n := rune(0), at
	for n < len(text) && n < at+digits && isHex(text[n]) && (base == 16 || text[n] <= '7') {
		value = value*base + rune(hexDigit(text[n]))
		n++
	}
	switch {
	case digits == 0 || n == at:
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(text[:size])
		return size
	case digits > 3:
		b.WriteRune(value)
	default:
		b.WriteByte(byte(value))
	}
	return n
}

// unicodeUnescaped takes \XXXX and \+XXXXXX out of the inside of U&'…'.
func unicodeUnescaped(text string, mark byte) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != mark || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		rest, digits := text[i+1:], 4
		if rest[0] == mark {
			b.WriteByte(mark)
			i++
			continue
		}
		if rest[0] == '+' {
			rest, digits = rest[1:], 6
			i++
		}
		value, n := rune(0), 0
		for n < len(rest) && n < digits && isHex(rest[n]) {
			value = value<<4 | rune(hexDigit(rest[n]))
			n++
		}
		b.WriteRune(value)
		i += n
	}
	return b.String()
}
