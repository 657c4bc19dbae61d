package migration

import (
	"strings"

	"greenroom/internal/sqltext"
)

// scan is the tokens of a text that mean something. It takes any text: what is not closed ends with it.
func scan(sql string, d sqltext.Dialect) (all []sqltext.Token) {
	for t := range sqltext.Tokens(sql, d) {
		if !t.Blank() {
			all = append(all, t)
		}
	}
	return all
}

// statements are the statements of a text.
func statements(sql string, d sqltext.Dialect) (all []*cursor) {
	for s := range sqltext.Statements(sql, d) {
		if toks := scan(s.Text, d); len(toks) > 0 { // else it is a comment that never ends
			all = append(all, &cursor{sql: s.Text, toks: toks})
		}
	}
	return all
}

// dialect is that of the database, by whose engine's name it is called.
func (o Observation) dialect() sqltext.Dialect { return sqltext.Dialect(o.Engine) }

// read is a statement from its front.
func (o Observation) read(i int) *cursor {
	sql := o.Statements[i].SQL
	return &cursor{sql: sql, toks: scan(sql, o.dialect())}
}

// Literals takes literals and comments out of a query, so that no value of anybody's stands in what is kept of it: strings
// become '…' and numbers 0. What is cut off inside a literal loses that too. The result is one line.
func Literals(sql string) string {
	var b strings.Builder
	gap := false
	for t := range sqltext.Tokens(sql, sqltext.PostgreSQL) {
		if t.Blank() {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte(' ')
		}
		gap = false
		switch t.Kind {
		case sqltext.String, sqltext.Escape, sqltext.Dollar:
			b.WriteString("'…'")
		case sqltext.Unicode, sqltext.Bits:
			b.WriteString(t.Opening() + "…'")
		case sqltext.Number:
			b.WriteByte('0')
		default:
			b.WriteString(t.Text)
		}
	}
	return b.String()
}
