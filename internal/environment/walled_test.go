package environment

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"greenroom/internal/app"
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
