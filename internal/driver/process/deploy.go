package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/proc"
)

// settle is how long one waits for the last of what a deploy command printed. Where it left something running that has
// its output open, there is no end of it.
const settle = 300 * time.Millisecond

// deploy is run for a team's own deploy: the command runs to its end, and then it is asked whether what it deployed is
// live, for as long as nobody stops the replica. A command that failed is told of with what is live all the same: its exit
// code alone says neither that it is nor that it isn't.
func (s *supervisor) deploy(ctx context.Context, c *child) (asked bool) {
	if c != nil {
		defer c.hush()
		exit, why := s.awaitDeploy(ctx, c)
		s.child = proc.Identity{} // from here on, what is left of its group is the team's
		switch {
		case why == "" && exit.OK():
			s.life.deployed(time.Now())
		case s.asked() || ctx.Err() != nil:
			s.life.undeployed(time.Now(), exit.Code, why)
			return s.takeAway()
		default:
			s.life.undeployed(time.Now(), exit.Code, why+"; "+s.live())
			return false
		}
		_ = s.state().write(s.folder) // a supervisor that dies now must not have what was deployed taken for the command
		s.tell()
	}
	s.watchDeployed(ctx)
	return s.takeAway()
}

// awaitDeploy waits for the command's end, and ends its whole group when its time is over or the replica is to end. why
// says what went wrong, "" for nothing.
func (s *supervisor) awaitDeploy(ctx context.Context, c *child) (exit proc.Exit, why string) {
	limit := time.NewTimer(s.spec.Deploy.Timeout)
	defer limit.Stop()
	select {
	case <-c.ended:
	case <-limit.C:
		why = "it did not end within " + human.Duration(s.spec.Deploy.Timeout) + ", and was ended"
		s.endGroup(c)
	case <-s.control.asked:
		why = "it was ended while it was under way"
		s.endGroup(c)
	case <-ctx.Done():
		why = "it was ended while it was under way, with its supervisor"
		s.endGroup(c)
	}
	_ = c.cmd.Wait() // how it ended is told by its state
	exit = proc.ExitOf(c.cmd.ProcessState)
	printed := time.NewTimer(settle)
	defer printed.Stop()
	select {
	case <-c.pumped:
	case <-printed.C:
	}
	if why == "" && !exit.OK() {
		why = exit.String()
	}
	if last := s.last.line(); why != "" && last != "" {
		why += fmt.Sprintf(" (%s)", last)
	}
	return exit, why
}

// endGroup ends the command's whole group, what it has made a session of its own excepted. Who wants the replica to end
// meanwhile is told to have patience, or would kill this process in the midst of it.
func (s *supervisor) endGroup(c *child) {
	st := s.state()
	st.Ending = true
	s.board.set(st)
	s.askToEnd(c)
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it is not reaped yet, so the group's number is its own
	<-c.ended
}

func (s *supervisor) asked() bool {
	select {
	case <-s.control.asked:
		return true
	default:
		return false
	}
}

// live is what is said of what is live, asked once.
func (s *supervisor) live() string {
	ctx, cancel := context.WithTimeout(context.Background(), s.spec.Health.Timeout)
	defer cancel()
	err := s.probe(ctx)
	switch {
	case err == nil:
		return "asked all the same, its status is that it is live"
	case ctx.Err() != nil:
		return "what is live is not known: the status command did not end within " + human.Duration(s.spec.Health.Timeout)
	}
	return "it is not live: " + err.Error()
}

// watchDeployed asks whether what was deployed is live until the replica is to end.
func (s *supervisor) watchDeployed(ctx context.Context) {
	answers := make(chan error)
	defer s.asking(answers)()
	overdue := time.NewTimer(s.life.patience(time.Now()))
	defer overdue.Stop()
	for {
		select {
		case <-s.control.asked:
			return
		case <-ctx.Done():
			return
		case err := <-answers:
			s.life.probed(time.Now(), err)
			if s.spec.Deploy.Once && err != nil && s.answered.Load() {
				s.life.settled(time.Now())
			}
		case <-overdue.C:
			s.life.overdue(time.Now())
		}
		s.tell()
	}
}

