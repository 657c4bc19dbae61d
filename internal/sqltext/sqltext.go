// Package sqltext cuts SQL into tokens and statements, as PostgreSQL, psql and SQLite do. It takes any text, whole or cut off,
// and knows no grammar beyond what says where a statement ends.
//
// PostgreSQL's rules are in https://www.postgresql.org/docs/current/sql-syntax-lexical.html, and what psql makes of a function
// that is written in SQL in its psqlscan.l; standard_conforming_strings is on, as it is by default and in every dump. SQLite's
// are in its tokenize.c and complete.c.
package sqltext

import (
	"iter"
	"strings"
)

// Dialect is whose SQL a text is, by the names that package app has for engines.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgres"
	Psql       Dialect = "psql" // PostgreSQL's with lines for psql between, as pg_dump writes them
	SQLite     Dialect = "sqlite"
)

// Kind is what a token is.
type Kind uint8

// The kinds.
const (
	Space     Kind = iota
	Comment        // -- or /* */; without the end of the line
	Word           // a keyword, a name; in SQLite $name too
	Number         // 1, 0xff, 1.5e3; the sign of an exponent is a token of its own
	Parameter      // $1
	String         // 'it''s'
	Escape         // E'it\'s'
	Unicode        // U&'\00e4'
	Dollar         // $tag$it's$tag$
	Bits           // B'01', X'ff'
	Name           // "a name", U&"a name"; in SQLite `a name` and [a name]
	Command        // a line for psql, with its end: \restrict
	Sign           // one byte of anything else
)

// Token is a piece of a text. All of them together are the text again.
type Token struct {
	Text string // as it stands there
	At   int    // where it begins, in bytes
	Form
}

// Form is what there is to say of a token beside its text. It is apart because a token of five fields would not be passed in
// registers, and cutting a text would take twice as long.
type Form struct {
	Depth int32 // parentheses around it; those themselves have that of what stands outside them
	Kind  Kind
	Open  bool // it reaches to the text's end for want of its own, which the dialect doesn't forgive
}

// End is where the token ends, in bytes.
func (t Token) End() int { return t.At + len(t.Text) }

// Is says whether the token is that word without quotes, in any case, or that sign.
func (t Token) Is(word string) bool {
	return (t.Kind == Word || t.Kind == Sign) && is(t.Text, word)
}

// Blank says whether the token means nothing: space, a comment, and what is psql's.
func (t Token) Blank() bool { return t.Kind == Space || t.Kind == Comment || t.Kind == Command }

// IsText says whether the token is a string, however it is written.
func (t Token) IsText() bool { return t.Kind >= String && t.Kind <= Dollar }

// Tokens cuts a text. Nothing is copied.
func Tokens(sql string, d Dialect) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		l := lexer{sql: sql, lite: d == SQLite, psql: d == Psql}
		for l.at < len(sql) {
			if !yield(l.next()) {
				return
			}
		}
	}
}

// Rewrite is a text with each token as write says.
func Rewrite(sql string, d Dialect, write func(Token) string) string {
	var b strings.Builder
	for t := range Tokens(sql, d) {
		b.WriteString(write(t))
	}
	return b.String()
}

type lexer struct {
	sql        string
	at         int
	depth      int32
	lite, psql bool
}

func (l *lexer) next() Token {
	at, depth := l.at, l.depth
	kind, n, open := l.read(l.sql[at:])
	if kind == Sign {
		switch l.sql[at] {
		case '(':
			l.depth++
		case ')':
			depth = max(0, depth-1)
			l.depth = depth
		}
	}
	l.at += n
	return Token{l.sql[at:l.at], at, Form{depth, kind, open}}
}

// read is what s begins with, and how long that is.
func (l *lexer) read(s string) (kind Kind, n int, open bool) {
	c := s[0]
	var second byte
	if len(s) > 1 {
		second = s[1]
	}
	switch class := classes[c]; {
	case class&space != 0:
		return Space, span(s, space), false
	case class&digit != 0:
		return Number, number(s), false
	case second == '\'' && class&letter != 0:
		if kind := l.prefixed(c); kind != Word {
			n, open = l.quoted(s, 2, kind == Escape)
			return kind, n, open
		}
	case second == '&' && len(s) > 2 && c|0x20 == 'u' && !l.lite:
		switch s[2] {
		case '\'':
			n, open = l.quoted(s, 3, false)
			return Unicode, n, open
		case '"':
			n, open = closing(s, 3, '"', false)
			return Name, n, open
		}
	}
	switch {
	case classes[c]&letter != 0:
		return Word, span(s, letter|digit|dollar), false
	case c == '-' && second == '-':
		return Comment, l.lineComment(s), false
	case c == '/' && second == '*':
		n, open = l.blockComment(s)
		return Comment, n, open
	case c == '\'':
		n, open = l.quoted(s, 1, false)
		return String, n, open
	case c == '"', c == '`' && l.lite:
		n, open = closing(s, 1, c, false)
		return Name, n, open
	case c == '[' && l.lite:
		n, open = through(s, 1, "]")
		return Name, n, open
	case c == '$':
		return l.dollar(s)
	case c == '\\' && l.psql && (l.at == 0 || l.sql[l.at-1] == '\n'):
		n, _ = through(s, 1, "\n")
		return Command, n, false
	}
	return Sign, 1, false
}

