package sqlite

import (
	"slices"
	"strings"

	"greenroom/internal/mask"
)

// literals are the texts that stand in a statement: strings, and comments, which SQLite keeps with it. Those of a virtual
// table are its settings.
func (e entry) literals() (all []mask.Literal) {
	if moduleOf(e.sql) != "" {
		return nil
	}
	for s := e.sql; s != ""; {
		n := length(s)
		if text := literalText(s[:n]); strings.TrimSpace(text) != "" {
			all = append(all, mask.Literal{Where: e.id(), Text: text})
		}
		s = s[n:]
	}
	return all
}

// literalText is the text of a string or comment, "" for any other token.
func literalText(token string) string {
	switch {
	case strings.HasPrefix(token, "--"):
		return strings.TrimSpace(token[2:])
	case strings.HasPrefix(token, "/*"):
		return strings.TrimSpace(strings.TrimSuffix(token[2:], "*/"))
	case token[0] == '\'' && len(token) > 1:
		return strings.ReplaceAll(strings.TrimSuffix(token[1:], "'"), "''", "'")
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
	for i, p := range cut {
		if isFiller(p) {
			continue
		}
		if before := neighbour(cut, i, -1); before == "as" || before == "constraint" {
			given[strings.ToLower(bareName(p))] = true
		}
	}
	for i, p := range cut {
		if name := strings.ToLower(bareName(p)); !isFiller(p) && isSpoken(p, cut, i, known[name] || given[name]) {
			out.WriteString("'" + strings.ReplaceAll(bareName(p), "'", "''") + "'")
			continue
		}
		out.WriteString(p)
	}
	return out.String()
}

// pieces cuts a statement into all its tokens, as they are.
func pieces(statement string) (all []string) {
	for statement != "" {
		n := length(statement)
		all = append(all, statement[:n])
		statement = statement[n:]
	}
	return all
}

// isSpoken says whether the i-th token is a string in disguise; known says that something has its name.
func isSpoken(p string, cut []string, i int, known bool) bool {
	before, after := neighbour(cut, i, -1), neighbour(cut, i, 1)
	if before == "default" {
		if isWord(p[0]) {
			return (p[0] < '0' || p[0] > '9') &&
				!slices.Contains([]string{"null", "true", "false", "values", "current_time", "current_date", "current_timestamp", "x"}, strings.ToLower(p))
		}
		return p[0] == '"' || p[0] == '`' || p[0] == '['
	}
	if p[0] != '"' || known {
		return false
	}
	switch before {
	case "as", "constraint", ".", "table", "view", "trigger", "index", "exists", "on", "into", "update", "from", "join", "references", "collate", "virtual":
		return false
	}
	return after != "." && after != "(" && after != "as"
}

// neighbour is the next token in a direction that is no space or comment, in lower case.
func neighbour(cut []string, i, step int) string {
	for i += step; i >= 0 && i < len(cut); i += step {
		if !isFiller(cut[i]) {
			return strings.ToLower(cut[i])
		}
	}
	return ""
}

// isFiller says whether a token is space or a comment.
func isFiller(p string) bool {
	return isSpace(p[0]) || strings.HasPrefix(p, "--") || strings.HasPrefix(p, "/*")
}

// bareName is a name without its quotes.
func bareName(token string) string {
	if len(token) < 2 || !strings.ContainsAny(token[:1], "\"`[") {
		return token
	}
	inner := token[1 : len(token)-1]
	if token[0] == '[' {
		return inner
	}
	return strings.ReplaceAll(inner, token[:1]+token[:1], token[:1])
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