// takeAway ends the replica, and has the stop command take away what was deployed, unless it is to stay. It says whether
// the replica is to be forgotten: one whose stop command failed stays recorded, with the reason.
func (s *supervisor) takeAway() (forget bool) {
	asked := s.asked()
	stops := asked && !s.control.spare.Load() && len(s.spec.Deploy.Stop) > 0
	st := s.state()
	st.Stopping = true
	if stops {
		st.Grace += s.spec.Deploy.StopTimeout
	}
	s.board.set(st)
	s.life.undeployed(time.Now(), s.life.status.ExitCode, "its supervisor was told to end")
	if !stops {
		return asked
	}
	if err := s.runStop(); err != nil {
		s.refused = fmt.Sprintf("%s is not known to be gone: its stop command failed: %s", s.spec.ID, err)
		s.life.status.Reason = s.refused
		return false
	}
	return true
}

func (s *supervisor) runStop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.spec.Deploy.StopTimeout)
	defer cancel()
	exit, printed, err := s.runCommand(ctx, s.spec.Deploy.Stop, s.spec.Stop.Grace)
	said := printed.all.line()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it did not end within %s: %s", human.Duration(s.spec.Deploy.StopTimeout), said)
	case err != nil:
		return err
	case !exit.OK():
		return fmt.Errorf("%s: %s", exit, said)
	}
	return nil
}

// askStatus is the question of a deploy: the status command's exit code, and the release that it names.
func (s *supervisor) askStatus(ctx context.Context) error {
	exit, printed, err := s.runCommand(ctx, s.spec.Health.Command, 100*time.Millisecond)
	line, named := printed.all.line(), driver.Named(printed.answer())
	s.found.Store(&named)
	s.answered.Store(err == nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the status command did not end")
	case err != nil:
		return fmt.Errorf("status command: %w", err)
	case !exit.OK():
		return fmt.Errorf("status command: %s", join(exit.String(), driver.Printable(line, 200)))
	case named != "" && !driver.SameRelease(named, s.spec.Release):
		return fmt.Errorf("the status command names another release as live: %s", named)
	}
	return nil
}

// told is the end of what a command printed, without the secrets: all of it, and what was on its standard output. A warning
// of a tool's on standard error is not an answer.
type told struct{ all, stdout *lastLines }

// answer is the last line of the standard output, or of all where there is nothing on that.
func (t told) answer() string {
	if line := t.stdout.whole(); line != "" {
		return line
	}
	return t.all.whole()
}

// runCommand runs a command beside the replica. The secrets go before anything is cut, since half of one would not be
// known as one.
func (s *supervisor) runCommand(ctx context.Context, argv []string, grace time.Duration) (proc.Exit, told, error) {
	t := told{new(lastLines), new(lastLines)}
	stdout, stderr := s.redact.Writer(io.MultiWriter(t.all, t.stdout)), s.redact.Writer(t.all)
	c := s.command(argv, stdout, stderr)
	c.Network, c.Grace = s.spec.Network, grace
	exit, err := proc.Run(ctx, c)
	_ = errors.Join(stdout.Close(), stderr.Close()) // memory
	return exit, t, err
}

func join(said, line string) string {
	if line == "" {
		return said
	}
	return said + ": " + line
}

// addDeploying adds what is left of a deploy command whose supervisor died, by its group and its mark: going on without
// anybody, it would deploy into the next one. What it has made a session of its own is the team's.
func addDeploying(left []proc.Identity, folder string, command proc.Identity) ([]proc.Identity, error) {
	if command.PID == 0 {
		return left, nil
	}
	marked, err := proc.Marked(deployMark(folder))
	if err != nil || len(marked) == 0 {
		return left, err
	}
	table, err := proc.Table()
	if err != nil {
		return left, err
	}
	ours := map[proc.Identity]bool{}
	for _, p := range table {
		ours[p.Identity] = p.Group == command.PID && !p.Ended
	}
	for _, p := range marked {
		if ours[p] {
			left = append(left, p)
		}
	}
	return left, nil
}
