package sqlite

import (
	"slices"
	"strings"

	"greenroom/internal/mask"
	"greenroom/internal/sqltext"
)

// literals are the texts that stand in a statement: strings, and comments, which SQLite keeps with it. Those of a virtual
// table are its settings.
func (e entry) literals() (all []mask.Literal) {
	if moduleOf(e.sql) != "" {
		return nil
	}
	for _, t := range pieces(e.sql) {
		if text := literalText(t); strings.TrimSpace(text) != "" {
			all = append(all, mask.Literal{Where: e.id(), Text: text})
		}
	}
	return all
}

// literalText is the text of a string, bytes or a comment, "" for any other token.
func literalText(t sqltext.Token) string {
	switch {
	case t.Kind == sqltext.String || t.Kind == sqltext.Bits:
		return t.Value()
	case strings.HasPrefix(t.Text, "--"):
		return strings.TrimSpace(t.Text[2:])
	case t.Kind == sqltext.Comment:
		return strings.TrimSpace(strings.TrimSuffix(t.Text[2:], "*/"))
	}
	return ""
}

// plain writes as strings what SQLite takes as strings without their looking so, as far as it decides that by the schema:
// a word or a name in double quotes behind DEFAULT, and by an old mercy of its any name in double quotes that nothing has.
// Who masks strings would let them through.
func plain(statement string, known map[string]bool) string {
	var out strings.Builder
	cut := pieces(statement)
	given := map[string]bool{} // by the statement itself
	for i, t := range cut {
		if t.Blank() {
			continue
		}
		if before := neighbour(cut, i, -1); before == "as" || before == "constraint" {
			given[strings.ToLower(bareName(t))] = true
		}
	}
	for i, t := range cut {
		if name := strings.ToLower(bareName(t)); !t.Blank() && isSpoken(cut, i, known[name] || given[name]) {
			out.WriteString("'" + strings.ReplaceAll(bareName(t), "'", "''") + "'")
			continue
		}
		out.WriteString(t.Text)
	}
	return out.String()
}

// isSpoken says whether the i-th token is a string in disguise; known says that something has its name.
func isSpoken(cut []sqltext.Token, i int, known bool) bool {
	t, before, after := cut[i], neighbour(cut, i, -1), neighbour(cut, i, 1)
	if before == "default" {
		return t.Kind == sqltext.Name || t.Kind == sqltext.Word &&
			!slices.Contains([]string{"null", "true", "false", "values", "current_time", "current_date", "current_timestamp"}, strings.ToLower(t.Text))
	}
	if t.Text[0] != '"' || known {
		return false
	}
	switch before {
	case "as", "constraint", ".", "table", "view", "trigger", "index", "exists", "on", "into", "update", "from", "join", "references", "collate", "virtual":
		return false
	}
	return after != "." && after != "(" && after != "as"
}

// neighbour is the next token in a direction that is no space or comment, in lower case.
func neighbour(cut []sqltext.Token, i, step int) string {
	for i += step; i >= 0 && i < len(cut); i += step {
		if !cut[i].Blank() {
			return strings.ToLower(cut[i].Text)
		}
	}
	return ""
}

// bareName is a name without its quotes, and any other token as it is.
func bareName(t sqltext.Token) string {
	if t.Kind == sqltext.Name {
		return t.Value()
	}
	return t.Text
}

// names are all names that the schema gives, in lower case.
func (s *structure) names() map[string]bool {
	known := map[string]bool{"new": true, "old": true, "excluded": true, "rowid": true, "_rowid_": true, "oid": true}
	for _, e := range s.entries {
		known[strings.ToLower(e.name)] = true
	}
	for _, t := range s.tables {
		for _, c := range t.columns {
			known[strings.ToLower(c.name)] = true
		}
	}
	return known
}
