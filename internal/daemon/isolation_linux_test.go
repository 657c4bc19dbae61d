package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"greenroom/internal/account"
	"greenroom/internal/api"
	"greenroom/internal/driver"
	"greenroom/internal/home"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run environments as users of their own")
	}
}

// twoEnvironments is the app in staging and production, with a password in each, and a word of who migrates and who tries.
func twoEnvironments() sources {
	return withSecrets().
		saying("environments:\n  production:\n", "environments:\n  staging: {scale: {to: 1, because: a small one}, rollout: {watch: 200ms, drain: 1s}}\n  production:\n    after: staging\n").
		saying("    deploy: {replicas: 2}\n", "    deploy: {replicas: 2}\n    volumes: [\"uploads:/uploads\"]\n").
		saying("volumes: {db: {}}", "volumes: {db: {}, uploads: {}}").
		saying("run: bin/app migrate", "run: 'bin/app migrate && id -un > CONTROL_FOLDER/migrates-$GREENROOM_ENVIRONMENT'").
		saying("CONTROL=CONTROL_FOLDER bin/app journey,", "'CONTROL=CONTROL_FOLDER bin/app journey && id -un > CONTROL_FOLDER/tries-$GREENROOM_ENVIRONMENT',")
}

// place is one environment, as the intruder in another sees it.
type place struct {
	name, address, password string
	folder                  string
	home                    home.Home
	web, worker, db         driver.Status
}

func (h *house) place(name string) place {
	h.Helper()
	p := place{name: name, folder: h.home.Environment(appUnderTest, name), home: h.home, password: passwordOf(name)}
	v, err := h.client.Status(h.ctx(), appUnderTest)
	must(h, err)
	for _, e := range v.Apps[0].Environments {
		if e.Name == name {
			p.address = e.Address
		}
	}
	for _, s := range h.replicas() {
		if s.Environment == name {
			*map[string]*driver.Status{"web": &p.web, "worker": &p.worker, "db": &p.db}[s.Service] = s
		}
	}
	if p.address == "" || p.web.PID == 0 || p.worker.PID == 0 || p.db.PID == 0 {
		h.Fatalf("%s does not run: %+v", name, p)
	}
	return p
}

func passwordOf(environment string) string { return "the-password-of-" + environment }

// run runs a line of shell in the place's web service. ok is whether it ended well.
func (p place) run(t testing.TB, line string) (out string, ok bool) {
	t.Helper()
	out, err := readAll(http.Post(p.address+"/run", "text/plain", strings.NewReader(line)))
	if err != nil {
		return err.Error(), false
	}
	return out, true
}

// network is how its services reach the place's database, with this password.
func (p place) network(role, password string) string {
	return fmt.Sprintf("bin/app try database 'postgres://%s:%s@%s/app?sslmode=disable'", role, password, p.db.Listen.Address)
}

// socket is how Greenroom reaches it.
func (p place) socket(role string) string {
	_, port, _ := strings.Cut(p.db.Listen.Address, ":")
	return fmt.Sprintf("bin/app try database 'postgres://%s@/app?sslmode=disable&host=%s/postgres/sockets&port=%s'", role, p.folder, port)
}

// note is a file in the folder for everybody's temporary files.
func (p place) note() string {
	return filepath.Join(os.TempDir(), filepath.Base(filepath.Dir(string(p.home)))+"-"+p.name)
}

