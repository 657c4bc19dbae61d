package definition

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// TestAddRules pins where rules go in a file that somebody has worked on.
func TestAddRules(t *testing.T) {
	note := []mask.Note{{Table: "customers", Column: "phone", Use: "phone", Why: "its name", Judged: true}, {Table: "orders", Column: "total", Use: "keep", Why: "a number"}}
	add := mask.Rules{Tables: map[string]mask.TableRules{
		"customers": {Columns: map[string]mask.Rule{"phone": {Use: "phone"}}},
		"orders":    {Columns: map[string]mask.Rule{"total": {Use: "keep"}, "a: b": {Use: "text"}}},
	}}
	for _, c := range []struct{ name, text, want string }{
		{"a block", `# ours
tables:
  customers:
    email: email # decided by Ada
    id: keep

  # these are sessions
  sessions: none
# the end
`, `# ours
tables:
  customers:
    email: email # decided by Ada
    id: keep
    phone: phone                        # its name; please judge

  # these are sessions
  sessions: none
  orders:
    "a: b": text
    total: keep                         # a number
# the end
`},
		{"the last table, and no end of line", "tables:\n    customers:\n        id: keep", `tables:
    customers:
        id: keep
        phone: phone                        # its name; please judge
    orders:
      "a: b": text
      total: keep                         # a number
`},
		{"braces", "tables:\n  customers: {id: keep}\n", "tables:\n  customers: {phone: phone, id: keep}\n  orders:\n    \"a: b\": text\n    total: keep                         # a number\n"},
		{"nothing yet", "# head\ntables: {} # none\n", "# head\ntables: # none\n  customers:\n    phone: phone                        # its name; please judge\n  orders:\n    \"a: b\": text\n    total: keep                         # a number\n"},
		{"an empty table", "tables:\n  customers: {}\n", "tables:\n  customers:\n    phone: phone                        # its name; please judge\n  orders:\n    \"a: b\": text\n    total: keep                         # a number\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := AddRules([]byte(c.text), MaskName, add, note)
			if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	for _, text := range []string{"tables: {customers: {phone: keep}}", "tables:\n  customers: none\n", "tables: []"} {
		if got, err := AddRules([]byte(text), MaskName, add, nil); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
}

// TestAddedRulesAreThere: whatever is added to whatever Format wrote, and a person commented, is there afterwards, and no
// line is gone.
func TestAddedRulesAreThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := anyRules().Draw(t, "rules")
		before, add := mask.Rules{Tables: map[string]mask.TableRules{}}, mask.Rules{Tables: map[string]mask.TableRules{}}
		for _, name := range slices.Sorted(maps.Keys(all.Tables)) {
			table := all.Tables[name]
			switch rapid.SampledFrom([]string{"before", "new", "both"}).Draw(t, "when") {
			case "before":
				before.Tables[name] = table
			case "new":
				add.Tables[name] = table
			case "both":
				if table.Rows != "" {
					continue
				}
				was, is := map[string]mask.Rule{}, map[string]mask.Rule{}
				for _, column := range slices.Sorted(maps.Keys(table.Columns)) {
					if rapid.Bool().Draw(t, "column") {
						was[column] = table.Columns[column]
					} else {
						is[column] = table.Columns[column]
					}
				}
				before.Tables[name] = mask.TableRules{Columns: was}
				if len(is) > 0 {
					add.Tables[name] = mask.TableRules{Columns: is}
				}
			}
		}
		text := string(mask.Format(before, nil))
		if rapid.Bool().Draw(t, "windows") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		got, err := AddRules([]byte(text), MaskName, add, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		rules, _, err := parseRules(got, MaskName)
		want, _ := union(before, add)
		if diff := cmp.Diff(want, rules); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s\n%s", err, diff, got)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(strings.TrimSuffix(strings.TrimRight(line, "\r\n"), "{}")); !strings.Contains(string(got), line) {
				t.Fatalf("%q is gone:\n%s", line, got)
			}
		}
	})
}

func TestMaskFile(t *testing.T) {
	for text, want := range map[string]string{
		"app: shop\n": MaskName,
		"app: shop\nenvironments: {staging: {data: {from: production, mask: ./db/rules.yaml}}}\n":   "db/rules.yaml",
		"app: shop\nenvironments: {qa: {data: {mask: [a]}}, staging: {data: {mask: ../x.yaml}}}\n":  MaskName,
		"app: shop\nenvironments: {qa: {}, staging: {data: true}, uat: {data: {mask: uat.yaml}}}\n": "uat.yaml",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, named, err := MaskFile(dir); got != want || err != nil || named != (want != MaskName) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
