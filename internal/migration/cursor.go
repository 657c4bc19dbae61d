package migration

import (
	"strings"

	"greenroom/internal/sqltext"
)

// cursor reads a statement from its front. It never fails: what is not there is not read.
type cursor struct {
	sql  string
	toks []sqltext.Token
	at   int
}

func (c *cursor) peek() sqltext.Token {
	if c.at < len(c.toks) {
		return c.toks[c.at]
	}
	return sqltext.Token{}
}

// word reads these words, all or none.
func (c *cursor) word(words ...string) bool {
	if c.at+len(words) > len(c.toks) {
		return false
	}
	for i, w := range words {
		if !c.toks[c.at+i].Is(w) {
			return false
		}
	}
	c.at += len(words)
	return true
}

// has says whether these words stand one after the other in what is not read, outside parentheses.
func (c *cursor) has(words ...string) bool { return c.find(words...) >= 0 }

// find is where these words stand, at the depth of what is read next; -1.
func (c *cursor) find(words ...string) int {
	depth := c.peek().Depth
	for i := c.at; i+len(words) <= len(c.toks); i++ {
		at := cursor{toks: c.toks, at: i}
		if c.toks[i].Depth == depth && at.word(words...) {
			return i
		}
	}
	return -1
}

// object is a name as it stands in a statement.
type object struct {
	text string // as written, with its schema
	name string // as Table.Name has it
	base string // without its schema and quotes
}

// object reads a name, which may have a schema.
func (c *cursor) object() (o object, ok bool) {
	from := c.at
	var parts []string
	for {
		t := c.peek()
		if !named(t) {
			break
		}
		parts = append(parts, plain(t))
		c.at++
		if !c.word(".") {
			break
		}
	}
	if len(parts) == 0 {
		return object{}, false
	}
	o = object{text: c.text(from, c.at), base: parts[len(parts)-1]}
	o.name = o.base
	if len(parts) > 1 && parts[len(parts)-2] != "public" {
		o.name = parts[len(parts)-2] + "." + o.base
	}
	return o, true
}

// text is what stands between two tokens.
func (c *cursor) text(from, until int) string {
	if from >= until || until > len(c.toks) {
		return ""
	}
	return c.sql[c.toks[from].At:c.toks[until-1].End()]
}

// rest is what is not read.
func (c *cursor) rest() string { return c.text(c.at, len(c.toks)) }

// whole is the statement.
func (c *cursor) whole() string { return c.text(0, len(c.toks)) }

// list cuts what is not read at its commas outside parentheses.
func (c *cursor) list() []*cursor {
	var out []*cursor
	from, depth := c.at, c.peek().Depth
	for i := c.at; i <= len(c.toks); i++ {
		if i < len(c.toks) && (!c.toks[i].Is(",") || c.toks[i].Depth != depth) {
			continue
		}
		if i > from {
			out = append(out, &cursor{sql: c.sql, toks: c.toks[from:i]})
		}
		from = i + 1
	}
	return out
}

// plain is a name without quotes, in the case that the server gives it.
func plain(t sqltext.Token) string {
	if t.Kind == sqltext.Name {
		return t.Value()
	}
	return strings.ToLower(t.Text)
}

// named says whether a token may be a name.
func named(t sqltext.Token) bool { return t.Kind == sqltext.Word || t.Kind == sqltext.Name }

// longestName is how long PostgreSQL lets a name be, in bytes.
const longestName = 63

// derived is a name made of another one, quoted where it has to be.
func derived(base, suffix string) string {
	base = strings.ToValidUTF8(base[:min(len(base), longestName-len(suffix))], "")
	name := base + suffix
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}
