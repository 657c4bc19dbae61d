package sqlite

import "strings"

// tokens cuts a statement of SQLite's into words, numbers, strings and signs, so that two spellings of the same come out
// the same: comments and spacing are dropped, unquoted words are in lower case, and names lose quotes that they don't
// need. A line break inside a string stays, written as \n, so that a statement is one line.
//
// "abc" may be a name or, by an old mercy of SQLite's, a string: so quotes are dropped only where the content is in lower
// case, and nothing in quotes ever changes its case.
func tokens(statement string) (all []string) {
	for s := statement; s != ""; {
		n := length(s)
		token := s[:n]
		s = s[n:]
		switch c := token[0]; {
		case isSpace(c) || strings.HasPrefix(token, "--") || strings.HasPrefix(token, "/*"):
		case c == '\'':
			all = append(all, oneLine(token))
		case c == '"' || c == '`' || c == '[':
			all = append(all, name(token))
		default:
			all = append(all, strings.ToLower(token))
		}
	}
	return all
}

// length is how many bytes of s its first token takes, at least 1. What is never closed goes to the end.
func length(s string) int {
	switch c := s[0]; {
	case strings.HasPrefix(s, "--"):
		return through(s, "\n", 2)
	case strings.HasPrefix(s, "/*"):
		return through(s, "*/", 2)
	case c == '[':
		return through(s, "]", 1)
	case c == '\'' || c == '"' || c == '`':
		return quoted(s)
	case isWord(c):
		return span(s, isWord)
	case isSpace(c):
		return span(s, isSpace)
	default:
		return 1
	}
}

func through(s, end string, from int) int {
	if i := strings.Index(s[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}

// quoted is the length of a string whose quote stands in it doubled.
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
	return len(s)
}

func span(s string, in func(byte) bool) int {
	n := 1
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

// name spells a quoted name in one way: bare where it can be, otherwise in double quotes.
func name(token string) string {
	if len(token) < 2 {
		return token
	}
	open := token[:1]
	inner := token[1 : len(token)-1]
	if open != "[" {
		inner = strings.ReplaceAll(inner, open+open, open)
	}
	if isBare(inner) {
		return inner
	}
	return oneLine(`"` + strings.ReplaceAll(inner, `"`, `""`) + `"`)
}

func isBare(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && span(s, isWord) == len(s) && isWord(s[0]) && strings.ToLower(s) == s
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func oneLine(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
}
