package definition

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

const (
	keyA = "ed25519:k1YI0i+19Yzi9vz/qHkbAMo5udW4u6xRdMxFPtENT0A="
	keyB = "ed25519:w5cLZYJb3TShyx+P0z0kdClei48sZzwD92fuccBJfEg="
)

// TestTrustKey: the entry comes where a person would write it, and all else stays as it was, byte for byte.
func TestTrustKey(t *testing.T) {
	entry := `{key: "` + keyA + `", checks: [migration]}`
	for _, c := range []struct{ name, before, want string }{
		{"no keys", "app: shop\n", "app: shop\n\nkeys:\n  ci: ENTRY\n"},
		{"no end of line", "app: shop", "app: shop\n\nkeys:\n  ci: ENTRY\n"},
		{"comments at the end", "app: shop\n# gates:\n#   production: {}\n", "app: shop\n# gates:\n#   production: {}\n\nkeys:\n  ci: ENTRY\n"},
		{"an empty line at the end", "app: shop\n\n", "app: shop\n\n\nkeys:\n  ci: ENTRY\n"},
		{"the document's ends", "---\napp: shop\n...\n", "---\napp: shop\n\nkeys:\n  ci: ENTRY\n...\n"},
		{"lines of Windows", "app: shop\r\nchecks: {}\r\n", "app: shop\r\nchecks: {}\r\n\r\nkeys:\r\n  ci: ENTRY\r\n"},
		{"a byte order mark", "\ufeffapp: shop\n", "\ufeffapp: shop\n\nkeys:\n  ci: ENTRY\n"},
		{"everything indented", "  app: shop\n", "  app: shop\n\n  keys:\n    ci: ENTRY\n"},
		{"everything in one line", "{app: shop}\n", "{keys: {ci: ENTRY}, app: shop}\n"},
		{"ends in a kept block", "app: shop\nx: |+\n  text\n\n", "keys:\n  ci: ENTRY\napp: shop\nx: |+\n  text\n\n"},
		{"keys without a value", "keys:  # whom we trust\napp: shop\n", "keys:  # whom we trust\n  ci: ENTRY\napp: shop\n"},
		{"keys without a value, last", "app: shop\nkeys:", "app: shop\nkeys:\n  ci: ENTRY\n"},
		{"null", "app: shop\nkeys: null # yet\n", "app: shop\nkeys: {ci: ENTRY} # yet\n"},
		{"braces", "app: shop\nkeys: {}\nroles: {}\n", "app: shop\nkeys: {ci: ENTRY}\nroles: {}\n"},
		{"an entry in braces", "app: shop\nkeys: {a: {key: x}} # one\n", "app: shop\nkeys: {ci: ENTRY, a: {key: x}} # one\n"},
		{"lines in braces", "keys: { # ours\n  a: {file: a.pub}, # a\n}\napp: shop\n", "keys: {ci: ENTRY,  # ours\n  a: {file: a.pub}, # a\n}\napp: shop\n"},
		{"a block", "app: shop\nkeys:\n  # ours\n  a:\n    file: a.pub # a\n\n# who\nroles: {}\n", "app: shop\nkeys:\n  # ours\n  a:\n    file: a.pub # a\n  ci: ENTRY\n\n# who\nroles: {}\n"},
		{"a block, far indented", "keys:\n      a: {file: a.pub}\napp: shop\n", "keys:\n      a: {file: a.pub}\n      ci: ENTRY\napp: shop\n"},
		{"a block, last, without an end", "app: shop\nkeys:\n  a: {file: a.pub}", "app: shop\nkeys:\n  a: {file: a.pub}\n  ci: ENTRY\n"},
		{"a block with a PEM", "keys:\n  a:\n    key: |\n      PEM\n      # more\napp: shop\n", "keys:\n  ci: ENTRY\n  a:\n    key: |\n      PEM\n      # more\napp: shop\n"},
		{"replaced in braces", "app: shop\nkeys: {a: {key: x}, ci: {key: \"}\", checks: [a]}, b: {key: y}} # all\n", "app: shop\nkeys: {a: {key: x}, ci: ENTRY, b: {key: y}} # all\n"},
		{"replaced in a block", "keys:\n  ci: {key: x} # of GitHub\n  b: {key: y}\napp: shop\n", "keys:\n  ci: ENTRY # of GitHub\n  b: {key: y}\napp: shop\n"},
		{"a block replaced", "keys:\n  ci: # of GitHub\n    key: x\n    checks: [a]\n\n  # the other\n  b: {key: y}\napp: shop\n", "keys:\n  ci: ENTRY # of GitHub\n\n  # the other\n  b: {key: y}\napp: shop\n"},
		{"the last block replaced", "keys:\r\n  'ci':\r\n    key: x\r\n# who\r\napp: shop\r\n", "keys:\r\n  'ci': ENTRY\r\n# who\r\napp: shop\r\n"},
		{"at the end replaced", "app: shop\nkeys:\n  ci:\n    file: x", "app: shop\nkeys:\n  ci: ENTRY"},
		{"a PEM replaced", "app: shop\nkeys:\n  ci:\n    key: |\n      a\n      b\n\n# who\n", "app: shop\nkeys:\n  ci: ENTRY\n\n# who\n"},
		{"nothing replaced", "app: shop\nkeys:\n  ci:\n  b: {key: y}\n", "app: shop\nkeys:\n  ci: ENTRY\n  b: {key: y}\n"},
		{"a text replaced", "app: shop\nkeys:\n  ci: hello # x\n", "app: shop\nkeys:\n  ci: ENTRY\n"},
		{"wide letters before it", "app: shop\nkeys: {é: {key: ü}, ci: {key: x}}\n", "app: shop\nkeys: {é: {key: ü}, ci: ENTRY}\n"},
		{"other faults stay", "app: shop\nchekcs: {}\n", "app: shop\nchekcs: {}\n\nkeys:\n  ci: ENTRY\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := TrustKey([]byte(c.before), app.TrustedKey{Name: "ci", Public: keyA, Checks: []string{"migration"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, "ENTRY", entry), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestTrustKeyRefuses: no text comes out that would not load to that key.
func TestTrustKeyRefuses(t *testing.T) {
	good := app.TrustedKey{Name: "ci", Public: keyA}
	for _, c := range []struct {
		name, before string
		change       func(*app.TrustedKey)
		want         string
	}{
		{"no definition", "", nil, "the file is empty"},
		{"no YAML", "app: [", nil, "this is not YAML"},
		{"two documents", "app: shop\n---\napp: shop\n", nil, "a second document"},
		{"a list", "app: shop\nkeys: [a]\n", nil, "can't be edited"},
		{"an alias", "app: shop\nx: &a {}\nkeys: *a\n", nil, "can't be edited"},
		{"a merge", "app: shop\nx: &a {ci: {key: x}}\nkeys:\n  <<: *a\n", nil, "can't be edited"},
		{"no key", "app: shop\n", func(k *app.TrustedKey) { k.Public = "ed25519:AAAA" }, "this is no public key"},
		{"no name", "app: shop\n", func(k *app.TrustedKey) { k.Name = "My CI: {" }, "can't be a name"},
		{"no check", "app: shop\nchecks: {unit: {run: x}}\n", func(k *app.TrustedKey) { k.Checks = []string{"unti"} }, "`unti` is no check"},
		{"no environment", "app: shop\n", func(k *app.TrustedKey) { k.Environments = []string{"qa"} }, "`qa` is no environment"},
		{"another's", "app: shop\nkeys: {staging: {key: \"" + keyA + "\"}}\n", nil, "trusted as staging already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := good
			if c.change != nil {
				c.change(&key)
			}
			text, err := TrustKey([]byte(c.before), key)
			if err == nil || !strings.Contains(err.Error(), c.want) || problem.From(err).Code != problem.Invalid {
				t.Errorf("got %q, error %v, want %q", text, err, c.want)
			}
		})
	}
}

// loadText loads a definition that consists of that text and one service.
func loadText(dir string, text []byte) (app.App, error) {
	files := map[string][]byte{FileName: text, "compose.yaml": []byte("services: {web: {build: ., command: ./web, ports: [\"80:80\"]}}\n")}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return app.App{}, err
		}
	}
	a, _, err := Load(context.Background(), dir, Options{})
	return a, err
}

