package definition

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"greenroom/internal/layout"
)

// layoutForms are what the tools' files are called.
var layoutForms = []struct {
	tool layout.Tool
	form *regexp.Regexp
}{
	{layout.Migrate, regexp.MustCompile(`^\d+_.*\.(up|down)\.sql$`)},
	{layout.Flyway, regexp.MustCompile(`^([VU][^_]*|R)__.*\.sql$`)},
	{layout.Goose, regexp.MustCompile(`^\d+_.*\.sql$`)},
}

// detectLayout says whose layout a folder of migrations has, by the names of its files.
func detectLayout(folder fs.FS) (layout.Tool, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return "", err
	}
	var tools []string
	for _, e := range entries {
		for _, l := range layoutForms {
			if !e.IsDir() && l.form.MatchString(e.Name()) {
				if !slices.Contains(tools, string(l.tool)) {
					tools = append(tools, string(l.tool))
				}
				break
			}
		}
	}
	switch len(tools) {
	case 0:
		return "", errors.New("no file in it is called as goose (00001_name.sql), golang-migrate (1_name.up.sql) or flyway (V1__name.sql) would")
	case 1:
		return layout.Tool(tools[0]), nil
	}
	slices.Sort(tools)
	return "", fmt.Errorf("its files have the layouts of %s: say with `tool:` whose it is", quoteAll(tools))
}
