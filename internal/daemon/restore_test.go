package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/home"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
)

// TestStateRestored has another machine take over: everything is there that was acknowledged, in the database too, and the
// log goes on where it ended.
func TestStateRestored(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	for name, s := range map[string]sources{"postgres": withPostgres(), "sqlite": withSQLite()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := newFolder(t)
			old := newHouseIn(t, folder, filepath.Join(folder, "home"), withAddressesOfItsOwn)
			live := old.live(s)
			if _, err := readAll(http.Post(old.status().Address+"/write?id=kept", "", nil)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(old.dir, "state.tar")
			if code, out := old.greenroom("state", "backup", file); code != 0 {
				t.Fatal(out)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the keys of everything lie open: %v, %v", info.Mode(), err)
			}
			entries := old.history()
			old.end()
			old.client = nil       // its machine is gone
			control := old.control // the app was built to look there

			dir := newFolder(t)
			state := filepath.Join(dir, "home")
			wantRestoreRefused(t, state, file)
			if code, out := old.greenroom("--home", state, "state", "restore", file); code != 0 {
				t.Fatal(out)
			}
			if code, out := old.greenroom("--home", state, "state", "restore", file); code != problem.ExitCode(problem.New(problem.Blocked, "")) {
				t.Errorf("it restores over a state: %d %s", code, out)
			}
			now := newHouseIn(t, dir, state)
			now.control, now.made = control, old.made
			must(t, now.upAgain())
			now.wantUp(live)
			if recorded, err := readAll(http.Get(now.status().Address + "/recorded?prefix=kept")); err != nil || recorded != "kept 1\n" {
				t.Errorf("what was acknowledged is not there: %q, %v", recorded, err)
			}
			if after := now.history(); len(after) < len(entries) || after[len(after)-len(entries)].Seq != entries[0].Seq {
				t.Errorf("%d entries of the log became %d", len(entries), len(after))
			}
			now.wantLogWhole()
			now.wantOutcome(now.promote(now.build(s.as("v2", ""))), plan.Succeeded)
			if _, err := os.Stat(filepath.Join(string(home.Home(state)), "environments", appUnderTest, "production", "arrival.backup")); err == nil {
				t.Error("what came along lies there still")
			}
		})
	}
}

// withAddressesOfItsOwn promises a home the addresses that people know before it has an environment: ones that no other test
// comes near. The home that takes over keeps the promise, and between the two any program may take what is free.
func withAddressesOfItsOwn(h *house) {
	addressesGiven.Lock()
	defer addressesGiven.Unlock()
	w, err := open(h.ctx(), Options{Home: h.home, Log: slog.New(slog.DiscardHandler), Program: built.greenroom})
	must(h, err)
	for _, key := range []string{"front", "route:" + appUnderTest + "/production"} {
		_, err := w.Store.Reserve(h.ctx(), key, func(taken func(int) bool) (int, error) {
			for ; ; addressesGiven.next-- {
				if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", addressesGiven.next)); err == nil {
					addressesGiven.next--
					return addressesGiven.next + 1, l.Close()
				}
			}
		})
		must(h, err)
	}
	must(h, w.Store.Close())
}

// addressesGiven are those from the far end of the range that Greenroom takes them from.
var addressesGiven = struct {
	sync.Mutex
	next int
}{next: 7999}

// history is all that was done, the newest first.
func (h *house) history() []api.HistoryEntry {
	h.Helper()
	all, err := h.client.History(h.ctx(), api.HistoryQuery{App: appUnderTest, Limit: 1000})
	must(h, err)
	return all
}

// wantRestoreRefused restores what is no backup, or not a whole one: nothing is left that a Greenroom would start with.
func wantRestoreRefused(t *testing.T, state, file string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	must(t, err)
	for what, bad := range map[string]string{
		"cut off":           string(whole[:len(whole)/2]),
		"without its end":   strings.Replace(string(whole), endName, "greenroom-state.and", 1),
		"climbing out":      strings.Replace(string(whole), "keys/", "../y/", 1),
		"something else":    "hello",
		"of another format": strings.Replace(string(whole), `{"format":1`, `{"format":9`, 1),
	} {
		err := restoreState(t.Context(), state, strings.NewReader(bad))
		if problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(filepath.Join(state, storeName)); err == nil {
			t.Fatalf("%s: there is a state", what)
		}
	}
}
