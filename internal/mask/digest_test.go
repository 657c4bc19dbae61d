package mask

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rulesOf(tables map[string]map[string]string) Rules {
	r := Rules{Tables: map[string]TableRules{}}
	for table, columns := range tables {
		t := TableRules{Columns: map[string]Rule{}}
		for column, text := range columns {
			rule, err := ParseRule(text)
			if err != nil {
				panic(err)
			}
			t.Columns[column] = rule
		}
		r.Tables[table] = t
	}
	return r
}

func TestChanges(t *testing.T) {
	was := rulesOf(map[string]map[string]string{"customers": {"id": "keep", "email": "keep", "born": "date 30d", "note": "text"}})
	none := Rules{Tables: map[string]TableRules{"customers": {Rows: "none"}}}
	for _, c := range []struct {
		name     string
		was, now Rules
		want     []string
	}{
		{"the same", was, was, nil},
		{"a column more, and a table", was, rulesOf(map[string]map[string]string{
			"customers": {"id": "keep", "email": "keep", "born": "date 30d", "note": "text", "phone": "phone"}, "orders": {"id": "keep"}}), nil},
		{"a looser column", was, rulesOf(map[string]map[string]string{"customers": {"id": "keep", "email": "email", "born": "date 7d", "note": "text"}}),
			[]string{"customers.email was keep, which is looser than email now", "customers.born was date 30d, and is date 7d now"}},
		{"a column less", was, rulesOf(map[string]map[string]string{"customers": {"id": "keep", "born": "date 30d", "note": "text"}}),
			[]string{"customers.email was keep, which is looser than named by no rule now"}},
		{"a table less", was, Rules{}, []string{"customers.email was", "customers.id was", "customers.born was", "customers.note was"}},
		{"rows that stay behind now", was, none, []string{"customers was copied, which is looser than rows: none now"}},
		{"rows that stayed behind", none, was, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Changes(c.was, c.now)
			if len(got) != len(c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i].String(), want) {
					t.Errorf("%q, want %q", got[i], want)
				}
			}
		})
	}
}

// TestDigestOfRules: rules that were kept and read again are the same, and no other rules are.
func TestDigestOfRules(t *testing.T) {
	uses := []string{"keep", "null", "email", "text", "date 30d", "number 1..9", "constant free"}
	draw := func(t *rapid.T, label string) Rules {
		tables := map[string]map[string]string{}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-cÄ" ]{1,3}`), 0, 3, rapid.ID).Draw(t, label) {
			tables[name] = rapid.MapOfN(rapid.StringMatching(`[a-b]{1,2}`), rapid.SampledFrom(uses), 0, 3).Draw(t, label+" columns")
		}
		return rulesOf(tables)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var again Rules
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		one, _ := a.Digest()
		if same, err := again.Digest(); err != nil || same != one || len(Changes(a, again)) > 0 {
			t.Fatalf("%s became %s (%v) on the way, %v", one, same, err, Changes(a, again))
		}
		other, _ := b.Digest()
		if one == other && (len(Changes(a, b)) > 0 || len(Changes(b, a)) > 0) {
			t.Fatalf("%+v and %+v have the same digest", a, b)
		}
	})
}

func TestKeyID(t *testing.T) {
	a, b := Key("0123456789abcdef0123456789abcdef"), Key("0123456789abcdef0123456789abcdeF")
	if a.ID() == b.ID() || a.ID() != slices.Clone(a).ID() || len(a.ID()) != 32 || strings.Contains(a.ID(), "3031") {
		t.Errorf("%s and %s", a.ID(), b.ID())
	}
}
