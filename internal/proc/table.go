package proc

// Process is one row of the kernel's table of processes.
type Process struct {
	Identity
	Parent int
	Group  int
	Ended  bool // a zombie: it runs no more and waits for its parent
}

// Descendants are the rows of table below the process with this pid, parents before their children. Whoever made a
// session or a group of its own is among them; who was adopted by init is not.
func Descendants(table []Process, pid int) []Process {
	children := map[int][]Process{}
	for _, p := range table {
		children[p.Parent] = append(children[p.Parent], p)
	}
	var all []Process
	seen := map[int]bool{pid: true} // the table is no snapshot: a pid used again in between could close a circle
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, c := range children[next[0]] {
			if !seen[c.PID] {
				seen[c.PID] = true
				all = append(all, c)
				next = append(next, c.PID)
			}
		}
	}
	return all
}
