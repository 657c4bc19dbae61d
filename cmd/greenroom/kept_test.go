package main

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// remember notes all that Greenroom keeps, for unchanged.
func remember(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(os.WriteFile(noted(ts), []byte(kept(ts)), 0o600))
}

func unchanged(ts *testscript.TestScript, _ bool, _ []string) {
	before := ts.ReadFile(noted(ts))
	if diff := cmp.Diff(before, kept(ts)); diff != "" {
		ts.Fatalf("what Greenroom keeps has changed:\n%s", diff)
	}
}

// noted is the file of what was noted, outside the repository.
func noted(ts *testscript.TestScript) string { return ts.Getenv("GREENROOM_HOME") + ".noted" }

// kept is every row of the store, every path in the state folder and the edge's table.
func kept(ts *testscript.TestScript) string {
	home := ts.Getenv("GREENROOM_HOME")
	var all strings.Builder
	ts.Check(filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "data" && d.IsDir() {
			return fs.SkipDir // a database server's own files come and go
		}
		fmt.Fprintln(&all, path)
		return err
	}))
	all.WriteString(ts.ReadFile(filepath.Join(home, "edge", "table.json")))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(home, "greenroom.db")+"?mode=ro")
	ts.Check(err)
	defer db.Close()
	for _, table := range tables(ts, db) {
		fmt.Fprintln(&all, table)
		for _, row := range strings.Split(rows(ts, db, "SELECT * FROM "+table), "\n") {
			fmt.Fprintln(&all, row)
		}
	}
	return all.String()
}

func tables(ts *testscript.TestScript, db *sql.DB) []string {
	return strings.Fields(rows(ts, db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
}

func rows(ts *testscript.TestScript, db *sql.DB, query string) string {
	r, err := db.Query(query)
	ts.Check(err)
	defer r.Close()
	columns, err := r.Columns()
	ts.Check(err)
	var all strings.Builder
	for r.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		ts.Check(r.Scan(values...))
		for _, v := range values {
			fmt.Fprintf(&all, "%v ", *v.(*any))
		}
		all.WriteString("\n")
	}
	ts.Check(r.Err())
	return all.String()
}
