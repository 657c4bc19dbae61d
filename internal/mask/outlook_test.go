package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func textColumn(name string) Column   { return Column{Name: name, Type: "text", Kind: KindText} }
func numberColumn(name string) Column { return Column{Name: name, Type: "integer", Kind: KindNumber} }

// TestAhead: what a migration adds is missing, with the lines that init would write; what it dropped or renamed is unused;
// a rule for what is still to come is left alone; and a rule that its column can't have any more stops the copy as well.
func TestAhead(t *testing.T) {
	rules := Rules{Tables: map[string]TableRules{
		"customers": {Columns: map[string]Rule{"id": {Use: "keep"}, "mail": {Use: "email"}, "zip": {Use: "text"}, "soon": {Use: "keep"}}},
		"old":       {Columns: map[string]Rule{"id": {Use: "keep"}}},
		"later":     {Rows: "none"},
	}}
	before := Shape{Tables: []Table{
		{Name: "customers", Columns: []Column{numberColumn("id"), textColumn("mail"), textColumn("zip")}},
		{Name: "old", Columns: []Column{numberColumn("id")}},
	}}
	after := Shape{Tables: []Table{
		{Name: "Say \"No\"", Columns: []Column{numberColumn("id"), {Name: "geom", Type: "geometry", Kind: KindOther, NotNull: true}}},
		{Name: "customers", Columns: []Column{numberColumn("id"), textColumn("email"), numberColumn("zip")}},
	}}
	got := Ahead(rules, before, after)
	want := Outlook{
		Missing: []Remark{
			{Table: "Say \"No\"", What: "no rule names this table"},
			{Table: "customers", Column: "email", What: "no rule names this column"},
		},
		Judge: []Remark{{Table: "Say \"No\"", Column: "geom", What: "of type geometry, which can't be masked, and must have a value: decide between keep and a constant"}},
		Wrong: []Remark{{Table: "customers", Column: "zip", What: "text is not for numbers (integer); this column can have " + strings.Join(UsesFor(KindNumber), ", ")}},
		Unused: []Remark{
			{Table: "customers", Column: "mail", What: "a rule names this column, and there is none"},
			{Table: "old", What: "a rule names this table, and there is none"},
		},
		Add: []string{"tables:", `  "Say \"No\"":`, "    id: keep                            # a number", "  customers:",
			"    email: email                        # looks like an e-mail address"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Stops() || got.Empty() {
		t.Error("it stops the copy, and does not say so")
	}
}

// TestAheadOfNothing: where the shape stays as it is there is nothing to tell, whatever else the rules name.
func TestAheadOfNothing(t *testing.T) {
	shape := Shape{Tables: []Table{{Name: "a", Columns: []Column{numberColumn("id")}}}}
	rules := Rules{Tables: map[string]TableRules{"a": {Columns: map[string]Rule{"id": {Use: "keep"}, "soon": {Use: "keep"}}}, "b": {Rows: "none"}}}
	if got := Ahead(rules, shape, shape); !got.Empty() || got.Omitted > 0 || got.Add != nil {
		t.Errorf("%+v", got)
	}
}

// TestAheadIsWhatInitAdds: once its lines are in the file, nothing is missing any more, but for what a person has to decide.
func TestAheadIsWhatInitAdds(t *testing.T) {
	shape := bigShape()
	before := Shape{Tables: shape.Tables[:2]}
	rules, _ := Propose(before)
	merged, notes := Merge(rules, shape)
	got := Ahead(rules, before, shape)
	if lines := Lines(Added(rules, merged), notes); !slices.Equal(got.Add, lines) {
		t.Errorf("the lines are not those that init adds:\n%s", cmp.Diff(lines, got.Add))
	}
	left := Ahead(merged, before, shape)
	if len(left.Missing) != 0 || len(left.Judge) != 1 || left.Judge[0].Name() != "places.geom" || left.Add != nil {
		t.Errorf("left to say: %+v", left)
	}
}

// TestAheadIsBounded: a first release with thousands of tables fills no journal.
func TestAheadIsBounded(t *testing.T) {
	var after Shape
	for i := range 5000 {
		after.Tables = append(after.Tables, Table{Name: fmt.Sprintf("t%04d", i), Columns: []Column{textColumn("a"), textColumn("b")}})
	}
	got := Ahead(Rules{}, Shape{}, after)
	if len(got.Missing) != outlookNames || len(got.Add) != outlookLines || got.Omitted != 5000-outlookNames+3*5000+1-outlookLines {
		t.Errorf("%d missing, %d lines, %d omitted", len(got.Missing), len(got.Add), got.Omitted)
	}
}

// TestOutlookSays: a person reads what stops, what can't be any more, what is unused, and what nobody knows.
func TestOutlookSays(t *testing.T) {
	for want, o := range map[string]Outlook{
		"mask.yaml has no rule for a, b.c: once this release is live, the next copy of production stops": {Missing: []Remark{{Table: "a"}, {Table: "b", Column: "c"}}},
		"mask.yaml has no rule for a, a, a, a, a and 2 more: once this release is live, the next copy of production stops": {
			Missing: slices.Repeat([]Remark{{Table: "a"}}, 7)},
		"once this release is live, mask.yaml's rule for b.c can't be any more, and the next copy of production stops: it does not fit": {
			Wrong: []Remark{{Table: "b", Column: "c", What: "it does not fit"}}},
		"once this release is live, the next copy of production stops until mask.yaml has a rule for b.c that nobody can propose: of type x": {
			Judge: []Remark{{Table: "b", Column: "c", What: "of type x"}}},
		"unused in mask.yaml once this release is live: a, b.c":                                    {Unused: []Remark{{Table: "a"}, {Table: "b", Column: "c"}}},
		"whether mask.yaml names everything once this release is live is not known: no connection": {Unknown: "no connection"},
	} {
		o.File, o.From = "mask.yaml", "production"
		if got := strings.Join(o.Says(), "\n"); got != want {
			t.Errorf("%s\nand not\n%s", got, want)
		}
	}
}
