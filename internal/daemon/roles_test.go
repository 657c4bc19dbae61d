package daemon

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/problem"
)

// as runs a command of the program as another system user, and returns its exit code and all that it printed.
func (h *house) as(name string, args ...string) (code int, out string) {
	h.Helper()
	u, err := user.Lookup(name)
	must(h, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(h, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(h, err)
	cmd := exec.Command(built.greenroom, append([]string{"--home", string(h.home), "--app", appUnderTest}, args...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	b, _ := cmd.CombinedOutput() // the exit code tells
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestRoles has another user of the machine do what a role lets them do, and try the rest.
func TestRoles(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: roles are tried as another system user, which takes root")
	}
	h := newHouse(t)
	s := withPostgres()
	live := h.live(s)
	next, third := h.build(s.as("v2", "")), h.build(s.as("v3", ""))
	blocked := problem.ExitCode(problem.New(problem.Blocked, ""))
	if code, out := h.as("nobody", "status"); code != blocked || !strings.Contains(out, "you may not use") {
		t.Errorf("without any roles the socket is open: %d %s", code, out)
	}
	h.register(s.saying("migrations:", "roles: {rollback: [nobody], promote: ['@nogroup'], rehearse: [somebody-else], operate: []}\nmigrations:"))
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"status"}, 0, live.Short()},
		{[]string{"history"}, 0, "promotion"},
		{[]string{"promote", next.Short(), "production"}, 0, next.Short()}, // as a member of nogroup
		{[]string{"rollback", "production", "--because", "a test"}, 0, live.Short()},
		{[]string{"rehearse", live.Short()}, blocked, "nobody has not the right rehearse in app"},
		{[]string{"down", "production"}, blocked, "nobody has not the right operate in app"},
		{[]string{"secret", "remove", "X", "--environment", "production"}, blocked, "nobody has not the right secret"},
		{[]string{"key", "rotate", "--because", "a test"}, blocked, "nobody has not the right apply"},
		{[]string{"down", "--everything"}, blocked, "nobody has not the right"},
	} {
		if code, out := h.as("nobody", c.args...); code != c.want || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit code %d, want %d: %s", c.args, code, c.want, out)
		}
	}
	// What is listed is only theirs who are listed, root's neither; but root always gets back in.
	if code, out := h.greenroom("--app", appUnderTest, "promote", third.Short(), "production"); code != blocked || !strings.Contains(out, "ask @nogroup") {
		t.Errorf("root promotes: %d %s", code, out)
	}
	_, err := h.client.Apply(h.ctx(), h.registration(s), false)
	must(t, err)
	if code, out := h.as("nobody", "status"); code != blocked {
		t.Errorf("the door stays open: %d %s", code, out)
	}
}
