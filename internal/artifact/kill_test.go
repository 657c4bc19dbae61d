package artifact

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"archive/tar"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

const childVariable = "GREENROOM_TEST_STORE"

// mainOfChild is what the test program does as a child of its own tests.
func mainOfChild() bool {
	dir := os.Getenv(childVariable)
	if dir == "" {
		return false
	}
	s, err := Open(context.Background(), dir)
	if err != nil {
		fmt.Println("open:", err)
		return true
	}
	if os.Getenv(childVariable+"_ENDLESS") == "" {
		fmt.Println("ready")
		id, err := s.Import(context.Background(), os.Stdin)
		fmt.Println("imported", id, err)
		return true
	}
	for i := 0; ; i++ { // until it is killed
		var b bytes.Buffer
		_, err := bundleOf(context.Background(), &b, fmt.Sprint(os.Getpid(), i), map[string][]byte{Checks: randomArtifact(uint64(i))})
		if err == nil {
			var id release.Digest
			id, err = s.Import(context.Background(), &b)
			fmt.Println(id)
		}
		if err != nil {
			fmt.Println("import:", err)
			return true
		}
	}
}

func randomArtifact(seed uint64) []byte {
	content := make([]byte, 100_000)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	_, _ = r.Read(content)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "random", Size: int64(len(content)), Mode: 0o644})
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// child starts the test program as one that works on the store in dir.
func child(t *testing.T, dir string, env ...string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childVariable+"="+dir), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, in, bufio.NewScanner(out)
}

func TestKilledWhileABundleComesIn(t *testing.T) {
	s, id := stored(t)
	var bundle bytes.Buffer
	coming, err := bundleOf(t.Context(), &bundle, "coming", map[string][]byte{Checks: randomArtifact(1)})
	must(t, err)
	for _, share := range []int{1, 30, 70, 99} {
		cmd, in, out := child(t, s.dir)
		if !out.Scan() || out.Text() != "ready" {
			t.Fatalf("the child says %q", out.Text())
		}
		_, err := in.Write(bundle.Bytes()[:bundle.Len()*share/100])
		must(t, err)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		s, err = Open(t.Context(), s.dir)
		must(t, err)
		wantClean(t, s, id)
		_, err = s.Release(t.Context(), coming)
		wantProblem(t, err, problem.NotFound, "not in the store")
	}
	_, err = s.Import(t.Context(), &bundle)
	must(t, err)
	must(t, s.Unpack(t.Context(), coming, Checks, filepath.Join(placed(t), "checks")))
}

// What was acknowledged is there after a kill at any instant, whole; and nothing else is in the way.
func TestKilledAtAnyInstant(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "releases")
	var acknowledged []release.Digest
	for round := range 12 {
		cmd, _, out := child(t, dir, childVariable+"_ENDLESS=1")
		for range 1 + round%3 {
			if !out.Scan() || !release.Digest(out.Text()).Valid() {
				t.Fatalf("the child says %q", out.Text())
			}
			acknowledged = append(acknowledged, release.Digest(out.Text()))
		}
		for range rand.IntN(3_000_000) { // somewhere in the next import; not a time, so that the load of the machine does not matter
		}
		must(t, cmd.Process.Kill())
		for out.Scan() {
			if d := release.Digest(out.Text()); d.Valid() {
				acknowledged = append(acknowledged, d)
			}
		}
		_ = cmd.Wait()
	}
	s, err := Open(t.Context(), dir)
	must(t, err)
	for _, id := range acknowledged {
		if err := s.Export(t.Context(), id, io.Discard); err != nil {
			t.Error(err)
		}
	}
	entries, err := s.all()
	must(t, err)
	blobs, err := os.ReadDir(filepath.Join(dir, blobsFolder))
	must(t, err)
	// Children make the same artifacts: one blob for each, and a manifest and a document for each release.
	shared := map[release.Digest]bool{}
	for _, e := range entries {
		r, err := s.Release(t.Context(), e.id)
		must(t, err)
		shared[r.Files[Checks].Digest] = true
	}
	if want := 2*len(entries) + len(shared); len(blobs) != want || len(entries) < len(acknowledged) {
		t.Errorf("%d blobs instead of %d; %d releases, of which %d were acknowledged", len(blobs), want, len(entries), len(acknowledged))
	}
}

func TestImportOntoAFullDisk(t *testing.T) {
	if rerun(t) {
		return
	}
	s, id := stored(t)
	var bundle bytes.Buffer
	_, err := bundleOf(t.Context(), &bundle, "coming", map[string][]byte{Checks: randomArtifact(1)})
	must(t, err)
	err = withFullDisk(t, 50_000, func() error {
		_, err := s.Import(t.Context(), bytes.NewReader(bundle.Bytes()))
		return err
	})
	wantProblem(t, err, problem.Unavailable, "can't take it")
	if !strings.Contains(problem.From(err).Hint, "make room") {
		t.Errorf("hint %q", problem.From(err).Hint)
	}
	wantClean(t, s, id)
	_, err = s.Import(t.Context(), &bundle)
	must(t, err)
}

func TestBuildOntoAFullDisk(t *testing.T) {
	if rerun(t) {
		return
	}
	dir := repository(t, map[string]string{"big": strings.Repeat("x", 200_000)})
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	err := withFullDisk(t, 50_000, func() error {
		_, err := Build(t.Context(), BuildOptions{Repository: dir, App: shop(appBuild("big"))})
		return err
	})
	wantProblem(t, err, problem.Unavailable, "what is built can't be written")
	if left, _ := os.ReadDir(temporary); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// rerun runs the test in a process of its own, in which it returns false: a limit on the size of files would also hit
// what the test program itself writes.
func rerun(t *testing.T) bool {
	t.Helper()
	const variable = "GREENROOM_TEST_RERUN"
	if os.Getenv(variable) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

// withFullDisk plays a disk that is full by a limit on the size of files, which ends writes in the same way.
func withFullDisk(t *testing.T, limit uint64, f func() error) error {
	t.Helper()
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	small := before
	small.Cur = limit
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
	err := f()
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	return err
}
