package drivertest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/driver"
)

// bound is how much of a replica's output a driver may keep.
const bound = 32 << 20

func printsWithoutEnd(b *bench) {
	// A lot in one go, then it becomes healthy: it was not held up. Then without end, until it is stopped.
	s := b.web(fmt.Sprintf("flood:%d", b.world.Flood))
	s.Command = append(s.Command[:len(s.Command)-1], "until:"+b.file("go"), "flood:0")
	st := b.startAndWait(s)
	if n := b.diskUse(); n > bound {
		b.Errorf("%d MiB of the output are kept", n>>20)
	}
	id := b.identify(st.PID)
	b.touch("go")
	got := new(counter)
	if err := b.Logs(b.ctx, s.ID, driver.LogOptions{}, got); err != nil || got.n > bound {
		b.Errorf("the logs of one that prints without end: %d bytes, %v", got.n, err)
	}
	if st := b.status(s.ID); st.Phase != driver.Healthy {
		b.Errorf("status %+v", st)
	}
	if n := b.diskUse(); n > bound {
		b.Errorf("%d MiB of the output are kept", n>>20)
	}
	b.stop(s.ID)
	b.wantGone(id)
}

type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// diskUse is how many bytes the driver keeps.
func (b *bench) diskUse() (n int64) {
	b.Helper()
	if b.world.Kept != nil {
		return b.world.Kept(b.T, b.dir)
	}
	err := filepath.WalkDir(b.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // segments go while they are counted
		}
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func logsTail(b *bench) {
	s := b.spec("lines:5", "print:", "print:last", "until:"+b.file("die"), "exit:0")
	b.start(s)
	all := "line 00000001\nline 00000002\nline 00000003\nline 00000004\nline 00000005\n\nlast\n"
	b.eventually("all lines", func() bool { return b.logs(s.ID, 0) == all })
	for tail, want := range map[int]string{1: "last\n", 2: "\nlast\n", 3: "line 00000005\n\nlast\n", 7: all, 100: all} {
		if got := b.logs(s.ID, tail); got != want {
			b.Errorf("the last %d lines are %q, want %q", tail, got, want)
		}
	}
}

// logsOfStopped are read when the replica is gone: mostly it was stopped because of what stands there.
func logsOfStopped(b *bench) {
	s := b.spec("lines:3", "env:"+b.file("printed"), "stay")
	b.startAndWait(s)
	b.eventually("it has printed", func() bool { return b.size("printed") > 0 && b.logs(s.ID, 0) != "" })
	b.stop(s.ID)
	if got := b.logs(s.ID, 2); got != "line 00000002\nline 00000003\n" {
		b.Errorf("the last lines of one that was stopped are %q", got)
	}
}

func logsFollow(b *bench) {
	s := b.spec("print:one", "print:two", "until:"+b.file("go"), "lines:3", "stay")
	b.start(s)
	b.eventually("two lines", func() bool { return strings.Count(b.logs(s.ID, 0), "\n") == 2 })
	f := b.follow(s.ID)
	f.want("two")
	b.touch("go")
	f.want("line 00000001")
	f.want("line 00000002")
	f.want("line 00000003")
}

func logsAcrossRotation(b *bench) {
	lines := b.world.Lines
	s := b.spec("until:"+b.file("go"), fmt.Sprintf("lines:%d", lines), "stay")
	b.start(s)
	b.touch("go")
	last := string(numbered(lines, lines))
	b.eventually("the last line", func() bool { return b.logs(s.ID, 1) == last })
	all := b.logs(s.ID, 0)
	if len(all) < 1<<18 || len(all) > bound {
		b.Fatalf("%d bytes are kept", len(all))
	}
	kept := len(all) / len(last)
	if want := string(numbered(lines-kept+1, lines)); all != want {
		b.Errorf("what is kept is not the last %d lines: it begins %.40q", kept, all)
	}
	if tail := b.logs(s.ID, kept-10); tail != all[10*len(last):] {
		b.Errorf("the last %d lines are %d bytes, want %d", kept-10, len(tail), len(all)-10*len(last))
	}
}

func logsOfALineWithoutEnd(b *bench) {
	long := strings.Repeat("y", 100<<10)
	s := b.spec("print:"+long, "stay")
	b.start(s)
	b.eventually("the long line", func() bool { return b.logs(s.ID, 0) == long+"\n" })
}

// printsItsSecrets is a service that shows its password on the way to its end. It stands nowhere afterwards: not in the
// reason, in no log, and nowhere else in the driver's folder.
func printsItsSecrets(b *bench) {
	const secret = "hunter22-correct-horse"
	s := b.web("print:login with "+secret, "exit:3")
	s.Secrets = []string{secret}
	b.start(s)
	_, err := b.Wait(b.ctx, s.ID)
	if err == nil || !strings.Contains(err.Error(), "login with") || strings.Contains(err.Error(), secret) {
		b.Errorf("it is said that %v", err)
	}
	if got := b.logs(s.ID, 1); got != "login with ***\n" {
		b.Errorf("it printed %q", got)
	}
	WantNowhere(b, b.dir, secret)
}

// WantNowhere fails the test when a file in a driver's folder holds a secret. Files come and go meanwhile.
func WantNowhere(t testing.TB, dir, secret string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var text []byte
			if text, err = os.ReadFile(name); bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret", name)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// follower reads a replica's logs while they are written.
type follower struct {
	b     *bench
	lines *bufio.Reader
}

func (b *bench) follow(id string) *follower {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		err := b.Logs(ctx, id, driver.LogOptions{Tail: 1, Follow: true}, w)
		if err != nil && ctx.Err() == nil {
			b.Errorf("follow %s: %v", id, err)
		}
		_ = w.CloseWithError(io.EOF)
	})
	b.Cleanup(func() {
		cancel()
		_ = r.Close()
		wg.Wait()
	})
	return &follower{b, bufio.NewReader(r)}
}

func (f *follower) want(line string) {
	f.b.Helper()
	got, err := f.lines.ReadBytes('\n')
	if err != nil || !bytes.Equal(got, []byte(line+"\n")) {
		f.b.Errorf("followed line %q, %v; want %q", got, err, line)
	}
}