// intrusions are what I can do at home, and must not be able to do to another place. That they work at home shows that
// they are refused elsewhere because of who asks.
var intrusions = map[string]func(me, p place) string{
	"list its data":             func(_, p place) string { return "ls " + p.folder + "/data" },
	"read its uploads":          func(_, p place) string { return "cat " + p.folder + "/data/uploads/letter" },
	"write to its uploads":      func(_, p place) string { return "echo more >> " + p.folder + "/data/uploads/letter" },
	"read its database's files": func(_, p place) string { return "cat " + p.folder + "/postgres/data/PG_VERSION" },
	"read its temporary files":  func(_, p place) string { return "cat " + p.note() },
	"read its secrets":          func(_, p place) string { return fmt.Sprintf("grep -q %s /proc/%d/environ", p.password, p.web.PID) },
	"read its memory":           func(_, p place) string { return fmt.Sprintf("dd if=/proc/%d/mem bs=1 count=0", p.worker.PID) },
	"see its open files":        func(_, p place) string { return fmt.Sprintf("ls /proc/%d/fd", p.web.PID) },
	"trace it":                  func(_, p place) string { return fmt.Sprintf("bin/app try trace %d", p.worker.PID) },
	"signal it":                 func(_, p place) string { return fmt.Sprintf("kill -s 0 %d", p.web.PID) },
	"signal its database":       func(_, p place) string { return fmt.Sprintf("kill -s 0 %d", p.db.PID) },
	"reach its database's socket": func(_, p place) string {
		_, port, _ := strings.Cut(p.db.Listen.Address, ":")
		return fmt.Sprintf("bin/app try socket %s/postgres/sockets/.s.PGSQL.%s", p.folder, port)
	},
	"log in to its database with my password": func(me, p place) string { return p.network("app", me.password) },
}

// refusals are what no environment can do, at home neither.
var refusals = map[string]func(p place) string{
	"read the store":               func(p place) string { return "cat " + p.home.Store() },
	"read the key of all secrets":  func(p place) string { return "cat " + p.home.Secrets() + "/identity.age" },
	"read the releases":            func(p place) string { return "ls " + p.home.Artifacts() },
	"list the state folder":        func(p place) string { return "ls " + string(p.home) },
	"list the environments":        func(p place) string { return "ls " + p.home.Environments() },
	"list the backups":             func(p place) string { return "ls " + p.folder + "/backups" },
	"read the logs":                func(p place) string { return "ls " + filepath.Join(p.home.Replicas(), p.web.ID, "log") },
	"change a release's files":     func(p place) string { return "chmod u+w VERSION" },
	"change who may log in":        func(p place) string { return "echo >> " + p.folder + "/postgres/hba.conf" },
	"exchange the database's data": func(p place) string { return "mv " + p.folder + "/postgres/data " + p.folder + "/postgres/old" },
	"reach the API":                func(p place) string { return "bin/app try socket " + p.home.Socket() },
	"reach the edge's socket":      func(p place) string { return "bin/app try socket " + p.home.Edge() + "/admin.sock" },
	"reach a supervisor's socket": func(p place) string {
		return "bin/app try socket " + filepath.Join(p.home.Replicas(), p.web.ID, "ctl.sock")
	},
	"signal a supervisor":              func(p place) string { return fmt.Sprintf("kill -s 0 $(cut -d' ' -f4 /proc/%d/stat)", p.web.PID) },
	"be the database's administrator":  func(p place) string { return p.socket("greenroom_admin") },
	"be it over the network":           func(p place) string { return p.network("greenroom_admin", "") },
	"log in without a password":        func(p place) string { return p.network("app", "") },
	"log in with a password that fits": func(p place) string { return p.network("app", "app") },
	"read the system's passwords":      func(p place) string { return "cat /etc/shadow" },
}

var refused = regexp.MustCompile(`(?i)denied|not permitted|authentication failed|rejects connection|empty password`)

