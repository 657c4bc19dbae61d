package mask

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Propose makes rules for every column of a shape, and says why each. Columns that look personal by their name or type
// are masked; keys, booleans, enumerations, and numbers and times that do not look personal are kept; texts, JSON, XML,
// bytes, arrays and types that it can't judge are replaced until a person says otherwise, which their note asks for. What
// refers to another column has the rule of that one. A column that must have a value, and is of a type that can't be
// masked, gets no rule: Compile asks for one, and a person has to give it.
func Propose(s Shape) (Rules, []Note) {
	p := proposer{tables: map[string]*Table{}, referred: s.referred(), rules: Rules{Tables: map[string]TableRules{}}}
	for i := range s.Tables {
		p.tables[s.Tables[i].Name] = &s.Tables[i]
	}
	for _, t := range s.Tables {
		p.table(t)
	}
	return p.rules, p.notes
}

// Merge adds rules for what is new in the shape, and leaves those that are there as they are, also where they are wrong.
// The notes are of what is new.
func Merge(old Rules, s Shape) (Rules, []Note) {
	proposed, notes := Propose(s)
	c := compiler{rules: old, shape: s, tables: map[string]*Table{}}
	for i := range s.Tables {
		c.tables[s.Tables[i].Name] = &s.Tables[i]
	}
	out := Rules{Tables: maps.Clone(old.Tables)}
	if out.Tables == nil {
		out.Tables = map[string]TableRules{}
	}
	for _, t := range s.Tables {
		if old.Tables[t.Name].Rows == "" {
			out.Tables[t.Name] = c.merged(t, proposed.Tables[t.Name])
		}
	}
	notes = slices.DeleteFunc(notes, func(n Note) bool {
		rules, there := old.Tables[n.Table]
		_, named := rules.Columns[n.Column]
		return named || rules.Rows != "" || n.Column == "" && there
	})
	for i, n := range notes {
		if rule := out.Tables[n.Table].Columns[n.Column]; n.Column != "" && rule.Use != n.Use {
			notes[i].Use = rule.Use
		}
	}
	return out, notes
}

// merged adds rules to those of a table.
func (c *compiler) merged(t Table, proposed TableRules) TableRules {
	all := TableRules{Columns: maps.Clone(c.rules.Tables[t.Name].Columns)}
	if all.Columns == nil {
		all.Columns = map[string]Rule{}
	}
	for _, col := range t.Columns {
		rule, has := proposed.Columns[col.Name]
		if root, as, known := c.root(col); root != "" && known {
			rule, has = as, !col.Generated
		}
		if _, there := all.Columns[col.Name]; has && !there {
			all.Columns[col.Name] = rule
		}
	}
	return all
}

type proposer struct {
	tables   map[string]*Table
	referred map[string]bool
	rules    Rules
	notes    []Note
}

// proposal is what becomes of a column, and why. A rule without a use is none.
type proposal struct {
	rule  Rule
	why   string
	judge bool
}

func (p *proposer) table(t Table) {
	rules := TableRules{Columns: map[string]Rule{}}
	whole := versionTables[strings.ToLower(t.Name[strings.LastIndexByte(t.Name, '.')+1:])]
	if whole {
		p.notes = append(p.notes, Note{Table: t.Name, Use: "keep", Why: "which migrations have run: kept whole"})
	}
	for _, col := range t.Columns {
		if col.Generated {
			continue
		}
		is := proposal{rule: Rule{Use: "keep"}}
		if !whole {
			is = p.column(t, col)
			p.notes = append(p.notes, Note{Table: t.Name, Column: col.Name, Use: is.rule.Use, Why: is.why, Judged: is.judge})
		}
		if is.rule.Use != "" {
			rules.Columns[col.Name] = is.rule
		}
	}
	p.rules.Tables[t.Name] = rules
}

// column proposes for a column; one that refers to another follows it to where that leads.
func (p *proposer) column(t Table, col Column) proposal {
	c := compiler{tables: p.tables}
	root, _, _ := c.root(col)
	if root == "" {
		return propose(t, p.asReferred(t, col))
	}
	i := strings.LastIndexByte(root, '.')
	parent := p.tables[root[:i]]
	at := slices.IndexFunc(parent.Columns, func(n Column) bool { return n.Name == root[i+1:] })
	is := propose(*parent, p.asReferred(*parent, parent.Columns[at]))
	return proposal{rule: is.rule, why: "refers to " + root}
}

// asReferred is a column as one that has to keep its values apart, where a key leads to it.
func (p *proposer) asReferred(t Table, col Column) Column {
	if p.referred[t.Name+"."+col.Name] {
		col.Unique, col.NotNull = true, true
	}
	return col
}

// propose judges a column by itself: by its name first, then by its type.
func propose(t Table, col Column) proposal {
	words := nameWords(col.Name)
	for _, s := range senses {
		if s.words.in(words) {
			if is, ok := s.proposal(col); ok {
				return settle(col, is)
			}
		}
	}
	if col.Kind == KindText {
		if is, ok := byTable(t, words); ok {
			return settle(col, is)
		}
	}
	if col.Key && col.Kind != KindArray && col.Kind != KindJSON {
		return proposal{rule: Rule{Use: "keep"}, why: "a key", judge: col.Kind == KindText}
	}
	return settle(col, byKind(col))
}

