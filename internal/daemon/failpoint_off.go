//go:build !failpoint

package daemon

import (
	"cmp"

	"greenroom/internal/environment"
	"greenroom/internal/run"
)

// hook is called at each point of each step. In the program that people run it does not exist; builds with the tag
// failpoint kill the process there.
var hook func(run.Point, string)

func wanted(string) {}

func firstAddress(o Options) int { return cmp.Or(o.FirstAddress, environment.FirstAddress) }
