package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/definition"
	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/term"
)

// maskPages are the pages about rules for columns.
func maskPages(t *testing.T) map[string]func(term.Screen) string {
	t.Helper()
	propose := func(m MaskFile, shape mask.Shape) proposal {
		p := proposal{MaskFile: m, of: "production", shape: shape}
		if err := p.propose(fakeDeps(), true); err != nil {
			t.Fatal(err)
		}
		return p
	}
	check := func(rules string, shape mask.Shape) checked {
		r, err := definition.ParseMask([]byte(rules), "mask.yaml")
		if err != nil {
			t.Fatal(err)
		}
		c := checked{File: "/src/shop/mask.yaml", name: "mask.yaml", of: "production"}
		if err := c.check(r, shape); err != nil {
			t.Fatal(err)
		}
		return c
	}
	file := MaskFile{Name: "mask.yaml", File: "/src/shop/mask.yaml"}
	some := file
	some.There, some.Content = true, []byte("tables:\n  orders: {id: keep, customer: keep, placed: keep}\n")
	some.Rules, _ = definition.ParseMask(some.Content, some.Name)
	all := file
	all.There = true
	all.Rules, _ = mask.Propose(fakeShape())
	all.Rules.Tables["customers"].Columns["shape"] = mask.Rule{Use: "keep"}
	all.Content = mask.Format(all.Rules, nil)
	whole := string(all.Content)
	return map[string]func(term.Screen) string{
		"mask-init":          propose(file, fakeShape()).page,
		"mask-init-many":     propose(file, largeShape()).page,
		"mask-add":           propose(some, fakeShape()).page,
		"mask-add-none":      propose(all, fakeShape()).page,
		"mask-check":         check(whole, fakeShape()).page,
		"mask-check-missing": check("tables:\n  orders: {id: keep, customer: number, placed: email}\n  gone: none\n", fakeShape()).page,
		"mask-check-unused":  check(whole+"  gone: none\n", fakeShape()).page,
		"report-mask":        func(s term.Screen) string { return reportPage(s, unmasked(some.Rules), false) },
		"report-mask-unknown": func(s term.Screen) string {
			r := fakeReport(good.Digest)
			r.Mask = &mask.Outlook{File: "mask.yaml", From: "production", Unknown: "the stage's database\x1b[2J does not answer"}
			return reportPage(s, r, false)
		},
	}
}

// unmasked is the report of a release whose migration made all but the first table.
func unmasked(rules mask.Rules) evidence.Report {
	r, shape := fakeReport(good.Digest), fakeShape()
	rules.Tables["gone"] = mask.TableRules{Rows: "none"}
	before := mask.Shape{Tables: []mask.Table{{Name: "gone"}, {Name: "orders"}}}
	o := mask.Ahead(rules, before, shape)
	o.File, o.From = "mask.yaml", "production"
	r.Mask = &o
	return r
}

// TestColumnsAddUp: all columns that have a rule now are told, those of a version table among what is kept.
func TestColumnsAddUp(t *testing.T) {
	s := mask.Shape{Tables: []mask.Table{{Name: "goose_db_version", Columns: []mask.Column{
		{Name: "id", Type: "integer", Kind: mask.KindNumber, Key: true}, {Name: "version_id", Type: "bigint", Kind: mask.KindNumber},
	}}}}
	p := proposal{MaskFile: MaskFile{Name: "mask.yaml", File: "mask.yaml"}, of: "production", shape: s}
	if err := p.propose(fakeDeps(), true); err != nil {
		t.Fatal(err)
	}
	page := p.page(term.Screen{})
	if !strings.Contains(page, "2 columns") || !strings.Contains(page, "2  kept  which migrations have run (2)") {
		t.Error(page)
	}
}

// largeShape has more columns to judge than a page lists.
func largeShape() mask.Shape {
	s := fakeShape()
	for i := range 30 {
		s.Tables = append(s.Tables, mask.Table{Name: fmt.Sprintf("zone_%02d", i), Columns: []mask.Column{
			{Name: "id", Type: "bigint", Kind: mask.KindNumber, Key: true, NotNull: true, Unique: true},
			{Name: "remark", Type: "text", Kind: mask.KindText}, {Name: "raw", Type: "bytea", Kind: mask.KindBytes},
			{Name: "state", Type: "state", Kind: mask.KindEnum, Labels: []string{"new", "done"}},
		}})
	}
	s.Tables = slices.Clip(s.Tables)
	return s
}

// TestWhatIsMissingIsAddable: the lines that check prints, put where it says, leave nothing missing.
func TestWhatIsMissingIsAddable(t *testing.T) {
	shape := largeShape()
	var c checked
	if err := c.check(mask.Rules{Tables: map[string]mask.TableRules{}}, shape); err != nil {
		t.Fatal(err)
	}
	if len(c.Missing) != len(shape.Tables) {
		t.Fatalf("%d are missing of %d tables", len(c.Missing), len(shape.Tables))
	}
	text := "tables:\n"
	for _, r := range c.Missing {
		for _, line := range r.Add {
			text += line + "\n"
		}
	}
	rules, err := definition.ParseMask([]byte(text), "mask.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var again checked
	if err := again.check(rules, shape); err != nil || len(again.Missing)+len(again.Wrong)+len(again.Unused) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if n := columnsOf(rules); n != again.Columns || n != 131 {
		t.Errorf("%d columns have a rule, of %d", n, again.Columns)
	}
}
