package definition

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
)

// Who may do what, and whose evidence counts. The order of a list says nothing, so lists are sorted: the same people in
// another order are the same policy.

// personForm is a system user as the kernel and directories name them (anna, anna.b, corp\anna, anna@corp, host$), or a
// group with @ before it.
var personForm = regexp.MustCompile(`^@?[A-Za-z0-9_][A-Za-z0-9_.@+\\-]{0,254}\$?$`)

// badPerson says what is wrong with an entry of a role, or two empty texts.
func badPerson(name string) (what, instead string) {
	switch {
	case strings.TrimSpace(name) == "":
		return "a name is empty", "write a system user, as anna, or a group, as '@oncall'; `[]` alone is nobody"
	case !personForm.MatchString(name):
		return quote(clip(name)) + " is neither a user nor a group", "write a system user, as anna, or a group, as '@oncall'"
	case strings.Trim(name, "@0123456789") == "":
		return quote(clip(name)) + " is a number", "write the name of the user or group"
	}
	return "", ""
}

// roles are the rights that the file gives. Rights that are none, and roles that are no list, are the schema's affair.
func (d *document) roles() map[app.Right][]string {
	var roles map[app.Right][]string
	for _, r := range app.Rights {
		path := []string{"roles", string(r)}
		people, read := d.keys.Roles[string(r)]
		if !read || people == nil {
			continue
		}
		for i, name := range people {
			at := d.at(append(path, fmt.Sprint(i))...)
			if what, instead := badPerson(name); what != "" {
				d.report.fault(at, what, instead)
			}
			d.once(people, i, at)
		}
		if roles == nil {
			roles = map[app.Right][]string{}
		}
		roles[r] = sortedUnique(slices.Clone(people))
	}
	return roles
}

// once reports an entry of a list that stands in it before.
func (d *document) once(list []string, i int, at place) {
	if slices.Contains(list[:i], list[i]) {
		d.report.fault(at, quote(clip(list[i]))+" stands here twice", "keep one of them")
	}
}

// trusted are the keys that the file names, sorted by name.
func (d *document) trusted() []app.TrustedKey {
	var keys []app.TrustedKey
	for _, name := range d.names("keys") {
		if k, ok := d.trustedKey(name); ok {
			i := slices.IndexFunc(keys, func(other app.TrustedKey) bool { return other.Public == k.Public })
			if i >= 0 {
				d.report.fault(d.atKey("keys", name), fmt.Sprintf("%s is the same key as %s", quote(name), quote(keys[i].Name)), "keep one of them: a signature has one signer")
			}
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b app.TrustedKey) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

// trustedKey is one of them; not ok when its public key can't be had, which is reported.
func (d *document) trustedKey(name string) (key app.TrustedKey, ok bool) {
	path := []string{"keys", name}
	if what, instead := badName(name); what != "" {
		d.report.fault(d.atKey(path...), what, instead)
	}
	k := d.keys.Keys[name]
	if k == nil {
		k = &trustedKeys{}
	}
	checks := append(slices.Clone(builtInChecks), d.names("checks")...)
	places := append(d.environmentNames(), app.StageName, app.BuildName)
	key = app.TrustedKey{
		Name:         name,
		Checks:       d.among(k.Checks, checks, append(path, "checks"), "check", "all checks"),
		Environments: d.among(k.Environments, places, append(path, "environments"), "environment", "`rehearsal` and `build`"),
	}
	key.Public, ok = d.public(*k, path)
	return key, ok
}

// among is a list of which each has to be one of known, sorted. An empty one is refused: one can't see whether it is to
// mean all or none.
func (d *document) among(list, known, path []string, what, otherwise string) []string {
	if list != nil && len(list) == 0 {
		d.report.fault(d.at(path...), "an empty list would trust the key with nothing", "name at least one "+what+", or leave the list out for "+otherwise)
	}
	for i, word := range list {
		at := d.at(append(path, fmt.Sprint(i))...)
		if !slices.Contains(known, word) {
			d.report.fault(at, fmt.Sprintf("%s is no %s", quote(clip(word)), what), unless(word, known))
		}
		d.once(list, i, at)
	}
	return sortedUnique(slices.Clone(list))
}

// public is the public key that an entry gives, in its one form.
func (d *document) public(k trustedKeys, path []string) (public string, ok bool) {
	_, here := d.given(append(path, "key")...)
	at, there := d.given(append(path, "file")...)
	text, from := k.Key, append(slices.Clone(path), "key")
	switch {
	case here && there:
		d.report.fault(at, "the key stands here and in a file", "keep `key` or `file`")
		return "", false
	case there:
		from = append(slices.Clone(path), "file")
		if text, ok = d.keyFile(k.File, from); !ok {
			return "", false
		}
	case !here:
		if !d.isText(path) { // of a text the schema tells
			d.report.fault(d.atKey(path...), quote(path[1])+" has no key", "write `key: \"ed25519:…\"`, or `file:` with its PEM file")
		}
		return "", false
	case !d.isText(from): // the schema tells
		return "", false
	}
	parsed, err := evidence.ParsePublic(text)
	if err != nil {
		d.report.fault(d.at(from...), "this is no public key: "+clipTo(err.Error(), 200), "`greenroom key show` prints one")
		return "", false
	}
	return evidence.FormatPublic(parsed), true
}

// maxKeyFile is more than any public key needs, in bytes.
const maxKeyFile = 16 << 10

// keyFile is the text of a public key's file in the repository.
func (d *document) keyFile(name string, path []string) (text string, ok bool) {
	if !d.isText(path) { // the schema tells
		return "", false
	}
	at := d.at(path...)
	if what := escapes(name); what != "" {
		d.report.fault(at, what, "name a file of the repository")
		return "", false
	}
	full := filepath.Join(d.dir, filepath.FromSlash(name))
	// Opening what is no file, such as a pipe, could wait for ever.
	if info, err := os.Stat(full); err != nil || !info.Mode().IsRegular() {
		d.report.fault(at, quote(clip(name))+" is no file of the repository", "name the PEM file of a public key")
		return "", false
	}
	f, err := os.Open(full)
	if err != nil {
		d.report.fault(at, "the file can't be read: "+cause(err), "")
		return "", false
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		d.report.fault(at, "the file can't be read: "+cause(err), "")
	case len(b) > maxKeyFile:
		d.report.fault(at, quote(clip(name))+" is too large for a public key", "name the PEM file of a public key")
	default:
		return string(b), true
	}
	return "", false
}
