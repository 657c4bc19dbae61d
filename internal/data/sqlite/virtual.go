package sqlite

import "strings"

// content says where a virtual table keeps the values that can be read from it.
type content int

const (
	own        content = iota // in tables of its own, from which its rows can be read and into which they can be written
	elsewhere                 // in another table: it can be built anew from there
	unreadable                // nowhere, but its index holds their words: FTS5 with content=''
	nothing                   // it shows what others hold
	unknown
)

// virtualContent says where a virtual table keeps its values, by the statement that made it, and the name of its module.
//
// The tables that a virtual table keeps for itself are never copied: they hold other tables' values in forms of their own
// (an index's words, prefixes, a document's text). They come into being when the copy's rows are written.
func virtualContent(statement string) (content, string) {
	module := moduleOf(statement)
	switch module {
	case "fts5":
		return fullText(statement), module
	case "rtree", "rtree_i32", "geopoly":
		return own, module
	case "fts5vocab", "dbstat", "sqlite_dbpage":
		return nothing, module
	}
	return unknown, module
}

// moduleOf is the module of a virtual table, in lower case; "" for another statement. SQLite keeps such a statement as
// CREATE VIRTUAL TABLE name USING module(…), whatever it was.
func moduleOf(statement string) string {
	if len(statement) < len("create virtual") || !strings.EqualFold(statement[:len("create virtual")], "create virtual") {
		return ""
	}
	all := tokens(statement)
	if len(all) < 6 || all[4] != "using" {
		return ""
	}
	return strings.ToLower(strings.Trim(all[5], `"'`))
}

// fullText reads the content option of FTS5: fts5(title, body, content='articles').
func fullText(statement string) content {
	all := tokens(statement)
	for i := 0; i+3 < len(all); i++ {
		if strings.EqualFold(strings.Trim(all[i+1], `"'`), "content") && all[i+2] == "=" && (all[i] == "," || all[i] == "(") {
			if strings.Trim(all[i+3], `"'`) == "" {
				return unreadable
			}
			return elsewhere
		}
	}
	return own
}
