package service

import (
	"context"
	"os"
	"strings"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// tailSize is how much of what systemctl prints is kept.
const tailSize = 64 << 10

// Running refuses a machine whose first process is not systemd (sd_booted(3) asks the same), and whoever may not change it.
func Running() error {
	if info, err := os.Lstat("/run/systemd/system"); err != nil || !info.IsDir() {
		return problem.New(problem.Unavailable, "systemd does not run this machine").
			WithHint("greenroom up starts Greenroom without it")
	}
	return nil
}

// Installed says whether Greenroom is installed as a service for this state folder.
func Installed(home string) bool {
	b, err := os.ReadFile(Unit{Name: ControlPlane}.Path())
	return err == nil && strings.Contains(string(b), " --home "+home+" daemon")
}

// Start starts a unit and returns when it is ready.
func Start(ctx context.Context, unit string) error { return systemctl(ctx, "start", unit) }

// Stop stops a unit. It does not wait: a unit may be stopping itself.
func Stop(ctx context.Context, unit string) error { return systemctl(ctx, "stop", "--no-block", unit) }

// systemctl tells systemd something. What it says when it refuses is in the problem.
func systemctl(ctx context.Context, args ...string) error {
	_, err := ask(ctx, args...)
	return err
}

func ask(ctx context.Context, args ...string) (string, error) {
	out, errs := proc.NewTail(tailSize), proc.NewTail(tailSize)
	exit, err := proc.Run(ctx, proc.Command{
		Argv: append([]string{"systemctl"}, args...), Dir: "/", Stdout: out, Stderr: errs,
		Env: []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "SYSTEMD_PAGER="},
	})
	if err != nil {
		return "", problem.New(problem.Unavailable, "systemctl %s: %w", strings.Join(args, " "), err)
	}
	if !exit.OK() {
		return out.String(), problem.New(problem.Unavailable, "systemctl %s: %s: %s", strings.Join(args, " "), exit, strings.Join(errs.Lines(5), "; ")).
			WithHint("journalctl -u %s -n 50", args[len(args)-1])
	}
	return out.String(), nil
}
