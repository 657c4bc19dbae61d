package process

import (
	"maps"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Marker is the variable that every process of a replica has: the replica's folder, which no other replica on the
// machine shares. By it they are found when nobody else knows them any more.
const Marker = driver.Marker

// checkSpec says what is wrong with a spec, all but what only trying can show.
func checkSpec(s driver.Spec) error {
	if s.Container != nil {
		return problem.New(problem.Invalid, "replica %s: it is a container, which is not run as a process", s.ID)
	}
	return s.Check()
}

func signalOf(s app.Stop) syscall.Signal { return unix.SignalNum(s.Signal) }

// environ is the child's whole environment: the spec's, and the marker.
func environ(s driver.Spec, folder string) []string {
	env := []string{mark(folder)}
	if s.Deploy != nil {
		env[0] = deployMark(folder)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if name != Marker {
			env = append(env, name+"="+s.Env[name])
		}
	}
	return env
}

func mark(folder string) string { return Marker + "=" + folder }

// deployMark is the mark of a deploy command and of what it leaves running. It is another one, so that nobody who cleans up
// after a supervisor takes the team's own servers for a replica's.
func deployMark(folder string) string { return mark(filepath.Join(folder, "deploy")) }
