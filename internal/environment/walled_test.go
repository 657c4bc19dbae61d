package environment

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/driver/docker"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
)

// TestBreaksOut names the setting by which a container could leave, and passes over those by which it can't.
func TestBreaksOut(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux lists the sockets of its programs")
	}
	dir := t.TempDir()
	spoken := filepath.Join(dir, "a folder", "spoken.sock")
	if err := os.Mkdir(filepath.Dir(spoken), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", spoken)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link, quiet := filepath.Join(dir, "link"), t.TempDir()
	if err := os.Symlink(filepath.Dir(spoken), link); err != nil {
		t.Fatal(err)
	}
	folder := func(path string) app.Container {
		return app.Container{Mounts: []app.Mount{{Path: path, Target: "/here"}}}
	}
	for name, c := range map[string]struct {
		container app.Container
		says      string
	}{
		"plain":                       {app.Container{CapAdd: []string{"NET_BIND_SERVICE"}, Mounts: []app.Mount{{Volume: "data", Target: "/data"}}}, ""},
		"a folder without sockets":    {folder(quiet), ""},
		"one that only begins alike":  {folder(filepath.Join(dir, "a fold")), ""},
		"privileged":                  {app.Container{Privileged: true}, "service web has privileged"},
		"the host's network":          {app.Container{Network: "host"}, "network_mode host"},
		"the host's processes":        {app.Container{PID: "host"}, "pid host"},
		"a capability":                {app.Container{CapAdd: []string{"NET_ADMIN"}}, "cap_add NET_ADMIN"},
		"a device":                    {app.Container{Devices: []string{"/dev/vsock:/dev/vsock:rwm"}}, "devices /dev/vsock"},
		"no profile":                  {app.Container{SecurityOpt: []string{"seccomp=unconfined"}}, "seccomp=unconfined"},
		"a socket":                    {folder(spoken), "the socket " + spoken},
		"a folder with a socket":      {folder(dir), "the socket " + spoken},
		"a link to one with a socket": {folder(link), "the socket " + spoken},
		"the Engine's socket":         {folder("/var/run/docker.sock"), "the machine's /run"},
		"the whole machine":           {folder("/"), "the machine's /dev"},
		"the machine's settings":      {folder("/proc/sys"), "the machine's /proc"},
		"a detour to the whole of it": {folder("/srv/.."), "the machine's /dev"},
	} {
		got, err := breaksOut(app.Service{Name: "web", Container: &c.container})
		if err != nil || (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.says)
		}
	}
	if got, err := breaksOut(app.Service{Name: "web"}); got != "" || err != nil {
		t.Errorf("a process: %q, %v", got, err)
	}
}

// TestInContainer judges where a test from inside a container was.
func TestInContainer(t *testing.T) {
	w := &wallSurvey{networks: []docker.Network{{Subnet: netip.MustParsePrefix("10.1.0.0/26")}, {Subnet: netip.MustParsePrefix("10.1.0.64/26")}}}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Skip("SKIPPED: this system has no namespaces")
	}
	for name, c := range map[string]struct {
		answers netns.Answers
		want    evidence.Verdict
	}{
		"in both networks":       {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "10.1.0.66/26"}}, evidence.Pass},
		"in another one, too":    {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "10.2.0.2/26"}}, evidence.Fail},
		"with an IPv6 address":   {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2/26", "fd00::2/64"}}, evidence.Fail},
		"in none":                {netns.Answers{Namespace: "net:[1]"}, evidence.Inconclusive},
		"nobody knows where":     {netns.Answers{Addresses: []string{"10.1.0.2/26"}}, evidence.Inconclusive},
		"in the machine's":       {netns.Answers{Namespace: own, Addresses: []string{"10.1.0.2/26"}}, evidence.Fail},
		"with what is no prefix": {netns.Answers{Namespace: "net:[1]", Addresses: []string{"10.1.0.2"}}, evidence.Fail},
	} {
		if f := w.inPlace(place{}, c.answers); f.Verdict != c.want {
			t.Errorf("%s: %s, %q", name, f.Verdict, f.Found)
		}
	}
}

// TestTogether keeps what speaks against a proof, wherever it was found.
func TestTogether(t *testing.T) {
	fact := func(v evidence.Verdict, n int) evidence.Isolation {
		return proven([]evidence.Fact{{What: "listeners of the machine", Tried: "tcp a:1", Found: string(v), Verdict: v, Count: n}})
	}
	if got := together(fact(evidence.Pass, 2), fact(evidence.Pass, 3), evidence.Isolation{Isolated: true}); !got.Isolated || len(got.Facts) != 1 || got.Facts[0].Count != 5 {
		t.Errorf("nothing was reached: %+v", got)
	}
	for _, bad := range []evidence.Isolation{fact(evidence.Fail, 1), fact(evidence.Inconclusive, 1), {Because: "nothing could be tried"}} {
		for _, got := range []evidence.Isolation{together(fact(evidence.Pass, 1), bad), together(bad, fact(evidence.Pass, 1))} {
			if got.Isolated || got.Because == "" {
				t.Errorf("%+v", got)
			}
		}
	}
}
