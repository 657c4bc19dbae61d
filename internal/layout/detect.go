package layout

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"greenroom/internal/human"
	"greenroom/internal/problem"
)

// Detect says whose layout a folder has, by the names of its files and goose's annotations in them. A folder that could be
// of two tools, or of none, is Invalid, and the message says what was seen.
func Detect(files fs.FS) (Tool, error) {
	seen := map[Tool][]string{}
	var other []string
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		tool, err := toolOf(files, name)
		if tool != "" {
			seen[tool] = append(seen[tool], name)
		} else if path.Ext(name) == ".sql" {
			other = append(other, name)
		}
		return err
	})
	if err != nil {
		return "", problem.New(problem.Invalid, "the folder of migrations can't be read: %w", err)
	}
	if len(seen) == 1 {
		for tool := range seen {
			return tool, nil
		}
	}
	return "", undecided(seen, other)
}

// toolOf says whose a file is; "" for nobody's.
func toolOf(files fs.FS, name string) (Tool, error) {
	base := path.Base(name)
	if flywayNear.MatchString(base) && slices.Contains([]string{".sql", ".java", ".kt", ".class"}, path.Ext(base)) {
		return Flyway, nil
	}
	if strings.Contains(name, "/") { // the other tools don't look into folders below
		return "", nil
	}
	if _, ok := gooseVersion(name); ok {
		if path.Ext(name) == ".go" {
			return Goose, nil
		}
		r := reader{files: files}
		file, err := r.read(name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		for line := range strings.Lines(file) {
			if strings.HasPrefix(strings.TrimSpace(line), "--") && strings.Contains(line, "+goose") {
				return Goose, nil
			}
		}
	}
	if migrateName.MatchString(name) {
		return Migrate, nil
	}
	return "", nil
}

func undecided(seen map[Tool][]string, other []string) error {
	var parts []string
	for tool, names := range seen {
		parts = append(parts, fmt.Sprintf("%s of %s", human.Count(len(names), "file", "files"), tool)+", such as "+names[0])
	}
	slices.Sort(parts)
	if len(other) > 0 {
		parts = append(parts, human.Count(len(other), "file", "files")+" of none, such as "+other[0])
	}
	what := cmp.Or(strings.Join(parts, "; "), "no file of migrations")
	if len(seen) == 0 {
		return problem.New(problem.Invalid, "whose migrations these are can't be told; there: %s", what).
			WithHint("goose names them 00001_name.sql, with -- +goose Up in them; golang-migrate 1_name.up.sql; Flyway V1__name.sql. For other tools say how they are called: migrations: {run: …}")
	}
	return problem.New(problem.Invalid, "whose migrations these are can't be told; there: %s", what).
		WithHint("give each tool a folder of its own, or say whose this one is with migrations: {tool: …}")
}
