package process

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"greenroom/internal/proc"
)

// child is one run of a replica's command.
type child struct {
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it is a zombie
	answers chan error    // to the question after its health
	quiet   func()        // ends the asking, and returns when nobody asks any more
	output  *os.File      // its standard output and error
	pumped  chan struct{} // closed when all of the output is written
}

// startChild starts the command. The goroutine that calls it must be locked to its thread and stay: Linux kills the child
// when the thread that forked it ends.
func (s *supervisor) startChild() (*child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd, err := s.command(s.spec.Command, w, w).Cmd()
	if err == nil {
		dieWithParent(cmd.SysProcAttr)
		if c := cmd.SysProcAttr.Credential; c != nil {
			_ = w.Chown(int(c.Uid), int(c.Gid)) // some open /dev/stderr anew, which asks for the right to
		}
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(startProblem(s.spec, err), r.Close(), w.Close())
	}
	c := &child{
		cmd: cmd, output: r, ended: make(chan struct{}), answers: make(chan error), pumped: make(chan struct{}), quiet: func() {},
	}
	go func() {
		defer close(c.ended)
		_ = proc.AwaitEnd(cmd.Process.Pid)
	}()
	go func() {
		defer close(c.pumped)
		pump(s.redact.Reader(r), s.last, s.log)
	}()
	return c, w.Close()
}

// command is one of the replica's: its own, or one beside it. Only a deploy's have the user's other groups.
func (s *supervisor) command(argv []string, stdout, stderr io.Writer) proc.Command {
	return proc.Command{
		Argv: argv, Dir: s.spec.Dir, Env: s.env, Stdout: stdout, Stderr: stderr, User: s.spec.User, Groups: s.spec.Deploy != nil,
	}
}

// ask begins to ask after the child's health.
func (c *child) ask(s *supervisor) {
	c.quiet = s.asking(c.answers)
}

// asking asks after the replica's health until it is told to be quiet, and hands every answer over.
func (s *supervisor) asking(answers chan<- error) (quiet func()) {
	ctx, cancel := context.WithCancel(context.Background())
	least := time.Duration(0)
	if s.spec.Deploy != nil { // its status command may go a long way
		least = min(time.Second, s.spec.Health.Interval)
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		watch(ctx, s.spec.Health, least, func(ctx context.Context) error {
			s.probing.Lock() // see supervisor.reap
			defer s.probing.Unlock()
			return s.probe(ctx)
		}, answers)
	})
	return func() {
		cancel()
		asking.Wait()
	}
}

// finish kills what is left of a child that has ended, or that is to end now, and reaps it.
func (s *supervisor) finish(c *child) proc.Exit {
	c.quiet()
	s.killAll(c)
	_ = c.cmd.Wait() // how it ended is told by its state
	c.hush()
	return proc.ExitOf(c.cmd.ProcessState)
}

// hush ends the reading of what the child prints. Nobody is left who could, unless a process got away (without a subreaper
// one can).
func (c *child) hush() {
	_ = c.output.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-c.pumped:
	case <-t.C: // the disk hangs
	}
	_ = c.output.Close()
}

// killAll kills the child's group and every descendant of this process, until none is left. The child is not reaped yet,
// so its group's number is its own.
func (s *supervisor) killAll(c *child) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		alive := 0
		for _, p := range s.descendants() {
			if !p.Ended {
				alive++
				_ = p.Signal(syscall.SIGKILL)
			}
		}
		s.reap(c)
		if alive == 0 {
			<-c.ended
			return
		}
	}
}

// groupAlive says whether anybody of the child's group still runs, also of those that a deploy command's supervisor has not
// adopted. The child is not reaped yet, so its group's number is its own.
func (s *supervisor) groupAlive(c *child) bool {
	table, err := proc.Table()
	if err != nil {
		return false
	}
	for _, p := range table {
		if p.Group == c.cmd.Process.Pid && !p.Ended {
			return true
		}
	}
	return false
}

func (s *supervisor) descendants() []proc.Process {
	table, err := proc.Table()
	if err != nil {
		return nil
	}
	return proc.Descendants(table, os.Getpid())
}

// reap waits for adopted children that have ended, so that they don't fill the kernel's table. The child itself and a
// health command have somebody else who waits for them: while such a command may be running, nobody is reaped, and the
// answer is false.
func (s *supervisor) reap(c *child) bool {
	if !s.probing.TryLock() {
		return false
	}
	defer s.probing.Unlock()
	for _, p := range s.descendants() {
		if p.Ended && p.Parent == os.Getpid() && p.PID != c.cmd.Process.Pid {
			_, _ = syscall.Wait4(p.PID, nil, syscall.WNOHANG, nil)
		}
	}
	return true
}
