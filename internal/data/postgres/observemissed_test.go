package postgres

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// TestWatchLetsNothingPass has locks that stand in production's way for longer than they may, in the ways in which they are
// easily taken for others.
func TestWatchLetsNothingPass(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("CREATE TABLE made_%d (id bigserial PRIMARY KEY, note text)", i))
	}
	budget := migration.Budget{BlockedReads: 100 * time.Millisecond, BlockedWrites: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		sure       bool // there is no doubt about it
		statements []string
	}{
		"behind hundreds of tables that are its own": {true, []string{"BEGIN", strings.Join(many, ";"), "LOCK TABLE orders", "SELECT pg_sleep(0.5)", "COMMIT"}},
		"on a table that took another one's name":    {false, []string{"BEGIN; CREATE TABLE orders2 (LIKE orders INCLUDING ALL); DROP TABLE orders; ALTER TABLE orders2 RENAME TO orders; COMMIT", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(0.5); COMMIT"}},
		"of a change of one row that nobody saw":     {false, []string{"BEGIN", "UPDATE orders SET total = 1 WHERE id = 4711", "SELECT pg_sleep(0.5)", "COMMIT"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := orders(t, 5000)
			conn := connection(t, d, migratorName)
			w := watching(t, d, data.WatchOptions{})
			do(t, conn, c.statements...)
			o := ended(t, w)
			found := migration.Judge(o, budget)
			if v := migration.Verdict(found); v == "pass" || c.sure && v != "fail" && o.Gap < budget.BlockedReads {
				t.Errorf("%+v", found)
			}
		})
	}
}

// TestWatchPrepared has a transaction that keeps its locks without a session. One that was there before is nobody's business.
func TestWatchPrepared(t *testing.T) {
	t.Setenv("TMPDIR", folder(t))
	r, d := runningIn(t, programs(t), filepath.Join(folder(t), "server"))
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id integer)", "CREATE TABLE other (id integer)", "ALTER SYSTEM SET max_prepared_transactions = 5", "CHECKPOINT")
	r.end(syscall.SIGKILL)
	restart(t, r)
	conn := connection(t, d, migratorName)
	budget := migration.Budget{BlockedReads: 200 * time.Millisecond}
	for _, c := range []struct {
		verdict string
		before  []string
		during  []string
	}{
		{"inconclusive", nil, []string{"BEGIN", "LOCK TABLE orders", "PREPARE TRANSACTION 'a'", "SELECT pg_sleep(0.5)", "COMMIT PREPARED 'a'"}},
		{"inconclusive", nil, []string{"BEGIN", "LOCK TABLE orders", "PREPARE TRANSACTION 'a'", "SELECT pg_sleep(0.5)"}},
		{"pass", nil, []string{"SELECT pg_sleep(0.5)", "COMMIT PREPARED 'a'"}},
		{"pass", []string{"BEGIN", "LOCK TABLE other", "PREPARE TRANSACTION 'b'"}, []string{"SELECT pg_sleep(0.5)"}},
	} {
		do(t, conn, c.before...)
		w := watching(t, d, data.WatchOptions{})
		do(t, conn, c.during...)
		o := ended(t, w)
		if found := migration.Judge(o, budget); migration.Verdict(found) != c.verdict && o.Gap < budget.BlockedReads {
			t.Errorf("%v: %+v", c.during, found)
		}
	}
}

// TestWatchNewRows has new rows, and numbers for them, in nobody's way.
func TestWatchNewRows(t *testing.T) {
	t.Parallel()
	d := orders(t, 10)
	conn := connection(t, d, migratorName)
	do(t, conn, "CREATE SEQUENCE numbers")
	w := watching(t, d, data.WatchOptions{})
	do(t, conn, "BEGIN", "SELECT nextval('numbers')", "INSERT INTO orders SELECT 11, 1 FROM (SELECT pg_sleep(0.5)) s", "COMMIT")
	budget := migration.Budget{BlockedReads: 200 * time.Millisecond, BlockedWrites: 200 * time.Millisecond}
	if o := ended(t, w); o.Gap < budget.BlockedReads {
		if found := migration.Judge(o, budget); migration.Verdict(found) != "pass" {
			t.Errorf("%+v", found)
		}
	}
}
