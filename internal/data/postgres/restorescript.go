package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// timeoutKnown is the first major version that knows transaction_timeout. A pg_restore of it or later sets it whatever the
// server is, and an earlier server knows no such setting.
const timeoutKnown = 17

// fillByScript is for a server that is older than that: pg_restore writes its script without a connection, and psql, which
// understands what that has of its own, runs it without the one statement. One connection does it all.
func (d *Database) fillByScript(ctx context.Context, name, file string) error {
	if err := d.programs.need("psql"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	script, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		h := &headless{to: in}
		_, err := run(ctx, tool{argv: []string{d.programs.path("pg_restore"), "--exit-on-error", "--file=-", file}, stdout: h})
		if err == nil && !h.past {
			err = errNoHead
		}
		// What psql has of a script that breaks off must not look like all of it.
		written <- errors.Join(err, in.CloseWithError(err))
	}()
	_, err := d.tool(ctx, tool{
		argv:  []string{d.programs.path("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"},
		stdin: script,
	}, name)
	err = errors.Join(err, script.CloseWithError(errEnded)) // whoever writes is not left waiting
	if wrote := <-written; wrote != nil && !errors.Is(wrote, errEnded) && ctx.Err() == nil {
		return errors.Join(err, wrote)
	}
	return err
}

var (
	errEnded  = errors.New("psql has ended")
	errNoHead = errors.New("the script of pg_restore does not begin with its settings")
)

// headless passes a script of pg_restore's on without the statement that sets transaction_timeout. It stands among the first
// lines, in front of everything that comes of the database.
type headless struct {
	to   io.Writer
	head []byte // not passed on yet
	past bool
}

// headSize is more than what stands before that statement: comments with versions, and settings.
const headSize = 4 << 10

var setTimeout = []byte("\nSET transaction_timeout = 0;\n")

func (h *headless) Write(p []byte) (int, error) {
	if h.past {
		return h.to.Write(p)
	}
	h.head = append(h.head, p...)
	at := bytes.Index(h.head, setTimeout)
	if at < 0 && len(h.head) < headSize {
		return len(p), nil
	}
	if at < 0 {
		return 0, errNoHead
	}
	h.past = true
	rest := append(h.head[:at:at], h.head[at+len(setTimeout)-1:]...)
	h.head = nil
	if _, err := h.to.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}
