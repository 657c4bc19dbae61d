package postgres

import (
	"path/filepath"
	"testing"

	"greenroom/internal/data/datatest"
)

// TestResetShares has a database of which a copy is kept and which is reset, on file systems that can share blocks: what
// a copy takes up does not grow with the database.
func TestResetShares(t *testing.T) {
	t.Parallel()
	p := programs(t)
	if p.Major < 18 {
		t.Skipf("NOT TESTED: PostgreSQL %s can't share blocks between databases, 18 can", p.Version)
	}
	for _, kind := range []string{"btrfs", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			dir := datatest.Mounted(t, folder(t), kind)
			d := serverIn(t, p, filepath.Join(dir, "server"))
			execute(t, open(t, d.URL()), "CREATE TABLE rows (n bigint, text text)")
			for _, size := range []int64{16 << 20, 128 << 20} {
				db := open(t, d.URL())
				execute(t, db, "TRUNCATE rows")
				if _, err := db.ExecContext(bounded(t), "INSERT INTO rows SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, $1::bigint) AS n", size/1000); err != nil {
					t.Fatal(err)
				}
				execute(t, db, "CHECKPOINT")
				before := datatest.Taken(t, dir)
				if err := d.Keep(bounded(t)); err != nil {
					t.Fatal(err)
				}
				execute(t, open(t, d.URL()), "CREATE TABLE more ()")
				how, err := d.Reset(bounded(t))
				if err != nil {
					t.Fatal(err)
				}
				// A checkpoint may let a segment of the log go or come meanwhile; either copy's bytes would be more than that. The first
				// to read a row writes to its page, so nobody does before.
				if grown := datatest.Taken(t, dir) - before; how != "clone" || size > 100<<20 && grown > size/2 {
					t.Errorf("with %d MB in it, by %s, both copies take up %d MB", size>>20, how, grown>>20)
				} else {
					t.Logf("%d MB: by %s, both copies take up %d kB", size>>20, how, grown>>10)
				}
				db = open(t, d.URL())
				if n := query[int64](t, db, "SELECT count(*) FROM rows"); n != size/1000 || query[bool](t, db, "SELECT to_regclass('more') IS NOT NULL") {
					t.Errorf("it was reset to %d rows", n)
				}
			}
		})
	}
}
