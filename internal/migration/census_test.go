package migration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// counts is a table of a census: its rows, and columns as {name, type, nulls, sum}.
func counts(name string, rows int64, columns ...ColumnCount) Count {
	return Count{Name: name, Rows: rows, Columns: columns}
}

func TestCompare(t *testing.T) {
	id, phone := ColumnCount{"id", "integer", 0, "11"}, ColumnCount{"phone", "text", 2, "22"}
	people := counts("people", 40, id, phone)
	for _, c := range []struct {
		name          string
		before, after Census
		lost, changed []string
	}{
		{"nothing", census(people), census(people), nil, nil},
		{"more is there", census(people), census(people, counts("added", 3, id)), nil, nil},
		{"a column more", census(people), census(counts("people", 40, id, phone, ColumnCount{"note", "text", 40, "0"})), nil, nil},
		{"a table gone", census(people), census(), []string{"people: the table is gone, with 40 rows"}, nil},
		{"an empty table gone", census(counts("people", 0, id)), census(), nil, nil},
		{"a table renamed", census(people), census(counts("persons", 40, id, phone, ColumnCount{"more", "text", 0, "5"})), nil, nil},
		{"a table replaced", census(people), census(counts("persons", 40, id)), []string{"people: the table is gone, with 40 rows"}, nil},
		{"a table renamed to one that was there", census(people, counts("persons", 40, id, phone)), census(counts("persons", 40, id, phone)), []string{"people: the table is gone, with 40 rows"}, nil},
		{"rows gone", census(people), census(counts("people", 28, id, phone)), []string{"people: 12 of 40 rows are gone"}, nil},
		{"one gone", census(people), census(counts("people", 39, ColumnCount{"id", "integer", 0, "7"}, phone)), []string{"people: 1 of 40 rows is gone"}, nil},
		{"rows came", census(people), census(counts("people", 41, ColumnCount{"id", "integer", 0, "7"}, phone)), nil, nil},
		{"a column gone", census(people), census(counts("people", 40, id)), []string{"people.phone: the column phone is gone, with 38 values"}, nil},
		{"a column of nulls gone", census(counts("people", 40, id, ColumnCount{"phone", "text", 40, "0"})), census(counts("people", 40, id)), nil, nil},
		{"a column renamed", census(people), census(counts("people", 40, id, ColumnCount{"telephone", "text", 2, "22"})), nil, nil},
		{"a column renamed to one that was there", census(counts("people", 40, id, phone, ColumnCount{"copy", "text", 2, "22"})), census(counts("people", 40, id, ColumnCount{"copy", "text", 2, "22"})),
			[]string{"people.phone: the column phone is gone, with 38 values"}, nil},
		{"values changed", census(people), census(counts("people", 40, id, ColumnCount{"phone", "text", 2, "33"})), nil, []string{"people.phone: values of phone are not what they were, in up to 38 rows"}},
		{"values became null", census(people), census(counts("people", 40, id, ColumnCount{"phone", "text", 5, "33"})), []string{"people.phone: 3 of 38 values of phone are gone: null is there now"}, nil},
		{"all became null", census(people), census(counts("people", 40, id, ColumnCount{"phone", "text", 40, "0"})), []string{"people.phone: 38 of 38 values of phone are gone: null is there now"}, nil},
		{"nulls filled in", census(people), census(counts("people", 40, id, ColumnCount{"phone", "text", 1, "33"})), nil, []string{"people.phone: 1 null of phone filled in, and the 38 values that there were may be others"}},
		{"a column filled for the first time", census(counts("people", 40, ColumnCount{"note", "text", 40, "0"})), census(counts("people", 40, ColumnCount{"note", "text", 0, "9"})), nil, nil},
		{"a wider type", census(people), census(counts("people", 40, ColumnCount{"id", "bigint", 0, "11"}, phone)), nil, nil},
		{"another type", census(counts("people", 40, ColumnCount{"at", "timestamp", 0, "1"})), census(counts("people", 40, ColumnCount{"at", "timestamptz", 0, "2"})), nil,
			[]string{"people.at: the column at changed its type from timestamp to timestamptz, and its values are written another way now: compare 40 values by hand"}},
		{"tables of tools", census(counts("app.schema_migrations", 1, ColumnCount{"version", "bigint", 0, "1"}), counts("goose_db_version", 3)), census(counts("app.schema_migrations", 1, ColumnCount{"version", "bigint", 0, "2"})), nil, nil},
		{"the worst first", census(people, counts("a", 3, id, ColumnCount{"x", "text", 0, "1"}), counts("b", 1000, id)), census(people, counts("a", 1, id), counts("b", 10, id)),
			[]string{"b: 990 of 1,000 rows are gone", "a: 2 of 3 rows are gone", "a.x: the column x is gone, with 3 values"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			lost, changed := Compare(c.before, c.after)
			if diff := cmp.Diff([][]string{c.lost, c.changed}, [][]string{texts(lost), texts(changed)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func census(tables ...Count) Census { return Census{Tables: tables} }

func texts(all []Loss) (out []string) {
	for _, l := range all {
		name := l.Table
		if l.Column != "" {
			name += "." + l.Column
		}
		out = append(out, name+": "+l.Text)
	}
	return out
}

func TestCompareOrphans(t *testing.T) {
	visits := func(rows int64) Census { return Census{Orphans: []Orphan{{"visits", "person", "people.id", rows}}} }
	for _, c := range []struct {
		before, after Census
		want          []string
	}{
		{visits(2), visits(2), nil}, {visits(2), visits(1), nil}, {visits(2), Census{}, nil},
		{visits(2), visits(3), []string{"visits.person: 1 row more refers in person to people.id, where nothing is"}},
		{Census{}, visits(1200), []string{"visits.person: 1,200 rows more refer in person to people.id, where nothing is"}},
	} {
		lost, changed := Compare(c.before, c.after)
		if diff := cmp.Diff(c.want, texts(changed)); diff != "" || len(lost) != 0 {
			t.Error(diff, lost)
		}
	}
}

func TestCompareBack(t *testing.T) {
	id := ColumnCount{"id", "integer", 0, "1"}
	before := census(counts("people", 40, id, ColumnCount{"note", "text", 0, "5"}))
	// The migration dropped note and added phone; the new release wrote phones and two people; the way down brings note back empty.
	used := census(counts("people", 42, ColumnCount{"id", "integer", 0, "3"}, ColumnCount{"phone", "text", 20, "7"}), counts("log", 9, id))
	back := census(counts("people", 40, id, ColumnCount{"note", "text", 40, "0"}))
	want := []string{"log: the table is gone, with 9 rows", "people: 2 of 42 rows are gone", "people.note: 40 of 40 values of note are gone: null is there now",
		"people.phone: the column phone is gone, with 22 values"}
	if diff := cmp.Diff(want, texts(CompareBack(before, used, back))); diff != "" {
		t.Error(diff)
	}
	if lost := CompareBack(before, before, before); len(lost) != 0 {
		t.Errorf("nothing was done, and %v are lost", lost)
	}
}

// TestCompareHoldsForAll: the same is the same, whatever comes is no loss, and whatever goes is one.
func TestCompareHoldsForAll(t *testing.T) {
	column := rapid.Custom(func(t *rapid.T) ColumnCount {
		return ColumnCount{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), Type: "text", Nulls: 0, Sum: fmt.Sprint(rapid.IntRange(1, 99).Draw(t, "sum"))}
	})
	table := rapid.Custom(func(t *rapid.T) Count {
		return Count{Name: rapid.StringMatching(`[a-e]`).Draw(t, "table"), Rows: rapid.Int64Range(1, 9).Draw(t, "rows"),
			Columns: rapid.SliceOfNDistinct(column, 1, 3, func(c ColumnCount) string { return c.Name }).Draw(t, "columns")}
	})
	rapid.Check(t, func(t *rapid.T) {
		c := Census{Tables: rapid.SliceOfNDistinct(table, 1, 4, func(c Count) string { return c.Name }).Draw(t, "tables")}
		if lost, changed := Compare(c, c); len(lost)+len(changed) != 0 {
			t.Errorf("the same: %v, %v", lost, changed)
		}
		if lost, changed := Compare(Census{}, c); len(lost)+len(changed) != 0 {
			t.Errorf("from nothing: %v, %v", lost, changed)
		}
		if lost, _ := Compare(c, Census{}); len(lost) != len(c.Tables) {
			t.Errorf("all is gone: %v", lost)
		}
		fewer := Census{Tables: slices.Clone(c.Tables)}
		i := rapid.IntRange(0, len(fewer.Tables)-1).Draw(t, "which")
		fewer.Tables[i].Rows--
		if lost, _ := Compare(c, fewer); len(lost) != 1 || lost[0].Rows != 1 || lost[0].Table != c.Tables[i].Name {
			t.Errorf("a row is gone: %v", lost)
		}
	})
}

// TestRowsThatCameHideNothing: a migration that adds a row and takes values away has taken them away.
func TestRowsThatCameHideNothing(t *testing.T) {
	before := Census{Tables: []Count{{Name: "customers", Rows: 40, Columns: []ColumnCount{{Name: "email", Type: "text", Nulls: 2, Sum: "a"}, {Name: "id", Type: "integer", Sum: "b"}}}}}
	after := Census{Tables: []Count{{Name: "customers", Rows: 41, Columns: []ColumnCount{{Name: "email", Type: "text", Nulls: 41, Sum: "c"}, {Name: "id", Type: "integer", Sum: "d"}}}}}
	lost, _ := Compare(before, after)
	if len(lost) != 1 || lost[0].Column != "email" || lost[0].Rows != 38 {
		t.Errorf("lost: %+v", lost)
	}
}
