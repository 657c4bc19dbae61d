package layout

import (
	"fmt"
	"strings"

	"greenroom/internal/sqltext"
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
func Split(file string, d Dialect) (all []Statement, err error) {
	line, at := 1, 0
	for s := range sqltext.Statements(file, d) {
		line += strings.Count(file[at:s.At], "\n")
		at = s.At
		if err := runnable(s.Text, line, d); err != nil {
			return all, err
		}
		all = append(all, Statement{SQL: s.Text, Line: line})
	}
	return all, nil
}

// runnable refuses a statement that the database alone can't run.
func runnable(sql string, line int, d Dialect) error {
	words, copies := 0, 0 // COPY … FROM STDIN, as far as it was seen
	for t := range sqltext.Tokens(sql, d) {
		here := func(format string, args ...any) error {
			return faulty(line+strings.Count(sql[:t.At], "\n"), format, args...)
		}
		switch {
		case t.Open && t.Kind == sqltext.Comment:
			return here("/* is never closed")
		case t.Open:
			return here("%s is never closed", t.Text[:1])
		case d == Postgres && t.Is(`\`):
			return here("commands of psql, such as %s, are nothing that the database knows; write it in SQL", until(sql[t.At:], " \t\r\n"))
		case t.Kind == sqltext.Word:
			if (copies > 0 || words == 0) && copies < 3 && t.Is([...]string{"COPY", "FROM", "STDIN"}[copies]) {
				copies++
			}
			words++
		}
	}
	if d == Postgres && copies == 3 {
		return faulty(line, "COPY … FROM STDIN takes data that only psql sends; use INSERT")
	}
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
	first := len(s.SQL) // of its first word
	for t := range sqltext.Tokens(s.SQL, Postgres) {
		if !t.Blank() {
			first = t.At
			break
		}
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
