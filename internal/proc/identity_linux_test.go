package proc_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"greenroom/internal/proc"
)

func TestMarked(t *testing.T) {
	_, first := start(t, "A=1", "MARK="+t.Name())
	_, last := start(t, "MARK="+t.Name(), "B=2")
	start(t, "MARK="+t.Name()+"-longer")
	start(t, "NOT_MARK="+t.Name())
	got, err := proc.Marked("MARK=" + t.Name())
	if err != nil || len(got) != 2 || got[0] != first && got[1] != first || got[0] != last && got[1] != last {
		t.Errorf("marked are %+v, %v; want %+v and %+v", got, err, first, last)
	}
}

// The name of a process is its own choice, and stands before the fields.
func TestIdentifyWithANastyName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a) Z 1 (b")
	if err := os.Symlink("/bin/sleep", name); err != nil {
		t.Fatal(err)
	}
	cmd, err := proc.Command{Argv: []string{name, "600"}}.Cmd()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if id, err := proc.Identify(cmd.Process.Pid); err != nil || !id.Alive() {
		t.Errorf("%+v, %v", id, err)
	}
}

// A user's processes are found, also those that nobody may look into; nobody else's are.
func TestOf(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can start something as another user")
	}
	const uid = 54323 // nobody's
	sleeper := func(uid uint32, program string) proc.Identity {
		t.Helper()
		cmd := exec.Command(program, "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		id, err := proc.Identify(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "greenroom-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	closed := filepath.Join(dir, "sleep") // a program that its user may run and not read can't be looked into
	if err := errors.Join(os.Chmod(dir, 0o711), os.WriteFile(closed, b, 0o600), os.Chmod(closed, 0o711)); err != nil {
		t.Fatal(err)
	}
	sleeper(uid+1, "/bin/sleep")
	want := []proc.Identity{sleeper(uid, "/bin/sleep"), sleeper(uid, closed)}
	got, err := proc.Of(uid)
	if err != nil || len(got) != 2 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("found %+v, %v; want %+v", got, err, want)
	}
}
