package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"greenroom/internal/cli"
	"greenroom/internal/data"
	"greenroom/internal/data/postgres"
	"greenroom/internal/data/sqlite"
	"greenroom/internal/definition"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// maskFile reads the rules of the definition in dir or in a folder above it. file is another one than it names, as a
// person typed it.
func maskFile(dir, file string) (cli.MaskFile, error) {
	repository, err := findRepository(dir)
	if err != nil {
		return cli.MaskFile{}, err
	}
	m := cli.MaskFile{Name: file, File: file}
	named, is, err := definition.MaskFile(repository)
	if err != nil {
		return m, err
	}
	if file == "" {
		m.Name, m.Named = named, is
		m.File = filepath.Join(repository, filepath.FromSlash(m.Name))
	} else if !filepath.IsAbs(file) {
		m.File = filepath.Join(dir, file)
	}
	if m.File, err = filepath.Abs(m.File); err != nil {
		return m, err
	}
	info, err := os.Stat(m.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return m, problem.New(problem.Invalid, "%s can't be read: %w", m.Name, err)
	case !info.Mode().IsRegular(): // opening a pipe could wait for ever
		return m, problem.New(problem.Invalid, "%s is no file", m.Name)
	}
	if m.Content, err = os.ReadFile(m.File); err != nil {
		return m, problem.New(problem.Invalid, "%s can't be read: %w", m.Name, err)
	}
	m.There = true
	m.Rules, err = definition.ParseMask(m.Content, m.Name)
	return m, err
}

// schema is the JSON schema of one of the files that people write.
func schema(file string) ([]byte, error) {
	if file == definition.MaskName {
		return definition.MaskSchema()
	}
	return definition.Schema()
}

// databaseShape reads the structure of a database that nobody but its address tells of: of a CI's own, for instance.
func databaseShape(ctx context.Context, address string) (mask.Shape, error) {
	db, err := openDatabase(address)
	if err != nil {
		return mask.Shape{}, err
	}
	if err := db.Ping(ctx); err != nil {
		return mask.Shape{}, problem.New(problem.Unavailable, "%w", err)
	}
	return shapeOf(ctx, db)
}

// openDatabase takes postgres://…, sqlite:…, file:…, and the path of an SQLite file. What is wrong is told without the
// address, which may hold a password.
func openDatabase(address string) (data.Database, error) {
	scheme, rest, has := strings.Cut(address, ":")
	switch {
	case has && (scheme == "postgres" || scheme == "postgresql"):
		db, err := postgres.Open(postgres.Config{URL: address})
		if err != nil { // a nil *postgres.Database would be no nil interface
			return nil, err
		}
		return db, nil
	case has && (scheme == "sqlite" || scheme == "sqlite3" || scheme == "file"):
		file, _, _ := strings.Cut(rest, "?")
		if host, found := strings.CutPrefix(file, "//"); found { // sqlite:///abs/app.db, sqlite://app.db
			file = host
		}
		unescaped, err := url.PathUnescape(file)
		if err != nil {
			return nil, problem.New(problem.Invalid, "this is not an SQLite URL; one looks like sqlite:///srv/app.db")
		}
		return openFile(unescaped)
	case has && strings.HasPrefix(rest, "//"):
		return nil, problem.New(problem.Invalid, "%s is no database that this version can read; PostgreSQL and SQLite are", scheme)
	}
	return openFile(address)
}

func openFile(file string) (data.Database, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%s: %w", file, err)
	}
	if info, err := os.Stat(abs); err != nil || !info.Mode().IsRegular() {
		return nil, problem.New(problem.NotFound, "there is no SQLite file %s", file).
			WithHint("name a file, or a URL such as postgres://user@host:5432/name")
	}
	return sqlite.Open(abs), nil
}
