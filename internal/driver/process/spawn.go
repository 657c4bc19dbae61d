package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// answer is what a supervisor says once, on its standard output, when it has taken a replica over or could not.
type answer struct {
	State   state        `json:"state"`
	Busy    bool         `json:"busy,omitempty"`
	Code    problem.Code `json:"code,omitempty"` // of the problem, if any
	Message string       `json:"message,omitempty"`
	Hint    string       `json:"hint,omitempty"`
}

// answerOf is the answer for how the start went.
func answerOf(st state, err error) answer {
	if errors.Is(err, errBusy) {
		return answer{Busy: true}
	}
	if p := problem.From(err); p != nil {
		return answer{Code: p.Code, Message: p.Message, Hint: p.Hint}
	}
	return answer{State: st}
}

func (a answer) err() error {
	switch {
	case a.Busy:
		return errBusy
	case a.Message != "":
		return &problem.Error{Code: a.Code, Message: a.Message, Hint: a.Hint}
	default:
		return nil
	}
}

// spawn starts a supervisor for the replica, in a session of its own and with nothing inherited, hands it the spec
// through a pipe, and waits for its answer. It returns errBusy when another supervisor was faster.
func (d *Driver) spawn(ctx context.Context, spec driver.Spec) (state, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return state{}, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return state{}, err
	}
	defer r.Close() //nolint:errcheck // read only
	printed := new(lastLines)
	ended, err := d.launch(spec, bytes.NewReader(body), w, printed)
	if err = errors.Join(err, w.Close()); err != nil {
		return state{}, problem.New(problem.Unavailable, "the supervisor of %s can't be started: %w", spec.ID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var a answer
	err = json.NewDecoder(r).Decode(&a)
	if ctx.Err() != nil {
		return state{}, ctx.Err()
	}
	if err != nil {
		exit := <-ended
		return state{}, problem.New(problem.Internal, "the supervisor of %s (%s) ended before it had started anything: %s %s",
			spec.ID, strings.Join(d.supervise, " "), exit, driver.Printable(printed.text(), 500))
	}
	if err := a.err(); err != nil {
		<-ended // so that its lock is free
		return state{}, err
	}
	return a.State, nil
}

// launch starts the supervisor's process, in the replica's network: from there it asks after its health. It outlives this
// one; as long as this one lives, it is waited for.
func (d *Driver) launch(spec driver.Spec, stdin io.Reader, stdout, stderr io.Writer) (<-chan proc.Exit, error) {
	cmd, err := proc.Command{
		Argv: append(slices.Clone(d.supervise), d.folder(spec.ID)), Dir: "/", Stdin: stdin, Stdout: stdout, Stderr: stderr,
	}.Cmd()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	start := cmd.Start
	if spec.Network != "" {
		start = func() error { return proc.StartIn(spec.Network, cmd) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.supervise[0], err)
	}
	ended := make(chan proc.Exit, 1)
	go func() {
		_ = cmd.Wait() // its end is told by its state; here it is only not left a zombie
		ended <- proc.ExitOf(cmd.ProcessState)
	}()
	return ended, nil
}
