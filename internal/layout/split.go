package layout

import (
	"fmt"
	"strings"
)

// fault is what is wrong with a file, and in which line.
type fault struct {
	line int
	text string
}

func (f *fault) Error() string { return fmt.Sprintf("line %d: %s", f.line, f.text) }

func faulty(line int, format string, args ...any) error {
	return &fault{line: line, text: fmt.Sprintf(format, args...)}
}

// Split cuts a file into its statements at the semicolons that end one. What psql and sqlite3 do beyond SQL (commands,
// data behind COPY) is an error that says in which line. A statement keeps the comments inside it.
func Split(file string, d Dialect) ([]Statement, error) {
	s := splitter{file: file, dialect: d, line: 1}
	for s.at < len(file) {
		kind, n := lex(file[s.at:], d)
		if err := s.token(kind, file[s.at:s.at+n]); err != nil {
			return s.all, err
		}
		if kind != word && kind != sign {
			s.line += strings.Count(file[s.at:s.at+n], "\n")
		}
		s.at += n
	}
	return s.all, s.finish()
}

type splitter struct {
	file    string
	dialect Dialect
	all     []Statement
	at      int
	line    int

	begun  bool
	from   int // of the statement
	to     int // of its last token
	first  int // its line
	parens int
	blocks int       // BEGIN ATOMIC and CASE that are open
	words  []string  // its first ones, in upper case
	last   [2]string // its last two tokens that are no comment, in upper case
	copies int       // how much of COPY … FROM STDIN was seen
}

func (s *splitter) token(k kind, token string) error {
	switch {
	case k == space || k == comment:
		return nil
	case k == open:
		return faulty(s.line, "%s is never closed", token)
	case token == ";" && s.parens == 0 && s.ends():
		return s.finish()
	case token == `\` && s.dialect == Postgres:
		return faulty(s.line, "commands of psql, such as %s, are nothing that the database knows; write it in SQL", until(s.file[s.at:], " \t\r\n"))
	}
	if !s.begun {
		s.begun, s.from, s.first = true, s.at, s.line
	}
	s.to = s.at + len(token)
	switch token {
	case "(":
		s.parens++
	case ")":
		s.parens = max(0, s.parens-1)
	}
	if len(s.words) < wordsSeen || s.words[0] == "CREATE" || s.words[0] == "COPY" {
		s.notice(k, token)
	}
	return nil
}

// notice keeps what of a statement decides where it ends.
func (s *splitter) notice(k kind, token string) {
	upper := ""
	if k == word || k == sign {
		upper = strings.ToUpper(token)
	}
	if k == word {
		s.block(upper)
		if len(s.words) < wordsSeen {
			s.words = append(s.words, upper)
		}
		if s.words[0] == "COPY" && upper == [...]string{"FROM", "STDIN", ""}[s.copies] {
			s.copies++
		}
	}
	s.last = [2]string{s.last[1], upper}
}

// wordsSeen is how many words of a statement say what kind it is.
const wordsSeen = 12

// block keeps count of what PostgreSQL's functions with a body in SQL have inside: BEGIN ATOMIC … END, CASE … END.
func (s *splitter) block(upper string) {
	if s.dialect != Postgres || len(s.words) == 0 || s.words[0] != "CREATE" {
		return
	}
	switch {
	case upper == "ATOMIC" && s.last[1] == "BEGIN":
		s.blocks++
	case upper == "CASE" && s.blocks > 0:
		s.blocks++
	case upper == "END" && s.blocks > 0:
		s.blocks--
	}
}

// ends says whether a semicolon here ends the statement. SQLite's triggers end with ; END ; and with no other.
func (s *splitter) ends() bool {
	if s.dialect == SQLite && isTrigger(s.words) {
		return s.last[0] == ";" && s.last[1] == "END"
	}
	return s.blocks == 0
}

func isTrigger(words []string) bool {
	if len(words) > 0 && words[0] == "EXPLAIN" {
		words = words[1:]
	}
	if len(words) < 2 || words[0] != "CREATE" {
		return false
	}
	return words[1] == "TRIGGER" || len(words) > 2 && (words[1] == "TEMP" || words[1] == "TEMPORARY") && words[2] == "TRIGGER"
}

// finish ends a statement, if one was begun.
func (s *splitter) finish() error {
	if !s.begun {
		return nil
	}
	if s.dialect == Postgres && s.copies == 2 {
		return faulty(s.first, "COPY … FROM STDIN takes data that only psql sends; use INSERT")
	}
	s.all = append(s.all, Statement{SQL: s.file[s.from:s.to], Line: s.first})
	s.begun, s.parens, s.blocks, s.copies, s.words, s.last = false, 0, 0, 0, s.words[:0], [2]string{}
	return nil
}

func until(s, ends string) string {
	if i := strings.IndexAny(s, ends); i >= 0 {
		return s[:i]
	}
	return s
}

// At is the line in the file of a position that the server names: characters, from 1 on. 0 is the statement's own.
func (s Statement) At(position int) int {
	first := 0 // of its first word
	for first < len(s.SQL) {
		k, n := lex(s.SQL[first:], Postgres)
		if k != space && k != comment {
			break
		}
		first += n
	}
	at := first
	if position > 0 {
		at = len(s.SQL)
		for i := range s.SQL {
			if position--; position == 0 {
				at = i
				break
			}
		}
	}
	if at < first {
		return s.Line - strings.Count(s.SQL[at:first], "\n")
	}
	return s.Line + strings.Count(s.SQL[first:at], "\n")
}
