package migration

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/sqltext"
)

// addColumn looks at a column that is added: a default that is another one for each row has the table written anew, and a
// key has an index built.
func (a *adviser) addColumn(t object, c *cursor) {
	column, ok := c.object()
	if !ok {
		return
	}
	from := c.at
	for c.at < len(c.toks) && !columnWord(c.peek()) {
		c.at++
	}
	typ := c.text(from, c.at)
	rewrite := t.text + " is written anew, and nobody reads or writes it meanwhile"
	switch strings.ToLower(typ) {
	case "serial", "bigserial", "smallserial", "serial4", "serial8", "serial2":
		a.say(rewrite, "add the column without a default, give it nextval as its default afterwards, and number the old rows in batches")
		return
	}
	switch {
	case c.has("STORED"):
		a.say(rewrite, "add a plain column, have a trigger fill it, and fill the old rows in batches")
	case c.has("AS", "IDENTITY"):
		a.say(rewrite, "add the column without it, number the old rows in batches, and make it an identity column then")
	case c.has("DEFAULT"):
		a.addDefault(t, column, typ, c, rewrite)
	case c.has("UNIQUE"), c.has("PRIMARY", "KEY"):
		name := derived(t.base+"_"+column.base, "_key")
		a.say("an index is built while nobody reads or writes "+t.text, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", t.text, column.text, typ), outside,
			fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s (%s);", name, t.text, column.text), "-- then:",
			fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s;", t.text, name, name))
	}
}

// columnWord says whether a word ends a column's type.
func columnWord(t sqltext.Token) bool {
	if t.Depth > 0 || t.Kind != sqltext.Word {
		return false
	}
	switch strings.ToUpper(t.Text) {
	case "DEFAULT", "NOT", "NULL", "CHECK", "UNIQUE", "PRIMARY", "REFERENCES", "GENERATED", "CONSTRAINT", "COLLATE", "STORAGE", "COMPRESSION":
		return true
	}
	return false
}

func (a *adviser) addDefault(t, column object, typ string, c *cursor, why string) {
	from := c.find("DEFAULT") + 1
	value := &cursor{sql: c.sql, toks: c.toks, at: from + 1}
	for value.at < len(c.toks) && !columnWord(value.peek()) {
		value.at++
	}
	text := c.text(from, value.at)
	if !volatile(c.toks[from:value.at]) {
		return
	}
	lines := []string{
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", t.text, column.text, typ),
		fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;", t.text, column.text, text),
		"-- again and again, each in a transaction of its own, until it changes no row:",
		fmt.Sprintf("UPDATE %s SET %s = DEFAULT WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %s IS NULL LIMIT %d));", t.text, column.text, t.text, column.text, batch),
	}
	if c.has("NOT", "NULL") {
		lines = append(lines, "-- then:")
		lines = append(lines, notNull(t, column, derived(t.base+"_"+column.base, "_not_null"))...)
	}
	a.say(why, lines...)
}

// volatile says whether an expression may be another value in each row. Functions that a transaction has one value of are
// known; of any other one that is called nobody knows.
func volatile(toks []sqltext.Token) bool {
	for i, t := range toks {
		if t.Kind != sqltext.Word || i+1 >= len(toks) || !toks[i+1].Is("(") {
			continue
		}
		switch strings.ToUpper(t.Text) {
		case "NOW", "TRANSACTION_TIMESTAMP", "STATEMENT_TIMESTAMP", "CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME",
			"CURRENT_SETTING", "COALESCE", "CAST", "LOWER", "UPPER", "ROUND", "ABS", "TIMEZONE", "DATE_TRUNC", "TO_CHAR", "MD5",
			"MAKE_INTERVAL", "MAKE_DATE", "JSONB_BUILD_OBJECT", "JSONB_BUILD_ARRAY", "JSON_BUILD_OBJECT", "JSON_BUILD_ARRAY",
			"VARCHAR", "CHAR", "NUMERIC", "DECIMAL", "BIT", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL", "IN", "ROW", "ARRAY":
			continue
		}
		return true
	}
	return false
}

// long is how long a change of rows takes that is better made in batches.
const long = time.Second

const batches = "-- again and again, each in a transaction of its own, until it changes no row:"

// rows reads whose rows an UPDATE or DELETE changes, and where its condition is; -1. ok says whether to advise on it.
func (a *adviser) rows() (t object, where int, ok bool) {
	t, ok = a.table()
	where = a.c.find("WHERE")
	return t, where, ok && (where < 0 || a.took >= long)
}

func (a *adviser) update() {
	c := a.c
	t, where, ok := a.rows()
	if !ok {
		return
	}
	why := "nobody else can change a row of " + t.text + " that was changed until the transaction ends"
	if !c.word("SET") || c.has("FROM") || c.has("RETURNING") {
		a.say(why, "change the rows in batches, by ranges of the primary key, each in a transaction of its own")
		return
	}
	end := len(c.toks)
	if where >= 0 {
		end = where
	}
	sets := &cursor{sql: c.sql, toks: c.toks[:end], at: c.at}
	todo := remaining(sets)
	if todo == "" {
		a.say(why, "change the rows in batches, by ranges of the primary key, each in a transaction of its own: what is set depends on what was there, so a row must be changed once only")
		return
	}
	if where >= 0 {
		todo = "(" + c.text(where+1, len(c.toks)) + ") AND " + todo
	}
	a.say(why, batches, fmt.Sprintf("UPDATE %s SET %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %s LIMIT %d));", t.text, sets.rest(), t.text, todo, batch))
}

// remaining is the condition for rows that are not yet as an UPDATE's assignments make them; "" where that can't be told
// from the rows, because a value depends on the one that is replaced, or on chance.
func remaining(sets *cursor) string {
	var names []string
	var values []*cursor
	for _, s := range sets.list() {
		column, ok := s.object()
		if !ok || !s.word("=") || s.peek().Is("DEFAULT") || volatile(s.toks[s.at:]) {
			return ""
		}
		names = append(names, column.text)
		values = append(values, s)
	}
	var parts []string
	for i, v := range values {
		for _, t := range v.toks[v.at:] {
			for _, n := range names {
				if named(t) && strings.EqualFold(plain(t), strings.Trim(n, `"`)) {
					return ""
				}
			}
		}
		parts = append(parts, fmt.Sprintf("%s IS DISTINCT FROM (%s)", names[i], v.rest()))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

func (a *adviser) delete() {
	c := a.c
	t, where, ok := a.rows()
	if !ok {
		return
	}
	why := "nobody else can change a row of " + t.text + " that was deleted until the transaction ends"
	if c.has("USING") || c.has("RETURNING") || c.at < len(c.toks) && where != c.at {
		a.say(why, "delete the rows in batches, by ranges of the primary key, each in a transaction of its own")
		return
	}
	condition := ""
	if where >= 0 {
		condition = " WHERE " + c.text(where+1, len(c.toks))
	}
	a.say(why, batches, fmt.Sprintf("DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s%s LIMIT %d));", t.text, t.text, condition, batch))
}
