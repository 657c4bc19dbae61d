package postgres

import (
	"strings"

	"greenroom/internal/sqltext"
)

// split cuts a script, as pg_dump writes it for psql, into its statements, without what stands between them and without the
// semicolons.
func split(script string) (all []string) {
	for s := range sqltext.Statements(script, sqltext.Psql) {
		all = append(all, strings.TrimRight(s.Text, " \t\n\v\f\r")) // of a text that never ends
	}
	return all
}

// begins says whether a statement begins with these words, in capitals.
func begins(statement string, words ...string) bool {
	for t := range sqltext.Tokens(statement, sqltext.PostgreSQL) {
		switch {
		case t.Blank():
			continue
		case len(words) == 0:
			return true
		case !t.Is(words[0]):
			return false
		}
		words = words[1:]
	}
	return len(words) == 0
}

// skeleton is SQL without its texts, its comments and its spaces: what stays the same when texts in it are masked. A body
// in dollars is a text.
func skeleton(sql string) string {
	return sqltext.Rewrite(sql, sqltext.PostgreSQL, func(t sqltext.Token) string {
		switch {
		case t.Blank():
			return ""
		case t.IsText() || t.Kind == sqltext.Bits:
			return "'' "
		}
		return t.Text + " "
	})
}
