package edge

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// holder names the process that listens on an address, as "nginx (pid 12)"; "" when it cannot be found.
func holder(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listening(table, ap); inode != "" {
			return owner(inode)
		}
	}
	return ""
}

// listening finds the inode of a listening socket in a table of proc(5): local address in the 2nd field, state (0A is
// listening) in the 4th, inode in the 10th.
func listening(table string, ap netip.AddrPort) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		col := strings.Fields(s.Text())
		if len(col) < 10 || col[3] != "0A" {
			continue
		}
		if at, ok := procAddr(col[1]); ok && at.Port() == ap.Port() &&
			(at.Addr() == ap.Addr() || at.Addr().IsUnspecified() || ap.Addr().IsUnspecified()) {
			return col[9]
		}
	}
	return ""
}

// procAddr reads HEX:PORT, the address as 32-bit words in the machine's order.
func procAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	var p uint16
	if _, perr := fmt.Sscanf(port, "%04X", &p); !ok || err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), p), ok
}

func owner(inode string) string {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != want {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
	}
	return ""
}
