package postgres

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/mask"
)

// TestMemory copies rows that are large in a child, and looks at the most memory that it ever had: twice the largest row,
// and what a program takes anyway. What a mask takes to make its value comes on top, and is the mask's affair.
func TestMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what a child took at most is told in another unit here")
	}
	const megabytes = 50
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE large (id integer, t text, b bytea)",
		"INSERT INTO large SELECT g, repeat(md5(g::text) || E'\\t', 3 * 512 * 1024), NULL FROM generate_series(1, 3) g",
		"INSERT INTO large SELECT g, 'small ' || g FROM generate_series(1, 200000) g")
	w := d.work("snapshot", filepath.Join(t.TempDir(), "snapshot"))
	w.Rules = keepAll(t, d)
	most := childMemory(t, w)
	t.Logf("kept: %d MB for rows of %d MB", most, megabytes)
	if most > raceFactor*(2*megabytes+100) {
		t.Errorf("%d MB for a row of %d MB", most, megabytes)
	}
	w.Rules.Tables["large"].Columns["t"] = mask.Rule{Use: "constant", Value: "short"}
	w.Dir += "2"
	most = childMemory(t, w)
	t.Logf("masked: %d MB for rows of %d MB", most, megabytes)
	if most > raceFactor*(2*megabytes+100) {
		t.Errorf("%d MB to mask a row of %d MB", most, megabytes)
	}
	w.Rules, w.Dir = keepAll(t, d), w.Dir+"3"
	_, _, target := account(t)
	childMemory(t, w)
	most = childMemory(t, target.work("load", w.Dir))
	t.Logf("loaded: %d MB for rows of %d MB", most, megabytes)
	if most > raceFactor*(2*megabytes+100) {
		t.Errorf("%d MB to load a row of %d MB", most, megabytes)
	}
}

// TestMemoryOfAText: three times a large value is what masking it takes at most, beside what a program takes anyway.
func TestMemoryOfAText(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what a child took at most is told in another unit here")
	}
	const megabytes = 10
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE large (id integer, t text)",
		"INSERT INTO large SELECT 1, repeat('Zoë wrote on the 12th:' || E'\\n', 10 * 1024 * 1024 / 24)")
	w := d.work("snapshot", filepath.Join(t.TempDir(), "snapshot"))
	w.Rules = keepAll(t, d)
	w.Rules.Tables["large"].Columns["t"] = mask.Rule{Use: "text"}
	most := childMemory(t, w)
	t.Logf("%d MB for a text of %d MB", most, megabytes)
	if most > raceFactor*(3*megabytes+60) {
		t.Errorf("%d MB to mask a text of %d MB", most, megabytes)
	}
}

// childMemory runs the work in a child and returns the megabytes that it had at most.
func childMemory(t *testing.T, w childWork) int64 {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the race detector makes masks slow, and a busy machine slower
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no usage")
	}
	return usage.Maxrss / 1024
}
