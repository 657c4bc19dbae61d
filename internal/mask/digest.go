package mask

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Digest identifies rules: the SHA-256 of their JSON, in hexadecimal. Two files of the same rules have the same, however
// they are written.
func (r Rules) Digest() (string, error) {
	text, err := json.Marshal(r)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// ID identifies a key and tells nothing of it: copies with the same one have the same pseudonym for the same person.
func (k Key) ID() string {
	sum := sha256.Sum256(append([]byte("greenroom mask key\x00"), k...))
	return hex.EncodeToString(sum[:16])
}

// Change is a column, or a whole table, that a copy was masked for otherwise than rules say now.
type Change struct {
	Table  string
	Column string // "": all of the table
	Was    string // what became of it in the copy, as in mask.yaml
	Now    string // what would become of it; "" where no rule names it any more
	Looser bool   // it went over as it is, and would not any more
}

// String is what people are told of it.
func (c Change) String() string {
	of := c.Table
	if c.Column != "" {
		of += "." + c.Column
	}
	now := c.Now
	if now == "" {
		now = "named by no rule"
	}
	if c.Looser {
		return fmt.Sprintf("%s was %s, which is looser than %s now", of, c.Was, now)
	}
	return fmt.Sprintf("%s was %s, and is %s now", of, c.Was, now)
}

// Changes are what a copy that was made under the rules was has otherwise than the rules now would make it, the looser ones
// first. What only the new rules name makes no difference: a copy is made only where every column is named, so it had no
// such column. Nor does what becomes of rows that stayed behind.
func Changes(was, now Rules) (all []Change) {
	for _, table := range slices.Sorted(maps.Keys(was.Tables)) {
		then, is := was.Tables[table], now.Tables[table]
		if then.Rows == "none" {
			continue
		}
		if is.Rows == "none" {
			all = append(all, Change{Table: table, Was: "copied", Now: "rows: none", Looser: true})
			continue
		}
		for _, column := range slices.Sorted(maps.Keys(then.Columns)) {
			if c, differs := changed(then.Columns[column], is.Columns, column); differs {
				c.Table, c.Column = table, column
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Change) int {
		switch {
		case a.Looser == b.Looser:
			return 0
		case a.Looser:
			return -1
		}
		return 1
	})
	return all
}

func changed(was Rule, now map[string]Rule, column string) (Change, bool) {
	is, named := now[column]
	c := Change{Was: was.String()}
	if named {
		c.Now = is.String()
	}
	c.Looser = was.Use == "keep" && is.Use != "keep"
	return c, c.Now != c.Was
}
