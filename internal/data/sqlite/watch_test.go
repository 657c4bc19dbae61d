package sqlite

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
	"greenroom/internal/migration"
)

// TestParseLocks has lines as Linux 6 writes them.
func TestParseLocks(t *testing.T) {
	table := `1: POSIX  ADVISORY  WRITE 22866 fe:00:9978001 1073741825 1073741825
1: -> POSIX  ADVISORY  WRITE 22867 fe:00:9978001 1073741825 1073741825
2: FLOCK  ADVISORY  WRITE 11 fe:00:77 0 EOF
3: POSIX  ADVISORY  READ 22866 fe:00:9978001 1073741826 1073742335
4: POSIX  ADVISORY  WRITE 5 fe:00:9978002 120 120
nonsense
5: POSIX  ADVISORY  WRITE x fe:00:9978002 120 120
6: POSIX  ADVISORY  WRITE 6 9978002 120 120
`
	got := holds(parseLocks([]byte(table)), fileID{"fe:00", 9978001}, fileID{"fe:00", 9978002})
	want := []hold{{pid: 22866, writes: true}, {pid: 5, writes: true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(hold{})); diff != "" {
		t.Error(diff)
	}
	exclusive := "1: POSIX  ADVISORY  WRITE 7 fe:00:9978001 1073741824 1073742335\n"
	got = holds(parseLocks([]byte(exclusive)), fileID{"fe:00", 9978001}, fileID{})
	if diff := cmp.Diff([]hold{{pid: 7, reads: true, writes: true}}, got, cmp.AllowUnexported(hold{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseLocks(f *testing.F) {
	f.Add([]byte("1: POSIX  ADVISORY  WRITE 22866 fe:00:9978001 1073741825 EOF"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, l := range parseLocks(table) {
			if l.file.device == "" && l.file.inode == 0 && l.first == 0 && l.last == 0 && l.pid == 0 && !strings.Contains(string(table), "0") {
				t.Errorf("a lock out of %q", table)
			}
		}
	})
}

// lookers are both ways of looking.
func lookers(file string) map[string]looker {
	all := map[string]looker{"canary": &canary{file: file}}
	if k := newKernelLooker(file); k != nil {
		all["kernel"] = k
	}
	return all
}

// TestLook asks both lookers while a connection holds what it can hold.
func TestLook(t *testing.T) {
	cases := []struct {
		name, journal string
		begin         []string
		reads, writes bool
	}{
		{"nothing", "wal", nil, false, false},
		{"nothing", "delete", nil, false, false},
		{"a reader", "wal", []string{"BEGIN", "SELECT count(*) FROM sqlite_master"}, false, false},
		{"a reader", "delete", []string{"BEGIN", "SELECT count(*) FROM sqlite_master"}, false, false},
		{"a writer", "wal", []string{"BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"}, false, true},
		{"a writer", "delete", []string{"BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"}, false, true},
		{"an exclusive writer", "wal", []string{"BEGIN EXCLUSIVE"}, false, true}, // as immediate, with a log
		{"an exclusive writer", "delete", []string{"BEGIN EXCLUSIVE"}, true, true},
	}
	for _, c := range cases {
		t.Run(c.name+"/"+c.journal, func(t *testing.T) {
			d := fresh(t)
			db := open(t, d.file, c.journal)
			execute(t, db, "CREATE TABLE t (n)")
			execute(t, db, c.begin...)
			for name, l := range lookers(d.file) {
				held, err := l.look()
				if err != nil {
					t.Fatal(err)
				}
				reads := slices.ContainsFunc(held, func(h hold) bool { return h.reads })
				if reads != c.reads || (len(held) > 0) != c.writes {
					t.Errorf("%s saw %+v, want reads stopped %v, writes %v", name, held, c.reads, c.writes)
				}
				if err := l.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestLookAtNothing(t *testing.T) {
	for name, l := range lookers(fresh(t).file) {
		if held, err := l.look(); err != nil || len(held) != 0 {
			t.Errorf("%s saw %v, %v", name, held, err)
		}
	}
}

// TestStory has looks that no clock is needed for.
func TestStory(t *testing.T) {
	start := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	s := newStory("m")
	s.started, s.looked = start, start
	s.bystanders = map[int]bool{9: true}
	s.known[9] = false
	writer, reader, bystander := hold{pid: 1, writes: true}, hold{pid: 1, reads: true, writes: true}, hold{pid: 9, writes: true}
	s.see(at(5), at(5), nil, 0)
	s.see(at(10), at(10), []hold{bystander}, 100)
	s.see(at(15), at(15), []hold{writer}, 300)
	s.see(at(20), at(20), []hold{reader}, 300)
	s.see(at(40), at(40), []hold{writer}, 0)
	s.see(at(45), at(45), nil, 50)
	s.see(at(50), at(50), []hold{reader}, 50)
	o := s.observation(at(60))
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	want := []migration.Lock{
		{Mode: stopsWriters, Asked: ms(15), From: ms(15), Until: ms(45), Statement: -1, Early: ms(5)},
		{Mode: stopsReaders, Asked: ms(20), From: ms(20), Until: ms(40), Statement: -1, Early: ms(5)},
		{Mode: stopsReaders, Asked: ms(50), From: ms(50), Until: ms(60), Statement: -1, Early: ms(5)},
		{Mode: stopsWriters, Asked: ms(50), From: ms(50), Until: ms(60), Statement: -1, Early: ms(5)},
	}
	if diff := cmp.Diff(want, o.Locks); diff != "" {
		t.Error(diff)
	}
	if o.WAL != 350 || o.Gap != ms(20) || o.Samples != 7 || o.Exact || o.Engine != "sqlite" {
		t.Errorf("%+v", o)
	}
}

// shell is a migrator of somebody else's: a process of its own.
func shell(t *testing.T, d *Database, mode, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SQLITE_CHILD="+mode, "SQLITE_FILE="+d.file, "PGAPPNAME="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestWatchAForeignMigrator watches another process that rewrites a table, in both modes of the journal.
func TestWatchAForeignMigrator(t *testing.T) {
	if newKernelLooker("") == nil {
		t.Skip("SKIPPED: the kernel shows no locks here")
	}
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			d := fresh(t)
			// It stays open, so that the migrator is not the last one, who would take the write-ahead log away before anybody sees it.
			db := open(t, d.file, journal)
			execute(t, db, "CREATE TABLE orders (id integer PRIMARY KEY, note text, gone text)", "CREATE INDEX by_note ON orders (note)",
				"CREATE TABLE still (n integer)", "INSERT INTO still VALUES (1)", "CREATE TABLE old (n integer)",
				"INSERT INTO orders (note, gone) SELECT hex(randomblob(50)), 'x' FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000) SELECT n FROM c)")
			moments := make(chan migration.Moment, 100)
			w, err := d.Watch(bounded(t), data.WatchOptions{Migrator: "greenroom-m", Load: "nothing", Progress: func(m migration.Moment) {
				select {
				case moments <- m:
				default:
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			child := shell(t, d, "migrate", "greenroom-m")
			in, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			for m := range moments {
				if m.Since >= 200*time.Millisecond {
					break
				}
			}
			_ = in.Close()
			if err := child.Wait(); err != nil {
				t.Fatal(err)
			}
			o, err := w.End(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			writes := slices.ContainsFunc(o.Locks, func(l migration.Lock) bool { return l.Mode == stopsWriters && l.Until-l.From >= 200*time.Millisecond })
			if !writes || o.WAL == 0 || o.Samples < 3 || o.Gap == 0 || o.Exact || o.Load != "nothing" || len(o.Statements) != 0 {
				t.Errorf("%+v", o)
			}
			got := map[string]migration.Table{}
			for _, table := range o.Tables {
				got[table.Name] = table
			}
			if len(got) != 3 || !got["orders"].Rewritten || got["orders"].Rows != 2000 || got["orders"].BytesBefore == 0 || got["orders"].IndexAfter == 0 ||
				!got["made"].Made || !got["old"].Dropped {
				t.Errorf("%+v", o.Tables)
			}
		})
	}
}

func TestWatchedConformance(t *testing.T) {
	if newKernelLooker("") == nil {
		t.Skip("SKIPPED: the kernel shows no locks here")
	}
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			e := engine(journal)
			datatest.RunWatched(t, datatest.Watched{
				Fresh: e.Fresh, Connect: e.Connect,
				Migrate: func(t testing.TB, d data.Database, app string, statements ...string) {
					child := exec.Command(os.Args[0])
					child.Env = append(os.Environ(), "SQLITE_CHILD=statements", "SQLITE_FILE="+d.(*Database).file, "PGAPPNAME="+app,
						"SQLITE_STATEMENTS="+strings.Join(statements, "\x01"))
					if out, err := child.CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				},
				Base: []string{"CREATE TABLE orders (id integer PRIMARY KEY, total integer)",
					"INSERT INTO orders (total) SELECT n FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 30000) SELECT n FROM c)"},
				Change: []string{"UPDATE orders SET total = total + 1", "CREATE INDEX by_total ON orders (total)"},
			})
		})
	}
}

// TestABystanderIsNotTheMigrator has a process that was there before and writes: the app.
func TestABystanderIsNotTheMigrator(t *testing.T) {
	if newKernelLooker("") == nil {
		t.Skip("SKIPPED: the kernel shows no locks here")
	}
	d := fresh(t)
	execute(t, open(t, d.file, "wal"), "CREATE TABLE orders (id integer PRIMARY KEY, note text, gone text)", "CREATE TABLE old (n)")
	for name, seen := range map[string]bool{"the-app": false, "greenroom-m": true} {
		child := shell(t, d, "hold", name)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		w, err := d.Watch(bounded(t), data.WatchOptions{Migrator: "greenroom-m"})
		if err != nil {
			t.Fatal(err)
		}
		o, err := w.End(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.Locks) > 0; got != seen {
			t.Errorf("%s: %+v", name, o.Locks)
		}
		_ = in.Close()
		if err := child.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// child is what this program does as another process.
func child(mode, file string) error {
	d := Open(file)
	ctx := context.Background()
	switch mode {
	case "migrate":
		return d.transaction(ctx, []string{
			"ALTER TABLE orders DROP COLUMN gone", "CREATE TABLE made (n)", "DROP TABLE old",
		}, func() { _, _ = os.Stdin.Read(make([]byte, 1)) }) // as long as a large table would take
	case "hold":
		return d.transaction(ctx, []string{"INSERT INTO orders (note) VALUES ('x')"}, func() {
			_, _ = os.Stdout.WriteString(".")
			_, _ = os.Stdin.Read(make([]byte, 1))
		})
	case "pairs":
		return pairs(d)
	case "statements":
		return d.transaction(ctx, strings.Split(os.Getenv("SQLITE_STATEMENTS"), "\x01"), func() {})
	}
	if endlessly, ok := strings.CutPrefix(mode, "endless-"); ok {
		return endless(endlessly, d)
	}
	return errNoChild
}
