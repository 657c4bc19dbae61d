package proc_test

import (
	"os"
	"path/filepath"
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
