package service

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/problem"
)

func need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", tool)
	}
	t.Skipf("%s IS NOT INSTALLED: what it would check is not checked", tool)
	return ""
}

// systemd itself reads the units and finds nothing wrong with them.
func TestUnitsAreValid(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	units, err := Units(Options{
		Home: "/var/lib/greenroom", HTTPS: "127.0.0.1:8443",
		ACMEDirectory: "https://ca.internal/dir?a=50%", ACMEEmail: "ops@example.com", ACMERoot: "/etc/ca.pem",
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files []string
	for _, u := range units {
		if strings.Contains(u.Content, "@HOME@") || strings.Contains(u.Content, "@HTTP") || strings.Contains(u.Content, "@ENV") {
			t.Errorf("%s is not filled in", u.Name)
		}
		name := filepath.Join(dir, u.Name)
		// The program is not installed here; that it is missing is not what is asked.
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(u.Content, Program, "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "greenroom") {
			t.Errorf("systemd says: %s", line)
		}
	}
	if err != nil && !strings.Contains(string(out), "greenroom") {
		t.Logf("systemd-analyze: %v: %s", err, out)
	}
}

func TestUnitsRefuseWhatWouldBeReadAsSomethingElse(t *testing.T) {
	good := Options{Home: "/var/lib/greenroom"}
	for name, change := range map[string]func(*Options){
		"a relative folder":     func(o *Options) { o.Home = "var" },
		"a folder with a space": func(o *Options) { o.Home = "/var/my files" },
		"a specifier":           func(o *Options) { o.Home = "/var/%h" },
		"a line":                func(o *Options) { o.Home = "/var\nExecStartPre=/bin/evil" },
		"a line in an address":  func(o *Options) { o.HTTP = "80\nAccept=yes" },
		"a port that is none":   func(o *Options) { o.HTTP = "0" },
		"a name as address":     func(o *Options) { o.HTTPS = "localhost:443" },
		"twice the same port":   func(o *Options) { o.HTTP, o.HTTPS = "443", "443" },
		"a line in the e-mail":  func(o *Options) { o.ACMEEmail = "a\nExecStart=/bin/evil" },
		"a quote in the URL":    func(o *Options) { o.ACMEDirectory = `https://a" "B=C` },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := Units(o); err == nil || problem.From(err).Code != problem.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := Units(good); err != nil {
		t.Error(err)
	}
}

func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // a test's
	t.Setenv("NOTIFY_SOCKET", name)
	if err := Notify("READY=1", "STATUS=well"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := ln.Read(b)
	if err != nil || string(b[:n]) != "READY=1\nSTATUS=well" {
		t.Errorf("%q %v", b[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", name+"-gone")
	if err := Stopping(); err == nil {
		t.Error("a socket that is not there took it")
	}
}

// What was meant for another process is left alone.
func TestListenersOfAnother(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "2")
	t.Setenv("LISTEN_FDNAMES", "http:https")
	ls, err := Listeners()
	if err != nil || ls != nil || os.Getenv("LISTEN_FDS") != "" {
		t.Errorf("%v %v, and %q is left for children", ls, err, os.Getenv("LISTEN_FDS"))
	}
}

func TestUnitStatus(t *testing.T) {
	tests := []struct {
		shown string
		want  UnitStatus
	}{
		{"LoadState=not-found\nActiveState=inactive\nMainPID=0\n", UnitStatus{Name: "u", State: "not installed"}},
		{
			"MainPID=17\nNRestarts=2\nLoadState=loaded\nActiveState=active\nSubState=running\nActiveEnterTimestamp=@1700000000\n",
			UnitStatus{Name: "u", State: "active", Detail: "running", PID: 17, Restarts: 2, Since: time.Unix(1700000000, 0).UTC()},
		},
		{"LoadState=loaded\nActiveState=failed\nSubState=failed\nActiveEnterTimestamp=\n", UnitStatus{Name: "u", State: "failed", Detail: "failed"}},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, unitStatus("u", tt.shown)); d != "" {
			t.Error(d)
		}
	}
}
