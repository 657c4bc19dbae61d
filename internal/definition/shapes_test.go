package definition_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/definition"
)

// TestOddShapes: files of Compose in which things have forms that they can't have are faults, whatever compose-go makes
// of them.
func TestOddShapes(t *testing.T) {
	for _, compose := range []string{
		"7", "[]", "services: []", "services: 7", "services: [web]", "services:\n  web:\n", "services:\n  web: []\n",
		"services: {web: {image: x, ports: [null]}}", "services: {web: {image: x, ports: {a: b}}}",
		"services: {web: {image: x, environment: [[a]]}}", "services: {web: {image: x, volumes: [7, null, {}]}}",
		"services: {web: {image: x, depends_on: {db: null}}}", "services: {web: {image: x, depends_on: [7]}}",
		"services: {web: {image: x, healthcheck: []}}", "services: {web: {image: x, healthcheck: {test: {a: b}}}}",
		"services: {web: {image: x, deploy: 7}}", "services: {web: {image: x, extends: 7}}", "services: {web: {extends: {}}}",
		"services: {web: {image: x, networks: 7}}", "services: {web: {image: x, links: 7, volumes_from: [7]}}",
		"services: {web: {image: x, x-greenroom: 7}}", "services: {web: {image: x, x-greenroom: {run: {a: b}}}}",
		"services: {web: {image: x, secrets: 7}}", "services: {web: {image: x, env_file: {a: b}}}",
		"include: 7\nservices: {}", "include: [7]", "include: [{path: 7}]", "volumes: []\nservices: {web: {image: x}}",
		"secrets: {a: 7}\nservices: {web: {image: x}}", "networks: 7\nservices: {web: {image: x}}",
		"services: {web: {image: x, network_mode: 7, ipc: 7, pid: [a]}}", "services: {web: {build: {context: 7}}}",
		"services: {1: {image: x}}", "services: {web: {image: x, profiles: x}}", "jobs: 7\nservices: {web: {image: x}}",
		"services: !reset null", "services: {web: !reset null}", "services: {web: {build: ., command: x, ports: !reset []}}",
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{definition.FileName: "app: x\n", "compose.yaml": compose} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := load(t, dir)
		var faults *definition.Faults
		if err != nil && !errors.As(err, &faults) {
			t.Errorf("%s: %T %v", compose, err, err)
		}
	}
}
