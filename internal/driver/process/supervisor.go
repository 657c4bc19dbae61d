package process

import (
	"context"
	"syscall"
	"time"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// reapEvery is how long a process that forked away and ended may stay a zombie: looking for them reads the whole table.
const reapEvery = 2 * time.Second

// run keeps the replica running, from its first child on. It returns when the replica has ended for good; asked says that
// somebody asked for it on the socket.
func (s *supervisor) run(ctx context.Context, c *child) (asked bool) {
	defer s.record()()
	if s.spec.Deploy != nil {
		return s.deploy(ctx, c)
	}
	for {
		if s.attend(ctx, c) {
			return s.end(c)
		}
		exit := s.finish(c)
		wait, again := s.life.ended(time.Now(), exit, s.last.line())
		for c = nil; c == nil; {
			s.tell()
			if !again {
				return false
			}
			if s.pause(ctx, wait) {
				return s.end(nil)
			}
			var err error
			if c, err = s.start(); err != nil {
				wait, again = s.life.failed(time.Now(), -1, problem.From(err).Message)
			}
		}
		s.tell()
	}
}

// attend watches over a child until it has ended, or is to end: then it returns true.
func (s *supervisor) attend(ctx context.Context, c *child) bool {
	overdue := time.NewTimer(s.life.patience(time.Now()))
	defer overdue.Stop()
	var reap <-chan time.Time
	for {
		select {
		case <-c.ended:
			return false
		case <-s.control.asked:
			return true
		case <-ctx.Done():
			return true
		case err := <-c.answers:
			s.life.probed(time.Now(), err)
		case <-overdue.C:
			s.life.overdue(time.Now())
		case <-s.orphans:
			if reap == nil {
				reap = time.After(reapEvery)
			}
			continue
		case <-reap:
			reap = nil
			if !s.reap(c) {
				reap = time.After(reapEvery)
			}
			continue
		}
		s.tell()
	}
}

// pause waits for the next start; it returns true when there is to be none.
func (s *supervisor) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-s.control.asked:
	case <-ctx.Done():
	}
	return true
}

// end ends the replica: its group is asked to, and when its grace is over everything is killed. It says whether somebody
// asked for it on the socket; otherwise this process is to end, and the replica stays recorded.
func (s *supervisor) end(c *child) (asked bool) {
	st := s.state()
	st.Stopping = true
	s.board.set(st)
	exit := proc.Exit{Code: s.life.status.ExitCode}
	if c != nil {
		s.askToEnd(c)
		exit = s.finish(c)
	}
	s.life.restart = false
	s.life.ended(time.Now(), exit, s.last.line())
	s.life.status.Reason = "its supervisor was told to end"
	select {
	case <-s.control.asked:
		return true
	default:
		return false
	}
}

// askToEnd signals the child's group, and returns when nobody of it runs any more or the grace is over.
func (s *supervisor) askToEnd(c *child) {
	_ = syscall.Kill(-c.cmd.Process.Pid, signalOf(s.spec.Stop))
	grace := time.NewTimer(s.spec.Stop.Grace)
	defer grace.Stop()
	select {
	case <-c.ended:
	case <-grace.C:
		return
	}
	look := time.NewTicker(10 * time.Millisecond) // nobody tells when a grandchild ends
	defer look.Stop()
	for s.groupAlive(c) {
		select {
		case <-look.C:
		case <-grace.C:
			return
		}
	}
}
