package postgres

import (
	"strings"
)

// lexeme is what a piece of SQL is, as far as it takes to find where a statement ends.
type lexeme int

const (
	space    lexeme = iota // and comments
	word                   // a keyword, a name without quotes, a number
	quoted                 // a name in quotes
	constant               // '…' with whatever letter before it, $tag$…$tag$
	command                // a line for psql, such as \restrict
	other                  // one byte
)

// lex finds the end of the lexeme that begins at i, and what it is. What is not closed ends with the text.
// See https://www.postgresql.org/docs/current/sql-syntax-lexical.html; standard_conforming_strings is on, as in every dump.
func lex(s string, i int) (end int, kind lexeme) {
	rest := s[i:]
	switch c := rest[0]; {
	case c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
		return i + 1, space
	case strings.HasPrefix(rest, "--"):
		return i + until(rest, 2, "\n"), space
	case strings.HasPrefix(rest, "/*"):
		return i + blockComment(rest), space
	case c == '\'':
		return i + closing(rest, 1, '\'', false), constant
	case c == '"':
		return i + closing(rest, 1, '"', false), quoted
	case c == '$':
		if tag := dollarTag(rest); tag != "" {
			return i + until(rest, len(tag), tag), constant
		}
		return i + 1, other
	case c == '\\' && (i == 0 || s[i-1] == '\n'):
		return i + until(rest, 1, "\n"), command
	case letter(c) || '0' <= c && c <= '9':
		n := 1
		for n < len(rest) && (letter(rest[n]) || '0' <= rest[n] && rest[n] <= '9' || rest[n] == '$') {
			n++
		}
		if n < len(rest) && rest[n] == '\'' && n == 1 && strings.ContainsRune("eEbBxXnN", rune(c)) {
			return i + closing(rest, 2, '\'', c == 'e' || c == 'E'), constant
		}
		if n == 1 && (c == 'u' || c == 'U') && len(rest) > 2 && rest[1] == '&' && (rest[2] == '\'' || rest[2] == '"') {
			return i + closing(rest, 3, rest[2], false), map[bool]lexeme{true: constant, false: quoted}[rest[2] == '\'']
		}
		return i + n, word
	}
	return i + 1, other
}

func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// until is the end of the first occurrence of mark behind from.
func until(s string, from int, mark string) int {
	if n := strings.Index(s[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(s)
}

// closing is the end of a quoted text: two quotes in it are one, and after a backslash comes anything where that escapes.
func closing(s string, from int, quote byte, escapes bool) int {
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

func blockComment(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth++
			i++
		case strings.HasPrefix(s[i:], "*/"):
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// dollarTag is the $tag$ that s begins with, "" when it is none: $1 is a parameter.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '$':
			return s[:i+1]
		case letter(c) || i > 1 && '0' <= c && c <= '9':
		default:
			return ""
		}
	}
	return ""
}

// split cuts a script into its statements, without what stands between them and without the semicolons.
func split(script string) []string {
	var all []string
	var s statementEnd
	start := -1
	for i := 0; i < len(script); {
		end, kind := lex(script, i)
		switch {
		case start < 0 && (kind == space || kind == command || script[i] == ';'):
		case s.at(script[i:end], kind):
			all = append(all, strings.TrimSpace(script[start:i]))
			start, s = -1, statementEnd{}
		case start < 0:
			start = i
		}
		i = end
	}
	if start >= 0 {
		all = append(all, strings.TrimSpace(script[start:]))
	}
	return all
}

// statementEnd sees where a statement ends: at a semicolon that is neither in parentheses, as in a rule of several
// statements, nor in a function's body that is SQL and no text (BEGIN ATOMIC … END).
type statementEnd struct {
	parentheses, begins, words int
	create, routine            bool
}

func (s *statementEnd) at(text string, kind lexeme) bool {
	switch {
	case kind == other && text == "(":
		s.parentheses++
	case kind == other && text == ")":
		s.parentheses--
	case kind == other && text == ";":
		return s.parentheses == 0 && s.begins == 0
	case kind == word:
		s.word(strings.ToLower(text))
	}
	return false
}

func (s *statementEnd) word(w string) {
	s.words++
	switch {
	case s.words == 1:
		s.create = w == "create"
	case s.words <= 4 && s.create && (w == "function" || w == "procedure"):
		s.routine = true
	case !s.routine || s.parentheses > 0:
	case w == "begin", w == "case" && s.begins > 0:
		s.begins++
	case w == "end" && s.begins > 0:
		s.begins--
	}
}

// begins says whether a statement begins with these words, in capitals.
func begins(statement string, words ...string) bool {
	i := 0
	for _, want := range words {
		for {
			if i == len(statement) {
				return false
			}
			end, kind := lex(statement, i)
			text := statement[i:end]
			i = end
			if kind == space {
				continue
			}
			if kind != word || strings.ToUpper(text) != want {
				return false
			}
			break
		}
	}
	return true
}

// skeleton is SQL without its texts, its comments and its spaces: what stays the same when texts in it are masked. A body
// in dollars is a text.
func skeleton(sql string) string {
	var b strings.Builder
	for i := 0; i < len(sql); {
		end, kind := lex(sql, i)
		switch kind {
		case space:
		case constant:
			b.WriteString("'' ")
		default:
			b.WriteString(sql[i:end])
			b.WriteByte(' ')
		}
		i = end
	}
	return b.String()
}
