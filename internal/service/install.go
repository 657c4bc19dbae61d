package service

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// Install makes Greenroom a service of this machine, or an installed one a newer one, and returns when it serves. It tells
// what it does. What runs goes on: the edge hands over to one of the new program, replicas are left alone.
//
// Each step can be done again, so an installation that was interrupted is finished by another one.
func Install(ctx context.Context, o Options, program string, tell func(string)) error {
	units, err := Units(o)
	if err != nil {
		return err
	}
	if err := Running(); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return problem.New(problem.Blocked, "only root can install a service").WithHint("sudo greenroom service install")
	}
	if err := copyProgram(program, tell); err != nil {
		return err
	}
	changed, err := write(units, tell)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.Home, "edge"), 0o711); err != nil { // the edge's unit is shut in to it
		return problem.New(problem.Unavailable, "the state folder can't be made: %w", err)
	}
	if len(changed) > 0 {
		if err := systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	// A socket's unit can be restarted only while nobody has its socket: other ports interrupt the traffic.
	if slices.ContainsFunc(changed, func(name string) bool { return name == EdgeHTTP || name == EdgeHTTPS }) && active(ctx, Edge) {
		tell("stopping the edge, whose ports are others now")
		if err := systemctl(ctx, "stop", Edge, EdgeHTTP, EdgeHTTPS); err != nil {
			return err
		}
	}
	if err := systemctl(ctx, append([]string{"enable", "--quiet"}, enabled...)...); err != nil {
		return err
	}
	return start(ctx, tell)
}

// enabled are the units that start with the machine.
var enabled = []string{EdgeHTTP, EdgeHTTPS, Edge, ControlPlane}

// start starts what does not run, and puts the new program in the place of what does.
func start(ctx context.Context, tell func(string)) error {
	if err := systemctl(ctx, "start", EdgeHTTP, EdgeHTTPS); err != nil {
		return err
	}
	if active(ctx, Edge) {
		tell("the edge hands over to its successor")
		if err := systemctl(ctx, "reload", Edge); err != nil {
			return err
		}
	} else {
		tell("starting the edge")
		if err := systemctl(ctx, "start", Edge); err != nil {
			return err
		}
	}
	tell("starting the control plane")
	return systemctl(ctx, "restart", ControlPlane)
}

// active says whether a unit runs.
func active(ctx context.Context, unit string) bool {
	return systemctl(ctx, "is-active", "--quiet", unit) == nil
}

// copyProgram puts the program in its place. What runs of the one before keeps its file.
func copyProgram(from string, tell func(string)) error {
	src, err := os.Open(from)
	if err != nil {
		return problem.New(problem.Unavailable, "the program can't be read: %w", err)
	}
	defer src.Close() //nolint:errcheck // only read
	mine, err := src.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(Program); err == nil && os.SameFile(mine, there) {
		return nil
	}
	tell("copying the program to " + Program)
	err = atomicfile.WriteFrom(Program, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, src)
		return err
	})
	if err != nil {
		return problem.New(problem.Unavailable, "the program can't be copied to %s: %w", Program, err)
	}
	return nil
}

// write writes the units that are not there as they should be.
func write(units []Unit, tell func(string)) (changed []string, err error) {
	for _, u := range units {
		if b, err := os.ReadFile(u.Path()); err == nil && string(b) == u.Content {
			continue
		}
		tell("writing " + u.Path())
		if err := atomicfile.Write(u.Path(), []byte(u.Content), 0o644); err != nil {
			return changed, problem.New(problem.Unavailable, "the unit can't be written: %w", err)
		}
		changed = append(changed, u.Name)
	}
	return changed, nil
}

// Uninstall stops Greenroom with everything that runs in its environments, and takes the units and the program away. The
// state folder stays.
func Uninstall(ctx context.Context, tell func(string)) error {
	if err := Running(); err != nil {
		return err
	}
	units, err := Units(Options{Home: "/"})
	if err != nil {
		return err
	}
	if !there(units) {
		return problem.New(problem.NotFound, "Greenroom is not installed as a service here").WithHint("greenroom service install")
	}
	tell("stopping the control plane, the edge and the environments")
	// The control plane first: it would start again what it sees missing.
	for _, unit := range []string{ControlPlane, EdgeHTTP, EdgeHTTPS, Edge, Replicas} {
		if err := systemctl(ctx, "stop", unit); err != nil && !strings.Contains(err.Error(), "not loaded") {
			return err
		}
	}
	if err := systemctl(ctx, append([]string{"disable", "--quiet"}, enabled...)...); err != nil && !strings.Contains(err.Error(), "does not exist") {
		return err
	}
	for _, u := range units {
		tell("removing " + u.Path())
		if err := remove(u.Path()); err != nil {
			return err
		}
	}
	if err := remove(Program); err != nil {
		return err
	}
	return systemctl(ctx, "daemon-reload")
}

func there(units []Unit) bool {
	for _, u := range units {
		if _, err := os.Stat(u.Path()); err == nil {
			return true
		}
	}
	return false
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Unavailable, "%s can't be removed: %w", name, err)
	}
	return nil
}
