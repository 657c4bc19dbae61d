package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// cloning is a folder on a file system of that kind, in a file of its own, that can share blocks between files.
func cloning(t *testing.T, kind string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: mounting a file system takes root")
	}
	dir := folder(t)
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 2<<30); err != nil { // it takes up only what is written
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"mkfs." + kind, "-q", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED: no %s can be had here: %v: %v: %s", kind, argv, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// room is how many bytes of a file system are taken once all is written.
func room(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Blocks-s.Bfree) * s.Bsize
}

// TestResetShares has a database of which a copy is kept and which is reset, on file systems that can share blocks: what
// a copy takes up does not grow with the database.
func TestResetShares(t *testing.T) {
	p := programs(t)
	if p.Major < 18 {
		t.Skipf("NOT TESTED: PostgreSQL %s can't share blocks between databases, 18 can", p.Version)
	}
	for _, kind := range []string{"btrfs", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			dir := cloning(t, kind)
			r, err := boot(bounded(t), newServer(p, filepath.Join(dir, "server")))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.end(syscall.SIGINT) })
			a := Account{Role: "shop", Password: "x", Database: "shop", Superuser: true}
			if err := r.EnsureDatabase(bounded(t), a); err != nil {
				t.Fatal(err)
			}
			d, err := r.Database(a)
			if err != nil {
				t.Fatal(err)
			}
			execute(t, open(t, d.URL()), "CREATE TABLE rows (n bigint, text text)")
			for _, size := range []int64{16 << 20, 128 << 20} {
				db := open(t, d.URL())
				execute(t, db, "TRUNCATE rows")
				if _, err := db.ExecContext(bounded(t), "INSERT INTO rows SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, $1::bigint) AS n", size/1000); err != nil {
					t.Fatal(err)
				}
				execute(t, db, "CHECKPOINT")
				before := room(t, dir)
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
				if grown := room(t, dir) - before; how != "clone" || size > 100<<20 && grown > size/2 {
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
