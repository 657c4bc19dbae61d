package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"greenroom/internal/mask"
)

// anyName draws what a column, a table or a constant can be called, as databases and people do.
func anyName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"email", "null", "none", "a b", "Größe", `"quoted"`, "it's", "a: b", "# no comment", "- x", "010", "true", "~", "{x}", "$.a", "billing.invoices", "emoji 🎭", "-", "é"}),
		rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_$ .:#-]{0,12}[a-z]`),
	)
}

// anyRule draws rules that are sound, in, so many rules deep.
func anyRule(depth int) *rapid.Generator[mask.Rule] {
	return rapid.Custom(func(t *rapid.T) mask.Rule {
		var uses []string
		for _, u := range mask.Uses {
			if depth == 0 || u.Name != "array" && u.Name != "json" {
				uses = append(uses, u.Name)
			}
		}
		r := mask.Rule{Use: rapid.SampledFrom(uses).Draw(t, "use")}
		switch r.Use {
		case "constant":
			r.Value = anyName().Draw(t, "value")
		case "number":
			if rapid.Bool().Draw(t, "range") {
				r.Low, r.High = rapid.SampledFrom([]string{"-1.5", "0"}).Draw(t, "low"), rapid.SampledFrom([]string{"1", "99.25"}).Draw(t, "high")
			}
		case "date":
			r.Shift = rapid.SampledFrom([]string{"", "1d", "30d"}).Draw(t, "shift")
		case "array":
			of := anyRule(depth+1).Draw(t, "of")
			r.Of = &of
		case "json":
			paths := rapid.SampledFrom([]string{"$.email", "$.items[*].note", `$["a.b"]`, "$.*.id", `$["it's: \"x\""]`})
			for _, path := range rapid.SliceOfNDistinct(paths, 0, 3, rapid.ID).Draw(t, "paths") {
				if of := anyRule(depth+1).Draw(t, "at path"); of.Use != "bytes" && of.Use != "xml" {
					if r.Paths == nil {
						r.Paths = map[string]mask.Rule{}
					}
					r.Paths[path] = of
				}
			}
		}
		return r
	})
}

func anyRules() *rapid.Generator[mask.Rules] {
	return rapid.Custom(func(t *rapid.T) mask.Rules {
		rules := mask.Rules{Tables: map[string]mask.TableRules{}}
		for _, name := range rapid.SliceOfNDistinct(anyName(), 0, 3, rapid.ID).Draw(t, "tables") {
			table := mask.TableRules{}
			if rapid.Bool().Draw(t, "none") {
				table.Rows = "none"
			} else {
				table.Columns = rapid.MapOfN(anyName(), anyRule(0), 0, 4).Draw(t, "columns")
			}
			rules.Tables[name] = table
		}
		return rules
	})
}

// TestMaskComesBack: what mask.Format writes is read as it was, the schema for editors has nothing against it, and a
// person's hint to the editor above it changes nothing.
func TestMaskComesBack(t *testing.T) {
	b, err := MaskSchema()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), ruleReference) < 3 {
		t.Fatalf("a rule does not hold rules:\n%s", b)
	}
	schema := compile(maskSchema()).compiled
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules().Draw(t, "rules")
		text := "# yaml-language-server: $schema=mask.schema.json\n" + string(mask.Format(rules, nil))
		got, err := ParseMask([]byte(text), MaskName)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(rules, got); diff != "" {
			t.Fatalf("(-written +read):\n%s\n%s", diff, text)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		if v := violations(schema, plain(doc.Content[0])); len(v) > 0 {
			t.Fatalf("the schema says %+v of\n%s", v, text)
		}
	})
}

// TestMaskSchemaIsForEditors: it refuses what the reader refuses, and explains every use.
func TestMaskSchemaIsForEditors(t *testing.T) {
	b, err := MaskSchema()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", doc["$schema"])
	}
	undescribed(t, "", doc)
	for _, u := range mask.Uses {
		if !strings.Contains(string(b), `"`+u.Name+`"`) {
			t.Errorf("the schema has no %s", u.Name)
		}
	}
	schema := compile(maskSchema()).compiled
	for _, text := range []string{
		"table: {}", "tables: []", "tables: {a: all}", "tables: {a: {b: emial}}", "tables: {a: {b: email x}}", "tables: {a: {b: constant}}",
		"tables: {a: {b: {email: , name: }}}", "tables: {a: {b: {}}}", "tables: {a: {b: {date: {by: 1}}}}", "tables: {a: {b: {array: txt}}}",
		"tables: {a: {b: {json: {email: email}}}}", "tables: {a: {b: {json: {$.a: {dat: 7d}}}}}", "tables: {a: {b: {constant: }}}", "tables: {a: {b: [email]}}",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		if len(violations(schema, plain(doc.Content[0]))) == 0 {
			t.Errorf("the schema has nothing against %s", text)
		}
		var r report
		s := &source{name: MaskName}
		if !s.parse([]byte(text), &r) {
			t.Fatal(text, r.err())
		}
		if readRules(s, &r); !r.failed() {
			t.Errorf("the reader has nothing against %s", text)
		}
	}
}

// TestLargeMask: rules for thousands of tables are read, which no definition that is written by hand could be.
func TestLargeMask(t *testing.T) {
	rules := mask.Rules{Tables: map[string]mask.TableRules{}}
	for i := range 3000 {
		table := mask.TableRules{Columns: map[string]mask.Rule{}}
		for j := range 20 {
			table.Columns[strings.Repeat("c", 10)+string(rune('a'+j))] = mask.Rule{Use: "keep"}
		}
		rules.Tables["table_"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = table
	}
	got, err := ParseMask(mask.Format(rules, nil), MaskName)
	if err != nil || len(got.Tables) != len(rules.Tables) {
		t.Errorf("%d tables of %d: %v", len(got.Tables), len(rules.Tables), err)
	}
}

// FuzzMask: whatever the file holds, it is rules that can be written down again, or faults that a person can be told.
func FuzzMask(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*/" + MaskName)
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := ParseMask(b, MaskName)
		if err != nil {
			var faults *Faults
			if !errors.As(err, &faults) {
				t.Fatalf("%T: %v", err, err)
			}
			for _, x := range faults.List {
				if x.What == "" || x.File != MaskName {
					t.Errorf("fault without words: %+v", x)
				}
			}
			return
		}
		again, err := ParseMask(mask.Format(rules, nil), MaskName)
		if diff := cmp.Diff(rules, again); err != nil || diff != "" {
			t.Fatalf("written and read again: %v\n%s\n%s", err, diff, mask.Format(rules, nil))
		}
	})
}

// TestRulesInRules: aliases can't make more rules out of a file than its lines let expect.
func TestRulesInRules(t *testing.T) {
	var b strings.Builder
	b.WriteString("tables:\n  t:\n    a: &a {json: {$.a: text, $.b: text}}\n")
	for c := 'b'; c < 'q'; c++ {
		fmt.Fprintf(&b, "    %c: &%c {json: {$.a: *%c, $.b: *%c}}\n", c, c, c-1, c-1)
	}
	var r report
	s := &source{name: MaskName, generated: true}
	if !s.parse([]byte(b.String()), &r) {
		t.Fatal(r.err())
	}
	if readRules(s, &r); !r.failed() || len(r.faults) > 1<<14 {
		t.Errorf("%d faults", len(r.faults))
	}
}
