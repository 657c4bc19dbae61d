package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endLeft lists the processes that still have something to do with a state folder, and ends them. It gives those that
// are on their way out a moment.
func endLeft(base string) []string {
	var left []string
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		pids := processesOf(base)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().Before(end) {
			continue
		}
		for pid, command := range pids {
			left = append(left, fmt.Sprintf("%d %s", pid, command))
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
		return left
	}
}

// processesOf are the processes whose command or environment names the folder, as everything does that Greenroom starts.
func processesOf(base string) map[int]string {
	found := map[int]string{}
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return found
	}
	for _, p := range paths {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || pid == os.Getpid() {
			continue
		}
		command, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil || len(command) == 0 { // it is gone, or a zombie
			continue
		}
		environment, _ := os.ReadFile(filepath.Join(p, "environ")) // that of another user is not ours
		if bytes.Contains(command, []byte(base)) || bytes.Contains(environment, []byte(base)) {
			found[pid] = string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		}
	}
	return found
}
