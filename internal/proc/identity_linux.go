package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// Identify reads the identity of the process that has this pid now; ErrGone when there is none or it is a zombie.
func Identify(pid int) (Identity, error) {
	p, err := row(pid)
	if err != nil {
		return Identity{}, err
	}
	if p.Ended {
		return Identity{}, ErrGone
	}
	return p.Identity, nil
}

// Table reads the kernel's table of processes. It is no snapshot: processes come and go while it is read.
func Table() ([]Process, error) {
	var all []Process
	err := eachPID(func(pid int) {
		if p, err := row(pid); err == nil {
			all = append(all, p)
		}
	})
	return all, err
}

// Marked finds the living processes that were started with this variable ("NAME=value") in their environment. It finds
// a child that forked away and made a session of its own, also when all its ancestors have died; not one that started
// another program without the variable.
func Marked(variable string) ([]Identity, error) {
	var all []Identity
	err := eachPID(func(pid int) {
		id, err := Identify(pid)
		if err != nil {
			return
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+"\x00")) {
			return
		}
		if id.Alive() { // else the environment may have been that of the pid's next owner
			all = append(all, id)
		}
	})
	return all, err
}

// Of finds the living processes of a user. Who owns their folders in /proc does not tell: those of a process that may not
// be looked into are root's (proc(5)), and a process can have it so.
func Of(uid int) ([]Identity, error) {
	var all []Identity
	line := fmt.Appendf(nil, "\nUid:\t%d\t", uid)
	err := eachPID(func(pid int) {
		id, err := Identify(pid)
		if err != nil {
			return
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && bytes.Contains(status, line) && id.Alive() {
			all = append(all, id)
		}
	})
	return all, err
}

func eachPID(f func(pid int)) error {
	d, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // read only
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			f(pid)
		}
	}
	return nil
}

// row reads one row of the table; ErrGone when no process has this pid.
func row(pid int) (Process, error) {
	name := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	b, err := os.ReadFile(name)
	if err != nil {
		return Process{}, ErrGone
	}
	// The second field is the name in parentheses and may hold anything, so fields count from the last parenthesis.
	// proc(5): state is field 3, ppid 4, pgrp 5, starttime 22.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return Process{}, fmt.Errorf("%s has an unknown form", name)
	}
	parent, err1 := strconv.Atoi(f[1])
	group, err2 := strconv.Atoi(f[2])
	if err1 != nil || err2 != nil {
		return Process{}, fmt.Errorf("%s has an unknown form", name)
	}
	return Process{
		Identity: Identity{Boot: bootID(), PID: pid, Start: f[19]},
		Parent:   parent,
		Group:    group,
		Ended:    f[0] == "Z" || f[0] == "X",
	}, nil
}
