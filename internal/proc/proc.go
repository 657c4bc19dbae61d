// Package proc is the one way to run a child: in a process group of its own, with nothing inherited but what is given,
// bounded in time, and gone as a whole when it is told to go.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// Command is a child to run.
type Command struct {
	Argv   []string
	Dir    string
	Env    []string // the whole environment: nothing is inherited
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	User   string // system user, without other groups, and confined (see Confine); "" is this process's own
	Groups bool   // User has its other groups, too: those that the machine's administrator put it into
	// Network is the file of the network namespace to run in, secluded (see Seclude); "" is this process's own. Only Run
	// knows of it.
	Network string
	Grace   time.Duration // between SIGTERM and SIGKILL for the group when the context ends; 0 is 5 s
}

// Shell is a command line run by /bin/sh. The line is data of the definition's author, who may run anything anyway.
func Shell(line string) []string { return []string{"/bin/sh", "-c", line} }

// Exit is how a child ended.
type Exit struct {
	Code   int // -1 when a signal ended it
	Signal syscall.Signal
}

// String tells it as a person would.
func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// OK says whether the child ended with exit code 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 }

// Run starts the child and waits for it. When ctx ends first, the child's whole group gets SIGTERM, after the grace
// SIGKILL, and Run returns ctx's error together with how it ended. A child that ends and leaves others of its group
// behind has them killed: nothing outlives Run but what made a session of its own. An error without ctx's means that the
// child could not be started.
func Run(ctx context.Context, c Command) (Exit, error) {
	cmd, err := c.Cmd()
	if err != nil {
		return Exit{Code: -1}, err
	}
	if err := ctx.Err(); err != nil {
		return Exit{Code: -1}, err
	}
	// Without WaitDelay somebody outside the group who holds a pipe open would make Wait hang for ever.
	cmd.WaitDelay = 2 * time.Second
	start := cmd.Start
	if c.User != "" || c.Network != "" {
		start = func() error { return c.startConfined(cmd) }
	}
	if err := start(); err != nil {
		return Exit{Code: -1}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	cut := attend(ctx, cmd.Process.Pid, c.grace())
	err = cmd.Wait()
	exit := ExitOf(cmd.ProcessState)
	if cut != nil {
		return exit, cut
	}
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) && !errors.Is(err, exec.ErrWaitDelay) {
		return exit, fmt.Errorf("run %s: %w", c.Argv[0], err)
	}
	return exit, nil
}

// attend waits until the child has ended, ends it when ctx ends first, and kills what is left of its group. It returns
// ctx's error when that is why the child ended.
func attend(ctx context.Context, group int, grace time.Duration) (cut error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = AwaitEnd(group)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		cut = ctx.Err()
		endGroup(group, grace, ended)
	}
	// The child is a zombie now, so the group's number is still its own.
	_ = syscall.Kill(-group, syscall.SIGKILL)
	return cut
}

// Cmd is the child as an exec.Cmd that has not been started, in a process group of its own. The program is looked for in
// the PATH of Env, or in this process's where Env has none.
func (c Command) Cmd() (*exec.Cmd, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("no command")
	}
	path, err := lookPath(c.Argv[0], c.Env)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Stdin, c.Stdout, c.Stderr
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.User == "" {
		return cmd, nil
	}
	cred, err := credential(c.User, c.Groups)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.Credential = cred
	return cmd, nil
}

func (c Command) grace() time.Duration {
	if c.Grace == 0 {
		return 5 * time.Second
	}
	return c.Grace
}

// endGroup asks the group to end, kills it when it has not done so in time, and returns when the child has ended.
func endGroup(group int, grace time.Duration, ended <-chan struct{}) {
	_ = syscall.Kill(-group, syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-ended
	}
}

// ExitOf tells how a child ended that has been waited for.
func ExitOf(s *os.ProcessState) Exit {
	if s == nil { // somebody else reaped it
		return Exit{Code: -1}
	}
	ws, ok := s.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return Exit{Code: -1, Signal: ws.Signal()}
	}
	return Exit{Code: s.ExitCode()}
}

// credential looks a system user up, with its own group alone or with all of its groups.
func credential(name string, groups bool) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("system user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("system user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("system user %s: %w", name, err)
	}
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if !groups {
		return cred, nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("system user %s: %w", name, err)
	}
	for _, id := range ids {
		g, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("system user %s: %w", name, err)
		}
		cred.Groups = append(cred.Groups, uint32(g))
	}
	return cred, nil
}
