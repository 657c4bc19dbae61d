package migration

import "strings"

// Modes of PostgreSQL's table locks, by strength, in the server's own order.
// https://www.postgresql.org/docs/15/explicit-locking.html#LOCKING-TABLES, table 13.2.
const (
	accessShare = 1 << iota
	rowShare
	rowExclusive
	shareUpdateExclusive
	share
	shareRowExclusive
	exclusive
	accessExclusive
)

// lockMode is a mode of that name, and 0 for a name that is none.
func lockMode(name string) int {
	switch strings.TrimSuffix(name, "Lock") {
	case "AccessShare":
		return accessShare
	case "RowShare":
		return rowShare
	case "RowExclusive":
		return rowExclusive
	case "ShareUpdateExclusive":
		return shareUpdateExclusive
	case "Share":
		return share
	case "ShareRowExclusive":
		return shareRowExclusive
	case "Exclusive":
		return exclusive
	case "AccessExclusive":
		return accessExclusive
	}
	return 0
}

// against is the set of modes that a mode can't be held beside.
func against(mode int) int {
	const (
		all      = 2*accessExclusive - 1
		writing  = rowExclusive | shareUpdateExclusive | share | shareRowExclusive | exclusive | accessExclusive
		changing = shareUpdateExclusive | share | shareRowExclusive | exclusive | accessExclusive
	)
	switch mode {
	case accessShare:
		return accessExclusive
	case rowShare:
		return exclusive | accessExclusive
	case rowExclusive:
		return share | shareRowExclusive | exclusive | accessExclusive
	case shareUpdateExclusive:
		return changing
	case share:
		return rowExclusive | shareUpdateExclusive | shareRowExclusive | exclusive | accessExclusive
	case shareRowExclusive:
		return writing
	case exclusive:
		return rowShare | writing
	case accessExclusive:
		return all
	}
	return 0
}

// Conflict says whether two sessions can't hold these locks on one table at the same time. A name that is no lock mode
// conflicts with nothing.
func Conflict(a, b string) bool { return against(lockMode(a))&lockMode(b) != 0 }

// StopsReads says whether a SELECT has to wait for a lock of this mode, also while that is itself only waited for: whoever
// comes later stands behind it.
func StopsReads(mode string) bool { return against(lockMode(mode))&accessShare != 0 }

// StopsWrites says whether an INSERT, UPDATE or DELETE has to.
func StopsWrites(mode string) bool { return against(lockMode(mode))&rowExclusive != 0 }

// Writes says whether the mode is one that a statement asks for which changes rows, and not one that reads.
func Writes(mode string) bool { return lockMode(mode) >= rowExclusive }

// Stronger says whether a stands in the way of more than b.
func Stronger(a, b string) bool { return lockMode(a) > lockMode(b) }
