package edge

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/problem"
)

// numbered is a table that can be told from its version alone, of a size that changes a lot.
func numbered(v uint64) Table {
	t := Table{Format: Format, Version: v}
	for i := range v * 7 % 50 {
		t.Routes = append(t.Routes, Route{
			Name: fmt.Sprint("route-", v, "-", i), Protocol: HTTP, Pools: all(fmt.Sprint("release-", v), "127.0.0.1:9"),
		})
	}
	return t
}

// childWriter writes tables as fast as it can and says which are acknowledged, until it is killed.
func childWriter() {
	dir := os.Args[1]
	t, err := loadTable(dir, time.Now())
	for v := t.Version + 1; err == nil; v++ {
		if err = saveTable(dir, numbered(v)); err == nil {
			fmt.Println(v)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A thousand kills during the writing of the table, in four folders at a time: what is read back is always a whole table
// that was written, and never older than what was acknowledged.
func TestTableSurvivesKills(t *testing.T) {
	kills := 1000
	if testing.Short() {
		kills = 40
	}
	var folders sync.WaitGroup
	for f := range 4 {
		dir := t.TempDir()
		folders.Go(func() {
			for i := range kills / 4 {
				if !killOnce(t, dir, time.Duration((i*7+f*13)%40)*100*time.Microsecond) {
					return
				}
			}
			if torn, _ := filepath.Glob(filepath.Join(dir, ".table.json.tmp-*")); len(torn) != 0 {
				t.Errorf("%d torn files are left", len(torn))
			}
		})
	}
	folders.Wait()
}

// killOnce starts a writer, kills it some time after its first acknowledgement, and reads back.
func killOnce(t *testing.T, dir string, after time.Duration) bool {
	cmd, out := spawn(t, "writer", dir)
	acked := readVersion(out)
	time.Sleep(after) // the instant of the kill is the input of this test
	_ = cmd.Process.Kill()
	for v := readVersion(out); v != 0; v = readVersion(out) {
		acked = v
	}
	_ = cmd.Wait()
	got, err := loadTable(dir, time.Now())
	if err != nil || acked == 0 || got.Version < acked || got.Version > acked+1 {
		t.Errorf("acknowledged version %d, read back %d, %v", acked, got.Version, err)
		return false
	}
	if d := cmp.Diff(numbered(got.Version), got); d != "" {
		t.Errorf("version %d is not what was written: %s", got.Version, d)
		return false
	}
	return true
}

func readVersion(out *bufio.Reader) uint64 {
	line, _ := out.ReadString('\n')
	var v uint64
	if n, err := fmt.Sscanf(line, "%d\n", &v); n != 1 || err != nil {
		return 0
	}
	return v
}

// A killed edge serves the same again, without anybody's help.
func TestRestartFromDisk(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := spawn(t, "edge", dir)
	e := &running{Client: NewClient(dir), t: t, dir: dir, addr: freeAddr(t)}
	e.ready()
	e.swap(e.route(all("r", backendOf(t, says("still here")))))
	before, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	spawn(t, "edge", dir)
	e.ready()
	if _, b := get(t, client(t), e.url("/")); b != "still here" {
		t.Errorf("%q answered", b)
	}
	after, err := e.Stats(t.Context())
	if err != nil || after.Instance == before.Instance || after.Version != 1 {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
}

func TestDamagedTableIsPutAside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, tableFile), []byte(`{"format":1,"version":3,"rou`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := problem.From(Run(t.Context(), Options{Dir: dir}))
	if p == nil || p.Code != problem.Invalid || !strings.Contains(p.Message, "table.json.damaged-") || p.Hint == "" {
		t.Fatalf("the problem is %+v", p)
	}
	kept, _ := filepath.Glob(filepath.Join(dir, tableFile+".damaged-*"))
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	e := start(t, Options{Dir: dir})
	if now, err := e.Table(t.Context()); err != nil || now.Version != 0 {
		t.Errorf("begins with %+v, %v", now, err)
	}
}

// What cannot be kept is not put in force.
func TestSwapThatCannotBeKept(t *testing.T) {
	e := start(t, Options{})
	e.swap(e.route(all("old", backendOf(t, says("old")))))
	// A folder in the file's place fails the rename, for root too.
	if err := os.Remove(filepath.Join(e.dir, tableFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(e.dir, tableFile, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := e.Swap(t.Context(), Table{Format: Format, Routes: []Route{e.route(all("new", backendOf(t, says("new"))))}}, 1)
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable {
		t.Errorf("the problem is %+v", p)
	}
	if _, b := get(t, client(t), e.url("/")); b != "old" {
		t.Errorf("%q answered", b)
	}
}

func TestOneEdgePerFolder(t *testing.T) {
	e := start(t, Options{})
	if p := problem.From(Run(t.Context(), Options{Dir: e.dir})); p == nil || p.Code != problem.Blocked {
		t.Errorf("a second one: %+v", p)
	}
}

func TestLongFolderNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	e := start(t, Options{Dir: dir})
	if _, err := e.Table(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoEdge(t *testing.T) {
	_, err := NewClient(t.TempDir()).Table(t.Context())
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || p.Hint == "" {
		t.Errorf("the problem is %+v", p)
	}
}
