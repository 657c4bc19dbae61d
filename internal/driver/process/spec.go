package process

import (
	"cmp"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Marker is the variable that every process of a replica has: the replica's folder, which no other replica on the
// machine shares. By it they are found when nobody else knows them any more.
const Marker = "GREENROOM_REPLICA"

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)

func validID(id string) bool { return idForm.MatchString(id) }

// checkSpec says what is wrong with a spec, all but what only trying can show.
func checkSpec(s driver.Spec) error {
	invalid := func(format string, args ...any) error {
		return problem.New(problem.Invalid, "replica "+s.ID+": "+format, args...)
	}
	switch {
	case !validID(s.ID):
		return problem.New(problem.Invalid, "%q is no id of a replica: 1 to 128 of a-z, 0-9, dot, dash, underscore, the first a letter or digit", s.ID)
	case len(s.Command) == 0 || s.Command[0] == "":
		return invalid("it has no command")
	case !filepath.IsAbs(s.Dir):
		return invalid("its folder %q is not absolute", s.Dir)
	case s.Listen.Network != "" && s.Listen.Network != "tcp" && s.Listen.Network != "unix":
		return invalid("it can't listen on network %q, only on tcp or unix", s.Listen.Network)
	case s.Listen.Network == "" && (s.Health.HTTP != "" || s.Health.TCP):
		return invalid("its health is asked over the network, but it listens nowhere")
	case s.Stop.Signal != "" && unix.SignalNum(s.Stop.Signal) == 0:
		return invalid("there is no signal %q", s.Stop.Signal)
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return invalid("%q can't be an environment variable", name) // never the value: it may be a secret
		}
	}
	return nil
}

// withDefaults fills in what a spec may leave open.
func withDefaults(s driver.Spec) driver.Spec {
	s.Health.Interval = cmp.Or(s.Health.Interval, 10*time.Second)
	s.Health.Timeout = cmp.Or(s.Health.Timeout, 5*time.Second)
	s.Health.Retries = cmp.Or(s.Health.Retries, 3)
	s.Health.Start = cmp.Or(s.Health.Start, time.Minute)
	s.Stop.Grace = cmp.Or(s.Stop.Grace, 10*time.Second)
	s.Stop.Signal = cmp.Or(s.Stop.Signal, "SIGTERM")
	return s
}

func signalOf(s app.Stop) syscall.Signal { return unix.SignalNum(s.Signal) }

// hasHealth says whether there is anything to ask; without, a replica is healthy once it runs.
func hasHealth(h app.Health) bool { return h.HTTP != "" || h.TCP || len(h.Command) > 0 }

// environ is the child's whole environment: the spec's, and the marker.
func environ(s driver.Spec, folder string) []string {
	env := []string{mark(folder)}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if name != Marker {
			env = append(env, name+"="+s.Env[name])
		}
	}
	return env
}

func mark(folder string) string { return Marker + "=" + folder }
