package postgres

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// versions are the programs of every major version that is to be found, the oldest first.
func versions(t testing.TB) (all []Programs) {
	t.Helper()
	newest := programs(t)
	for major := oldest; major <= newest.Major; major++ {
		p, err := Find(fmt.Sprint(major))
		if err != nil {
			t.Fatal(err)
		}
		if p.Major == major {
			all = append(all, p)
		}
	}
	if len(all) < 2 {
		t.Skipf("SKIPPED, only PostgreSQL %d is here: name folders with programs of several versions in %s", newest.Major, Folders)
	}
	return all
}

// serverOf is a database in a new server of its own.
func serverOf(t testing.TB, p Programs) *Database {
	t.Helper()
	return serverIn(t, p, filepath.Join(folder(t), "server"))
}

// serverIn is serverOf with the server's data in dir.
func serverIn(t testing.TB, p Programs, dir string) *Database {
	t.Helper()
	_, d := runningIn(t, p, dir)
	return d
}

// runningIn is a server of the test's own, with its data in dir, which the test may end, and the database shop in it.
func runningIn(t testing.TB, p Programs, dir string) (*running, *Database) {
	t.Helper()
	r, err := boot(bounded(t), newServer(p, dir))
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
	return r, d
}

// TestEverythingTravelsToLaterVersions takes a snapshot of the oldest version to the next, of that to the one after it, and
// so on, and of the oldest to the newest at once.
func TestEverythingTravelsToLaterVersions(t *testing.T) {
	t.Parallel()
	all := versions(t)
	first := serverOf(t, all[0])
	db := open(t, first.URL())
	script(t, db, "odd.sql")
	want := contents(t, db)
	travel := func(from *Database, to Programs) *Database {
		rules := keepAll(t, from)
		rules.Tables["remote"] = mask.TableRules{Rows: "none"}
		dir, s := take(t, from, rules)
		target := serverOf(t, to)
		load(t, target, dir)
		if diff := cmp.Diff(want, contents(t, open(t, target.URL()))); diff != "" {
			t.Errorf("from %s to %s: %s", s.Version, to.Version, diff)
		}
		return target
	}
	last := first
	for _, p := range all[1:] {
		last = travel(last, p)
	}
	if len(all) > 2 {
		travel(first, all[len(all)-1])
	}
}

// TestBackupTravelsToLaterVersions, and where pg_restore sets what a server does not know it is also made with the programs of
// the newest, which a machine may have from which a hosted database is reached, and goes back to where it came from.
func TestBackupTravelsToLaterVersions(t *testing.T) {
	t.Parallel()
	all := versions(t)
	newest := all[len(all)-1]
	for _, p := range all[:len(all)-1] {
		t.Run(p.Version, func(t *testing.T) {
			d := serverOf(t, p)
			targets := []*Database{serverOf(t, newest)}
			if p.Major < timeoutKnown {
				d.programs = newest
				targets = append(targets, d)
			}
			db := open(t, d.URL())
			script(t, db, "odd.sql")
			execute(t, db, "DROP EVENT TRIGGER observer") // it forbids what pg_restore does after it has made it
			want := contents(t, db)
			file := filepath.Join(t.TempDir(), "backup")
			if _, err := d.Backup(bounded(t), file); err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				if err := target.Restore(bounded(t), file); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, contents(t, open(t, target.URL()))); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestProgramsThatAreTooOld for the server that they are to read.
func TestProgramsThatAreTooOld(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	old := *d
	old.programs.Major--
	_, backup := old.Backup(bounded(t), filepath.Join(t.TempDir(), "backup"))
	_, snapshot := old.Snapshot(bounded(t), filepath.Join(t.TempDir(), "snapshot"), data.SnapshotOptions{Key: testKey})
	for _, err := range []error{backup, snapshot} {
		p := problem.From(err)
		if err == nil || p.Code != problem.Unavailable {
			t.Fatalf("got %v", err)
		}
		mustContain(t, p.Message, fmt.Sprintf("the server is PostgreSQL %d", d.programs.Major), d.programs.Bin)
		mustContain(t, p.Hint, fmt.Sprint(d.programs.Major))
	}
}

// TestFoldersThatAreNamed are looked in, and no others.
func TestFoldersThatAreNamed(t *testing.T) {
	p := programs(t)
	t.Setenv(Folders, filepath.Join(t.TempDir(), "none")+":"+p.Bin)
	if got, err := Find(""); err != nil || got.Bin != p.Bin {
		t.Errorf("%+v, %v", got, err)
	}
	t.Setenv(Folders, t.TempDir())
	if got, err := Find(""); problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestHeadless: whatever the pieces in which a script comes, the one statement is gone and nothing else, not even where a row
// reads the same.
func TestHeadless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		head := strings.Repeat("-- dumped\n", rapid.IntRange(1, 100).Draw(t, "lines"))
		rest := rapid.StringMatching(`[a-z\n]{0,40}`).Draw(t, "rest") + string(setTimeout) + strings.Repeat("x", rapid.IntRange(0, 5000).Draw(t, "more"))
		script := head + "SET lock_timeout = 0;" + string(setTimeout) + rest
		var out strings.Builder
		h := &headless{to: &out}
		for left := script; left != ""; {
			n := rapid.IntRange(1, len(left)).Draw(t, "piece")
			if _, err := h.Write([]byte(left[:n])); err != nil {
				t.Fatal(err)
			}
			left = left[n:]
		}
		if want := head + "SET lock_timeout = 0;\n" + rest; out.String() != want || !h.past {
			t.Errorf("%q became %q", script, out.String())
		}
	})
	h := &headless{to: &strings.Builder{}}
	if _, err := h.Write(make([]byte, headSize)); err == nil || h.past {
		t.Error("a script that begins with something else passed")
	}
}

// TestScriptBreaksOff: an archive that can't be read to its end is no restore, whatever psql had of it by then.
func TestScriptBreaksOff(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	if err := d.programs.need("psql"); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	if err := d.fillByScript(context.Background(), d.name, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("an archive that is not there was restored")
	}
}
