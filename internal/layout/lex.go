package layout

import "strings"

// kind is what a token is.
type kind uint8

const (
	space kind = iota
	comment
	word // a keyword, a name, a number
	text // anything in quotes
	sign
	open // a quote or a comment that is never closed
)

// lex finds the first token of s, which is not empty, and its length in bytes. It takes standard_conforming_strings for
// on, as every PostgreSQL since 9.1 has it.
func lex(s string, d Dialect) (kind, int) {
	switch c := s[0]; {
	case isSpace(c):
		return space, span(s, isSpace)
	case strings.HasPrefix(s, "--"):
		return comment, lineComment(s, d)
	case strings.HasPrefix(s, "/*"):
		return blockComment(s, d)
	case c == '\'':
		return closed(quoted(s))
	case c == '"':
		return closed(quoted(s))
	case d == SQLite && c == '`':
		return closed(quoted(s))
	case d == SQLite && c == '[':
		return closed(strings.IndexByte(s, ']') + 1)
	case d == Postgres && c == '$':
		return dollar(s)
	case d == Postgres && (c|0x20) == 'e' && len(s) > 1 && s[1] == '\'':
		return closed(escaped(s))
	case isWord(c):
		return word, span(s, isWord)
	default:
		return sign, 1
	}
}

// closed makes a token of a length; 0 is for what is never closed.
func closed(n int) (kind, int) {
	if n == 0 {
		return open, 1
	}
	return text, n
}

func lineComment(s string, d Dialect) int {
	ends := "\n"
	if d == Postgres {
		ends = "\n\r"
	}
	if i := strings.IndexAny(s, ends); i >= 0 {
		return i
	}
	return len(s)
}

// blockComment nests in PostgreSQL and doesn't in SQLite, where the end of the text closes one as well.
func blockComment(s string, d Dialect) (kind, int) {
	if d == SQLite {
		if i := strings.Index(s[2:], "*/"); i >= 0 {
			return comment, i + 4
		}
		return comment, len(s)
	}
	depth := 1
	for i := 2; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			return comment, i + 1
		}
	}
	return open, 2
}

// quoted is the length of what stands in the quotes that s begins with, which are doubled inside; 0 without an end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != s[0] {
			continue
		}
		if i+1 < len(s) && s[i+1] == s[0] {
			i++
			continue
		}
		return i + 1
	}
	return 0
}

// escaped is the length of E'…', in which a backslash takes the next character with it. A string in quotes that follows on
// another line is part of it, and escaped as well.
func escaped(s string) int {
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
				continue
			}
			next := continued(s[i+1:])
			if next == 0 {
				return i + 1
			}
			i += next
		}
	}
	return 0
}

// continued is how far the quote is with which a string goes on behind a line break; 0 where none does.
func continued(s string) int {
	line := false
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\'' && line:
			return i + 1
		case isSpace(s[i]):
			line = line || s[i] == '\n' || s[i] == '\r'
			i++
		case line && strings.HasPrefix(s[i:], "--"):
			i += lineComment(s[i:], Postgres)
		default:
			return 0
		}
	}
	return 0
}

// dollar is $tag$…$tag$, or a sign where s begins no such thing: $1.
func dollar(s string) (kind, int) {
	n := 1
	for n < len(s) && isWord(s[n]) && s[n] != '$' {
		n++
	}
	if n == len(s) || s[n] != '$' || n > 1 && '0' <= s[1] && s[1] <= '9' {
		return sign, 1
	}
	tag := s[:n+1]
	end := strings.Index(s[n+1:], tag)
	if end < 0 {
		return open, 1
	}
	return text, end + 2*len(tag)
}

func span(s string, in func(byte) bool) int {
	n := 1
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

// isWord is for names, keywords and numbers; a name may hold $, so $ begins a quote only where no word goes on.
func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
