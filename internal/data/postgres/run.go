package postgres

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"greenroom/internal/proc"
)

// tool is one run of one of PostgreSQL's programs.
type tool struct {
	argv   []string
	env    []string  // beside the few variables that every program gets
	user   string    // system user; "" is the daemon's own
	stdin  io.Reader // nil: nothing
	stdout io.Writer // nil: what it prints is returned
}

// run runs a program to its end and returns what it printed, the last of it when that is much. An exit code other than
// 0 is an error that carries the program's own last words.
func run(ctx context.Context, t tool) (string, error) {
	out, errs := proc.NewTail(tailSize), proc.NewTail(tailSize)
	c := proc.Command{
		Argv: t.argv,
		Dir:  "/", // a folder that any system user can be in
		// libpq looks for certificates under HOME; messages in English are what people find on the web.
		Env:    append([]string{"LC_ALL=C", "TZ=UTC", "HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH")}, t.env...),
		Stdout: out,
		Stderr: errs,
		User:   t.user,
		Stdin:  t.stdin,
	}
	if t.stdout != nil {
		c.Stdout = t.stdout
	}
	exit, err := proc.Run(ctx, c)
	if err != nil {
		return out.String(), err
	}
	if !exit.OK() {
		return out.String(), fmt.Errorf("%s: %s: %s", filepath.Base(t.argv[0]), exit, strings.Join(errs.Lines(5), "; "))
	}
	return out.String(), nil
}

// tailSize is how much of a program's output is kept: its end.
const tailSize = 64 << 10
