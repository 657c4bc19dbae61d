package mask

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/problem"
	"pgregory.net/rapid"
)

// aShape is a shop's, small.
func aShape() Shape {
	return Shape{Tables: []Table{
		{Name: "customers", Columns: []Column{
			{Name: "id", Type: "bigint", Kind: KindNumber, Key: true, NotNull: true},
			{Name: "email", Type: "character varying(120)", Kind: KindText, Length: 120, NotNull: true, Unique: true},
			{Name: "name", Type: "text", Kind: KindText},
			{Name: "plan", Type: "plan", Kind: KindEnum, Labels: []string{"free", "paid"}, NotNull: true},
			{Name: "upper_email", Type: "text", Kind: KindText, Generated: true},
		}},
		{Name: "orders", Columns: []Column{
			{Name: "id", Type: "bigint", Kind: KindNumber, Key: true, NotNull: true},
			{Name: "customer_id", Type: "bigint", Kind: KindNumber, Refers: "customers.id"},
			{Name: "customer_email", Type: "character varying(60)", Kind: KindText, Length: 60, Refers: "customers.email"},
			{Name: "Total Sum", Type: "numeric(10,2)", Kind: KindNumber},
			{Name: "tags", Type: "text[]", Kind: KindArray},
			{Name: "line", Type: "integer", Kind: KindNumber, Together: true},
		}},
		{Name: "sessions", Columns: []Column{{Name: "token", Type: "text", Kind: KindText, Key: true, NotNull: true}}},
	}}
}

