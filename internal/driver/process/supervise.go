package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"greenroom/internal/atomicfile"
	"greenroom/internal/driver"
	"greenroom/internal/proc"
	"greenroom/internal/redact"
)

// Supervise is the supervisor of the replica with this folder: what the hidden command "greenroom supervise DIR" runs, in
// a process of its own, which it changes (it adopts orphans, and takes signals). It reads the driver.Spec as JSON from
// stdin, answers on stdout once when it has taken the replica over or could not, and returns when the replica was stopped
// or has ended for good. When ctx ends, the replica is ended and stays recorded.
func Supervise(ctx context.Context, dir string, stdin io.Reader, stdout io.Writer) error {
	// Linux kills a child when the thread that forked it ends. Locked, this thread lives as long as this call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Whoever started us may be gone: an answer that nobody reads must not kill the replica.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)

	s, first, err := takeOver(dir, stdin)
	if errors.Is(err, syscall.ENOSPC) {
		err = diskFull(dir)
	}
	var st state
	if err == nil {
		st, _ = s.board.get()
	}
	_ = json.NewEncoder(stdout).Encode(answerOf(st, err))
	if err != nil {
		return err
	}
	return s.leave(s.run(ctx, first))
}

// supervisor is one replica's parent. All but the pump, the probe and the socket happens in one goroutine.
type supervisor struct {
	spec     driver.Spec
	folder   string
	env      []string
	redact   *redact.Redactor
	probe    driver.Probe
	probing  sync.Mutex // held while a health command may be running
	self     proc.Identity
	child    proc.Identity
	life     *life
	last     *lastLines
	log      *logFile
	board    *board
	control  *control
	lock     *os.File
	found    atomic.Pointer[string] // the release that the status command named last
	answered atomic.Bool            // whether the status command ended by itself then
	refused  string                 // why the stop command failed
	orphans  chan os.Signal         // tells that somebody has ended who may have been adopted
}

// takeOver locks the folder, cleans up what a dead predecessor left, and starts the first child. Where that fails,
// nothing is left.
func takeOver(dir string, stdin io.Reader) (*supervisor, *child, error) {
	var spec driver.Spec
	if err := json.NewDecoder(stdin).Decode(&spec); err != nil {
		return nil, nil, fmt.Errorf("read the spec: %w", err)
	}
	err := checkSpec(spec)
	if err == nil && spec.Deploy == nil {
		err = adopt()
	}
	if err != nil {
		return nil, nil, err
	}
	if spec.Network != "" { // this thread starts every child
		if err := proc.Seclude(spec.Network); err != nil {
			return nil, nil, err
		}
	}
	if spec.User != "" {
		if err := proc.Confine(); err != nil {
			return nil, nil, err
		}
	}
	lock, err := takeNew(dir)
	if err != nil {
		return nil, nil, err
	}
	spec = spec.WithDefaults()
	s := &supervisor{
		spec: spec, folder: dir, env: environ(spec, dir), redact: redact.New(spec.Secrets...), lock: lock, life: newLife(spec), last: new(lastLines),
		orphans: make(chan os.Signal, 1),
	}
	signal.Notify(s.orphans, syscall.SIGCHLD) // before anything is started, or the first ends would be missed
	s.probe = s.question()
	c, err := s.prepare()
	if err != nil {
		_ = s.abandon() // why it could not be started says more; what is left is cleaned up by the next start
		return nil, nil, err
	}
	return s, c, nil
}

func (s *supervisor) prepare() (*child, error) {
	err := clean(s.folder)
	if err != nil {
		return nil, err
	}
	if s.self, err = proc.Self(); err != nil {
		return nil, err
	}
	if err := crashTo(filepath.Join(s.folder, crashFile)); err != nil {
		return nil, err
	}
	if s.log, err = openLog(filepath.Join(s.folder, logFolder)); err != nil {
		return nil, err
	}
	if err := atomicfile.Sweep(filepath.Join(s.folder, stateFile)); err != nil {
		return nil, err
	}
	// Recorded before anything runs, so that there is no instant in which a replica runs that List does not show.
	s.board = newBoard(s.state())
	if err := s.state().write(s.folder); err != nil {
		return nil, err
	}
	c, err := s.first()
	if err != nil {
		return nil, err
	}
	s.tell()
	err = s.state().write(s.folder)
	if err == nil {
		s.control, err = listenControl(s.folder, s.board)
	}
	if err != nil {
		if c != nil {
			s.finish(c)
		}
		return nil, err
	}
	return c, nil
}

// first starts the first child; nil where there is no command, and what is there is only asked after.
func (s *supervisor) first() (*child, error) {
	if len(s.spec.Command) > 0 {
		return s.start()
	}
	s.life.status.PID = s.self.PID
	s.life.deployed(time.Now())
	return nil, nil
}

// abandon leaves nothing of a replica that could not be started but its logs.
func (s *supervisor) abandon() error {
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	return errors.Join(err, retire(s.folder), s.lock.Close())
}

// leave ends the supervisor: a replica that was asked to stop is forgotten, another stays recorded as it ended.
func (s *supervisor) leave(asked bool) error {
	st := s.state()
	err := s.log.Close()
	if asked {
		err = errors.Join(err, retire(s.folder))
	} else {
		err = errors.Join(err, st.write(s.folder))
		s.board.set(st)
	}
	signal.Stop(s.orphans)
	s.control.close()
	return errors.Join(err, s.lock.Close())
}

// crashTo has the runtime write a crash of this process into a file: nobody reads its standard error.
func crashTo(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
}

// state is all that is known now.
func (s *supervisor) state() state {
	st := state{
		Status: s.life.status, Supervisor: s.self, Child: s.child, Failures: s.life.failures, Last: s.last.text(),
		Grace: s.spec.Stop.Grace, Refused: s.refused,
	}
	if found := s.found.Load(); found != nil {
		st.Status.Found = *found
	}
	st.Status.Answered = s.answered.Load()
	return st
}

// tell shows what is known now to whoever asks.
func (s *supervisor) tell() { s.board.set(s.state()) }

// record keeps state.json up to date, in a goroutine of its own: health must not wait for a slow disk. It returns what
// ends it.
func (s *supervisor) record() (stop func()) {
	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			st, changed := s.board.get()
			_ = st.write(s.folder) // on a full disk the record is old, and the socket still tells the truth
			select {
			case <-changed:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		writing.Wait()
	}
}

// start starts a child and begins to ask after its health. Where somebody else listens on its address, his answers
// would be taken for the child's: then nobody asks, and the child will say itself that it can't listen.
func (s *supervisor) start() (*child, error) {
	taken := s.taken()
	c, err := s.startChild()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s.child, err = proc.Identify(c.cmd.Process.Pid)
	if err != nil && !errors.Is(err, proc.ErrGone) {
		s.finish(c)
		return nil, err
	}
	if s.spec.Deploy != nil { // it is asked after when the command has ended
		s.life.started(now, s.self.PID)
		return c, nil
	}
	s.life.started(now, c.cmd.Process.Pid)
	switch {
	case taken:
		s.life.status.Reason = s.spec.Listen.Address + " " + driver.TakenSuffix
	case driver.HasHealth(s.spec.Health):
		c.ask(s)
	}
	return c, nil
}

func (s *supervisor) taken() bool {
	if s.spec.Listen.Network == "" || s.spec.Deploy != nil { // the release before it may listen there
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return driver.Dials(ctx, s.spec.Listen) == nil
}
