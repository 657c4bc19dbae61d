package api

import (
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestThePeerIsWhoConnected asks the kernel about ourselves.
func TestThePeerIsWhoConnected(t *testing.T) {
	ln, err := net.Listen("unix", folder(t)+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	mine, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	p := PeerOf(identify(t.Context(), theirs))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(strconv.Itoa(os.Getegid()))
	if err != nil {
		t.Fatal(err)
	}
	if p.UID != os.Getuid() || p.Name != me.Username || !slices.Contains(p.Groups, group.Name) || !slices.IsSorted(p.Groups) {
		t.Errorf("the peer is %+v", p)
	}
	ids, err := me.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !slices.Contains(p.Groups, groupName(id)) {
			t.Errorf("the group %s is not among %q", groupName(id), p.Groups)
		}
	}
	if Actor(identify(t.Context(), theirs)) != p.Name {
		t.Error("the actor is not the peer")
	}
}

// TestNobodyIsNotRoot: of whom nothing is known must not get the number 0, which is that of root.
func TestNobodyIsNotRoot(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for name, p := range map[string]Peer{"no connection": PeerOf(t.Context()), "a connection without a user": PeerOf(identify(t.Context(), a))} {
		if d := cmp.Diff(Peer{UID: -1}, p); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestAUserWithoutAName(t *testing.T) {
	const id = 4_000_000_001 // beyond what any system hands out
	want := Peer{UID: id, Name: "uid 4000000001", Groups: []string{"gid 4000000001"}}
	if d := cmp.Diff(want, peer(id, []uint32{id, id})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
