package wall

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What the filter says of a frame, see tc-bpf(8).
const (
	letIn = 0 // TC_ACT_OK
	drop  = 2 // TC_ACT_SHOT
)

// Where in a frame, from its first byte, things are: Ethernet, then ARP or an IPv4 header without options, then TCP.
const (
	atType     = 12
	atVersion  = 14
	atFragment = 20
	atProtocol = 23
	atSource   = 26
	atTarget   = 30
	atAsked    = 38 // whose address an ARP frame is about
	enough     = 42 // bytes that both have
	atTCP      = 34
	tcpBytes   = 14 // the ports first, the flags last
)

// Where on the stack they are. The verifier takes words at multiples of four alone.
const (
	frameAt = -62
	tcpAt   = -16
	tupleAt = -80
)

const (
	tcpListen = 10 // include/net/tcp_states.h
	atState   = 72 // in struct bpf_sock of linux/bpf.h
	syn       = 0x02
	ack       = 0x10
)

// program is the filter: what a frame may be that goes from the bridge to the machine. It is ARP about the machine's
// address, or IPv4's TCP to it, of a connection that the machine has: a lookup of its sockets tells, in which one that
// only listens does not count. What does not fit is dropped: so do other protocols, IPv6, fragments and broadcasts.
func (w Wall) program() *ebpf.ProgramSpec {
	ip := w.Address.Addr().As4()
	own := int32(binary.NativeEndian.Uint32(ip[:])) //nolint:gosec // the same bits
	load := func(from, to, size int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, from), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, to),
			asm.Mov.Imm(asm.R4, size), asm.FnSkbLoadBytes.Call(), asm.JNE.Imm(asm.R0, 0, "drop"),
		}
	}
	frame := func(at int16, size asm.Size) asm.Instruction { return asm.LoadMem(asm.R2, asm.RFP, frameAt+at, size) }

	all := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	all = append(all, load(0, frameAt, enough)...)
	all = append(all,
		frame(atType, asm.Half), asm.JEq.Imm(asm.R2, wire(0x0806), "arp"), asm.JNE.Imm(asm.R2, wire(0x0800), "drop"),
		frame(atVersion, asm.Byte), asm.JNE.Imm(asm.R2, 0x45, "drop"),
		frame(atFragment, asm.Half), asm.And.Imm(asm.R2, wire(0x3fff)), asm.JNE.Imm(asm.R2, 0, "drop"),
		frame(atProtocol, asm.Byte), asm.JNE.Imm(asm.R2, 6, "drop"),
		frame(atTarget, asm.Word), asm.Mov.Imm32(asm.R3, own), asm.JNE.Reg(asm.R2, asm.R3, "drop"),
	)
	all = append(all, load(atTCP, tcpAt, tcpBytes)...)
	all = append(all,
		asm.LoadMem(asm.R2, asm.RFP, tcpAt+tcpBytes-1, asm.Byte), asm.And.Imm(asm.R2, syn|ack), asm.JEq.Imm(asm.R2, syn, "drop"),
		// struct bpf_sock_tuple: from, to, and their ports.
		frame(atSource, asm.Word), asm.StoreMem(asm.RFP, tupleAt, asm.R2, asm.Word),
		frame(atTarget, asm.Word), asm.StoreMem(asm.RFP, tupleAt+4, asm.R2, asm.Word),
		asm.LoadMem(asm.R2, asm.RFP, tcpAt, asm.Word), asm.StoreMem(asm.RFP, tupleAt+8, asm.R2, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, tupleAt), asm.Mov.Imm(asm.R3, 12),
		asm.Mov.Imm(asm.R4, -1), // BPF_F_CURRENT_NETNS
		asm.Mov.Imm(asm.R5, 0), asm.FnSkcLookupTcp.Call(), asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R7, asm.R0, atState, asm.Word), asm.Mov.Reg(asm.R1, asm.R0), asm.FnSkRelease.Call(),
		asm.JEq.Imm(asm.R7, tcpListen, "drop"), asm.Ja.Label("in"),
		frame(atAsked, asm.Word).WithSymbol("arp"), asm.Mov.Imm32(asm.R3, own), asm.JNE.Reg(asm.R2, asm.R3, "drop"),
		asm.Mov.Imm(asm.R0, letIn).WithSymbol("in"), asm.Return(),
		asm.Mov.Imm(asm.R0, drop).WithSymbol("drop"), asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: filterName, Type: ebpf.SchedCLS, Instructions: all, License: "Apache-2.0"}
}

// wire is a number of two bytes as it is read from a frame.
func wire(n uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return int32(binary.NativeEndian.Uint16(b[:]))
}