// TestIsolation has the app try, in staging and in production, what it must not be able to do to the other environment and
// to Greenroom.
func TestIsolation(t *testing.T) {
	t.Parallel()
	needRoot(t)
	needPostgres(t)
	h := newHouse(t)
	h.setPasswords("staging", "production")
	h.up(twoEnvironments())
	h.toBoth(h.build(twoEnvironments()))
	live := h.build(twoEnvironments().as("v2", "")) // of the first there is no backup
	h.wantRehearsed(live)
	h.toBoth(live)
	staging, production := h.place("staging"), h.place("production")

	h.part(t, "each has a user of its own, who runs everything of it", func() {
		seen := map[string]bool{}
		for _, p := range []place{staging, production} {
			u := h.account(p.name)
			if seen[u.Name] {
				h.Errorf("%s runs as %s too", p.name, u.Name)
			}
			seen[u.Name] = true
			for _, s := range []driver.Status{p.web, p.worker, p.db} {
				if got := ownerOf(h, fmt.Sprintf("/proc/%d", s.PID)); got != u.UID {
					h.Errorf("%s runs as user %d, want %s (%d)", s.ID, got, u.Name, u.UID)
				}
			}
		}
		for _, place := range []string{"staging", "production", "rehearsal"} {
			u := h.account(place)
			for _, who := range []string{"migrates-", "tries-"} {
				b, err := os.ReadFile(filepath.Join(h.control, who+place))
				if place == "staging" && who == "tries-" {
					continue // only production is tried after a promotion
				}
				must(h, err)
				if got := strings.TrimSpace(string(b)); got != u.Name {
					h.Errorf("%s%s is %s, want %s", who, place, got, u.Name)
				}
			}
		}
	})
	for _, p := range []place{staging, production} {
		if out, ok := p.run(t, fmt.Sprintf("echo hello > $UPLOADS_DIR/letter && chmod 644 $UPLOADS_DIR/letter && echo hello > %s", p.note())); !ok {
			t.Fatal(out)
		}
		t.Cleanup(func() { must(t, os.Remove(p.note())) })
	}
	for _, at := range []struct{ me, other place }{{staging, production}, {production, staging}} {
		h.part(t, "from "+at.me.name, func() { h.intrude(at.me, at.other) })
		h.part(t, "what "+at.me.name+" can read and write", func() { h.wantNothingOpen(at.me) })
	}
	h.wantUp(live)
}

// intrude tries everything.
func (h *house) intrude(me, other place) {
	for name, line := range intrusions {
		if tracing(name) && !mayTrace() {
			h.Logf("not tried at home, because the kernel allows it to nobody: %s", name)
		} else if out, ok := me.run(h, line(me, me)); !ok {
			h.Errorf("at home it can't %s, so nothing is tested: %s", name, out)
		}
		if out, ok := me.run(h, line(me, other)); ok || !refused.MatchString(out) {
			h.Errorf("it could %s: %s", name, out)
		}
	}
	for name, line := range refusals {
		for _, p := range []place{me, other} {
			if out, ok := me.run(h, line(p)); ok || !refused.MatchString(out) {
				h.Errorf("it could %s, of %s: %s", name, p.name, out)
			}
		}
	}
}

func tracing(name string) bool { return name == "trace it" || name == "read its memory" }

// mayTrace says whether a process may trace another one of its user's that it has not started.
func mayTrace() bool {
	b, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	return err != nil || strings.TrimSpace(string(b)) == "0"
}

// wantNothingOpen has the app try every name in the state folder: it can read the releases' files and what is its own, and
// write only the latter.
func (h *house) wantNothingOpen(me place) {
	h.Helper()
	var all []string
	must(h, filepath.WalkDir(string(h.home), func(name string, _ fs.DirEntry, err error) error {
		all = append(all, name)
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}))
	h.tell("everything", "here", strings.Join(all, "\n")+"\n")
	out, ok := me.run(h, `while IFS= read -r f; do [ -r "$f" ] && echo "r $f"; [ -w "$f" ] && echo "w $f"; done < `+filepath.Join(h.control, "everything-here")+"; true")
	if !ok {
		h.Fatal(out)
	}
	own, files, found := me.folder+"/", string(h.home.Files())+"/", map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		how, name, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(name, own+"data") || strings.HasPrefix(name, own+"postgres/"):
			found["own"]++
		case strings.HasPrefix(name, files) && how == "r":
			found["files"]++
		default:
			h.Errorf("it can do %s to %s", how, name)
		}
	}
	if len(all) < 1000 || found["own"] < 100 || found["files"] == 0 {
		h.Errorf("of %d names it could open %v: that can't be", len(all), found)
	}
}

// setPasswords gives each environment secrets of its own.
func (h *house) setPasswords(environments ...string) {
	h.Helper()
	h.register(twoEnvironments())
	for _, e := range environments {
		for _, name := range []string{"DB_PASSWORD", "API_KEY"} {
			must(h, h.client.SecretSet(h.ctx(), api.SecretName{App: appUnderTest, Environment: e, Name: name}, []byte(passwordOf(e))))
		}
	}
}

