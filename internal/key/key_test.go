package key

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func open(t testing.TB, dir string) *Ring {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantProblem(t testing.TB, err error, code problem.Code, message, hint string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(p.Message, message) || !strings.Contains(p.Hint, hint) {
		t.Errorf("got  %#v\nwant %s: %s (%s)", err, code, message, hint)
	}
}

func TestTheFirstKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	if again := open(t, dir); again.Signer().ID() != r.Signer().ID() {
		t.Error("another key the second time")
	}
	if p := r.Publics(); len(p) != 1 || !p[0].Equal(r.Signer().Public()) {
		t.Errorf("publics are %v", p)
	}
	for name, want := range map[string]fs.FileMode{".": fs.ModeDir | 0o700, activeName: 0o600, publicName(1): 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// What others write, this reads, and the other way round.
func TestTheFormatsOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("NOT TESTED: there is no openssl here")
	}
	dir := t.TempDir()
	private := filepath.Join(dir, activeName)
	if out, err := exec.Command(openssl, "genpkey", "-algorithm", "ed25519", "-out", private).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	want, err := exec.Command(openssl, "pkey", "-in", private, "-pubout").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, publicName(1)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	made := open(t, filepath.Join(t.TempDir(), "keys"))
	if out, err := exec.Command(openssl, "pkey", "-in", filepath.Join(made.dir, activeName), "-noout", "-check").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if r.Signer().ID() == made.Signer().ID() {
		t.Error("the same key twice")
	}
}

func TestOfManyWhoMakeTheFirstKeyOneWins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ids := make([]evidence.KeyID, 8)
	var work sync.WaitGroup
	for i := range ids {
		work.Go(func() {
			r, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = r.Signer().ID()
		})
	}
	work.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
		t.Errorf("several keys: %s", ids)
	}
}

func TestRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	var want []ed25519.PublicKey
	for range 11 {
		want = append(want, r.Signer().Public())
		next, err := r.Prepare()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := open(t, dir).Prepare(); err != nil || again.ID() != next.ID() {
			t.Fatalf("prepared twice: %v", err)
		}
		if r.Signer().ID() == next.ID() || len(r.Publics()) != len(want) {
			t.Error("prepared is active")
		}
		old, err := os.ReadFile(filepath.Join(dir, activeName))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time nothing is to be done
			if err := r.Activate(next.ID()); err != nil {
				t.Fatal(err)
			}
		}
		if r.Signer().ID() != next.ID() {
			t.Error("the next key is not active")
		}
		nowhere(t, dir, old)
	}
	want = append(want, r.Signer().Public())
	for _, ring := range []*Ring{r, open(t, dir)} {
		if got := ring.Publics(); !slices.EqualFunc(got, want, func(a, b ed25519.PublicKey) bool { return a.Equal(b) }) {
			t.Errorf("publics are %v, want %v", got, want)
		}
	}
	wantProblem(t, r.Activate(evidence.IDOf(want[0])), problem.Fail, "was not prepared", "backup")
	if _, err := r.Prepare(); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.Activate(evidence.IDOf(want[0])), problem.Fail, "was not prepared", "backup")
}

