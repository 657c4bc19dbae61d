package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
)

// start starts a daemon on the folder and tells how long it took until it answered.
func (b *bench) start(ctx context.Context) (*exec.Cmd, time.Duration, error) {
	cmd := exec.CommandContext(ctx, b.program, "--home", string(b.home), "daemon")
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	for deadline := began.Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if c, err := api.Dial(ctx, b.home.Socket(), "bench"); err == nil {
			c.Close()
			return cmd, time.Since(began), nil
		}
	}
	return nil, 0, errors.Join(fmt.Errorf("the daemon does not answer: %s", said.String()), cmd.Process.Kill(), cmd.Wait())
}

// stop ends a daemon, and its edge where nothing is live.
func (b *bench) stop(ctx context.Context, cmd *exec.Cmd) error {
	c, err := api.Dial(ctx, b.home.Socket(), "bench")
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(c.Shutdown(ctx), cmd.Wait())
}

// idle is a daemon that has nothing to do.
func (b *bench) idle(ctx context.Context) error {
	first, _, err := b.start(ctx) // makes the folder
	if err != nil {
		return err
	}
	if err := b.stop(ctx, first); err != nil {
		return err
	}
	var took []time.Duration
	for range 5 {
		cmd, ready, err := b.start(ctx)
		if err != nil {
			return err
		}
		took = append(took, ready)
		if len(took) == 5 {
			rest := time.NewTimer(3 * time.Second)
			<-rest.C
			b.row("the daemon idle after 3 s (asked: below 60 MB)", "%s", memory(cmd.Process.Pid))
		}
		if err := b.stop(ctx, cmd); err != nil {
			return err
		}
	}
	b.row("the daemon ready, with its edge started (asked: 150 ms)", "%s", median(took))
	return nil
}

// memory is the resident memory of a process.
func memory(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "not known here"
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb int
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return fmt.Sprintf("%.0f MB", float64(kb)/1000)
			}
		}
	}
	return "not known here"
}

// commands are what people type, on a folder with many releases.
func (b *bench) commands(ctx context.Context) error {
	cmd, ready, err := b.start(ctx)
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("the daemon ready with %d releases and their log (asked: 150 ms)", releases), "%s", ready.Round(time.Millisecond))
	c, err := api.Dial(ctx, b.home.Socket(), "bench")
	if err != nil {
		return err
	}
	defer c.Close()
	policy := app.Policy{App: name, Environments: []app.Environment{{Name: "staging"}, {Name: "production", After: "staging"}}}
	if _, err := c.Register(ctx, api.Registration{App: name, Repository: b.dir, Policy: policy}); err != nil {
		return err
	}
	began := time.Now()
	if _, err := c.Explain(ctx, name, "latest", "production"); err != nil {
		return err
	}
	b.row("the first question to a gate, which waits until the log was looked at", "%s", time.Since(began).Round(time.Millisecond))
	for _, args := range [][]string{{"status"}, {"history"}, {"explain", "latest", "production"}} {
		took, err := b.typed(ctx, args)
		if err != nil {
			return err
		}
		b.row(fmt.Sprintf("greenroom %s with %d releases, as typed (asked: 50 ms)", args[0], releases), "%s", median(took))
	}
	return b.stop(ctx, cmd)
}

func (b *bench) typed(ctx context.Context, args []string) ([]time.Duration, error) {
	var took []time.Duration
	for range rounds {
		cmd := exec.CommandContext(ctx, b.program, append([]string{"--home", string(b.home), "--app", name}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		err := cmd.Run()
		took = append(took, time.Since(began))
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != 4 { // 4: the gate says no, which is an answer
			return nil, fmt.Errorf("%s: %w: %s", args[0], err, out.String())
		}
	}
	return took, nil
}
