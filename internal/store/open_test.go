package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func TestOpen(t *testing.T) {
	for _, name := range []string{"state.db", "a b?c=d&e#f%20g'h;i.db", "zustände.db"} {
		file := filepath.Join(t.TempDir(), name)
		for i := range 2 {
			s, err := Open(t.Context(), file, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			change(t, s, func(tx *Tx) error { return tx.PutApp(t.Context(), App{Name: fmt.Sprint("app", i)}) })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := openFile(t, file)
		if apps, err := s.Apps(t.Context()); err != nil || len(apps) != 2 {
			t.Errorf("%s: %+v, %v", name, apps, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestOpenPragmas(t *testing.T) {
	s := open(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		if got := asked(t, s, "PRAGMA "+pragma); got != want {
			t.Errorf("%s is %s", pragma, got)
		}
	}
	if _, err := s.read.ExecContext(t.Context(), "DELETE FROM apps"); err == nil {
		t.Error("a reader can write")
	}
}

// whole makes a closed state file of some size and returns its name and content.
func whole(t *testing.T) (string, []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(t.Context(), file, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		change(t, s, func(tx *Tx) error {
			return tx.PutApp(t.Context(), App{Name: fmt.Sprint("app", i), Repository: strings.Repeat("r", 500)})
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, content
}

func TestADamagedFileIsNoticedAtStart(t *testing.T) {
	file, good := whole(t)
	garbage := func(at, n int) []byte {
		b := append([]byte(nil), good...)
		for i := range n {
			b[at+i] = byte(i*7 + 1)
		}
		return b
	}
	for name, content := range map[string][]byte{
		"empty":              {},
		"of something else":  []byte("{\"state\": \"a JSON file that is longer than a header\"}"),
		"header overwritten": garbage(0, 100),
		"cut off":            good[:len(good)/2],
		"cut off in page 1":  good[:1000],
		"a page overwritten": garbage(5*4096, 4096),
		"the schema's page":  garbage(100, 3000),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), file, testOptions())
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			wantProblem(t, err, problem.Unavailable, file+" is damaged: ", "put a copy of the file in its place")
			after, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(after, content) {
				t.Errorf("it was changed: %v", err)
			}
			for _, beside := range []string{"-wal", "-shm"} {
				_ = os.Remove(file + beside)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		if err := errors.Join(os.Remove(file), os.WriteFile(file+"-wal", []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), file, testOptions())
		wantProblem(t, err, problem.Unavailable, file+" is damaged: it is gone, but its log is here", "")
	})
}

func TestAnUnfinishedFirstStartIsForgotten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	for _, leftover := range []string{".new", ".new-wal", ".new-shm"} {
		if err := os.WriteFile(file+leftover, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openFile(t, file)
	if _, err := s.Apps(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file + ".new"); err == nil {
		t.Error("the leftover is still here")
	}
}

func TestANewerFileIsLeftAlone(t *testing.T) {
	file, _ := whole(t)
	s := openFile(t, file)
	if err := raw(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), file, testOptions())
	wantProblem(t, err, problem.Unavailable, file+" was written by a newer Greenroom (its schema is version 4711", "start the newer Greenroom again")
}

func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none", "state.db")
	_, err := Open(t.Context(), file, testOptions())
	wantProblem(t, err, problem.Unavailable, file+" can't be read or written", filepath.Dir(file))
}

// limit lets the file grow by a few pages only, like a disk that is nearly full.
func limit(t *testing.T, s *Store, more int) {
	t.Helper()
	pages, err := strconv.Atoi(asked(t, s, "PRAGMA page_count"))
	if err != nil {
		t.Fatal(err)
	}
	asked(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages+more))
}

func TestAFullDisk(t *testing.T) {
	s := open(t)
	r := mustCreate(t, s, promotion("production"))
	limit(t, s, 3)
	var err error
	lines := 0
	for lines < 10_000 && err == nil {
		if _, err = s.Append(t.Context(), r.ID, started); err == nil {
			lines++
		}
	}
	wantProblem(t, err, problem.Unavailable, "the disk is full, "+s.file+" can't grow", "make room where "+filepath.Dir(s.file))
	full, err := s.Run(t.Context(), r.ID)
	if err != nil || len(full.Journal) != lines {
		t.Errorf("%d lines were acknowledged, %d are here, %v", lines, len(full.Journal), err)
	}
	limit(t, s, 1000)
	if e := mustAppend(t, s, r.ID, started); e.Seq != int64(lines+1) {
		t.Errorf("line %d after %d", e.Seq, lines)
	}
}

// childWriters is how many write at the same time in a child.
const childWriters = 4

// child is what this test's program does when it is started as a child: its writers write, and tell what was acknowledged.
func child() {
	file := os.Getenv("GREENROOM_TEST_STORE")
	if file == "" {
		return
	}
	ctx := context.Background()
	s, err := Open(ctx, file, testOptions())
	if err != nil {
		panic(err)
	}
	for w := range childWriters {
		go func() {
			for i := 0; ; i++ {
				err := s.Change(ctx, Audit{Actor: "child", Action: fmt.Sprint(i), App: fmt.Sprint(w)}, func(tx *Tx) error {
					return tx.PutApp(ctx, App{Name: fmt.Sprint(w), Repository: fmt.Sprint(i)})
				})
				if err != nil {
					panic(err)
				}
				fmt.Println(w, i)
			}
		}()
	}
	select {}
}

func TestAnAcknowledgedWriteSurvivesKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	for round := range 3 {
		acknowledged := killedAfter(t, file, 40+round*7)
		s, err := Open(t.Context(), file, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		for w, last := range acknowledged {
			a, err := s.App(t.Context(), fmt.Sprint(w))
			kept, _ := strconv.Atoi(a.Repository)
			// One more may have been committed before it could be told.
			if err != nil || kept < last || kept > last+1 {
				t.Errorf("%d was acknowledged to %d, %d is here, %v", last, w, kept, err)
			}
			log, err := s.History(t.Context(), HistoryQuery{App: a.Name, Limit: 1})
			if err != nil || log[0].Action != a.Repository {
				t.Errorf("the last change is %s, its audit entry %+v, %v", a.Repository, log, err)
			}
		}
		verified(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedAfter lets a child write, kills it after so many acknowledgements, and returns the last for each writer.
func killedAfter(t *testing.T, file string, lines int) map[int]int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GREENROOM_TEST_STORE="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := map[int]int{}
	told := bufio.NewScanner(out)
	for n := 0; told.Scan(); n++ {
		var w, i int
		if _, err := fmt.Sscan(told.Text(), &w, &i); err != nil {
			t.Fatal(told.Text())
		}
		last[w] = i
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	return last
}

// A large file is not read as a whole before it is used: what decides most is looked at, the rest by Check.
func TestADamagedLargeFile(t *testing.T) {
	file := filepath.Join(inMemory(t), "state.db")
	s, err := Open(t.Context(), file, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	change(t, s, func(tx *Tx) error { return tx.PutApp(t.Context(), App{Name: "shop"}) })
	for i := range 9 {
		change(t, s, func(tx *Tx) error {
			_, err := tx.PutEvidence(t.Context(), "shop", somewhere, evidence.KindCheck, bytes.Repeat([]byte{byte(i)}, 4<<20))
			return err
		})
	}
	page := func(table string) int64 {
		n, err := strconv.ParseInt(asked(t, s, `SELECT rootpage FROM sqlite_schema WHERE name = '`+table+`'`), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return (n - 1) * 4096
	}
	apps, log := page("apps"), page("evidence")
	if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(at int64) {
		b := bytes.Clone(whole)
		copy(b[at:], bytes.Repeat([]byte{0xa5}, 2048))
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(apps)
	_, err = Open(t.Context(), file, testOptions())
	wantProblem(t, err, problem.Unavailable, file+" is damaged: ", "put a copy of the file in its place")
	if err := os.WriteFile(file, whole[:len(whole)-4096], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), file, testOptions())
	wantProblem(t, err, problem.Unavailable, file+" is damaged: it has ", "")

	damage(log)
	s = openFile(t, file)
	wantProblem(t, s.Check(t.Context()), problem.Unavailable, file+" is damaged: ", "put a copy of the file in its place")
	_, err = s.Evidence(t.Context(), "shop", somewhere)
	wantProblem(t, err, problem.Unavailable, file+" is damaged: ", "")
}
