package definition

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// document is greenroom.yaml with its keys and its positions.
type document struct {
	*source
	report *report
	dir    string // the repository
	keys   fileKeys
	built  []string // files that builds make, relative to the repository
}

// planned are the keys that DESIGN.md shows and this version does not have, by the path of the mapping that holds them.
// A * stands for any name.
var planned = map[string][]string{
	"":               {"flags", "windows", "freeze", "reservations"},
	"environments.*": {"driver", "roles", "windows", "freeze"},
	"checks.*":       {"flags", "load", "expect"},
	"gates.*":        {"approvals", "windows"},
}

// decode reads the keys, as far as they have the right types. It returns false when there is nothing.
func (d *document) decode() bool {
	const least = "the least is one line, such as `app: shop`"
	switch {
	case len(d.docs) == 0:
		d.report.fault(d.whole(), "the file is empty", least)
		return false
	case len(d.docs) > 1:
		n := d.docs[1]
		d.report.fault(place{d.source, n.Line, n.Column}, "a second document begins here", "greenroom.yaml is one document: remove the line `---` before it")
		return false
	case d.docs[0].Kind != yaml.MappingNode:
		n := d.docs[0]
		d.report.fault(place{d.source, n.Line, n.Column}, "the file is no mapping of keys", least)
		return false
	}
	// Keys of a wrong type are left empty; checkSchema tells of them.
	_ = d.docs[0].Decode(&d.keys)
	if what, instead := badName(d.keys.App); what != "" && d.keys.App != "" {
		d.report.fault(d.at("app"), what, instead)
	}
	return true
}

// checkSchema reports unknown keys, missing ones and wrong types. It comes last, because the rules that know a key's
// meaning say more about what is wrong with its value.
func (d *document) checkSchema() {
	for _, v := range violations(fileRules().compiled, plain(d.docs[0])) {
		d.violated(v)
	}
}

func (d *document) violated(v violation) {
	at := d.at(v.path...)
	switch {
	case v.key && len(v.path) == 0:
		at = d.whole()
	case v.key:
		at = d.atKey(v.path...)
	}
	if !v.unknown {
		d.report.fault(at, v.what, v.instead)
		return
	}
	key, parent := last(v.path), v.path[:len(v.path)-1]
	if isPlanned(parent, key) {
		d.report.fault(at, quote(key)+" is not built yet in this version", "remove it")
		return
	}
	d.report.fault(at, quote(key)+" is no key"+of(parent), unless(key, fileRules().known(parent)))
}

// of says whose key it would be.
func of(parent []string) string {
	if len(parent) == 0 {
		return " of " + FileName
	}
	return " of " + quote(strings.Join(parent, "."))
}

func isPlanned(parent []string, key string) bool {
	for pattern, keys := range planned {
		p := strings.Split(pattern, ".")
		if pattern == "" {
			p = nil
		}
		same := slices.EqualFunc(p, parent, func(a, b string) bool { return a == "*" || a == b })
		if same && slices.Contains(keys, key) {
			return true
		}
	}
	return false
}

// composeFiles are the Compose files, relative to the repository. Those that can't be are reported and left out.
func (d *document) composeFiles() []string {
	list := d.keys.Compose.List
	if _, given := d.given("compose"); !given {
		return d.standardFiles()
	}
	var files []string
	for _, f := range list {
		at := d.at("compose")
		if !d.keys.Compose.Line {
			at = d.at("compose", f)
		}
		if what := escapes(f); what != "" {
			d.report.fault(at, what, "name a file of the repository")
			continue
		}
		if !d.exists(f) {
			d.report.fault(at, quote(clip(f))+" is not in the repository", "name a Compose file that is there")
			continue
		}
		files = append(files, filepath.ToSlash(filepath.Clean(f)))
	}
	return files
}

// composeNames are where Compose looks for its file, in that order.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// standardFiles is the Compose file that is there. Compose would take an override file beside it too; production is what
// the definition names, and nothing else.
func (d *document) standardFiles() []string {
	for _, name := range composeNames {
		if !d.exists(name) {
			continue
		}
		ext := filepath.Ext(name)
		override := strings.TrimSuffix(name, ext) + ".override" + ext
		if d.exists(override) {
			d.report.notice(d.whole(), quote(override)+" is not read", "name it under `compose:` if it is part of production")
		}
		return []string{name}
	}
	d.report.fault(d.whole(), "there is no compose.yaml beside it", "write one, or name the file with `compose:`")
	return nil
}

// escapes says what is wrong with a path that has to stay in the repository, or "".
func escapes(path string) string {
	switch {
	case strings.TrimSpace(path) == "":
		return "a path can't be empty"
	case filepath.IsAbs(path):
		return quote(clip(path)) + " is an absolute path"
	case !filepath.IsLocal(path):
		return quote(clip(path)) + " leads out of the repository"
	}
	return ""
}
