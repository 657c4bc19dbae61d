package definition

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// A definition is a person's text: an edit changes the one entry that it is about and keeps every other byte, with
// comments, order and ends of lines. Where an entry goes is guessed from positions, and several guesses are made; the first
// whose text says what it was to say, and otherwise what the old text said, is taken. So a guess need not know all of YAML.

// TrustKey is the text of a greenroom.yaml with that key under `keys:`, added or in the place of the one of its name.
// Loading it gives exactly that key, its lists sorted. The error is a *Faults where the text is no definition, and a
// problem Invalid where the key can't stand in it: a check or environment that is unknown, a key that another name has, or
// a text that is written too oddly to be edited, with the entry as a hint.
func TrustKey(content []byte, key app.TrustedKey) ([]byte, error) {
	public, err := evidence.ParsePublic(key.Public)
	if err != nil {
		return nil, problem.New(problem.Invalid, "this is no public key: %w", err).WithHint("greenroom key show")
	}
	entry := trustedKeys{
		Key:    evidence.FormatPublic(public),
		Checks: sortedUnique(slices.Clone(key.Checks)), Environments: sortedUnique(slices.Clone(key.Environments)),
	}
	mark, text := []byte(nil), content
	if rest, marked := bytes.CutPrefix(content, []byte("\ufeff")); marked {
		mark, text = content[:len(content)-len(rest)], rest
	}
	old, err := readText(text)
	if err != nil {
		return nil, err
	}
	e := newEditor(old, text)
	for _, s := range e.put("keys", key.Name, flowText(entry)) {
		edited := s.apply(text)
		now, err := readText(edited)
		if err != nil || !reflect.DeepEqual(now.keys.Keys[key.Name], &entry) || !reflect.DeepEqual(old.without("keys", key.Name), now.without("keys", key.Name)) {
			continue
		}
		if err := now.trusts(key.Name); err != nil {
			return nil, err
		}
		return slices.Concat(mark, edited), nil
	}
	return nil, problem.New(problem.Invalid, "%s is written in a form that can't be edited without changing more than one key", FileName).
		WithHint("write under `keys:` yourself: %s: %s", scalarText(key.Name), flowText(entry))
}

// readText is a greenroom.yaml's text as far as its own keys go; it names no file that would be read.
func readText(text []byte) (*document, error) {
	var r report
	d := &document{source: &source{name: FileName}, report: &r}
	if !d.parse(text, &r) || !d.decode() {
		return nil, r.err()
	}
	return d, nil
}

// without is everything that the file says but one entry, and the mapping that held it where nothing is left in that.
func (d *document) without(key, name string) map[string]any {
	all, _ := plain(d.docs[0]).(map[string]any)
	if entries, ok := all[key].(map[string]any); ok {
		delete(entries, name)
	}
	if entries, ok := all[key].(map[string]any); all[key] == nil || ok && len(entries) == 0 {
		delete(all, key)
	}
	return all
}

// trusts says why an entry can't stand under keys, or nothing.
func (d *document) trusts(name string) error {
	d.report = &report{}
	key, ok := d.trustedKey(name)
	if d.report.failed() {
		f := d.report.faults[0]
		return problem.New(problem.Invalid, "%s", f.What).WithHint("%s", f.Instead)
	}
	for _, other := range d.names("keys") {
		k := d.keys.Keys[other]
		if k == nil || other == name {
			continue
		}
		if public, err := evidence.ParsePublic(k.Key); ok && err == nil && evidence.FormatPublic(public) == key.Public {
			return problem.New(problem.Invalid, "the key of %s is trusted as %s already", name, other).
				WithHint("a signature has one signer: keep one name for it")
		}
	}
	return nil
}

// flowText is an entry on one line.
func flowText(k trustedKeys) string {
	text := "{key: " + quoted(k.Key)
	for _, list := range []struct {
		name  string
		words []string
	}{{"checks", k.Checks}, {"environments", k.Environments}} {
		if len(list.words) == 0 {
			continue
		}
		words := make([]string, len(list.words))
		for i, w := range list.words {
			words[i] = scalarText(w)
		}
		text += ", " + list.name + ": [" + strings.Join(words, ", ") + "]"
	}
	return text + "}"
}

// scalarText is a text as YAML, quoted where it would be something else, as `null` and `on` would.
func scalarText(s string) string {
	var n yaml.Node
	if nameForm.MatchString(s) && yaml.Unmarshal([]byte(s), &n) == nil && len(n.Content) == 1 && n.Content[0].ShortTag() == "!!str" {
		return s
	}
	return quoted(s)
}

// quoted is a text in double quotes: JSON's are YAML's.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a text
		panic(err)
	}
	return string(b)
}
