package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/mask"
)

func TestShape(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	script(t, open(t, d.URL()), "odd.sql")
	s, err := d.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]mask.Column{}
	var tables []string
	for _, table := range s.Tables {
		tables = append(tables, table.Name)
		for _, c := range table.Columns {
			columns[table.Name+"."+c.Name] = c
		}
	}
	want := []string{`"a.b"."c.d"`, `"a.b.c.d"`, `"Sales, ""north""".Kunden; DROP`, "a_to_b", "b_to_a", "booked", "child", "defaults", "empty", "events", "generated_only",
		"kinds", "no columns", "no_partitions", "parent", "passing", "reading", "remote", "texts", "tree", "unchecked"}
	slices.Sort(want)
	if diff := cmp.Diff(want, tables); diff != "" {
		t.Error(diff)
	}
	for name, kind := range map[string]mask.Kind{"id": mask.KindUUID, "b": mask.KindBoolean, "i2": mask.KindNumber, "n2": mask.KindNumber, "f8": mask.KindNumber, "m": mask.KindOther,
		"c": mask.KindText, "vc": mask.KindText, "nm": mask.KindText, "ci": mask.KindText, "d": mask.KindTime, "tz": mask.KindTime, "ti": mask.KindOther, "iv": mask.KindOther,
		"j": mask.KindJSON, "jb": mask.KindJSON, "x": mask.KindXML, "by": mask.KindBytes, "a": mask.KindArray, "a2": mask.KindArray, "e": mask.KindEnum, "ea": mask.KindArray,
		"p": mask.KindOther, "pa": mask.KindArray, "do_": mask.KindText, "r": mask.KindOther, "s": mask.KindOther, "ip": mask.KindNetwork, "mac": mask.KindNetwork, "h": mask.KindOther,
		"bits": mask.KindOther, "ts1": mask.KindOther, "rc": mask.KindOther, "o": mask.KindOther, "twice": mask.KindNumber} {
		if c := columns["kinds."+name]; c.Kind != kind {
			t.Errorf("%s (%s) is %s, want %s", name, c.Type, c.Kind, kind)
		}
	}
	labels := []string{"fine", `it's \ "odd"`, "tab\tand\nline"}
	for name, c := range map[string]mask.Column{
		"kinds.do_":        {Name: "do_", Type: "public.shorter", Kind: mask.KindText, Length: 12},
		"kinds.e":          {Name: "e", Type: "public.mood", Kind: mask.KindEnum, Labels: labels},
		"kinds.ea":         {Name: "ea", Type: "public.mood[]", Kind: mask.KindArray, Labels: labels},
		"kinds.vc":         {Name: "vc", Type: "character varying(10)", Kind: mask.KindText, Length: 10},
		"kinds.twice":      {Name: "twice", Type: "integer", Kind: mask.KindNumber, Generated: true},
		"kinds.b":          {Name: "b", Type: "boolean", Kind: mask.KindBoolean, Together: true}, // unique where it is true
		"events.id":        {Name: "id", Type: "bigint", Kind: mask.KindNumber, NotNull: true, Key: true, Together: true},
		"a_to_b.b":         {Name: "b", Type: "integer", Kind: mask.KindNumber, Unique: true, Refers: "b_to_a.id"},
		"reading.region":   {Name: "region", Type: "text", Kind: mask.KindText, Refers: "events.region"},
		"tree.up":          {Name: "up", Type: "integer", Kind: mask.KindNumber, Refers: "tree.id"},
		`"a.b"."c.d".id`:   {Name: "id", Type: "bigint", Kind: mask.KindNumber, NotNull: true, Key: true, Unique: true},
		"remote.secret":    {Name: "secret", Type: "text", Kind: mask.KindText},
		"generated_only.n": {Name: "n", Type: "integer", Kind: mask.KindNumber, Generated: true},
	} {
		if diff := cmp.Diff(c, columns[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	var literals []string
	for _, l := range s.Literals {
		literals = append(literals, l.Where+": "+l.Text)
	}
	for _, l := range []string{"default of public.defaults.note: it's", "view public.seen: ;", "function public.notify_all(): a; b", `index public."odd index": x;y`} {
		if !slices.Contains(literals, l) {
			t.Errorf("%q is not among %q", l, literals)
		}
	}
}

// TestShapeHoldsNoValue looks for values that stand in rows and in the planner's statistics.
func TestShapeHoldsNoValue(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE people (name text)", "INSERT INTO people SELECT 'Ada ' || g FROM generate_series(1, 50) g, generate_series(1, 5)", "ANALYZE")
	s, err := d.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "Ada") {
		t.Errorf("%s, %v", text, err)
	}
	if table := s.Tables[0]; table.Rows != 250 || table.Bytes == 0 {
		t.Errorf("%+v", table)
	}
}

// TestShapeOfWhatGrew: rows are guessed from how large a table is now, and not as they were counted before most of them came.
func TestShapeOfWhatGrew(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE people (name text) WITH (autovacuum_enabled = off)", "INSERT INTO people SELECT 'Ada' FROM generate_series(1, 5000)",
		"ANALYZE", "INSERT INTO people SELECT 'Ada' FROM generate_series(1, 95000)")
	s, err := d.Shape(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if rows := s.Tables[0].Rows; rows < 90_000 || rows > 110_000 {
		t.Errorf("%d rows", rows)
	}
}

// TestRuleNamesAreUnique: two tables never have the same name in rules.
func TestRuleNamesAreUnique(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune(`ab."A `)), 1, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]string{}
		for range 20 {
			space, name := rapid.OneOf(rapid.Just("public"), part).Draw(t, "space"), part.Draw(t, "name")
			key := fmt.Sprintf("%q %q", space, name)
			rule := ruleName(space, name)
			if other, ok := seen[rule]; ok && other != key {
				t.Fatalf("%s and %s are both %s", key, other, rule)
			}
			seen[rule] = key
		}
	})
}