// anyText draws definitions in many forms: with and without keys, in lines and in braces, with comments anywhere.
func anyText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		comment := rapid.SampledFrom([]string{"", "# a comment: {\n", "\n", "\n\n  # indented }\n"})
		sections := rapid.Permutation([]string{
			"app: shop\n",
			rapid.SampledFrom([]string{"", "checks:\n  unit: {run: \"make }\"}\n", "checks:\n  unit:\n    run: |\n      make\n      # all\n"}).Draw(t, "checks"),
			rapid.SampledFrom([]string{"", "roles: {promote: [anna]}\n", "roles:\n  promote:\n    - anna # she\n"}).Draw(t, "roles"),
			rapid.SampledFrom([]string{"", "keys: {}\n", "keys: {} # whom\n",
				"keys:\n  b: {key: \"" + keyB + "\"} # b\n", "keys: {b: {key: \"" + keyB + "\"}}\n", "keys:\n    # b\n    b:\n        key: " + keyB + "\n    # c\n",
				"keys:\n  ci:\n    key: " + keyB + "\n    # old\n", "keys: {\n  ci: {key: \"" + keyB + "\"}, # old\n}\n",
			}).Draw(t, "keys"),
		}).Draw(t, "order")
		text := ""
		for _, s := range sections {
			text += s + comment.Draw(t, "comment")
		}
		if rapid.Bool().Draw(t, "without an end") {
			text = strings.TrimRight(text, "\n")
		}
		if rapid.Bool().Draw(t, "windows") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		return text
	})
}

