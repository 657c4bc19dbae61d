package postgres

import (
	"fmt"
	"testing"
	"time"

	"greenroom/internal/data"
)

// BenchmarkLook is one look at a server with a migration and some sessions in it.
func BenchmarkLook(b *testing.B) {
	d := orders(b, 1000)
	for range 10 {
		do(b, connection(b, d, "checkout"), "CREATE TEMPORARY TABLE mine (id integer)", "BEGIN", "SELECT count(*) FROM mine")
	}
	do(b, connection(b, d, migratorName), "BEGIN", "ALTER TABLE orders ADD COLUMN x integer", "ALTER TABLE orders ADD COLUMN y integer")
	l, err := d.newLooker(bounded(b), migratorName)
	if err != nil {
		b.Fatal(err)
	}
	defer l.close()
	for b.Loop() {
		if _, err := l.look(b.Context(), nil, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWatched is the same migration watched and not watched, one after the other, so that what else the machine does
// is in both. What it costs is in percent.
func BenchmarkWatched(b *testing.B) {
	d := orders(b, 300_000)
	conn := connection(b, d, migratorName)
	var took [2]time.Duration
	for i := 0; b.Loop(); i++ {
		for _, watched := range []int{i % 2, 1 - i%2} {
			var w data.Watch
			if watched == 1 {
				w = watching(b, d, data.WatchOptions{})
			}
			began := time.Now()
			do(b, conn, fmt.Sprintf("ALTER TABLE orders ALTER COLUMN customer TYPE %s", []string{"bigint", "integer"}[i%2]),
				"CREATE INDEX again ON orders (note, customer)", "UPDATE orders SET total = total + 1 WHERE id < 50000", "DROP INDEX again")
			took[watched] += time.Since(began)
			if w != nil {
				ended(b, w)
			}
			do(b, conn, "ALTER TABLE orders ALTER COLUMN customer TYPE text", "VACUUM FULL orders", "CHECKPOINT",
				"ALTER TABLE orders ALTER COLUMN customer TYPE integer USING customer::integer")
		}
	}
	b.ReportMetric(100*(float64(took[1])/float64(took[0])-1), "%slower")
	b.ReportMetric(0, "ns/op")
}
