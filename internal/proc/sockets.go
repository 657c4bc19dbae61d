package proc

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// Socket is one end of a TCP connection, as the kernel lists it.
type Socket struct {
	Local, Remote netip.AddrPort // an IPv4 address in IPv6's form is written as what it is
	Inode         uint64         // whoever holds it has a descriptor of that number; never 0
}

// parseSockets reads a list as in /proc/net/tcp and tcp6 (proc(5)): numbers in hexadecimal, addresses in words of 32 bits in
// the machine's own order. What listens is not among them, nor what nobody holds any more.
func parseSockets(list string) (all []Socket) {
	const listens = "0A"
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] == listens {
			continue
		}
		local, ok1 := parseAddress(f[1])
		remote, ok2 := parseAddress(f[2])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if ok1 && ok2 && err == nil && inode != 0 {
			all = append(all, Socket{local, remote, inode})
		}
	}
	return all
}

func parseAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	raw, err1 := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
