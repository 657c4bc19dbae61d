package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// hopeless says whether waiting for a replica that is not healthy is over.
func hopeless(st state) bool {
	return st.Status.Phase == driver.Exited || st.Status.Phase == driver.Sick || st.Failures >= driver.TooOften
}

// startProblem tells why a command could not be run: the kernel's answer names neither the cause nor the cure.
func startProblem(s driver.Spec, err error) error {
	name := s.Command[0]
	p := func(format string, args ...any) *problem.Error {
		return problem.New(problem.Invalid, "%s can't be started: "+format, append([]any{s.ID}, args...)...)
	}
	if info, e := os.Stat(s.Dir); e != nil || !info.IsDir() {
		return p("its folder %s does not exist", s.Dir)
	}
	file := name
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.Dir, name)
	}
	var pe *fs.PathError
	if errors.As(err, &pe) && filepath.IsAbs(pe.Path) {
		file = pe.Path
	}
	_, missing := os.Stat(file)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return p("there is no program %s in its PATH (%s)", name, s.Env["PATH"]).
			WithHint("write the path of the program, or set PATH in the service's environment")
	case errors.Is(err, syscall.ENOENT) && missing != nil:
		return p("there is no program %s", file).WithHint("check the service's command, and that its build makes this file")
	case errors.Is(err, syscall.ENOENT):
		return p("the interpreter or loader that %s asks for is not on this machine", file).
			WithHint("check its first line (#!), or build it for this system")
	case errors.Is(err, syscall.ENOEXEC):
		return p("%s is no program for this machine", file).
			WithHint("a script needs a first line such as #!/bin/sh; a program must be built for this processor")
	case errors.Is(err, syscall.EPERM) && s.User != "" && os.Geteuid() != 0:
		return p("only root may run it as the user %s", s.User).WithHint("run the daemon as root, or leave the user out")
	case errors.Is(err, fs.ErrPermission) && s.User != "":
		return p("the user %s may not execute %s, or not enter %s", s.User, file, s.Dir).
			WithHint("chmod +x %s, and make the folders above it readable for %s", file, s.User)
	case errors.Is(err, fs.ErrPermission):
		return p("%s may not be executed", file).WithHint("chmod +x %s", file)
	default:
		return p("%w", err)
	}
}

func diskFull(folder string) error {
	return problem.New(problem.Unavailable, "%s can't be started: the disk with %s is full", filepath.Base(folder), filepath.Dir(folder)).
		WithHint("make room there, and start it again")
}

func silent(id string) error {
	return problem.New(problem.Unavailable, "the supervisor of %s does not answer", id).
		WithHint("stop the replica: its supervisor is killed then")
}
