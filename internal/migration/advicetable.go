package migration

import (
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/sqltext"
)

// alterTable looks at each of an ALTER TABLE's actions.
func (a *adviser) alterTable() {
	c := a.c
	c.word("IF", "EXISTS")
	t, ok := a.table()
	if !ok {
		return
	}
	c.word("*")
	for _, action := range c.list() {
		a.action(t, action)
	}
}

func (a *adviser) action(t object, c *cursor) {
	switch {
	case c.word("RENAME", "TO"):
		a.rename(t, c.rest())
	case c.word("SET", "SCHEMA"):
		a.rename(t, c.rest()+"."+derived(t.base, ""))
	case c.word("RENAME", "CONSTRAINT"):
	case c.word("RENAME"):
		c.word("COLUMN")
		a.renameColumn(t, c)
	case c.word("DROP", "CONSTRAINT"):
	case c.word("DROP"):
		c.word("COLUMN")
		c.word("IF", "EXISTS")
		if column, ok := c.object(); ok {
			a.say("the release that is live uses "+column.text+" of "+t.text+" until the new one has taken over, and a rollback needs it again",
				"let a release go live that does not use it any more, and drop it in the release after that")
		}
	case a.o.Engine == "sqlite":
	case c.word("ALTER"):
		c.word("COLUMN")
		a.alterColumn(t, c)
	case c.word("ADD"):
		a.add(t, c)
	case c.word("VALIDATE", "CONSTRAINT"):
		a.validated = append(a.validated, t.name)
	case c.word("DETACH", "PARTITION"):
		if part, ok := c.object(); ok && !c.has("CONCURRENTLY") && !c.has("FINALIZE") {
			a.say("nobody reads or writes "+t.text+" while it is taken apart", outside,
				"ALTER TABLE "+t.text+" DETACH PARTITION "+part.text+" CONCURRENTLY;",
				"-- a CHECK that says which rows were its part stays on "+part.text)
		}
	case c.word("SET", "LOGGED"), c.word("SET", "UNLOGGED"), c.word("SET", "TABLESPACE"), c.word("SET", "ACCESS", "METHOD"):
		a.say(t.text+" is written anew, and nobody reads or writes it meanwhile", "make a table that is as this one is to be, and move the rows in batches")
	}
}

