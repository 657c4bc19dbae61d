package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/driver"
	"greenroom/internal/driver/docker"
	"greenroom/internal/driver/docker/dockertest"
	"greenroom/internal/driver/drivertest"
	"greenroom/internal/problem"
)

// dialStdio makes this process what `docker system dial-stdio` is on the other side of an ssh, when it was started as that: a
// machine that runs these tests need not have the docker command.
func dialStdio() {
	if len(os.Args) != 3 || os.Args[1] != "dial-stdio" {
		return
	}
	conn, err := net.Dial("unix", os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, conn)
	os.Exit(0)
}

// sshServer is an ssh server at a port of its own, which lets one key in, and has a docker command that knows one Engine.
type sshServer struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
}

func (s *sshServer) file(name string) string { return filepath.Join(s.dir, name) }

func (s *sshServer) write(name, content string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
}

// startSSH starts one, and has this process's ssh know it. No file of a user's is read or written.
func startSSH(t *testing.T, engine string) *sshServer {
	t.Helper()
	server, err1 := exec.LookPath("sshd")
	keygen, err2 := exec.LookPath("ssh-keygen")
	client, err3 := exec.LookPath("ssh")
	for _, err := range []error{err1, err2, err3} {
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("the machine lacks an ssh server (apt-get install openssh-server): %v", err)
		} else if err != nil {
			t.Skipf("SKIPPED, the machine lacks an ssh server (apt-get install openssh-server): %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "ssh") // sshd follows the folders above its files, which others may not write to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &sshServer{t: t, dir: dir}
	for _, key := range []string{"host", "user", "other"} {
		if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", s.file(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	public := func(key string) string {
		text, err := os.ReadFile(s.file(key + ".pub"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.file("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimPrefix(engine, "unix://")
	s.write("bin/docker", fmt.Sprintf("#!/bin/sh\nif [ \"$1 $2\" = \"--host unix://%[2]s\" ]; then shift 2; fi\n"+
		"[ \"$*\" = \"system dial-stdio\" ] || { echo \"docker: '$*' is not a docker command\" >&2; exit 1; }\nexec %[1]s dial-stdio %[2]s\n", self, socket), 0o755)
	s.write("authorized", public("user"), 0o600)
	s.write("known", fmt.Sprintf("[127.0.0.1]:%s %s", s.port, public("host")), 0o600)
	s.write("server", fmt.Sprintf("ListenAddress 127.0.0.1\nPort %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"+
		"PasswordAuthentication no\nPidFile none\nMaxStartups 100\nSetEnv PATH=%s:/usr/bin:/bin\n", s.port, s.file("host"), s.file("authorized"), s.file("bin")), 0o600)
	s.client(client, "user", "known")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))

	const separation = "/run/sshd" // its name is built into the server
	if os.Mkdir(separation, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(separation) })
	}
	s.cmd = exec.Command(server, "-D", "-e", "-f", s.file("server"))
	log, err := s.cmd.StderrPipe()
	if err := errors.Join(err, s.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	if err := drivertest.AwaitLine(log, "Server listening on"); err != nil { // who answers at its port may be another
		t.Fatal(err)
	}
	return s
}

// client makes the ssh that this process finds one with these files.
func (s *sshServer) client(program, key, known string) {
	s.t.Helper()
	s.write("ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F none -o IdentitiesOnly=yes -o IdentityFile=%s -o UserKnownHostsFile=%s -o GlobalKnownHostsFile=none \"$@\"\n",
		program, s.file(key), s.file(known)), 0o755)
}

func (s *sshServer) end() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // it was killed
		s.cmd = nil
	}
}

// TestSSH reaches an Engine by ssh.
func TestSSH(t *testing.T) {
	f := newFixture(t, dockertest.Shared(t))
	ssh := startSSH(t, f.engine.Host)
	plain, err := docker.New(docker.Options{Host: "ssh://root@127.0.0.1:" + ssh.port, Home: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := plain.Has(f.ctx, f.image); err != nil || !ok {
		t.Errorf("the image is there: %v, %v", ok, err)
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
	d, err := docker.New(docker.Options{Host: "ssh://root@127.0.0.1:" + ssh.port + strings.TrimPrefix(f.engine.Host, "unix://"), Home: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := d.EnsureNetwork(f.ctx, "shop", "qa", "default", docker.Addressed)
	if err != nil {
		t.Fatal(err)
	}
	s := f.spec("web", "print:hello", "until:"+f.file("go"), "print:bye", "stay")
	s.Container.Networks = []driver.Attach{{Network: n.ID}}
	if _, err := d.Start(f.ctx, s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	out, done := new(syncBuffer), make(chan error, 1)
	go func() { done <- d.Logs(ctx, "web", driver.LogOptions{Follow: true}, out) }()
	f.until("followed", func() bool { return out.String() == "hello\n" })
	f.cut(ssh)
	if st, err := d.Wait(f.ctx, "web"); err != nil || st.Phase != driver.Healthy {
		t.Errorf("after the connections were cut: %+v, %v", st, err)
	}
	f.touch("go")
	f.until("followed over the cut", func() bool { return out.String() == "hello\nbye\n" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("following ended with %v", err)
	}
	if err := errors.Join(d.Stop(f.ctx, "web"), d.Close()); err != nil {
		t.Error(err)
	}
	refused := func(words ...string) {
		t.Helper()
		_, err := docker.New(docker.Options{Host: "ssh://root@127.0.0.1:" + ssh.port, Home: "x"})
		wantProblem(t, err, problem.Unavailable, append(words, "ssh://root@127.0.0.1:"+ssh.port)...)
	}
	program, err := exec.LookPath("/usr/bin/ssh")
	if err != nil {
		t.Fatal(err)
	}
	ssh.client(program, "other", "known")
	refused("Permission denied")
	ssh.client(program, "user", "unknown")
	refused("Host key verification failed")
	ssh.client(program, "user", "known")
	ssh.write("bin/docker", "#!/bin/sh\necho \"docker: 'dial-stdio' is not a docker command\" >&2; exit 1\n", 0o755)
	refused("is not a docker command")
	if err := os.Remove(ssh.file("bin/docker")); err != nil {
		t.Fatal(err)
	}
	refused("docker")
	ssh.end()
	refused("Connection refused")
}

// cut ends all that goes through an ssh server, as a network does that goes.
func (f *fixture) cut(s *sshServer) {
	f.Helper()
	sessions := exec.Command("pkill", "-KILL", "-P", fmt.Sprint(s.cmd.Process.Pid))
	if out, err := sessions.CombinedOutput(); err != nil {
		f.Fatalf("pkill: %v: %s", err, out)
	}
}

// TestSSHAddresses refuses what is no address, and what ssh would take for something else.
func TestSSHAddresses(t *testing.T) {
	for _, host := range []string{
		"ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://root:secret@host", "ssh://host/a;b", "ssh://host/$(x)", "ssh://host?x=y", "ssh://host#x", "ssh://[host", "ssh://host:x",
	} {
		_, err := docker.New(docker.Options{Host: host, Home: "x"})
		wantProblem(t, err, problem.Invalid)
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("a password is told: %v", err)
		}
	}
}
