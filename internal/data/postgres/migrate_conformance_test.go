package postgres

import (
	"database/sql"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
	"greenroom/internal/layout"
)

// suiteOf is this one, as far as the suites of migrations and of comparing need it.
func suiteOf() datatest.Engine {
	return datatest.Engine{
		Fresh: func(t *testing.T) data.Database {
			_, _, d := account(t)
			return d
		},
		Connect: func(t testing.TB, d data.Database) *sql.DB { return open(t, d.URL()) },
	}
}

func TestMigrator(t *testing.T) {
	t.Parallel()
	shared.get(t)
	datatest.RunMigrator(t, suiteOf(), layout.Postgres)
}

func TestComparer(t *testing.T) {
	t.Parallel()
	shared.get(t)
	datatest.RunComparer(t, suiteOf(), layout.Postgres,
		"CREATE TABLE people (id integer PRIMARY KEY)", "INSERT INTO people VALUES (1)", "CREATE TABLE visits (id integer, person integer)",
		"INSERT INTO visits VALUES (1, 1), (2, 7), (3, 8), (4, NULL)", "ALTER TABLE visits ADD FOREIGN KEY (person) REFERENCES people NOT VALID")
}
