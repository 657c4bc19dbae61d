package proc

import "cmp"

// Holder is a process that has a socket open.
type Holder struct {
	PID     int
	Program string // as the kernel calls it: 15 bytes at most, of the program's own choice
	User    string // its name, or else its number
}

// orderHolders puts the first process of a system last: it opens sockets for others.
func orderHolders(a, b Holder) int {
	if a.PID == 1 || b.PID == 1 {
		return cmp.Compare(b.PID, a.PID)
	}
	return cmp.Compare(a.PID, b.PID)
}
