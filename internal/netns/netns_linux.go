package netns

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// mountNew makes a namespace and mounts it at a file. A namespace without a name ends with the thread that made it, so it
// gets one last.
func mountNew(file string) error {
	return cannot(proc.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := loopbackUp(); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, "")
	}))
}

// cannot says in words why this process can have no namespace.
func cannot(err error) error {
	why := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM) && os.Geteuid() != 0:
		why = "only root can make a network namespace"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		why = "a network namespace is refused to this process, as in a container without the capability CAP_SYS_ADMIN"
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		why = "this kernel has no network namespaces"
	case errors.Is(err, unix.ENOSPC):
		why = "the machine has as many network namespaces as it allows (user.max_net_namespaces)"
	default:
		why = "a network namespace can't be made"
	}
	return problem.New(problem.Unavailable, "%s: %w", why, err)
}

// loopbackUp makes 127.0.0.1 work in the calling thread's namespace. It is the only interface there.
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

func isMounted(file string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(file, &st); err != nil {
		return false, err
	}
	return st.Type == unix.NSFS_MAGIC, nil
}

// unmount takes away all that is mounted at a file: two Greenrooms that made it at once would have mounted it twice.
func unmount(file string) error {
	for {
		there, err := isMounted(file)
		if errors.Is(err, unix.ENOENT) || err == nil && !there {
			return nil
		}
		if err == nil {
			err = unix.Unmount(file, unix.MNT_DETACH)
		}
		if err != nil {
			return err
		}
	}
}
