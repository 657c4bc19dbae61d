package mask

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseRule(t *testing.T) {
	for text, want := range map[string]Rule{
		"email": {Use: "email"}, "date 30d": {Use: "date", Shift: "30d"}, "date": {Use: "date"}, "number 18..99": {Use: "number", Low: "18", High: "99"},
		"number -1.5..1.5": {Use: "number", Low: "-1.5", High: "1.5"}, "constant free": {Use: "constant", Value: "free"}, "constant  x ": {Use: "constant", Value: " x "},
		"array text": {Use: "array", Of: &Rule{Use: "text"}}, "array date 7d": {Use: "array", Of: &Rule{Use: "date", Shift: "7d"}}, "json": {Use: "json"},
	} {
		got, err := ParseRule(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for text, says := range map[string]string{
		"": `there is no use ""`, "emial": `there is no use "emial"`, "emails": "email is one", "email x": "email takes nothing behind it", "date 30": `"30" is not a shift`,
		"date 0d": "is not a shift", "date +1d": "is not a shift", "date 99999d": "is not a shift", "number 5": "takes a range as 18..99", "number 9..5": "ends before it begins",
		"number a..b": `"a" is not a number`, "number 1..": "both ends", "constant": "constant needs a value", "array": "array needs the rule of its elements", "array emial": `there is no use "emial"`,
		strings.Repeat("array ", 20) + "text": "deep",
	} {
		if _, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, not %s", text, err, says)
		}
	}
}

func TestRuleOf(t *testing.T) {
	m := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	for _, c := range []struct {
		use  string
		args any
		want string
	}{
		{"date", m("shift", "7d"), "date 7d"}, {"date", "7d", "date 7d"}, {"number", m("low", 18, "high", 99.5), "number 18..99.5"}, {"constant", m("value", ""), `{constant: ""}`},
		{"constant", 5, `constant 5`}, {"constant", true, "constant true"}, {"constant", "a: b", `{constant: "a: b"}`}, {"array", m("date", "7d"), "array date 7d"},
		{"array", m("of", m("date", m("shift", "7d"))), "array date 7d"}, {"array", "null", "array null"}, {"array", m("constant", " "), `{array: {constant: " "}}`},
		{"json", m("$.a", "email", "$.b[*]", m("number", "1..2"), "$.c", nil), `{json: {$.a: email, "$.b[*]": number 1..2, $.c: null}}`},
		{"json", m("paths", m("$.a", "email")), "{json: {$.a: email}}"},
	} {
		r, err := RuleOf(c.use, c.args)
		if err != nil || r.String() != c.want {
			t.Errorf("%s %v: %s, %v; not %s", c.use, c.args, r, err, c.want)
		}
	}
	for _, c := range []struct {
		use  string
		args any
		says string
	}{
		{"date", m("days", 7), `date takes no "days"; it takes shift`}, {"email", m("x", 1), `email takes no "x"`}, {"number", m("low", 1), "both ends"}, {"date", []any{1}, "a single value is wanted"},
		{"json", m("a.b", "text"), "is not a path"}, {"json", m("$..a", "text"), "is not a path"}, {"json", m("$[0]", "text"), "is not a path"}, {"json", m("$.a", m("x", 1, "y", 2)), "a rule is a use"},
		{"json", m("$.a", "json"), "is not for what stands in JSON"}, {"constant", m(), "constant needs a value"},
	} {
		if _, err := RuleOf(c.use, c.args); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %v: %v, not %s", c.use, c.args, err, c.says)
		}
	}
}

func TestPaths(t *testing.T) {
	got, err := parsePath(`$.a.*[*]["b.\"c"].ä-ö`)
	want := path{{name: "a"}, {any: true}, {element: true}, {name: `b."c`}, {name: "ä-ö"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(pathStep{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestFormat(t *testing.T) {
	rules := Rules{Tables: map[string]TableRules{
		"customers": {Columns: map[string]Rule{"email": {Use: "email"}, "a: b": {Use: "keep"}, "born": {Use: "date", Shift: "30d"}, "note": {Use: "constant", Value: "# x"}, "off": {Use: "null"}}},
		"sessions":  {Rows: "none"},
		"empty":     {},
	}}
	notes := []Note{{Table: "customers", Column: "email", Why: "looks like\nan e-mail address"}, {Table: "customers", Column: "born", Why: "a time", Judged: true}, {Table: "sessions", Why: "worth nothing outside"}}
	want := formatHead + `tables:
  customers:
    "a: b": keep
    born: date 30d                      # a time; please judge
    email: email                        # looks like an e-mail address
    note: {constant: "# x"}
    "off": null
  empty: {}
  sessions: none                        # worth nothing outside
`
	if diff := cmp.Diff(want, string(Format(rules, notes))); diff != "" {
		t.Error(diff)
	}
	if got := string(Format(Rules{}, nil)); got != formatHead+"tables: {}\n" {
		t.Errorf("no rules are %q", got)
	}
}

// TestScalarsComeBack: a rule that can be a scalar is read as it was written.
func TestScalarsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{Use: rapid.SampledFrom(scalarUses()).Draw(t, "use")}
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			r = Rule{Use: "constant", Value: rapid.String().Draw(t, "value")}
		case 1:
			r = Rule{Use: "date", Shift: "12d"}
		case 2:
			of := r
			r = Rule{Use: "array", Of: &of}
		}
		text, ok := r.scalar()
		if !ok {
			return
		}
		got, err := ParseRule(text)
		if diff := cmp.Diff(r, got); err != nil || diff != "" {
			t.Fatalf("%q: %v\n%s", text, err, diff)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"email", "date 30d", "number 1..2", "array array text", "constant ", "constant x y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		if err := r.sound(); err != nil {
			t.Fatalf("%q is read and not sound: %v", text, err)
		}
		if again, ok := r.scalar(); ok {
			if back, err := ParseRule(again); err != nil || back.String() != r.String() {
				t.Fatalf("%q is written as %q", text, again)
			}
		}
	})
}
