package migration

import (
	"strings"
	"testing"
)

// conflicts is table 13.2, "Conflicting Lock Modes", of PostgreSQL 15's documentation, 13.3.1: an X where the requested
// mode (the line) conflicts with the existing one (the column, in the same order).
// https://www.postgresql.org/docs/15/explicit-locking.html#TABLE-LOCK-COMPATIBILITY
const conflictTable = `
AccessShare          . . . . . . . X
RowShare             . . . . . . X X
RowExclusive         . . . . X X X X
ShareUpdateExclusive . . . X X X X X
Share                . . X X . X X X
ShareRowExclusive    . . X X X X X X
Exclusive            . X X X X X X X
AccessExclusive      X X X X X X X X
`

func TestConflictTable(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(conflictTable), "\n")
	var modes []string
	for _, l := range lines {
		modes = append(modes, strings.Fields(l)[0])
	}
	for _, l := range lines {
		f := strings.Fields(l)
		for i, other := range modes {
			want := f[i+1] == "X"
			if got := Conflict(f[0], other); got != want {
				t.Errorf("Conflict(%s, %s) is %t", f[0], other, got)
			}
			if got := Conflict(other+"Lock", f[0]); got != want {
				t.Errorf("Conflict(%sLock, %s) is %t", other, f[0], got)
			}
		}
		if StopsReads(f[0]) != (f[1] == "X") || StopsWrites(f[0]) != (f[3] == "X") {
			t.Errorf("%s stops reads: %t, writes: %t", f[0], StopsReads(f[0]), StopsWrites(f[0]))
		}
	}
	if Conflict("AccessExclusive", "") || Conflict("Nonsense", "AccessExclusive") || StopsReads("") {
		t.Error("what is no mode conflicts with nothing")
	}
}
