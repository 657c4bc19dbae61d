package evidence

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the examples of docs/evidence anew")

// schemas are the published ones, by the predicate that they are for.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	all := map[string]*jsonschema.Schema{}
	for name := range goods() {
		s, err := c.Compile(filepath.Join(docs, name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = s
	}
	return all
}

func predicateJSON(t interface{ Fatal(...any) }, d document) any {
	_, p := d.predicate()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatIsSignedIsWhatTheSchemasSay(t *testing.T) {
	all := schemas(t)
	for name, d := range goods() {
		t.Run(name, func(t *testing.T) {
			if err := all[name].Validate(predicateJSON(t, d)); err != nil {
				t.Error(err)
			}
			for other, s := range all {
				if other != name && s.Validate(predicateJSON(t, d)) == nil {
					t.Errorf("it is a %s as well", other)
				}
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		s := drawStatement(t)
		name := map[string]string{CheckMigration: "migration", CheckRollback: "rollback"}[s.Result.Check]
		if name == "" {
			name = "test-result"
		}
		s.Result.Duration = max(0, s.Result.Duration)
		if err := all[name].Validate(predicateJSON(t, check(s))); err != nil {
			t.Fatal(err)
		}
	})
}

// What Seal refuses for its form is refused by the schemas too, and so is what they don't know.
func TestTheSchemasAreStrict(t *testing.T) {
	all := schemas(t)
	for name, d := range goods() {
		whole := predicateJSON(t, d).(map[string]any)
		for key, was := range whole {
			delete(whole, key)
			if optional := map[string]bool{"passedTests": true, "failedTests": true, "baseline": name != "standing", "depends_on": true, "snapshot": true,
				"from": true, "reason": true, "broken": true, "because": true}; all[name].Validate(whole) == nil && !optional[key] {
				t.Errorf("a %s without %s is taken", name, key)
			}
			whole[key] = []any{map[string]any{}}
			if all[name].Validate(whole) == nil {
				t.Errorf("a %s with nonsense in %s is taken", name, key)
			}
			whole[key] = was
		}
		whole["note"] = "x"
		if all[name].Validate(whole) == nil {
			t.Errorf("a %s with something more is taken", name)
		}
	}
}

// The examples of the page are what is signed, laid out to be read; and one is an envelope.
func TestTheExamples(t *testing.T) {
	same := func(name string, want []byte, form func([]byte) []byte) {
		t.Helper()
		path := filepath.Join(docs, "examples", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(form(got), form(want)) {
			t.Errorf("%s is not what is signed; go test -run TestTheExamples -update ./internal/evidence", path)
		}
	}
	plain := func(b []byte) []byte { return b }
	compact := func(b []byte) []byte {
		var out bytes.Buffer
		if err := json.Compact(&out, b); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, d := range goods() {
		payload, err := encode(d)
		if err != nil {
			t.Fatal(err)
		}
		var readable bytes.Buffer
		if err := json.Indent(&readable, payload, "", "  "); err != nil {
			t.Fatal(err)
		}
		same(name+".json", append(readable.Bytes(), '\n'), compact)
	}
	same("checkout.dsse.json", mustSeal(t, check(goodStatement()), signer(1)), plain)
	same("key.pem", FormatPEM(signer(1).Public()), plain)
}

// The page names every type that is signed.
func TestThePageNamesEveryType(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range goods() {
		uri, _ := d.predicate()
		if !strings.Contains(string(page), uri) || !strings.Contains(string(page), name+".schema.json") {
			t.Errorf("the page does not tell of %s, %s", name, uri)
		}
	}
}
