// Package definition turns greenroom.yaml and the Compose files that it names into app.App, strictly: every fault of the
// files at once, each with its file, line and column, what is wrong and what would be right; and every attribute of
// Compose that the process driver does not honour as a notice, so that nothing is dropped in silence.
//
// A file is read twice: once with positions (source), once by compose-go, which knows how Compose merges, extends and
// includes. Values of the second are told with positions of the first.
package definition

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// FileName is the file that a definition starts from.
const FileName = "greenroom.yaml"

// Options say what a definition may take from outside its files.
type Options struct {
	// Lookup gives the variables that ${NAME} in Compose files may name, as os.LookupEnv does. What it does not know is
	// looked up in the repository's .env file. nil: there are none.
	Lookup func(name string) (string, bool)
}

// Load reads the definition at path, which is a repository's folder or the greenroom.yaml in it. The error is a *Faults
// when the files are wrong, and a problem NotFound when there is no greenroom.yaml. Notices are given in both cases.
func Load(ctx context.Context, path string, o Options) (app.App, []Notice, error) {
	dir, err := repository(path)
	if err != nil {
		return app.App{}, nil, err
	}
	var r report
	a := load(ctx, dir, o, &r)
	if err := ctx.Err(); err != nil {
		return app.App{}, nil, err
	}
	if err := r.err(); err != nil {
		return app.App{}, r.noticed(), err
	}
	return a, r.noticed(), nil
}

// repository is the folder that a path to it or to its greenroom.yaml means.
func repository(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	switch {
	case err == nil && !info.IsDir():
		if filepath.Base(abs) != FileName {
			return "", problem.New(problem.Invalid, "%s is not a definition", path).WithHint("name the repository's folder or its %s", FileName)
		}
		abs = filepath.Dir(abs)
	case errors.Is(err, fs.ErrNotExist) && filepath.Base(abs) == FileName:
		abs = filepath.Dir(abs)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", problem.New(problem.Invalid, "%s can't be read: %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(abs, FileName)); errors.Is(err, fs.ErrNotExist) {
		return "", problem.New(problem.NotFound, "there is no %s in %s", FileName, abs).
			WithHint("`greenroom init` writes one from the compose.yaml that is there")
	}
	return abs, nil
}

// load reads what it can and goes on after a fault, so that all of them are told.
func load(ctx context.Context, dir string, o Options, r *report) app.App {
	src, ok := readSource(filepath.Join(dir, FileName), FileName, r)
	if !ok {
		return app.App{}
	}
	d := &document{source: src, report: r, dir: dir}
	if !d.decode() {
		return app.App{}
	}
	defer d.checkSchema()
	a := app.App{Name: d.keys.App, Policy: d.policy()}
	driver := d.driver()
	if driver == driverCommand {
		d.ownDeploy(ctx, &a, o)
		return a
	}
	d.deployKeysUnused(driver)
	p := readProject(ctx, dir, driver, d.composeFiles(), o, r)
	if p == nil {
		d.checks(nil)
		return a
	}
	m := mapper{project: p, policy: a.Policy}
	a.Contents = m.contents()
	a.Contents.Migrations = d.migrations(a.Contents)
	a.Contents.Checks = d.checks(a.Contents.Services)
	d.checkPolicy(a.Policy, a.Contents.Services)
	d.checkAccepted(a.Policy, a.Contents.Services)
	d.checkData(a.Policy, a.Contents.Database)
	return a
}