// toBoth promotes a release to staging, and then to production.
func (h *house) toBoth(r release.Digest) {
	h.Helper()
	run, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Promotion, App: appUnderTest, Release: string(r), Environment: "staging"})
	must(h, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	h.wantOutcome(h.promote(r), plan.Succeeded)
}

func (h *house) account(environment string) account.User {
	h.Helper()
	u, err := account.New(h.home).Find(appUnderTest, environment)
	must(h, err)
	return u
}

func ownerOf(t testing.TB, name string) int {
	t.Helper()
	info, err := os.Lstat(name)
	must(t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// TestTakenOver starts production where it can have no user of its own, as every production of an earlier Greenroom was
// started. It keeps running like that until it is started the next time, and then everything of it is its user's.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	needRoot(t)
	needPostgres(t)
	for name, s := range map[string]sources{
		"PostgreSQL": withPostgres(),
		"SQLite":     {compose: composeWithSQLite, definition: production + exceptAll, version: "v1", migrate: tables, table: "entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			giveBack := h.takeName(t, "production")
			live := h.live(s)
			data := filepath.Join(h.home.Environment(appUnderTest, "production"), "data")
			if got := ownerOf(t, fmt.Sprintf("/proc/%d", h.replica("web").PID)); got != 0 {
				t.Fatalf("it runs as user %d, though its name is somebody else's", got)
			}
			if log := lastOf(h.home.Log(), 8000); !strings.Contains(log, "not isolated") || !strings.Contains(log, "somebody else's") {
				t.Errorf("the log does not say so:\n%s", log)
			}
			must(t, os.WriteFile(filepath.Join(data, "leftover"), []byte("old"), 0o6755))
			must(t, os.Symlink("/etc/passwd", filepath.Join(data, "link")))
			must(t, os.MkdirAll(filepath.Join(data, "shared"), 0o755))
			must(t, os.Chmod(filepath.Join(data, "shared"), 0o2755|fs.ModeSetgid))
			giveBack()

			before := h.replica("web").PID
			next := h.build(s.as("v2", ""))
			h.killDaemon()
			h.start()
			if after := h.replica("web").PID; after != before {
				t.Errorf("it was started anew: %d, then %d", before, after)
			}
			h.wantOutcome(h.promote(next), plan.Succeeded)
			server := s.compose != composeWithSQLite // without one the old release stops first, and then nothing runs
			if got := ownerOf(t, data); server && got != 0 {
				t.Errorf("a running environment's data was given to user %d", got)
			}

			h.down()
			must(t, h.upAgain())
			h.wantUp(next)
			u := h.account("production")
			h.wantAllOf(u, data)
			if server {
				h.wantAllOf(u, filepath.Join(filepath.Dir(data), "postgres", "data"))
			}
			if got := ownerOf(t, "/etc/passwd"); got != 0 {
				t.Errorf("/etc/passwd belongs to user %d", got)
			}
			h.wantOutcome(h.promote(live), plan.Succeeded) // and it can be written to
			h.wantUp(live)
		})
	}
}

// wantAllOf fails the test when something in a folder is not the user's, or runs as somebody who made it.
func (h *house) wantAllOf(u account.User, dir string) {
	h.Helper()
	n := 0
	must(h, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if int(st.Uid) != u.UID || int(st.Gid) != u.GID || d.Type().IsRegular() && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			h.Errorf("%s belongs to %d:%d, with mode %s", name, st.Uid, st.Gid, info.Mode())
		}
		n++
		return err
	}))
	if n == 0 {
		h.Errorf("there is nothing in %s", dir)
	}
}

// takeName makes the user of an environment somebody else's, until back is called.
func (h *house) takeName(t *testing.T, environment string) (back func()) {
	t.Helper()
	u, err := account.New(h.home).Make(context.Background(), appUnderTest, environment)
	must(t, err)
	su, err := user.LookupId(strconv.Itoa(u.UID))
	must(t, err)
	comment := func(c string) {
		out, err := exec.Command("usermod", "--comment", c, u.Name).CombinedOutput()
		if err != nil {
			t.Errorf("usermod: %v: %s", err, out)
		}
	}
	comment("the janitor")
	t.Cleanup(func() { comment(su.Name) }) // so that it is found, and removed
	return func() { comment(su.Name) }
}
