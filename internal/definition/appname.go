package definition

import (
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"greenroom/internal/problem"
)

// AppName reads the name of the app out of the greenroom.yaml in a folder and looks at nothing else of it, so that a
// command that only asks about an app works while its definition is being edited.
func AppName(dir string) (string, error) {
	file := filepath.Join(dir, FileName)
	b, err := os.ReadFile(file)
	if err != nil {
		return "", problem.New(problem.NotFound, "the definition can't be read: %w", err)
	}
	var head struct {
		App string `yaml:"app"`
	}
	if err := yaml.Unmarshal(b, &head); err != nil || head.App == "" {
		return "", problem.New(problem.Invalid, "%s does not say which app it is of", file).WithHint("app: NAME")
	}
	return head.App, nil
}
