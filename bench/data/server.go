package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data/postgres"
	"greenroom/internal/proc"
)

// server is a server of this run's with its process. It does not wait for the disk, as a stage's doesn't: all contenders
// write into it.
type server struct {
	postgres.Server
	cmd   *exec.Cmd
	ended chan struct{}
}

func boot(ctx context.Context, programs postgres.Programs, dir string) (*server, error) {
	user, err := postgres.SystemUser()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{Server: postgres.Server{Programs: programs, Dir: filepath.Join(dir, "server"), Port: port, User: user, Fast: true}, ended: make(chan struct{})}
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	var env []string
	for k, v := range s.Env() {
		env = append(env, k+"="+v)
	}
	log := proc.NewTail(16 << 10)
	if s.cmd, err = (proc.Command{Argv: s.Command(), Dir: "/", Env: env, User: s.User, Stdout: log, Stderr: log}).Cmd(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // its log tells why
	}()
	ready, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.Ready(ready); err != nil {
		return nil, fmt.Errorf("%w; the server's log: %s; %w", err, log, s.end())
	}
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// end ends the server, with its sessions.
func (s *server) end() error {
	_ = s.cmd.Process.Signal(syscall.SIGINT) // where it has ended already there is nobody to tell
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	if dir := s.Sockets(); filepath.Dir(dir) != s.Dir {
		return os.RemoveAll(dir)
	}
	return nil
}

// database is one of the server's.
type database struct {
	*postgres.Database
	server    *server
	name      string
	customers int64
	size      int64 // bytes
}

// database makes an empty one.
func (s *server) database(ctx context.Context, name string) (*database, error) {
	a := postgres.Account{Role: "bench", Password: "bench", Database: name, Superuser: true}
	if err := s.EnsureDatabase(ctx, a); err != nil {
		return nil, err
	}
	d, err := s.Database(a)
	return &database{Database: d, server: s, name: name}, err
}

// connect gives a connection that the caller closes.
func (d *database) connect(ctx context.Context, application string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(d.URL())
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = application
	return pgx.ConnectConfig(ctx, config)
}

// execute runs statements one by one on a connection of their own.
func (d *database) execute(ctx context.Context, statements ...string) error {
	conn, err := d.connect(ctx, "bench")
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // all that it was for is done
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// ask asks for one row.
func (d *database) ask(ctx context.Context, query string, to ...any) error {
	conn, err := d.connect(ctx, "bench")
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read
	return conn.QueryRow(ctx, query).Scan(to...)
}

// program runs one of PostgreSQL's own programs with the server's address.
func (s *server) program(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs.Bin, name), args...)
	cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", s.Port), "PGUSER=bench", "PGPASSWORD=bench", "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
