package postgres

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// BenchmarkWatched runs the same migration watched and not watched, in turns, so that what else the machine does is in
// both. %slower compares the quickest runs of both. %processor is how much of one processor looking took, on both sides.
func BenchmarkWatched(b *testing.B) {
	d := orders(b, 300_000)
	conn := connection(b, d, migratorName)
	do(b, conn, "CREATE TABLE kept AS SELECT * FROM orders")
	var took [2][]time.Duration
	var looking time.Duration
	for i := 0; b.Loop(); i++ {
		for _, watched := range []int{i % 2, 1 - i%2} {
			do(b, conn, "DROP TABLE orders", "CREATE TABLE orders AS SELECT * FROM kept", "CHECKPOINT")
			var w *watch
			var before time.Duration
			if watched == 1 {
				w = watching(b, d, data.WatchOptions{}).(*watch)
				before = worked(b, w.looker.conn.PgConn().PID())
			}
			began := time.Now()
			do(b, conn, "ALTER TABLE orders ALTER COLUMN customer TYPE bigint", "CREATE INDEX again ON orders (note, customer)",
				"UPDATE orders SET total = total + 1 WHERE id < 100000", "ALTER TABLE orders ADD CHECK (total > 0)")
			took[watched] = append(took[watched], time.Since(began))
			if w != nil {
				looking += worked(b, w.looker.conn.PgConn().PID()) - before
				ended(b, w)
			}
		}
	}
	b.ReportMetric(100*(float64(slices.Min(took[1]))/float64(slices.Min(took[0]))-1), "%slower")
	b.ReportMetric(100*float64(looking)/float64(sum(took[1])), "%processor")
	b.ReportMetric(0, "ns/op")
}

func sum(d []time.Duration) (s time.Duration) {
	for _, x := range d {
		s += x
	}
	return s
}

// worked is how long processors worked for a process of the server and for this one.
func worked(b *testing.B, pid uint32) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	total := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("only Linux tells what a process did")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	for _, f := range fields[11:13] { // proc(5): utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}
