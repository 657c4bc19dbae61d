package dockertest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sweep removes what an Engine left that was killed, and says what can't be removed.
func (e *Engine) sweep() []error {
	var all []error
	killed := e.killAll()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if running := e.processes(); len(running) == 0 {
			break
		} else if time.Now().After(deadline) {
			all = append(all, fmt.Errorf("processes %v still run", running))
			break
		}
		time.Sleep(10 * time.Millisecond) // nobody tells when another's child ends
		e.killAll()
	}
	if e.small {
		all = append(all, syscall.Unmount(e.Data(), syscall.MNT_DETACH))
	}
	if killed || e.crashed {
		e.unmountAll()
	}
	// An Engine leaves the machine's own network, once a container was in it, and there may have been none.
	_ = syscall.Unmount(e.file("exec/netns/default"), syscall.MNT_DETACH)
	if left := e.mounts(); len(left) > 0 {
		all = append(all, fmt.Errorf("mounts are left: %v", left))
		e.unmountAll()
	}
	all = append(all, e.removeInterfaces()...)
	e.removeCgroups()
	return append(all, os.RemoveAll(e.dir))
}

// awaitContainerd returns when the containerd of an Engine that was killed is gone.
func (e *Engine) awaitContainerd() error {
	began := time.Now()
	for {
		pids := e.serving("exec/containerd/containerd.toml")
		if len(pids) == 0 {
			return nil
		}
		if time.Since(began) > 10*time.Second {
			return fmt.Errorf("containerd %v outlives its Engine", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		time.Sleep(5 * time.Millisecond) // nobody tells when another's child ends
	}
}

// serving are the processes with a file of the Engine's in their command.
func (e *Engine) serving(file string) (pids []int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		line, _ := os.ReadFile(name)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && bytes.Contains(line, []byte(e.file(file))) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// makeSmall gives the Engine a disk of that many bytes.
func (e *Engine) makeSmall(size int64) error {
	e.small = true
	if err := os.Mkdir(e.Data(), 0o700); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", e.Data(), "tmpfs", 0, fmt.Sprintf("size=%d", size))
}

// processes are those that serve this Engine, and those in its containers.
func (e *Engine) processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, p := range entries {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "cmdline"))
		groups, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "cgroup"))
		if len(line) > 0 && (bytes.Contains(line, []byte(e.dir+"/")) && !bytes.Contains(line, []byte("drivertest")) || bytes.Contains(groups, []byte("/"+e.cgroup()))) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills them, and says whether there were any.
func (e *Engine) killAll() bool {
	pids := e.processes()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
	}
	return len(pids) > 0
}

// mounts are those below the Engine's folder, innermost first.
func (e *Engine) mounts() (all []string) {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], e.dir+"/") {
			all = append([]string{f[4]}, all...)
		}
	}
	return all
}

func (e *Engine) unmountAll() {
	for _, m := range e.mounts() {
		_ = syscall.Unmount(m, syscall.MNT_DETACH) // said by whoever looks next
	}
}

// removeInterfaces removes the bridges of networks that no test removed: an Engine leaves them when it ends.
func (e *Engine) removeInterfaces() (all []error) {
	prefix := e.Range() + "."
	interfaces, err := net.Interfaces()
	if err != nil {
		return []error{err}
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if strings.HasPrefix(a.String(), prefix) && strings.HasPrefix(i.Name, "br-") {
				all = append(all, removeInterface(i))
			}
		}
	}
	return all
}

func (e *Engine) removeCgroups() {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		roots, _ := filepath.Glob(pattern + e.cgroup())
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append([]string{name}, dirs...)
				}
				return nil
			})
			for _, d := range dirs {
				if err := os.Remove(d); errors.Is(err, syscall.EBUSY) {
					continue // a zombie's, which its parent has not read yet
				}
			}
		}
	}
}
