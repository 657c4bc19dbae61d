package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"greenroom/internal/definition"
	"greenroom/internal/mask"
)

// The pages for users, and what they may claim.

// pages are the project's Markdown files by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../examples/shop/*.md", "../../examples/deploy/*.md", "../../examples/deploy/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(names), err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(name, "../../")] = string(b)
		}
	}
	return found
}

func TestSchemasAreUpToDate(t *testing.T) {
	for file, schema := range map[string]func() ([]byte, error){"greenroom": definition.Schema, "mask": definition.MaskSchema} {
		want, err := schema()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../docs/" + file + ".schema.json")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%[1]s.schema.json is not what the program knows (%v): greenroom schema %[1]s.yaml > docs/%[1]s.schema.json", file, err)
		}
	}
}

var fence = regexp.MustCompile("(?ms)^```yaml( compose| docker| command)?\n(.*?)^```$")

// TestExamplesLoad loads every example of a definition: a whole greenroom.yaml, of an app that its team deploys, or a Compose file of processes or of containers.
func TestExamplesLoad(t *testing.T) {
	examples := 0
	for name, page := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(page, -1) {
			examples++
			definitionFile, compose := m[2], exampleCompose
			if m[1] != "" && m[1] != " command" {
				definitionFile, compose = "app: shop\n", m[2]
			}
			if m[1] == " docker" {
				definitionFile += "driver: docker\n"
			}
			dir := t.TempDir()
			for file, content := range map[string]string{
				"greenroom.yaml": definitionFile, "compose.yaml": compose, "compose.production.yaml": "services: {}\n",
				"mask.yaml": "tables: {}\n", "migrations/00001_customers.sql": "-- +goose Up\ncreate table customers (id int primary key);\n",
				"package.json": "{}", "e2e/buy.spec.js": "", "bin/web": "", "pages/page.html": "",
				"Dockerfile": "FROM scratch\n", "nginx.conf": "", "deploy.sh": "", "rollback.sh": "", "status.sh": "", "k8s/app.yaml": "",
			} {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := definition.Load(t.Context(), dir, definition.Options{}); err != nil {
				t.Errorf("%s: this example is no definition: %v\n%s", name, err, m[2])
			}
		}
	}
	if examples < 10 {
		t.Errorf("only %d examples were found: what marks them has changed", examples)
	}
}

const exampleCompose = `
services:
  web:
    ports: ["8080:8080"]
    environment: {PAYMENT_URL: "https://payment.example.com"}
    x-greenroom: {run: bin/web}
  db:
    image: postgres:16
`

var maskFence = regexp.MustCompile("(?ms)^```yaml mask\n(.*?)^```$")

// TestMasksAreExplained reads every example of a mask.yaml, and looks for each use on the page about them.
func TestMasksAreExplained(t *testing.T) {
	examples := 0
	for name, page := range pages(t) {
		for _, m := range maskFence.FindAllStringSubmatch(page, -1) {
			examples++
			if _, err := definition.ParseMask([]byte(m[1]), name); err != nil {
				t.Errorf("this example is no mask: %v\n%s", err, m[1])
			}
		}
	}
	if examples == 0 {
		t.Error("no example was found: what marks them has changed")
	}
	table := regexp.MustCompile("(?m)^\\| (`.*?`) \\|")
	var explained string
	for _, m := range table.FindAllStringSubmatch(pages(t)["docs/mask-production-data.md"], -1) {
		explained += m[1]
	}
	for _, u := range mask.Uses {
		if !strings.Contains(explained, "`"+u.Name+"`") {
			t.Errorf("docs/mask-production-data.md does not say what %s does", u.Name)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)?(?:#([^)\s]+))?\)`)

// TestLinksLead follows the links between the pages, and to their headings.
func TestLinksLead(t *testing.T) {
	all := pages(t)
	for name, page := range all {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			target := name
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(name), m[1])
			}
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			} else if m[2] != "" && !hasHeading(all[target], m[2]) {
				t.Errorf("%s links to #%s, and %s has no such heading", name, m[2], target)
			}
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile("[^a-z0-9 -]")
)

// hasHeading knows anchors as code hosts make them out of headings.
func hasHeading(page, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		if strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