// prefixed is what a letter makes of the quotes behind it; Word where it has nothing to do with them.
func (l *lexer) prefixed(c byte) Kind {
	switch c | 0x20 {
	case 'x':
		return Bits
	case 'b':
		if !l.lite {
			return Bits
		}
	case 'e':
		if !l.lite {
			return Escape
		}
	}
	return Word
}

// quoted is how long a text in quotes is. In PostgreSQL it goes on where another one follows behind the end of a line, and
// backslashes escape there too, if they did before.
func (l *lexer) quoted(s string, from int, escapes bool) (n int, open bool) {
	n, open = closing(s, from, '\'', escapes)
	for !open && !l.lite {
		more := continued(s[n:])
		if more == 0 {
			break
		}
		n, open = closing(s, n+more, '\'', escapes)
	}
	return n, open
}

// closing is the end of what is in quotes: two quotes in it are one, and after a backslash comes anything where that escapes.
func closing(s string, from int, quote byte, escapes bool) (n int, open bool) {
	for i := from; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] != quote:
		case i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1, false
		}
	}
	return len(s), true
}

// continued is how far behind a text's last quote the one is with which it goes on; 0 where none does.
func continued(s string) int {
	line := false
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\'' && line:
			return i + 1
		case s[i] == '\n', s[i] == '\r':
			line = true
			i++
		case classes[s[i]]&space != 0:
			i++
		case strings.HasPrefix(s[i:], "--"):
			i += newline(s[i:])
		default:
			return 0
		}
	}
	return 0
}

// newline is how far the end of the line is.
func newline(s string) int {
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' {
			return i
		}
	}
	return len(s)
}

func (l *lexer) lineComment(s string) int {
	if !l.lite {
		return newline(s)
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

// blockComment nests in PostgreSQL and doesn't in SQLite, where the end of the text closes one as well.
func (l *lexer) blockComment(s string) (n int, open bool) {
	if l.lite {
		n, _ = through(s, 2, "*/")
		return n, false
	}
	depth := 1
	for i := 2; i+1 < len(s); i++ {
		switch {
		case s[i] == '/' && s[i+1] == '*':
			depth++
			i++
		case s[i] == '*' && s[i+1] == '/':
			depth--
			i++
			if depth == 0 {
				return i + 1, false
			}
		}
	}
	return len(s), true
}

// dollar is $tag$…$tag$ or $1, and $name in SQLite.
func (l *lexer) dollar(s string) (kind Kind, n int, open bool) {
	switch {
	case l.lite:
		return Word, span(s, letter|digit|dollar), false
	case len(s) > 1 && classes[s[1]]&digit != 0:
		return Parameter, 1 + span(s[1:], digit), false
	}
	tag := dollarTag(s)
	if tag == "" {
		return Sign, 1, false
	}
	n, open = through(s, len(tag), tag)
	return Dollar, n, open
}

// dollarTag is the $tag$ that s begins with; "" where it is none.
func dollarTag(s string) string {
	n := 1 + span(s[1:], letter|digit)
	if n == len(s) || s[n] != '$' || classes[s[1]]&digit != 0 {
		return ""
	}
	return s[:n+1]
}

// through is the end of the first mark behind from.
func through(s string, from int, mark string) (n int, open bool) {
	if i := strings.Index(s[from:], mark); i >= 0 {
		return from + i + len(mark), false
	}
	return len(s), true
}

// number takes one point after the other, but for two that stand together: 1..10 is a range in PL/pgSQL.
func number(s string) int {
	n := span(s, letter|digit)
	for n < len(s) && s[n] == '.' && (n+1 == len(s) || s[n+1] != '.') {
		n++
		n += span(s[n:], letter|digit)
	}
	return n
}

func span(s string, in uint8) int {
	n := 0
	for n < len(s) && classes[s[n]]&in != 0 {
		n++
	}
	return n
}

const (
	space uint8 = 1 << iota
	letter
	digit
	dollar
)

// classes are what the bytes are for. Every byte of a letter beyond ASCII is one of a word.
var classes = func() (all [256]uint8) {
	for i := range all {
		switch c := byte(i); {
		case c == ' ' || '\t' <= c && c <= '\r':
			all[i] = space
		case '0' <= c && c <= '9':
			all[i] = digit
		case c == '_' || c >= 0x80 || 'a' <= c|0x20 && c|0x20 <= 'z':
			all[i] = letter
		case c == '$':
			all[i] = dollar
		}
	}
	return all
}()
