package definition

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/app"
	"greenroom/internal/layout"
)

// What a repository most likely needs, from the files that lie in it. A guess is a line for a person to look at, never
// something that is run.

// guess is how a service's files are made and started: x-greenroom's keys.
func (m *mapper) guess(service string) []string {
	s := m.model.Services[service]
	context, dockerfile := m.dir, "Dockerfile"
	if s.Build != nil {
		context = s.Build.Context
		if s.Build.Dockerfile != "" {
			dockerfile = s.Build.Dockerfile
		}
	}
	words := imageCommand(filepath.Join(context, dockerfile))
	if has(context, "go.mod") {
		binary := "bin/" + service
		run := append([]string{binary}, tail(words)...)
		return []string{"build: go build -trimpath -buildvcs=false -o " + binary + " " + goMain(context, service), "run: " + strings.Join(run, " ")}
	}
	var keys []string
	switch {
	case has(context, "package-lock.json"):
		keys = append(keys, "build: npm ci")
	case has(context, "Gemfile.lock"):
		keys = append(keys, "build: bundle install")
	}
	run := strings.Join(words, " ")
	switch {
	case procfile(context, service) != "":
		run = procfile(context, service)
	case len(words) > 0 && !filepath.IsAbs(words[0]):
	case has(context, "package.json"):
		run = "npm start"
	case has(context, "manage.py"):
		run = "python3 manage.py runserver --noreload $PORT"
	case has(context, "bin/rails"):
		run = "bin/rails server -p $PORT"
	default:
		run = "./" + service
	}
	return append(keys, "run: "+yamlText(run))
}

func tail(words []string) []string {
	if len(words) < 2 {
		return nil
	}
	return words[1:]
}

func has(dir string, names ...string) bool {
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(n))); err == nil {
			return true
		}
	}
	return false
}

// goMain is the package that is the program: the root's, or the one in cmd that has the service's name or is alone.
func goMain(dir, service string) string {
	if has(dir, "cmd/"+service) {
		return "./cmd/" + service
	}
	entries, err := os.ReadDir(filepath.Join(dir, "cmd"))
	if err == nil && len(entries) == 1 && !has(dir, "main.go") {
		return "./cmd/" + entries[0].Name()
	}
	return "."
}

// imageCommand is what a Dockerfile starts, as far as it can be read off: its last ENTRYPOINT and CMD.
func imageCommand(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil || len(b) > maxFile {
		return nil
	}
	var entrypoint, command []string
	for _, line := range strings.Split(strings.ReplaceAll(string(b), "\\\n", " "), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(word) {
		case "FROM":
			entrypoint, command = nil, nil
		case "ENTRYPOINT":
			entrypoint, command = imageWords(rest), nil
		case "CMD":
			command = imageWords(rest)
		}
	}
	return append(entrypoint, command...)
}

func imageWords(s string) []string {
	var list []string
	if json.Unmarshal([]byte(s), &list) == nil {
		return list
	}
	return strings.Fields(s)
}

// procfile is the line of a Procfile for a service.
func procfile(dir, service string) string {
	b, err := os.ReadFile(filepath.Join(dir, "Procfile"))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(b), "\n") {
		if name, run, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == service {
			return strings.TrimSpace(run)
		}
	}
	return ""
}

// migrationGuess is the command that migrates, or "".
func migrationGuess(dir string) string {
	switch {
	case has(dir, "bin/rails"):
		return "bin/rails db:migrate"
	case has(dir, "manage.py"):
		return "python3 manage.py migrate"
	case has(dir, "alembic.ini"):
		return "alembic upgrade head"
	case has(dir, "prisma/schema.prisma"):
		return "npx prisma migrate deploy"
	case has(dir, "artisan"):
		return "php artisan migrate --force"
	case has(dir, "bin/migrate"):
		return "bin/migrate"
	}
	return ""
}

// migrationFolders are where goose, golang-migrate and Flyway are usually told to look.
var migrationFolders = []string{
	"migrations", "db/migrations", "db/migration", "db/migrate", "database/migrations", "sql/migrations", "schema/migrations",
	"internal/db/migrations", "internal/database/migrations", "src/main/resources/db/migration",
}

// folderGuess is a folder of migrations that can be run and can travel with any of the app's services, or "".
func folderGuess(dir string, c app.Contents) string {
	for _, folder := range migrationFolders {
		if !has(dir, folder) {
			continue
		}
		files := os.DirFS(filepath.Join(dir, filepath.FromSlash(folder)))
		tool, err := layout.Detect(files)
		if err != nil {
			continue
		}
		if _, err := layout.Read(files, tool, layout.Dialect(c.Database.Engine)); err != nil {
			continue
		}
		outside := func(s app.Service) bool {
			return s.Build != nil && s.Build.Context != "." && !strings.HasPrefix(folder+"/", s.Build.Context+"/")
		}
		if !slices.ContainsFunc(c.Services, outside) {
			return folder
		}
	}
	return ""
}

// testGuess is a check that runs the team's unit tests, or "".
func testGuess(dir string) string {
	switch {
	case has(dir, "go.mod") && hasGoTests(dir):
		return "{run: go test -json ./..., at: build, report: go}"
	case has(dir, "manage.py"):
		return "{run: python3 manage.py test, at: build}"
	case has(dir, "pytest.ini", "pyproject.toml"):
		return "{run: pytest --junitxml=report.xml, at: build, report: report.xml}"
	case has(dir, "bin/rails"):
		return "{run: bin/rails test, at: build}"
	case has(dir, "package.json"):
		return "{run: npm test, at: build}"
	}
	return ""
}

// hasGoTests looks for a test, because a check in which nothing runs decides nothing.
func hasGoTests(dir string) bool {
	found := errors.New("found")
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // what can't be read has no test to run
		case d.IsDir() && name != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "vendor" || d.Name() == "node_modules"):
			return fs.SkipDir
		case strings.HasSuffix(d.Name(), "_test.go"):
			return found
		}
		return nil
	})
	return errors.Is(err, found)
}

// journeyGuess is a script that does what a user does, or "".
func journeyGuess(dir string) string {
	for _, f := range []string{"test/smoke", "test/smoke.sh", "tests/smoke.sh", "scripts/smoke.sh", "smoke.sh", "test/journey.sh"} {
		if has(dir, f) {
			return "./" + f
		}
	}
	return ""
}

// yamlText is a text as YAML takes it behind a key.
func yamlText(s string) string {
	if s == "" || strings.ContainsAny(s, "#{}[]&*!|>'\"%@`") || strings.Contains(s, ": ") || strings.HasPrefix(s, "-") || strings.HasPrefix(s, "?") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}
