package migration

import (
	"strings"

	"greenroom/internal/sqltext"
)

// growth says how a text's time follows the size of the tables that it works on: as the worst of its statements.
func growth(sql string, d sqltext.Dialect) int {
	worst := constant
	for _, c := range statements(sql, d) {
		worst = max(worst, growthOf(c))
	}
	return worst
}

func growthOf(c *cursor) int {
	switch {
	case c.word("CREATE", "INDEX"), c.word("CREATE", "UNIQUE", "INDEX"), c.word("REINDEX"), c.word("CLUSTER"):
		return sorting
	case c.word("ALTER", "TABLE"):
		c.word("IF", "EXISTS")
		c.word("ONLY")
		if _, ok := c.object(); !ok {
			return linear
		}
		worst := constant
		for _, action := range c.list() {
			worst = max(worst, growthOfAction(action))
		}
		return worst
	case c.word("CREATE", "MATERIALIZED"), c.has("AS", "SELECT"), c.has("AS", "("):
		return linear
	case c.word("CREATE"), c.word("DROP"), c.word("ALTER"), c.word("COMMENT"), c.word("GRANT"), c.word("REVOKE"), c.word("SET"),
		c.word("BEGIN"), c.word("COMMIT"), c.word("LOCK"), c.word("TRUNCATE"):
		return constant
	case c.word("INSERT"):
		if c.has("VALUES") {
			return constant
		}
	}
	return linear
}

func growthOfAction(c *cursor) int {
	switch {
	case c.has("NOT", "VALID"), c.has("USING", "INDEX"):
		return constant
	case c.has("PRIMARY", "KEY"), c.has("UNIQUE"), c.word("ADD", "EXCLUDE"), c.has("EXCLUDE"):
		return sorting
	case c.has("FOREIGN", "KEY"), c.has("CHECK"), c.word("VALIDATE"):
		return linear
	case c.word("ADD"):
		if at := c.find("DEFAULT"); at >= 0 && volatile(c.toks[at:]) || c.has("STORED") || c.has("AS", "IDENTITY") || serial(c) {
			return linear
		}
		return constant
	case c.word("ALTER"):
		c.word("COLUMN")
		if _, ok := c.object(); ok && (c.word("TYPE") || c.word("SET", "DATA", "TYPE") || c.word("SET", "NOT", "NULL")) {
			return linear
		}
		return constant
	case c.word("SET", "LOGGED"), c.word("SET", "UNLOGGED"), c.word("SET", "TABLESPACE"), c.word("SET", "ACCESS"), c.word("ATTACH"):
		return linear
	}
	return constant
}

func serial(c *cursor) bool {
	for _, t := range c.toks {
		switch strings.ToUpper(t.Text) {
		case "SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL4", "SERIAL8", "SERIAL2":
			return true
		}
	}
	return false
}
