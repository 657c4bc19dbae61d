//go:build failpoint

package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"greenroom/internal/run"
)

// hook kills the process with SIGKILL at the point that the file named by GREENROOM_FAILPOINT holds as "point/step". The
// file goes before the process does, so that the next one passes the point.
func hook(p run.Point, step string) {
	file := os.Getenv("GREENROOM_FAILPOINT")
	wanted, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(wanted)) != string(p)+"/"+step || os.Remove(file) != nil {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// wanted is called once it is recorded what is wanted of an environment, before anything is done about it.
func wanted(what string) { hook("wanted", what) }

// firstAddress is the one that a test names: an edge that it kills must not lose its address to another test's house.
func firstAddress(Options) int {
	port, err := strconv.Atoi(os.Getenv("GREENROOM_FIRST_ADDRESS"))
	if err != nil {
		panic(fmt.Sprintf("GREENROOM_FIRST_ADDRESS: %v", err))
	}
	return port
}
