package migration

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a word of SQL. Its end is where it ends in the text that it is from.
type token struct {
	text     string // as it stands there
	at, end  int
	kind     byte // 'w' word, 'q' quoted name, 's' string, 'n' number, 'p' parameter, or the character itself
	depth    int  // parentheses around it
	keywords string
}

// is says whether the token is that unquoted word, given in upper case, or that character.
func (t token) is(word string) bool { return t.keywords == word }

// scan takes a text to pieces as PostgreSQL does, without comments. It takes any text: what is not closed ends with it.
func scan(sql string) []token {
	var out []token
	depth := 0
	for at := 0; at < len(sql); {
		n, kind := next(sql[at:])
		if kind != 0 {
			t := token{text: sql[at : at+n], at: at, end: at + n, kind: kind, depth: depth}
			if kind != 'q' && kind != 's' {
				t.keywords = strings.ToUpper(t.text)
			}
			switch kind {
			case '(':
				depth++
			case ')':
				depth = max(0, depth-1)
				t.depth = depth
			}
			out = append(out, t)
		}
		at += n
	}
	return out
}

// next is the length and kind of what a text begins with; kind 0 is white space or a comment.
func next(s string) (int, byte) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsSpace(r):
		return size, 0
	case strings.HasPrefix(s, "--"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i + 1, 0
		}
		return len(s), 0
	case strings.HasPrefix(s, "/*"):
		return comment(s), 0
	case r == '\'':
		return closed(s, 1, '\'', false), 's'
	case r == '"':
		return closed(s, 1, '"', false), 'q'
	case (r == 'E' || r == 'e') && len(s) > 1 && s[1] == '\'':
		return closed(s, 2, '\'', true), 's'
	case r == '$' && len(s) > 1 && s[1] >= '0' && s[1] <= '9':
		return 1 + span(s[1:], unicode.IsDigit), 'p'
	case r == '$' && dollar(s) > 0:
		return dollar(s), 's'
	case r >= '0' && r <= '9':
		return span(s, func(r rune) bool { return word(r) || r == '.' }), 'n'
	case word(r):
		return span(s, word), 'w'
	}
	if r < utf8.RuneSelf && r != 0 {
		return size, byte(r)
	}
	return size, '?'
}

// word says whether a rune may stand in an unquoted name.
func word(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) || r >= utf8.RuneSelf
}

func span(s string, in func(rune) bool) int {
	for i, r := range s {
		if !in(r) {
			return i
		}
	}
	return len(s)
}

// closed is how long a quoted text is, from the beginning of its quote on; a doubled quote is one in it.
func closed(s string, from int, quote byte, escapes bool) int {
	for i := from; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] != quote:
		case i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// comment is how long a comment is; they nest.
func comment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// dollar is how long a text in dollar quotes is; 0 where that is none.
func dollar(s string) int {
	end := strings.IndexByte(s[1:], '$')
	if end < 0 {
		return 0
	}
	tag := s[:end+2]
	for i, r := range tag[1 : end+1] {
		if !word(r) || r == '$' || i == 0 && unicode.IsDigit(r) {
			return 0
		}
	}
	if i := strings.Index(s[len(tag):], tag); i >= 0 {
		return len(tag) + i + len(tag)
	}
	return len(s)
}

// unquoted is what stands in dollar quotes; another text is returned as it is.
func unquoted(s string) string {
	n := strings.IndexByte(strings.TrimPrefix(s, "$"), '$') + 2
	if !strings.HasPrefix(s, "$") || n < 2 || len(s) < 2*n {
		return s
	}
	return s[n : len(s)-n]
}

// split cuts tokens at the semicolons between statements, and leaves out statements that are empty.
func split(tokens []token) [][]token {
	var out [][]token
	from := 0
	for i, t := range tokens {
		if t.is(";") && t.depth == 0 {
			if i > from {
				out = append(out, tokens[from:i])
			}
			from = i + 1
		}
	}
	if from < len(tokens) {
		out = append(out, tokens[from:])
	}
	return out
}

// Literals takes literals and comments out of a query, so that no value of anybody's stands in what is kept of it: strings
// become '…' and numbers 0. What is cut off inside a literal loses that too. The result is one line.
func Literals(sql string) string {
	var b strings.Builder
	end := 0
	for _, t := range scan(sql) {
		if t.at > end && b.Len() > 0 {
			b.WriteByte(' ')
		}
		end = t.end
		switch t.kind {
		case 's':
			b.WriteString("'…'")
		case 'n':
			b.WriteByte('0')
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}
