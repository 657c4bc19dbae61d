package sqlite

import (
	"slices"
	"strings"

	"greenroom/internal/sqltext"
)

// tokens cuts a statement of SQLite's into words, numbers, strings and signs, so that two spellings of the same come out
// the same: comments and spacing are dropped, unquoted words are in lower case, and names lose quotes that they don't
// need. A line break inside a string stays, written as \n, so that a statement is one line. Fingerprints of schemas are made
// of these, so what comes out never changes: 1.5 is three of them, and x'ff' two.
//
// "abc" may be a name or, by an old mercy of SQLite's, a string: so quotes are dropped only where the content is in lower
// case, and nothing in quotes ever changes its case.
func tokens(statement string) (all []string) {
	for _, t := range pieces(statement) {
		switch {
		case t.Blank():
		case t.Kind == sqltext.String:
			all = append(all, oneLine(t.Text))
		case t.Kind == sqltext.Bits:
			all = append(all, strings.ToLower(t.Text[:1]), oneLine(t.Text[1:]))
		case t.Kind == sqltext.Name:
			all = append(all, name(t))
		case t.Kind == sqltext.Number:
			all = append(all, strings.Fields(strings.ReplaceAll(strings.ToLower(t.Text), ".", " . "))...)
		default:
			all = append(all, strings.ToLower(t.Text))
		}
	}
	return all
}

// pieces cuts a statement into all its tokens, as they are.
func pieces(statement string) []sqltext.Token {
	return slices.Collect(sqltext.Tokens(statement, sqltext.SQLite))
}

// name spells a quoted name in one way: bare where it can be, otherwise in double quotes.
func name(t sqltext.Token) string {
	inner := t.Value()
	if bare := pieces(inner); len(bare) == 1 && bare[0].Kind == sqltext.Word && strings.ToLower(inner) == inner {
		return inner
	}
	return oneLine(`"` + strings.ReplaceAll(inner, `"`, `""`) + `"`)
}

func oneLine(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
}
