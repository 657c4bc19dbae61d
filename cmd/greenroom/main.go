// Greenroom: nothing goes live unrehearsed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"greenroom/internal/cli"
	"greenroom/internal/daemon"
	"greenroom/internal/demo"
	"greenroom/internal/term"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run(daemon.Program{Version: version})) }

// run runs the program, which finds out itself where it lies.
func run(program daemon.Program) int {
	var err error
	if program.Path, err = os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, "greenroom: this program can't find itself:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	streams := cli.Streams{
		In: os.Stdin, Out: term.Detect(os.Stdout, os.Getenv), Err: term.Detect(os.Stderr, os.Getenv), Getenv: os.Getenv,
	}
	deps := program.Deps()
	deps.Demo = func(ctx context.Context, o cli.DemoOptions) error { return demo.Tell(ctx, program, o) }
	return cli.Main(ctx, os.Args[1:], streams, deps)
}
