package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// TestOpenDatabase: every form that people write an address in leads to a database, and what is wrong is told without the
// password in it.
func TestOpenDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("app 1.db", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs("app 1.db")
	must(t, err)
	for address, want := range map[string]string{
		"postgres://app:hunter2@db.example.com/shop?sslmode=require": "postgres://app:hunter2@db.example.com/shop?sslmode=require",
		"postgresql://localhost/shop":                                "postgresql://localhost/shop",
		"app 1.db":                                                   "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
		here:                                                         "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
		"sqlite:app%201.db":                                          "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
		"sqlite3:app 1.db":                                           "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
		"sqlite://" + here:                                           "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
		"file:app%201.db?mode=ro":                                    "sqlite://" + strings.ReplaceAll(here, " ", "%20"),
	} {
		db, err := openDatabase(address)
		if err != nil || db.URL() != want {
			t.Errorf("%s: %v, %v", address, db, err)
		}
	}
	for address, code := range map[string]problem.Code{
		"mysql://app:hunter2@db/shop": problem.Invalid, "postgres://app:hunter2@db:port/shop": problem.Invalid, "postgres://app:hunter2@db": problem.Invalid,
		"other.db": problem.NotFound, "sqlite:///nowhere/hunter2.db": problem.NotFound, "sqlite:%zz": problem.Invalid, "": problem.NotFound, ".": problem.NotFound,
	} {
		db, err := openDatabase(address)
		if err == nil || problem.From(err).Code != code {
			t.Errorf("%q: %v, %v", address, db, err)
		} else if strings.Contains(err.Error(), "hunter2@") {
			t.Errorf("%q: the password is told: %v", address, err)
		}
	}
}

// opaque is a database of an engine that can't be copied.
type opaque struct{ data.Database }

// shaped is one that can.
type shaped struct {
	opaque
	data.Copier
}

func (shaped) Shape(context.Context) (mask.Shape, error) {
	return mask.Shape{Tables: []mask.Table{{Name: "customers"}}}, nil
}

func TestShapeOf(t *testing.T) {
	if s, err := shapeOf(t.Context(), shaped{}); err != nil || len(s.Tables) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := shapeOf(t.Context(), opaque{}); problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
		t.Errorf("%v", err)
	}
}

// TestMaskFile: the rules are those of the file that the definition names, or of mask.yaml beside it, wherever in the
// repository one stands; or of the file that a person names, from where he stands.
func TestMaskFile(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "web")
	must(t, os.Mkdir(below, 0o755))
	write := func(name, text string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	if _, err := maskFile(below, ""); problem.From(err) == nil || problem.From(err).Code != problem.NotFound {
		t.Errorf("without a definition: %v", err)
	}
	write("greenroom.yaml", "app: shop\n")
	if m, err := maskFile(below, ""); err != nil || m.There || m.Named || m.File != filepath.Join(dir, "mask.yaml") {
		t.Errorf("%+v, %v", m, err)
	}
	write("greenroom.yaml", "app: shop\nenvironments: {staging: {data: {from: production, mask: rules.yaml}}, production: {after: staging}}\n")
	write("rules.yaml", "tables: {sessions: none}\n")
	if m, err := maskFile(below, ""); err != nil || !m.There || !m.Named || m.Name != "rules.yaml" || m.Rules.Tables["sessions"].Rows != "none" {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := maskFile(below, "../rules.yaml"); err != nil || !m.There || m.Named || m.File != filepath.Join(dir, "rules.yaml") {
		t.Errorf("%+v, %v", m, err)
	}
	write("rules.yaml", "tables: {sessions: all}\n")
	if _, err := maskFile(dir, ""); problem.ExitCode(err) != 2 || !strings.Contains(err.Error(), "rules.yaml:1:20") {
		t.Errorf("%v", err)
	}
	if _, err := maskFile(dir, "web"); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
		t.Errorf("a folder: %v", err)
	}
}
