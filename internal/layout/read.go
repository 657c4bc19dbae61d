package layout

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"greenroom/internal/problem"
)

// maxFile bounds a migration's size, bytes.
const maxFile = 64 << 20

// Read reads a folder as its tool does, in the order in which that runs it. What the tool would do and Greenroom does not,
// and what can't work, is Invalid with the file and the line of each fault.
func Read(files fs.FS, tool Tool, d Dialect) ([]Migration, error) {
	r := reader{files: files, dialect: d}
	var all []Migration
	switch tool {
	case Goose:
		all = r.goose()
	case Migrate:
		all = r.golangMigrate()
	case Flyway:
		all = r.flyway()
	default:
		return nil, problem.New(problem.Invalid, "%q is no tool whose layout is known; known are goose, golang-migrate and flyway", tool)
	}
	if len(r.faults) > 0 {
		slices.Sort(r.faults)
		return nil, problem.New(problem.Invalid, "%s", strings.Join(slices.Compact(r.faults), "\n"))
	}
	return order(all), nil
}

// reader reads a folder, and collects what is wrong with all of its files.
type reader struct {
	files   fs.FS
	dialect Dialect
	faults  []string
}

func (r *reader) fault(name string, err error) {
	if f := (*fault)(nil); errors.As(err, &f) {
		r.faults = append(r.faults, fmt.Sprintf("%s:%d: %s", name, f.line, f.text))
		return
	}
	r.faults = append(r.faults, fmt.Sprintf("%s: %v", name, err))
}

// top is the names of the files in the folder itself, sorted.
func (r *reader) top() []string {
	entries, err := fs.ReadDir(r.files, ".")
	if err != nil {
		r.fault("the folder", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// read is a file's text.
func (r *reader) read(name string) (string, error) {
	if info, err := fs.Stat(r.files, name); err != nil || info.Size() > maxFile {
		if err == nil {
			err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
		}
		return "", err
	}
	b, err := fs.ReadFile(r.files, name)
	if err != nil {
		return "", err
	}
	for at, rest := 0, b; len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		if c == utf8.RuneError && n == 1 || c == 0 {
			return "", faulty(strings.Count(string(b[:at]), "\n")+1, "it is not UTF-8 text")
		}
		at, rest = at+n, rest[n:]
	}
	return string(b), nil
}

const mark = "\uFEFF" // the byte order mark

// unmarked reads the file of a tool that hands a byte order mark on to the server, which refuses it.
func (r *reader) unmarked(name string) (string, error) {
	text, err := r.read(name)
	if err == nil && strings.HasPrefix(text, mark) {
		err = faulty(1, "it begins with a byte order mark, which the database refuses; save it without one")
	}
	return text, err
}

// once refuses a second file of the same version.
func (r *reader) once(seen map[string]string, version, name string) bool {
	key := canonical(version)
	if earlier, ok := seen[key]; ok {
		r.fault(name, fmt.Errorf("it has the same version %s as %s", version, earlier))
		return false
	}
	seen[key] = name
	return true
}

// order sorts by version, what repeats last and by name, and links each to the one before.
func order(all []Migration) []Migration {
	slices.SortFunc(all, func(a, b Migration) int {
		switch {
		case a.Repeating != b.Repeating && a.Repeating:
			return 1
		case a.Repeating != b.Repeating:
			return -1
		case a.Repeating:
			return cmp.Compare(a.Name, b.Name)
		}
		return Compare(a.Version, b.Version)
	})
	for i := 1; i < len(all); i++ {
		if !all[i].Repeating {
			all[i].Before = all[i-1].Version
		}
	}
	return all
}

// Compare compares two versions: numbers of any length with dots between them, so that 1.10 comes after 1.9, and 1.0 is 1.
// No version is before all others.
func Compare(a, b string) int {
	for a != "" || b != "" {
		x, moreA, _ := strings.Cut(a, ".")
		y, moreB, _ := strings.Cut(b, ".")
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
		a, b = moreA, moreB
	}
	return 0
}

// canonical is the same text for versions that are the same.
func canonical(version string) string {
	parts := strings.Split(version, ".")
	for i, p := range parts {
		parts[i] = cmp.Or(strings.TrimLeft(p, "0"), "0")
	}
	for len(parts) > 1 && parts[len(parts)-1] == "0" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}
