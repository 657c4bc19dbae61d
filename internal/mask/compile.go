package mask

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"greenroom/internal/problem"
)

// Fault is one thing that is wrong with rules for a shape.
type Fault struct {
	Table  string
	Column string   // "" for the table itself
	What   string   // what is wrong
	Add    []string // the lines of mask.yaml that would be right; may be empty
	Missed bool     // no rule names it: nobody has decided yet
	Absent bool     // a rule names it, and it is not there: harmless, since a release may be about to make it
}

// String is the fault with the lines to add below it.
func (f Fault) String() string {
	name := f.Table
	if f.Column != "" {
		name += "." + f.Column
	}
	text := name + ": " + f.What
	for _, line := range f.Add {
		text += "\n" + line
	}
	return text
}

// Faults is all that is wrong with rules for a shape, sorted by table; what is wrong with a table stands before its
// columns, which come in the table's order.
type Faults struct {
	List []Fault // never empty
}

// Error tells every fault.
func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, fault := range f.List {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// problem is what a person is told: Blocked where something is undecided, Invalid where rules are wrong.
func (f *Faults) problem() error {
	missed := 0
	for _, fault := range f.List {
		if fault.Missed {
			missed++
		}
	}
	if missed == 0 {
		return problem.New(problem.Invalid, "the mask does not fit the database:\n%w", f)
	}
	return problem.New(problem.Blocked, "the mask does not say what becomes of everything (%d missing):\n%w", missed, f).
		WithHint("add the lines to mask.yaml, or: greenroom mask init --add; then greenroom apply")
}

// Compile checks rules against a shape. Columns and tables that no rule names, rules that a column's kind can't take, and
// rules that would tear apart what a foreign key holds together are one problem that lists all of them with the lines to
// add: Blocked where something is named nowhere, else Invalid. Its cause is a *Faults. Rules for what is not there are no
// problem: they are written before the migration that makes it is live. Unused tells them.
func Compile(r Rules, k Key, s Shape) (*Mask, error) {
	if err := checkKey(k); err != nil {
		return nil, err
	}
	c := checked(r, s)
	if faults := slices.DeleteFunc(c.faults, func(f Fault) bool { return f.Absent }); len(faults) > 0 {
		return nil, (&Faults{List: faults}).problem()
	}
	return &Mask{key: slices.Clone(k), facts: c.facts(), tables: c.compiled()}, nil
}

// Unused are the rules for tables and columns that are not there.
func Unused(r Rules, s Shape) []Fault {
	return slices.DeleteFunc(checked(r, s).faults, func(f Fault) bool { return !f.Absent })
}

func checked(r Rules, s Shape) *compiler {
	c := &compiler{rules: r, shape: s, tables: map[string]*Table{}, referred: s.referred()}
	for i := range s.Tables {
		c.tables[s.Tables[i].Name] = &s.Tables[i]
	}
	c.check()
	return c
}

// referred are the columns that foreign keys lead to, as "table.column".
func (s Shape) referred() map[string]bool {
	all := map[string]bool{}
	for _, t := range s.Tables {
		for _, col := range t.Columns {
			if col.Refers != "" {
				all[col.Refers] = true
			}
		}
	}
	return all
}

type compiler struct {
	rules    Rules
	shape    Shape
	tables   map[string]*Table
	referred map[string]bool // "table.column" that a foreign key leads to
	faults   []Fault
	proposed *Rules
}

func (c *compiler) check() {
	names := slices.Collect(maps.Keys(c.tables))
	for name := range c.rules.Tables {
		if c.tables[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.table(name)
	}
}

func (c *compiler) fault(table, column, format string, args ...any) {
	c.faults = append(c.faults, Fault{Table: table, Column: column, What: fmt.Sprintf(format, args...)})
}

func (c *compiler) absent(table, column, what string) {
	c.faults = append(c.faults, Fault{Table: table, Column: column, What: what, Absent: true})
}

func (c *compiler) table(name string) {
	rules, named := c.rules.Tables[name]
	t := c.tables[name]
	switch {
	case t == nil:
		c.absent(name, "", "a rule names this table, and there is none")
		return
	case rules.Rows != "" && rules.Rows != "none":
		c.fault(name, "", "rows can be none, or all of them where nothing is said; not %q", rules.Rows)
		return
	case rules.Rows == "none":
		if len(rules.Columns) > 0 {
			c.fault(name, "", "its rows stay behind, so that there is nothing for the rules of its columns")
		}
		return
	case !named:
		c.missed(t, "no rule names this table")
		return
	}
	for _, col := range t.Columns {
		rule, ok := rules.Columns[col.Name]
		if !ok && !col.Generated {
			c.missed(t, "no rule names this column", col)
		}
		if ok {
			c.column(t, col, rule)
		}
	}
	for _, column := range slices.Sorted(maps.Keys(rules.Columns)) {
		if !slices.ContainsFunc(t.Columns, func(col Column) bool { return col.Name == column }) {
			c.absent(name, column, "a rule names this column, and there is none")
		}
	}
}

// missed is a fault with the lines to add: for the columns, or for all of the table.
func (c *compiler) missed(t *Table, what string, cols ...Column) {
	f := Fault{Table: t.Name, What: what, Missed: true, Add: []string{"  " + yamlName(t.Name) + ":"}}
	if len(cols) == 1 {
		f.Column = cols[0].Name
	} else {
		cols = t.Columns
	}
	if c.proposed == nil {
		rules, _ := Propose(c.shape)
		c.proposed = &rules
	}
	proposal := c.proposed.Tables[t.Name]
	if proposal.Rows == "none" && f.Column == "" {
		f.Add[0] += " none"
		cols = nil
	}
	for _, col := range cols {
		if !col.Generated {
			f.Add = append(f.Add, ColumnLine(col.Name, c.missing(t, col, proposal)))
		}
	}
	c.faults = append(c.faults, f)
}

// missing is the rule to propose for a column. One that refers to a column that has a rule already follows that one.
func (c *compiler) missing(t *Table, col Column, proposal TableRules) Rule {
	if root, rule, ok := c.root(col); ok && root != "" {
		return rule
	}
	if rule, ok := proposal.Columns[col.Name]; ok {
		return rule
	}
	if rule := propose(*t, col).rule; rule.Use != "" {
		return rule
	}
	return Rule{Use: "keep"} // the only one that its type can have; a person has to say so
}

func (c *compiler) column(t *Table, col Column, r Rule) {
	if err := r.sound(); err != nil {
		c.fault(t.Name, col.Name, "%s", err.Error())
		return
	}
	u, _ := UseOf(r.Use)
	if !u.takes(col.Kind) {
		c.fault(t.Name, col.Name, "%s is not for %s (%s); this column can have %s", r.Use, kindWords(col.Kind), col.Type, strings.Join(UsesFor(col.Kind), ", "))
		return
	}
	if what := misfit(t, col, r); what != "" {
		c.fault(t.Name, col.Name, "%s", what)
		return
	}
	if c.distinct(t, col) {
		if what := meets(r); what != "" && (r.Use != "null" || col.Key) {
			c.fault(t.Name, col.Name, "%s, and the column's values have to stay different", what)
			return
		}
	}
	c.follows(t, col, r)
}

// distinct says whether the column's own constraints keep its values apart. Of columns that are unique together each has
// to keep different values different: what the others hold need not.
func (c Column) distinct() bool { return c.Unique || c.Together || c.Key }

// distinct says whether a column's different values have to stay different.
func (c *compiler) distinct(t *Table, col Column) bool {
	return col.distinct() || c.referred[t.Name+"."+col.Name]
}

// follows demands of a column that refers to another one that it has the same rule.
func (c *compiler) follows(t *Table, col Column, r Rule) {
	root, rule, ok := c.root(col)
	if root == "" || r.Use == "null" {
		return
	}
	table := root
	if i := strings.LastIndexByte(root, '.'); i >= 0 {
		table = root[:i]
	}
	if c.rules.Tables[table].Rows == "none" {
		c.fault(t.Name, col.Name, "it refers to %s, whose rows stay behind: its own have to as well, or it has to become null", root)
		return
	}
	if ok && !sameOutcome(r, rule) {
		c.fault(t.Name, col.Name, "it refers to %s, which has %s: it needs the same rule to find its rows again, not %s", root, rule, r)
		c.faults[len(c.faults)-1].Add = []string{"  " + yamlName(t.Name) + ":", ColumnLine(col.Name, rule)}
	}
}

// root follows foreign keys from a column to the last that they lead to, and gives its rule where it has one. A column
// that refers to none has no root.
func (c *compiler) root(col Column) (name string, r Rule, ok bool) {
	for range len(c.tables) + 1 { // keys may lead round in a circle
		if col.Refers == "" || col.Refers == name {
			break
		}
		i := strings.LastIndexByte(col.Refers, '.')
		next := c.tables[col.Refers[:max(i, 0)]]
		if next == nil {
			break
		}
		at := slices.IndexFunc(next.Columns, func(n Column) bool { return n.Name == col.Refers[i+1:] })
		if at < 0 {
			break
		}
		name = col.Refers
		col = next.Columns[at]
		r, ok = c.rules.Tables[next.Name].Columns[col.Name]
	}
	return name, r, ok
}

// sameOutcome says whether two rules make the same of every value.
func sameOutcome(a, b Rule) bool { return normal(a).String() == normal(b).String() }

// normal writes a rule as the one of its family that stands for all that make the same.
func normal(r Rule) Rule {
	r.Use = familyOf(r.Use)
	if r.Use == "date" && r.Shift == "" {
		r.Shift = DefaultShift
	}
	if r.Of != nil {
		of := normal(*r.Of)
		r.Of = &of
	}
	return r
}

// facts are what the columns of each family have in common.
func (c *compiler) facts() map[string]family {
	all := map[string]family{}
	for i := range c.shape.Tables {
		t := &c.shape.Tables[i]
		rules := c.rules.Tables[t.Name]
		if rules.Rows == "none" {
			continue
		}
		for _, col := range t.Columns {
			if rule, ok := rules.Columns[col.Name]; ok && !col.Generated {
				gather(all, rule, col.Length, c.distinct(t, col))
			}
		}
	}
	return all
}

func gather(all map[string]family, r Rule, length int, distinct bool) {
	f := all[familyOf(r.Use)]
	f.unique = f.unique || distinct
	if length > 0 && (f.limit == 0 || length < f.limit) {
		f.limit = length
	}
	all[familyOf(r.Use)] = f
	if r.Of != nil {
		gather(all, *r.Of, length, distinct)
	}
	for _, rule := range r.Paths {
		gather(all, rule, 0, distinct)
	}
}

func (c *compiler) compiled() map[string]columns {
	all := map[string]columns{}
	for i := range c.shape.Tables {
		t := &c.shape.Tables[i]
		rules := c.rules.Tables[t.Name]
		out := columns{table: t, none: rules.Rows == "none", rules: make([]Rule, len(t.Columns))}
		for i, col := range t.Columns {
			rule, ok := rules.Columns[col.Name]
			if !ok { // generated, or of a table whose rows stay behind: no value gets here
				rule = Rule{Use: "null"}
			}
			out.rules[i] = rule
		}
		all[t.Name] = out
	}
	return all
}
