package dockertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"greenroom/internal/proc"
)

// step is the variable that says how far Enter has come.
const step = "GREENROOM_DOCKERTEST"

// Enter runs this test program in a world of its own: its processes, mounts and interfaces are in namespaces that end with
// it, however it ends, so no Engine of a test can leave anything on the machine or be disturbed by the machine's own. A
// TestMain calls it before anything else. It returns in that world, and where there can be none.
func Enter() {
	switch os.Getenv(step) {
	case "":
		if os.Geteuid() == 0 {
			if code, err := outside(); err == nil {
				os.Exit(code)
			}
		}
	case "first":
		os.Exit(first())
	}
}

// outside starts the world, and stands for it where this program was started.
func outside() (int, error) {
	runtime.LockOSThread() // the world ends with this thread
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "engine") // short: sockets lie in it
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what can't be removed was said by End
	cmd := again("first")
	cmd.Env = append(cmd.Env, place+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	asked := make(chan os.Signal, 8)
	signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range asked {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	return codeOf(cmd.Wait()), nil
}

func again(next string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), step+"="+next)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

func codeOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "dockertest:", err)
	return 1
}

// first is the world's process 1: it furnishes the world, starts the tests, and reaps everybody else.
func first() int {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""), // what goes from the machine goes from here
		proc.LetGo(), // also where it doesn't: another test's Engine would not get rid of its containers' networks
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), // containerd's shims leave sockets there
		loopbackUp(),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "dockertest:", err)
		return 1
	}
	cmd := again("inside")
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "dockertest:", err)
		return 1
	}
	asked := make(chan os.Signal, 8)
	signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range asked {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "dockertest:", err)
			return 1
		case pid == cmd.Process.Pid && status.Signaled():
			return 128 + int(status.Signal())
		case pid == cmd.Process.Pid:
			return status.ExitStatus()
		}
	}
}

// loopbackUp makes 127.0.0.1 work.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s) //nolint:errcheck // nothing is sent
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}