// nowhere expects that no file in dir has that content.
func nowhere(t *testing.T, dir string, content []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if err == nil && bytes.Equal(b, content) {
			t.Errorf("a private key that is no longer used stands in %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A kill may leave any of these folders. Each has one active key and all public halves, and the rotation can be finished.
func TestEveryStateThatAKillLeaves(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "keys")
	r := open(t, whole)
	old := r.Signer()
	next, err := r.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, second := read(activeName), read(nextName)
	firstPublic, secondPublic := evidence.FormatPEM(old.Public()), evidence.FormatPEM(next.Public())
	type files map[string][]byte
	for _, c := range []struct {
		name   string
		files  files
		active evidence.Signer
		before int // publics before the active one
	}{
		{"the first key without its public half", files{activeName: first}, old, 0},
		{"while the first key was made", files{activeName: first, ".key-1/private.pem": first}, old, 0},
		{"the first key", files{activeName: first, publicName(1): firstPublic}, old, 0},
		{"while a public half was written", files{activeName: first, ".public-0001.pem.tmp-1": firstPublic[:20]}, old, 0},
		{"while the next key was made", files{activeName: first, publicName(1): firstPublic, ".key-2/.next.pem.tmp-1": second[:20]}, old, 0},
		{"prepared", files{activeName: first, publicName(1): firstPublic, nextName: second, ".key-2/next.pem": second}, old, 0},
		{"with the next public half", files{activeName: first, publicName(1): firstPublic, nextName: second, publicName(2): secondPublic}, old, 0},
		{"renamed", files{activeName: second, publicName(1): firstPublic, publicName(2): secondPublic, ".key-1/private.pem": first}, next, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, content := range c.files {
				file := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, content, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			r := open(t, dir)
			if p := r.Publics(); r.Signer().ID() != c.active.ID() || len(p) != c.before+1 || !p[c.before].Equal(c.active.Public()) {
				t.Errorf("the active key is %s, publics %v", r.Signer().ID(), p)
			}
			before := r.Publics()
			prepared, err := r.Prepare()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Activate(prepared.ID()); err != nil {
				t.Fatal(err)
			}
			again := open(t, dir)
			if p := again.Publics(); again.Signer().ID() != prepared.ID() || len(p) != len(before)+1 || !p[len(before)].Equal(prepared.Public()) {
				t.Errorf("after the rotation: %s, publics %v", again.Signer().ID(), p)
			}
			nowhere(t, dir, c.files[activeName])
		})
	}
}

func TestKeysThatOthersGetAtAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"others read the private key":   {func(dir string) error { return os.Chmod(filepath.Join(dir, activeName), 0o640) }, activeName + " has the permissions"},
		"others read the next key":      {func(dir string) error { return os.Chmod(filepath.Join(dir, nextName), 0o604) }, nextName + " has the permissions"},
		"others write a public key":     {func(dir string) error { return os.Chmod(filepath.Join(dir, publicName(1)), 0o666) }, publicName(1) + " has the permissions"},
		"others write in the folder":    {func(dir string) error { return os.Chmod(dir, 0o777) }, "has the permissions"},
		"the private key is elsewhere":  {elsewhere, "has the permissions L"},
		"it is somebody else's":         {func(dir string) error { return os.Chown(filepath.Join(dir, activeName), 12345, -1) }, "belongs to another user"},
		"the folder is somebody else's": {func(dir string) error { return os.Chown(dir, 12345, -1) }, "belongs to another user"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.want, "another user") && os.Geteuid() != 0 {
				t.Skip("NOT TESTED: giving a file away takes root")
			}
			dir := spoilt(t, c.spoil)
			_, err := Open(dir)
			wantProblem(t, err, problem.Blocked, c.want, "")
		})
	}
}

func elsewhere(dir string) error {
	file := filepath.Join(dir, activeName)
	return errors.Join(os.Rename(file, file+".real"), os.Symlink(file+".real", file))
}

// spoilt is a folder with an active and a prepared key, and what spoil did to it.
func spoilt(t *testing.T, spoil func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := open(t, dir).Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := spoil(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedKeysAreNamed(t *testing.T) {
	write := func(name, content string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
	}
	rsa := "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIFAdZnQ5xVrUOVWNxWDlUFhLOUDDLl3FDJxdyKrPM0pi\n-----END PRIVATE KEY-----\n" // X25519
	for name, spoil := range map[string]func(string) error{
		"empty":         write(activeName, ""),
		"no key":        write(activeName, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"another kind":  write(activeName, rsa),
		"no next key":   write(nextName, "x"),
		"no public key": write(publicName(1), "x"),
		"a public's gone": func(dir string) error {
			return os.Rename(filepath.Join(dir, publicName(1)), filepath.Join(dir, publicName(3)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(spoilt(t, spoil))
			wantProblem(t, err, problem.Fail, "is damaged", "from a backup")
		})
	}
}

func TestSignersWhileRotating(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = r.Signer().ID(), r.Publics()
				}
			}
		})
	}
	for range 5 {
		next, err := r.Prepare()
		if err == nil {
			err = r.Activate(next.ID())
		}
		if err != nil {
			t.Error(err)
		}
	}
	close(done)
	work.Wait()
}
