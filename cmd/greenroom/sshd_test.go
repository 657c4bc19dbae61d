package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"greenroom/internal/driver/drivertest"
)

// sshdProgram is where the server is; it has to be called by its whole path.
func sshdProgram() (string, error) {
	if path, err := exec.LookPath("sshd"); err == nil {
		return filepath.Abs(path)
	}
	return exec.LookPath("/usr/sbin/sshd") // outside an ordinary user's PATH
}

// serveSSH starts a server of ssh on a loopback port, with keys of its own, and puts SSH_PORT, SSH_USER and KNOWN_HOST into
// variables and the key of the only one who may log in, this user, into the file ssh/key. At the end of the script it is
// gone, with the servers that were started over it and wrote their numbers into DIRECTORY/server.pid.
func serveSSH(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: serve-ssh")
	}
	program, err := sshdProgram()
	ts.Check(err)
	dir := ts.MkAbs("ssh")
	ts.Check(os.Mkdir(dir, 0o700))
	for _, name := range []string{"host", "key"} {
		ts.Check(ts.Exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(dir, name)))
	}
	port(ts, false, []string{"SSH_PORT"})
	number := ts.Getenv("SSH_PORT")
	config := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s/host\nAuthorizedKeysFile %s/key.pub\nPidFile none\nStrictModes no\nUsePAM no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n", number, dir, dir)
	ts.Check(os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	if os.Geteuid() == 0 { // where sshd lets go of its rights, which its package makes at its service's start
		ts.Check(os.MkdirAll("/run/sshd", 0o755)) //nolint:gosec // as its package does
	}
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	log, err := cmd.StderrPipe()
	ts.Check(err)
	cmd.Env, cmd.SysProcAttr = []string{"PATH=" + os.Getenv("PATH")}, &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		pids, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", "server.pid"))
		for _, file := range pids {
			text, err := os.ReadFile(file)
			if pid, wrong := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && wrong == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
			}
		}
	})
	ts.Check(drivertest.AwaitLine(log, "Server listening on")) // who answers at its port may be another
	key, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	ts.Check(err)
	me, err := exec.Command("id", "-un").Output()
	ts.Check(err)
	ts.Setenv("SSH_USER", strings.TrimSpace(string(me)))
	ts.Setenv("KNOWN_HOST", fmt.Sprintf("[127.0.0.1]:%s %s", number, strings.Join(strings.Fields(string(key))[:2], " ")))
}

// haveSSH says whether there are a server and a client of ssh. Where CI is set there have to be.
func haveSSH() (bool, error) {
	_, none := sshdProgram()
	_, without := exec.LookPath("ssh")
	if err := errors.Join(none, without); err != nil && os.Getenv("CI") != "" {
		return false, fmt.Errorf("CI needs ssh: %w", err)
	}
	return none == nil && without == nil, nil
}
