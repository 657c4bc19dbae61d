package sqlite

import (
	"errors"

	"modernc.org/sqlite"
)

// Result codes, https://www.sqlite.org/rescode.html. Extended ones have the primary one in their low byte.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeNoMemory   = 7
	codeInterrupt  = 9
	codeIO         = 10
	codeFull       = 13
	codeConstraint = 19
	codeMismatch   = 20
)

func codeOf(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// isBusy says whether somebody else's lock was in the way.
func isBusy(err error) bool { c := codeOf(err); return c == codeBusy || c == codeLocked }

// isConstraint says whether a value was not what the schema demands.
func isConstraint(err error) bool { c := codeOf(err); return c == codeConstraint || c == codeMismatch }

// rollsBack says whether SQLite itself may have rolled the transaction back, https://www.sqlite.org/lang_transaction.html.
func rollsBack(err error) bool {
	switch codeOf(err) {
	case codeBusy, codeNoMemory, codeInterrupt, codeIO, codeFull, codeConstraint: // a constraint with ON CONFLICT ROLLBACK
		return true
	}
	return codeOf(err) == 0 // a time-out of ours
}
