package secret

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"greenroom/internal/problem"
)

func TestBoxKeepsItsKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	box := mustOpen(t, dir)
	sealed, err := box.Seal([]byte("hunter22"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("hunter22")) {
		t.Error("sealed in plain sight")
	}
	again := mustOpen(t, dir)
	if plain, err := again.Open(sealed); err != nil || string(plain) != "hunter22" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if again.Fingerprint("PASSWORD", "hunter22") != box.Fingerprint("PASSWORD", "hunter22") {
		t.Error("the fingerprint changed with a restart")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestFingerprintsDiffer(t *testing.T) {
	box, other := mustOpen(t, t.TempDir()), mustOpen(t, t.TempDir())
	seen := map[string]string{}
	for name, got := range map[string]string{
		"it":             box.Fingerprint("NAME", "value"),
		"another name":   box.Fingerprint("NAMES", "value"),
		"another value":  box.Fingerprint("NAME", "values"),
		"a moved border": box.Fingerprint("NAMEv", "alue"),
		"another box":    other.Fingerprint("NAME", "value"),
	} {
		if twin, ok := seen[got]; ok {
			t.Errorf("%s and %s have the same fingerprint", name, twin)
		}
		seen[got] = name
	}
}

func TestBoxRefuses(t *testing.T) {
	box := mustOpen(t, t.TempDir())
	sealed, err := box.Seal([]byte("hunter22"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, b := range map[string][]byte{"flipped": flipped, "cut off": sealed[:len(sealed)-5], "empty": nil} {
		if _, err := box.Open(b); problem.From(err) == nil || problem.From(err).Code != problem.Fail {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := mustOpen(t, t.TempDir()).Open(sealed); err == nil {
		t.Error("another box opened it")
	}
}

func TestKeysThatCannotBeTrusted(t *testing.T) {
	cases := map[string]struct {
		spoil func(file string) error
		code  problem.Code
	}{
		"readable by others": {func(f string) error { return os.Chmod(f, 0o640) }, problem.Blocked},
		"damaged":            {func(f string) error { return os.WriteFile(f, []byte("zz\n"), 0o600) }, problem.Fail},
		"a link": {func(f string) error {
			if err := os.Rename(f, f+".real"); err != nil {
				return err
			}
			return os.Symlink(f+".real", f)
		}, problem.Blocked},
	}
	if os.Getuid() == 0 {
		cases["someone else's"] = struct {
			spoil func(file string) error
			code  problem.Code
		}{func(f string) error { return os.Chown(f, 65534, 65534) }, problem.Blocked}
	}
	for name, c := range cases {
		for _, file := range []string{identityName, fingerprintName} {
			t.Run(name+"/"+file, func(t *testing.T) {
				dir := t.TempDir()
				mustOpen(t, dir)
				if err := c.spoil(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				if _, err := Open(dir); problem.From(err) == nil || problem.From(err).Code != c.code || problem.From(err).Hint == "" {
					t.Errorf("got %v, want a problem %s with a hint", err, c.code)
				}
			})
		}
	}
}

// TestOneKeyForAll opens one new folder many times at once: all have to end up with the same keys.
func TestOneKeyForAll(t *testing.T) {
	dir := t.TempDir()
	boxes := make([]*Box, 16)
	var all sync.WaitGroup
	for i := range boxes {
		all.Go(func() {
			box, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			boxes[i] = box
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	sealed, err := boxes[0].Seal([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range boxes {
		if _, err := b.Open(sealed); err != nil || b.Fingerprint("n", "v") != boxes[0].Fingerprint("n", "v") {
			t.Errorf("box %d has keys of its own: %v", i, err)
		}
	}
}

func mustOpen(t *testing.T, dir string) *Box {
	t.Helper()
	box, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return box
}
