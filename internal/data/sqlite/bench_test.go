package sqlite

import (
	"path/filepath"
	"strconv"
	"testing"

	"greenroom/internal/data"
	"greenroom/internal/mask"
)

// customers is a table of so many people, of 6 columns.
func customers(b *testing.B, rows int) *Database {
	b.Helper()
	d := Open(filepath.Join(b.TempDir(), "app.db"))
	db := open(b, d.file, "wal")
	for _, s := range []string{
		"CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, phone TEXT, note TEXT, created DATETIME)",
		"INSERT INTO customers SELECT n, 'Adam Miller ' || n, 'adam.miller' || n || '@mail.com', '+49 170 ' || (1000000 + n), 'said that he would call again on ' || n, '2024-02-03 04:05:06' FROM " +
			"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT " + strconv.Itoa(rows) + ") SELECT n FROM c)",
	} {
		if _, err := db.Exec(s); err != nil {
			b.Fatal(err)
		}
	}
	return d
}

const benchRows = 200_000

// BenchmarkSnapshot is a table that is kept, and the same masked; what it reports is rows.
func BenchmarkSnapshot(b *testing.B) {
	for name, columns := range map[string]map[string]mask.Rule{
		"kept":   {"id": {Use: "keep"}, "name": {Use: "keep"}, "email": {Use: "keep"}, "phone": {Use: "keep"}, "note": {Use: "keep"}, "created": {Use: "keep"}},
		"masked": {"id": {Use: "keep"}, "name": {Use: "name"}, "email": {Use: "email"}, "phone": {Use: "phone"}, "note": {Use: "text"}, "created": {Use: "keep"}},
	} {
		b.Run(name, func(b *testing.B) {
			d := customers(b, benchRows)
			r := mask.Rules{Tables: map[string]mask.TableRules{"customers": {Columns: columns}}}
			for b.Loop() {
				dir := filepath.Join(b.TempDir(), "s")
				if _, err := d.Snapshot(bounded(b), dir, data.SnapshotOptions{Rules: r, Key: key}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkReset is what "again" costs.
func BenchmarkReset(b *testing.B) {
	d := customers(b, benchRows)
	if err := d.Keep(bounded(b)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Reset(bounded(b)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCensus(b *testing.B) {
	d := customers(b, benchRows)
	for b.Loop() {
		if _, err := d.Census(bounded(b)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLook is what is done every 5 ms.
func BenchmarkLook(b *testing.B) {
	d := customers(b, 10)
	l := newKernelLooker(d.file)
	if l == nil {
		b.Skip("SKIPPED: the kernel shows no locks here")
	}
	for b.Loop() {
		if _, err := l.look(); err != nil {
			b.Fatal(err)
		}
	}
}
