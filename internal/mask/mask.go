// Package mask decides what of production's data may be seen outside it: a rule for each column, and what the rule makes
// of a value. It reads no database and keeps no value; engines hand values through it while they copy.
//
// A mask is deterministic for a key that never leaves production, so that the same person is the same person in every
// table, what was unique stays unique, and nobody can look a masked value up in a dictionary.
package mask

import "bytes"

// Shape is the structure of a database, and nothing of its values: what rules are proposed from, and checked against.
type Shape struct {
	Tables   []Table   `json:"tables"`             // sorted by name
	Literals []Literal `json:"literals,omitempty"` // texts that stand in the schema itself
}

// Table is a table, or a materialized view's source is not: views are made anew from what is masked.
type Table struct {
	Name    string   `json:"name"`    // as rules name it: "customers", "billing.invoices" outside the default schema
	Columns []Column `json:"columns"` // in the table's order
	Rows    int64    `json:"rows"`    // about how many; -1 where nobody knows
	Bytes   int64    `json:"bytes"`   // on disk, without indexes
	Index   int64    `json:"index"`   // bytes of its indexes
}

// Column is a column.
type Column struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"` // as the engine writes it: "character varying(80)", "integer[]"
	Kind      Kind     `json:"kind"`
	Length    int      `json:"length,omitempty"` // the most characters that it takes; 0: any number
	NotNull   bool     `json:"not_null,omitempty"`
	Unique    bool     `json:"unique,omitempty"`    // alone, by a constraint or an index
	Together  bool     `json:"together,omitempty"`  // with others, by a constraint or an index: they are unique together
	Key       bool     `json:"key,omitempty"`       // part of the primary key
	Refers    string   `json:"refers,omitempty"`    // "table.column" that a foreign key leads to
	Generated bool     `json:"generated,omitempty"` // computed by the database: it is not copied
	Labels    []string `json:"labels,omitempty"`    // of an enumeration
}

// Kind is what a column's type is to a mask, the same for every engine.
type Kind string

// The kinds. KindOther is a type that no rule but keep, null and constant knows to handle.
const (
	KindText    Kind = "text"
	KindNumber  Kind = "number"
	KindBoolean Kind = "boolean"
	KindTime    Kind = "time" // date, timestamp
	KindEnum    Kind = "enum"
	KindUUID    Kind = "uuid"
	KindJSON    Kind = "json"
	KindXML     Kind = "xml"
	KindBytes   Kind = "bytes"
	KindArray   Kind = "array"
	KindNetwork Kind = "network" // inet, cidr, macaddr
	KindOther   Kind = "other"
)

// Literal is a text that stands in the schema itself: in a function's body, a default, a check, a comment.
type Literal struct {
	Where string `json:"where"` // "function notify()", "default of customers.note"
	Text  string `json:"text"`
}

// Rules say what becomes of each column. They are part of the policy, so that a release can't bring weaker ones along.
type Rules struct {
	Tables map[string]TableRules `json:"tables"` // by Table.Name
}

// TableRules are the rules of a table by column; one of them may stand for the whole table (Rows).
type TableRules struct {
	Rows    string          `json:"rows,omitempty"` // "none": the table is copied empty; "" is all of them
	Columns map[string]Rule `json:"columns,omitempty"`
}

// Rule is what becomes of a column's values. Which of the arguments a Use takes stands at the uses.
type Rule struct {
	Use   string          `json:"use"`             // keep, null, constant, email, …: see Uses
	Value string          `json:"value,omitempty"` // constant
	Low   string          `json:"low,omitempty"`   // number: the range
	High  string          `json:"high,omitempty"`
	Shift string          `json:"shift,omitempty"` // date: at most this far in both directions, as 30d
	Of    *Rule           `json:"of,omitempty"`    // array: the rule of its elements
	Paths map[string]Rule `json:"paths,omitempty"` // json: by path, as $.address.street and $.items[*].note; what no path names is masked as text
}

// Key is the secret that masks are made with: 32 bytes, one for each production, and it never leaves it.
type Key []byte

// Mask is rules that were checked against a shape, with a key: every column of it has what becomes of it.
type Mask struct {
	key    Key
	facts  map[string]family
	tables map[string]columns
}

// columns are the rules of a table's columns in its order.
type columns struct {
	table *Table
	none  bool
	rules []Rule
}

// Table is the mask of a table, for one goroutine. none says that its rows stay behind (TableRules.Rows), and so they do
// where the table is none of the shape's.
func (m *Mask) Table(name string) (t *TableMask, none bool) {
	c, ok := m.tables[name]
	if !ok {
		c.none = true
	}
	t = &TableMask{mask: m, columns: c, maskers: make([]masker, len(c.rules)), changed: make([]int64, len(c.rules))}
	t.begin()
	return t, c.none
}

// begin makes what carries out the rules.
func (t *TableMask) begin() {
	w := newWorker(t.mask.key, t.mask.facts)
	for i, r := range t.rules {
		t.maskers[i] = w.masker(r)
		if ip, is := t.maskers[i].(*ipMask); is {
			ip.room = t.table.Columns[i].Length
		}
	}
}

// TableMask masks the rows of a table.
type TableMask struct {
	columns
	mask    *Mask
	maskers []masker // by column; nil: its values stay
	changed []int64
	sieve   *Sieve
}

// Keeps says whether the column's values go over as they are, so that the engine need not look at them.
func (t *TableMask) Keeps(column int) bool { return t.maskers[column] == nil }

// Value appends to dst what becomes of a value: of its text as the engine writes it. nil is null, in and out. Column is
// the index into Table.Columns.
//
// Beside the value and what becomes of it this takes memory for less than three more of it; for text it takes some megabytes.
func (t *TableMask) Value(dst []byte, column int, value []byte) []byte {
	m := t.maskers[column]
	if value == nil {
		return nil
	}
	begin := len(dst)
	switch {
	case m == nil:
		dst = append(dst, value...)
	case len(value) == 0:
		if _, null := m.(nullMask); null {
			t.changed[column]++
			return nil
		}
	default:
		if dst = m.mask(dst, value); dst == nil || !bytes.Equal(dst[begin:], value) {
			t.changed[column]++
			if t.sieve != nil {
				t.sieve.masked(value, dst[min(begin, len(dst)):], t.table, column)
			}
		} else if t.sieve != nil {
			t.sieve.kept(value)
		}
	}
	if len(value) > immense {
		t.begin() // what it took goes
	}
	if dst == nil && m != (nullMask{}) {
		dst = []byte{}
	}
	return dst
}

// immense is from where on what a value took is not kept for the next one.
const immense = 1 << 20

// Watch has a sieve take part: it is shown every value from now on, and what becomes of it.
func (t *TableMask) Watch(s *Sieve) { t.sieve = s }

// Kept shows the sieve a value of a column that is kept, which needs no Value. What stands in such a column is no
// canary: without this it would be found, and rightly so.
func (t *TableMask) Kept(value []byte) {
	if t.sieve != nil {
		t.sieve.kept(value)
	}
}

// Changed is how many values of each column came out other than they went in.
func (t *TableMask) Changed() []int64 { return t.changed }
