package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spent is what a piece of work took: time on the clock, and of processors, of the server's and of all that this program ran.
// The latter depends little on who else is busy on the machine; 0 is where it is not known.
type spent struct{ clock, processor time.Duration }

func (s spent) plus(o spent) spent {
	return spent{clock: s.clock + o.clock, processor: s.processor + o.processor}
}

// stopwatch begins now, and the function that it returns ends it.
func (s *server) stopwatch() func() spent {
	began, before := time.Now(), s.processors()
	return func() spent { return spent{clock: time.Since(began), processor: s.processors() - before} }
}

// processors is how long processors worked for the server and for this program and what it ran, so far.
func (s *server) processors() (total time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0
		}
		total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return total + s.sessions()
}

// sessions is how long processors worked for the server and all sessions that it ever had. One that ends meanwhile goes over
// from its own file into the server's: then it is counted again.
func (s *server) sessions() time.Duration {
	server := strconv.Itoa(s.cmd.Process.Pid)
	for {
		ended := counted("/proc/"+server+"/stat", "", 4) // utime and stime, and those of the children that ended
		files, _ := filepath.Glob("/proc/[0-9]*/stat")   // the only error is a malformed pattern
		live := time.Duration(0)
		for _, file := range files {
			live += counted(file, server, 2)
		}
		if counted("/proc/"+server+"/stat", "", 4) == ended {
			return ended + live
		}
	}
}

// counted adds up the first fields from utime on of a process that is a child of that one, see proc(5). It is 0 for all others,
// and for one that is no more.
func counted(file, parent string, fields int) (total time.Duration) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	all := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
	if len(all) < 15 || parent != "" && all[1] != parent {
		return 0
	}
	for _, f := range all[11 : 11+fields] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0
		}
		total += time.Duration(n) * time.Second / 100
	}
	return total
}

// clocks and processors are one of the two of all rounds.
func clocks(all []spent) (ds []time.Duration) {
	for _, s := range all {
		ds = append(ds, s.clock)
	}
	return ds
}

func processors(all []spent) (ds []time.Duration) {
	for _, s := range all {
		ds = append(ds, s.processor)
	}
	return ds
}

// aside tells a ratio of processors' time too.
func aside(over, under []spent) string {
	if median(processors(under)) < 50*time.Millisecond {
		return "" // it is counted in hundredths of a second
	}
	return fmt.Sprintf("   (of processors: %.2f)", ratio(processors(over), processors(under)))
}