func (a *adviser) rename(t object, to string) {
	a.say("the release that is live knows "+t.text+" by this name only, and so does a rollback",
		"-- keep the name; or have a view of the old one, made in the same transaction:", a.c.whole()+";",
		fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM %s;", t.text, to))
}

func (a *adviser) renameColumn(t object, c *cursor) {
	from, ok := c.object()
	if !ok || !c.word("TO") {
		return
	}
	to, ok := c.object()
	if !ok {
		return
	}
	a.say("the release that is live knows the column as "+from.text+", and so does a rollback",
		"add "+to.text+" beside it, have the new release write both, fill it in batches, and drop "+from.text+" in the release after that")
}

func (a *adviser) alterColumn(t object, c *cursor) {
	column, ok := c.object()
	if !ok {
		return
	}
	switch {
	case c.word("SET", "NOT", "NULL"):
		if slices.Contains(a.validated, t.name) {
			return // the server knows from the constraint that there is none
		}
		name := derived(t.base+"_"+column.base, "_not_null")
		a.say("the whole table is searched for nulls while nobody reads or writes "+t.text, notNull(t, column, name)...)
	case c.word("TYPE"), c.word("SET", "DATA", "TYPE"):
		if a.rewritten(t) {
			a.changeType(t, column, c)
		}
	}
}

// notNull are the statements that make a column NOT NULL, of which only the second takes long and it stands in nobody's way.
func notNull(t, column object, name string) []string {
	return []string{
		fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID;", t.text, name, column.text),
		"-- in a transaction of its own:",
		fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s;", t.text, name),
		"-- in a transaction of its own:",
		fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;", t.text, column.text),
		fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", t.text, name),
	}
}

// rewritten says whether a table got another file, or that is not known.
func (a *adviser) rewritten(t object) bool {
	for _, x := range a.o.Tables {
		if x.Name == t.name {
			return x.Rewritten || x.IndexAfter != x.IndexBefore
		}
	}
	return true
}

// changeType writes a change of a column's type as a new column, which a trigger fills from the old one.
func (a *adviser) changeType(t, column object, c *cursor) {
	from, value := c.at, column.text
	until := len(c.toks)
	if at := c.find("USING"); at >= 0 {
		value, until = c.text(at+1, len(c.toks)), at
	}
	typ := c.text(from, until)
	name := plainType(typ)
	fresh, old := derived(column.base, "_new"), derived(column.base, "_old")
	both := derived(t.base+"_"+column.base, "_both")
	a.say(t.text+" is written anew, and nobody reads or writes it meanwhile",
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s;", t.text, fresh, typ),
		fmt.Sprintf("CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $$", both),
		fmt.Sprintf("  BEGIN SELECT CAST(%s AS %s) INTO NEW.%s FROM (SELECT NEW.*) AS %s; RETURN NEW; END $$;", value, name, fresh, derived(t.base, "")),
		fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s();", both, t.text, both),
		"-- again and again, each in a transaction of its own, until it changes no row; the trigger does the work:",
		fmt.Sprintf("UPDATE %s SET %s = %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %s IS DISTINCT FROM CAST(%s AS %s) LIMIT %d));",
			t.text, column.text, column.text, t.text, fresh, value, name, batch),
		"-- make its indexes, concurrently, and its constraints; then, in one transaction:",
		fmt.Sprintf("DROP TRIGGER %s ON %s;", both, t.text),
		fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s;", t.text, column.text, old),
		fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s;", t.text, fresh, column.text),
		"-- in the release after that:",
		fmt.Sprintf("DROP FUNCTION %s();", both),
		fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s;", t.text, old))
}

// plainType is a type without the collation that may follow it, which no cast takes.
func plainType(typ string) string {
	for i, t := range scan(typ, sqltext.PostgreSQL) {
		if t.Is("COLLATE") && i > 0 {
			return strings.TrimSpace(typ[:t.At])
		}
	}
	return typ
}

// batch is how many rows are changed at a time.
const batch = 10_000

// add looks at what an ALTER TABLE adds.
func (a *adviser) add(t object, c *cursor) {
	name := ""
	named := c.word("CONSTRAINT")
	if named {
		o, ok := c.object()
		if !ok {
			return
		}
		name = o.text
	}
	switch def := c.rest(); {
	case c.has("NOT", "VALID"):
	case c.word("FOREIGN", "KEY"):
		a.notValid("the whole table is compared with the other one, and nobody writes to either meanwhile", t, c, name, "_fkey", def)
	case c.word("CHECK"):
		a.notValid("the whole table is checked while nobody reads or writes "+t.text, t, c, name, "_check", def)
	case c.word("UNIQUE"):
		a.usingIndex(t, c, name, "_key", "UNIQUE")
	case c.word("PRIMARY", "KEY"):
		a.usingIndex(t, c, name, "_pkey", "PRIMARY KEY")
	case c.word("EXCLUDE"):
		a.say("an index is built while nobody reads or writes "+t.text, "there is no other way to add it to a table that is used: make a new table with it, and move the rows in batches")
	case !named:
		c.word("COLUMN")
		c.word("IF", "NOT", "EXISTS")
		a.addColumn(t, c)
	}
}

// columnsOf reads names in parentheses, for a constraint's name.
func columnsOf(c *cursor) (names []string, end int) {
	if !c.peek().Is("(") {
		return nil, -1
	}
	end = c.find(")")
	for i := c.at + 1; i < end; i++ {
		if named(c.toks[i]) {
			names = append(names, plain(c.toks[i]))
		}
	}
	return names, end
}

func (a *adviser) notValid(why string, t object, c *cursor, name, suffix, def string) {
	if name == "" {
		base := t.base
		if columns, _ := columnsOf(c); suffix == "_fkey" {
			base += "_" + strings.Join(columns, "_")
		}
		name = derived(base, suffix)
	}
	a.say(why, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID;", t.text, name, def),
		"-- in a transaction of its own; it stands in nobody's way:",
		fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s;", t.text, name))
}

func (a *adviser) usingIndex(t object, c *cursor, name, suffix, kind string) {
	nulls := ""
	if c.word("NULLS", "NOT", "DISTINCT") {
		nulls = " NULLS NOT DISTINCT"
	} else {
		c.word("NULLS", "DISTINCT")
	}
	columns, end := columnsOf(c)
	if end < 0 {
		return // USING INDEX: that is the safer way
	}
	list := c.text(c.at, end+1)
	c.at = end + 1
	after := c.rest()
	if name == "" {
		base := t.base
		if kind == "UNIQUE" {
			base += "_" + strings.Join(columns, "_")
		}
		name = derived(base, suffix)
	}
	include, deferrable := "", after
	if at := c.find("INCLUDE"); at >= 0 {
		if _, end := columnsOf(&cursor{sql: c.sql, toks: c.toks, at: at + 1}); end > 0 {
			include, deferrable = " "+c.text(at, end+1), c.text(end+1, len(c.toks))
		}
	}
	lines := []string{outside, fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY %s ON %s %s%s%s;", name, t.text, list, include, nulls)}
	if kind == "PRIMARY KEY" {
		lines = append(lines, "-- the columns have to be NOT NULL already, or the whole table is searched for nulls; then:")
	} else {
		lines = append(lines, "-- then:")
	}
	lines = append(lines, strings.TrimSpace(fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s %s", t.text, name, kind, name, deferrable))+";")
	a.say("an index is built while nobody reads or writes "+t.text, lines...)
}