// proposal is what a name's sense makes of a column of this kind.
func (s sense) proposal(col Column) (is proposal, ok bool) {
	text := ""
	switch col.Kind {
	case KindText:
		text = s.text
	case KindNumber:
		text = s.number
	case KindTime:
		text = s.time
	case KindUUID:
		text = s.uuid
	case KindArray:
		if kind := elementKind(strings.TrimSuffix(col.Type, "[]")); kind == KindText && s.text != "" && !s.safe {
			text = "array " + s.text
		}
	}
	why := fmt.Sprintf("looks like %s", s.says)
	switch {
	case s.safe && col.Kind == KindText:
		return proposal{rule: Rule{Use: "keep"}, why: s.says, judge: true}, true
	case text == "":
		return proposal{}, false
	case (s.secret || s.useless) && !col.NotNull && !col.distinct():
		return proposal{rule: Rule{Use: "null"}, why: why}, true
	case s.useless && col.Kind == KindText && !col.distinct():
		return proposal{rule: Rule{Use: "constant", Value: "!"}, why: why + ": nobody signs in with it"}, true
	}
	r, err := ParseRule(text)
	if err != nil {
		panic("mask: the table of senses: " + err.Error())
	}
	return proposal{rule: r, why: why}, true
}

// byTable judges names that say something only together with the table's.
func byTable(t Table, words []string) (is proposal, ok bool) {
	table := nameWords(t.Name)
	switch {
	case stateWords.in(words):
		for _, col := range t.Columns {
			if placeWords.in(nameWords(col.Name)) {
				return proposal{rule: Rule{Use: "city"}, why: "looks like a part of an address"}, true
			}
		}
		return proposal{rule: Rule{Use: "keep"}, why: "a code by its name", judge: true}, true
	case len(words) == 1 && bareNames.in(words) && peopleTables.in(table):
		return proposal{rule: Rule{Use: "name"}, why: "looks like a person's name"}, true
	case len(words) == 1 && bareNames.in(words) && companyTables.in(table):
		return proposal{rule: Rule{Use: "company"}, why: "looks like a company"}, true
	}
	return is, false
}

// byKind judges a column of which the name says nothing.
func byKind(col Column) proposal {
	keep := func(why string) proposal { return proposal{rule: Rule{Use: "keep"}, why: why} }
	replace := func(use, what string) proposal {
		return proposal{rule: Rule{Use: use}, why: what + " that may hold anything", judge: true}
	}
	switch col.Kind {
	case KindBoolean:
		return keep("a boolean")
	case KindEnum:
		return keep("an enumeration")
	case KindNumber:
		return keep("a number")
	case KindTime:
		return keep("a time")
	case KindUUID:
		return keep("a UUID")
	case KindNetwork:
		return proposal{rule: Rule{Use: "ip"}, why: "a network address"}
	case KindText:
		return replace("text", "a text")
	case KindJSON:
		return replace("json", "JSON")
	case KindXML:
		return replace("xml", "XML")
	case KindBytes:
		return replace("bytes", "bytes")
	case KindArray:
		return arrayByKind(col)
	}
	return otherByType(col)
}

func arrayByKind(col Column) proposal {
	kind := elementKind(strings.TrimSuffix(col.Type, "[]"))
	of := ""
	switch kind {
	case KindNumber, KindBoolean, KindTime, KindUUID:
		return proposal{rule: Rule{Use: "keep"}, why: "an array of " + kindWords(kind)}
	case KindText, KindJSON, KindXML, KindBytes:
		of = string(kind)
	case KindNetwork:
		of = "ip"
	case KindOther:
		if !col.NotNull && !col.Key {
			return proposal{rule: Rule{Use: "null"}, why: "an array of a type that can't be masked", judge: true}
		}
		of = "null"
	}
	return proposal{rule: Rule{Use: "array", Of: &Rule{Use: of}}, why: "an array that may hold anything", judge: true}
}

// plainTypes are types of no kind that hold nothing personal.
var plainTypes = []string{"interval", "oid", "bit", "bit varying", "xid", "xid8", "pg_lsn", "money", "int4range", "int8range", "numrange", "time"}

func otherByType(col Column) proposal {
	name := strings.ToLower(col.Type)
	if i := strings.IndexByte(name, '('); i >= 0 {
		name = strings.TrimSpace(name[:i])
	}
	switch {
	case slices.Contains(plainTypes, name) || strings.HasPrefix(name, "time "):
		return proposal{rule: Rule{Use: "keep"}, why: "of type " + name}
	case !col.NotNull && !col.Key:
		return proposal{rule: Rule{Use: "null"}, why: "of type " + name + ", which can't be masked", judge: true}
	case name == "tsvector" || name == "hstore":
		return proposal{rule: Rule{Use: "constant"}, why: "of type " + name + ", which can't be masked", judge: true}
	}
	return proposal{why: "of type " + name + ", which can't be masked, and must have a value: decide between keep and a constant", judge: true}
}

// settle makes a proposal one that the column can take.
func settle(col Column, is proposal) proposal {
	if is.rule.Use == "" {
		return is
	}
	fits := func(r Rule) bool {
		u, _ := UseOf(r.Use)
		return u.takes(col.Kind) && misfit(nil, col, r) == "" && (!col.distinct() || r.Use == "null" || meets(r) == "")
	}
	if fits(is.rule) {
		return is
	}
	for _, use := range []string{"text", "number", "uuid", "ip", "bytes", "json"} {
		if r := (Rule{Use: use}); fits(r) {
			is.rule = r
			return is
		}
	}
	if !col.NotNull && !col.Key {
		is.rule = Rule{Use: "null"}
		return is
	}
	is.rule, is.judge = Rule{}, true
	is.why += "; no use fits: decide between keep and a constant"
	return is
}