// TestTrustKeyLoads: the new text loads to exactly that key and is otherwise the same policy; where the name is new,
// nothing of the old text is lost; and doing it twice changes nothing.
func TestTrustKeyLoads(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(anyText().Draw(t, "text"))
		before, err := loadText(dir, text)
		if err != nil {
			t.Fatal(err)
		}
		key := app.TrustedKey{Name: "ci", Public: keyA,
			Checks:       rapid.SampledFrom([][]string{nil, {"migration"}, {"old-on-new", "migration"}}).Draw(t, "checks"),
			Environments: rapid.SampledFrom([][]string{nil, {"build"}, {"staging", "rehearsal"}}).Draw(t, "environments"),
		}
		edited, err := TrustKey(text, key)
		if err != nil {
			t.Fatal(err)
		}
		after, err := loadText(dir, edited)
		if err != nil {
			t.Fatalf("%v\n%s", err, edited)
		}
		slices.Sort(key.Checks)
		slices.Sort(key.Environments)
		others := slices.DeleteFunc(slices.Clone(before.Policy.Keys), func(k app.TrustedKey) bool { return k.Name == "ci" })
		want := append(others, key)
		slices.SortFunc(want, func(a, b app.TrustedKey) int { return strings.Compare(a.Name, b.Name) })
		if diff := cmp.Diff(want, after.Policy.Keys); diff != "" {
			t.Fatalf("keys (-want +got):\n%s\n%s", diff, edited)
		}
		after.Policy.Keys = before.Policy.Keys
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("all else (-before +after):\n%s", diff)
		}
		if len(others) == len(before.Policy.Keys) && !isInsertion(text, edited) {
			t.Fatalf("more than an insertion:\n%q\n%q", text, edited)
		}
		if again, err := TrustKey(edited, key); err != nil || !bytes.Equal(again, edited) {
			t.Fatalf("a second time %v:\n%q\n%q", err, edited, again)
		}
	})
}

// isInsertion says whether b is a with something put in at one place.
func isInsertion(a, b []byte) bool {
	head := 0
	for head < len(a) && a[head] == b[head] {
		head++
	}
	return bytes.HasSuffix(b, a[head:])
}

// TestSameNames: the places that keys speak about are called as in statements.
func TestSameNames(t *testing.T) {
	if app.StageName != evidence.Stage || app.BuildName != evidence.Build {
		t.Errorf("a policy says %s and %s, a statement %s and %s", app.StageName, app.BuildName, evidence.Stage, evidence.Build)
	}
}

// FuzzTrustKey: whatever the text, what comes out holds exactly the key and says what the text said before.
func FuzzTrustKey(f *testing.F) {
	for _, text := range []string{
		"app: shop\n", "keys: {a: {key: x}}", "keys:\n  ci:\n    key: |\n      a\n", "{app: x, keys: }", "keys: &a\n  b: *a", "? keys\n: {a: b}\n",
		"keys: !!map {}", "\"keys\": {}\r\n", "keys:\n- a", "a: 'x\n\n  y'\nkeys:\n\n\n  # c\n  ci: x", "keys: {\n}\n# é\n", "%YAML 1.2\n---\napp: x\n...\n",
	} {
		f.Add([]byte(text))
	}
	key := app.TrustedKey{Name: "ci", Public: keyA}
	f.Fuzz(func(t *testing.T, text []byte) {
		edited, err := TrustKey(text, key)
		if err != nil {
			if problem.From(err).Code != problem.Invalid {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		old, err := readText(bytes.TrimPrefix(text, []byte("\ufeff")))
		if err != nil {
			t.Fatalf("edited what can't be read: %v", err)
		}
		now, err := readText(bytes.TrimPrefix(edited, []byte("\ufeff")))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := now.trustedKey("ci"); !ok || !reflect.DeepEqual(got, key) {
			t.Fatalf("key %+v in %q", got, edited)
		}
		if diff := cmp.Diff(old.without("keys", "ci"), now.without("keys", "ci")); diff != "" {
			t.Fatalf("(-before +after):\n%s", diff)
		}
	})
}
