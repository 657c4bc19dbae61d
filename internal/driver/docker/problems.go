package docker

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// startProblem tells why a container could not be started: the Engine's sentence has the cause somewhere in it, and not the
// cure.
func (d *Driver) startProblem(ctx context.Context, id string, s driver.Spec, err error) error {
	text := said(err)
	p := func(code problem.Code, format string, args ...any) *problem.Error {
		return problem.New(code, "%s can't be started: "+format, append([]any{s.ID}, args...)...)
	}
	is := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(err.Error(), w) })
	}
	var told *problem.Error
	switch {
	case errors.As(err, &told):
		return err
	case is("address already in use", "port is already allocated"):
		return p(problem.Unavailable, "the address %s %s: address already in use", s.Listen.Address, driver.TakenSuffix).
			WithHint("find out what listens on %s, and stop it or give the service another port", s.Listen.Address)
	case is("Address already in use"):
		return p(problem.Unavailable, "an address that it is to have in a network is another container's: %s", text).
			WithHint("look who has it: docker network inspect NETWORK")
	case is("network ") && is(" not found"):
		return networkGone(s, err)
	case is("no available IPv4 addresses"):
		return p(problem.Unavailable, "a network that it is to be in has no address left: %s", text).
			WithHint("give the Engine larger networks (default-address-pools in daemon.json), or the environment fewer replicas")
	case is("no space left on device"):
		return p(problem.Unavailable, "the disk of the Docker Engine is full").WithHint("make room: docker system df shows what takes it")
	case is("unable to find user", "unable to find group"):
		return p(problem.Invalid, "its image has no user %s", s.User).WithHint("write a user of the image, or its number")
	case is("executable file not found"):
		return p(problem.Invalid, "there is no program %s in its PATH (%s)", d.program(ctx, id, s), s.Env["PATH"]).
			WithHint("write the path of the program, or set PATH in the service's environment")
	case is("no such file or directory") && is("exec", "starting container process"):
		return d.noProgram(ctx, id, s)
	case is("permission denied") && is("exec", "starting container process"):
		return p(problem.Invalid, "%s may not be executed", d.program(ctx, id, s)).WithHint("chmod +x it in the image")
	case is("exec format error"):
		return p(problem.Invalid, "%s is no program for this machine", d.program(ctx, id, s)).
			WithHint("an image must be built for this processor; a script needs a first line such as #!/bin/sh")
	case is("unable to apply caps"):
		return p(problem.Invalid, "the Docker Engine has not got the rights itself that it is to give: %s", text).
			WithHint("take privileged or the cap_add that this machine has not got out of the service, or run the Engine outside a container")
	case is("bind source path does not exist"):
		if d.engine.elsewhere() {
			return p(problem.Invalid, "a folder that it mounts is not on the machine of the Docker Engine (%s): %s", d.engine.host, text).
				WithHint("run Greenroom on the machine of the Engine: what comes with a release is mounted from here")
		}
		return p(problem.Invalid, "a folder that it mounts is not there: %s", text).WithHint("make it, or mend the service's volumes")
	}
	return p(problem.Fail, "%s", text)
}

// noProgram says which of the two is missing, the program or what it needs to be run: the kernel's answer is the same.
func (d *Driver) noProgram(ctx context.Context, id string, s driver.Spec) error {
	file := d.program(ctx, id, s)
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: file})
		return err
	})
	if errdefs.IsNotFound(err) {
		return problem.New(problem.Invalid, "%s can't be started: there is no program %s in its image", s.ID, file).
			WithHint("check the service's command, and that its build makes this file")
	}
	return problem.New(problem.Invalid, "%s can't be started: the interpreter or loader that %s asks for is not in its image", s.ID, file).
		WithHint("check its first line (#!), or build it for this image")
}

// program is what the container runs first, as a path where it is one.
func (d *Driver) program(ctx context.Context, id string, s driver.Spec) string {
	in, err := d.inspect(ctx, id)
	if err != nil {
		return "of its image"
	}
	file := in.Path
	if strings.Contains(file, "/") && !path.IsAbs(file) {
		file = path.Join("/", in.Config.WorkingDir, file)
	}
	return file
}