func aRules(t testing.TB) Rules {
	rule := func(text string) Rule {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	return Rules{Tables: map[string]TableRules{
		"customers": {Columns: map[string]Rule{"id": rule("number"), "email": rule("email"), "name": rule("name"), "plan": rule("keep")}},
		"orders": {Columns: map[string]Rule{"id": rule("keep"), "customer_id": rule("number"), "customer_email": rule("email"),
			"Total Sum": rule("number 0..100"), "tags": rule("array text"), "line": rule("keep")}},
		"sessions": {Rows: "none"},
	}}
}

func TestCompile(t *testing.T) {
	m, err := Compile(aRules(t), testKey(1), aShape())
	if err != nil {
		t.Fatal(err)
	}
	customers, none := m.Table("customers")
	orders, _ := m.Table("orders")
	if none || customers.Keeps(1) || !customers.Keeps(3) {
		t.Error("customers: the e-mail is masked, the plan is kept, the rows go along")
	}
	for _, table := range []string{"sessions", "gone"} {
		if _, none := m.Table(table); !none {
			t.Errorf("the rows of %s stay behind", table)
		}
	}
	value := func(t *TableMask, column int, v string) string { return string(t.Value(nil, column, []byte(v))) }
	for _, v := range []string{"anna@mail.de", "a.very.long.name.of.a.person.with.a.desk@department.mail.de"} {
		one, two := value(customers, 1, v), value(orders, 2, v)
		if one != two || one == v || len(one) > 60 || !strings.HasSuffix(one, ".example") {
			t.Errorf("%s is %q among customers and %q among orders", v, one, two)
		}
	}
	if one, two := value(customers, 0, "4711"), value(orders, 1, "4711"); one != two || one == "4711" {
		t.Errorf("4711 is %s among customers and %s among orders", one, two)
	}
	if got := customers.Value(nil, 1, nil); got != nil {
		t.Errorf("null becomes %q", got)
	}
	if got := customers.Value(nil, 1, []byte{}); got == nil || len(got) != 0 {
		t.Errorf("an empty text becomes %q", got)
	}
	if got := string(customers.Value([]byte("before\t"), 2, []byte("Anna"))); !strings.HasPrefix(got, "before\t") || len(got) != 11 {
		t.Errorf("appending gives %q", got)
	}
	if got := customers.Changed(); !slices.Equal(got, []int64{1, 2, 1, 0, 0}) {
		t.Errorf("changed are %v", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	set := func(table, column, rule string) func(*Rules) {
		return func(r *Rules) {
			parsed, err := ParseRule(rule)
			if err != nil {
				t.Fatal(err)
			}
			r.Tables[table].Columns[column] = parsed
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Rules)
		code   problem.Code
		says   string
	}{
		{"a column that nobody named", func(r *Rules) { delete(r.Tables["orders"].Columns, "Total Sum") }, problem.Blocked, "orders.Total Sum: no rule names this column\n  orders:\n    Total Sum: keep"},
		{"one that refers to another has that one's rule", func(r *Rules) { delete(r.Tables["orders"].Columns, "customer_id") }, problem.Blocked, "  orders:\n    customer_id: number"},
		{"a table that nobody named", func(r *Rules) { delete(r.Tables, "sessions") }, problem.Blocked, "sessions: no rule names this table\n  sessions:\n    token: token"},
		{"a table that is not there", func(r *Rules) { r.Tables["gone"] = TableRules{} }, problem.Invalid, "gone: a rule names this table, and there is none"},
		{"a column that is not there", set("orders", "gone", "keep"), problem.Invalid, "orders.gone: a rule names this column, and there is none"},
		{"rows", func(r *Rules) { r.Tables["sessions"] = TableRules{Rows: "some"} }, problem.Invalid, "rows can be none"},
		{"rules of columns without rows", func(r *Rules) {
			r.Tables["sessions"] = TableRules{Rows: "none", Columns: map[string]Rule{"token": {Use: "keep"}}}
		}, problem.Invalid, "its rows stay behind"},
		{"another kind", set("orders", "Total Sum", "email"), problem.Invalid, "email is not for numbers (numeric(10,2)); this column can have keep, null, constant, number"},
		{"elements of another kind", set("orders", "tags", "array bytes"), problem.Invalid, "bytes is not for elements that are text (text)"},
		{"null on not null", set("customers", "plan", "null"), problem.Invalid, "it must not be null"},
		{"a constant that is no label", set("customers", "plan", "constant gold"), problem.Invalid, `the constant "gold" is none of free, paid`},
		{"a constant that is no number", set("orders", "Total Sum", "constant x"), problem.Invalid, "is no value of numeric(10,2)"},
		{"a constant on a unique column", set("customers", "email", "constant x"), problem.Invalid, "constant makes the same of different values"},
		{"a constant on columns that are unique together", func(r *Rules) {
			r.Tables["orders"].Columns["line"] = Rule{Use: "constant", Value: "1"}
		}, problem.Invalid, "constant makes the same of different values, and the column's values have to stay different"},
		{"a range on a key", set("customers", "id", "number 1..5"), problem.Invalid, "a range has fewer numbers"},
		{"other than what it refers to", set("orders", "customer_id", "keep"), problem.Invalid, "it refers to customers.id, which has number: it needs the same rule to find its rows again, not keep\n  orders:\n    customer_id: number"},
		{"rows that are referred to", func(r *Rules) { r.Tables["customers"] = TableRules{Rows: "none"} }, problem.Invalid, "it refers to customers.id, whose rows stay behind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := aRules(t)
			c.change(&rules)
			_, err := Compile(rules, testKey(1), aShape())
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != c.code || !strings.Contains(p.Message, c.says) {
				t.Fatalf("got %v, not %s: %s", err, c.code, c.says)
			}
			var faults *Faults
			if !errors.As(err, &faults) || len(faults.List) == 0 {
				t.Errorf("%v has no list of faults", err)
			}
		})
	}
}

// TestCompileTellsAll: every fault at once, and what it says to add is enough.
func TestCompileTellsAll(t *testing.T) {
	shape := bigShape()
	_, err := Compile(Rules{Tables: map[string]TableRules{"gone": {}, "users": {Columns: map[string]Rule{"email": {Use: "hash"}, "id": {Use: "email"}}}}}, testKey(1), shape)
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	tables := map[string]bool{}
	for _, f := range faults.List {
		tables[f.Table] = true
		if f.Missed && len(f.Add) < 2 && !slices.Contains(f.Add, "  sessions: none") {
			t.Errorf("%s.%s: nothing to add in %q", f.Table, f.Column, f.Add)
		}
	}
	if len(tables) != len(shape.Tables)+1 {
		t.Errorf("%d tables have faults, not %d", len(tables), len(shape.Tables)+1)
	}
}

func TestKeyIsChecked(t *testing.T) {
	if _, err := Compile(aRules(t), Key("short"), aShape()); err == nil {
		t.Error("a short key is taken")
	}
}

// TestFamilyStaysTogether: where one column of a use is unique, the same value gives the same in those that are not.
func TestFamilyStaysTogether(t *testing.T) {
	shape := Shape{Tables: []Table{
		{Name: "a", Columns: []Column{{Name: "full_name", Kind: KindText, Unique: true}, {Name: "phone", Kind: KindText, Unique: true, Length: 30}, {Name: "ip", Kind: KindNetwork, Key: true}}},
		{Name: "b", Columns: []Column{{Name: "first", Kind: KindText}, {Name: "phone", Kind: KindText, Length: 15}, {Name: "ip", Kind: KindNetwork}}},
	}}
	rules := Rules{Tables: map[string]TableRules{
		"a": {Columns: map[string]Rule{"full_name": {Use: "name"}, "phone": {Use: "phone"}, "ip": {Use: "ip"}}},
		"b": {Columns: map[string]Rule{"first": {Use: "first_name"}, "phone": {Use: "phone"}, "ip": {Use: "ip"}}},
	}}
	m, err := Compile(rules, testKey(1), shape)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := m.Table("a")
	b, _ := m.Table("b")
	for column, use := range []string{"name", "phone", "ip"} {
		rapid.Check(t, func(t *rapid.T) {
			v := []byte(valuesFor(use).Draw(t, "value"))
			one, two := a.Value(nil, column, v), b.Value(nil, column, v)
			if string(one) != string(two) {
				t.Fatalf("%q becomes %q and %q", v, one, two)
			}
		})
	}
}
