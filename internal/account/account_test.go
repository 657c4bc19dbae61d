package account_test

import (
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"greenroom/internal/account"
	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// users are those of a state folder that only this test has. They are gone when it ends.
func users(t *testing.T) *account.Accounts {
	t.Helper()
	needRoot(t)
	a := account.New(home.Home(t.TempDir()))
	t.Cleanup(func() {
		if err := a.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func needRoot(t *testing.T) {
	t.Helper()
	err := func() error {
		if os.Geteuid() != 0 {
			return os.ErrPermission
		}
		_, err := exec.LookPath("useradd")
		return err
	}()
	if err == nil {
		return
	}
	t.Skipf("SKIPPED, system users can be made by root only, with useradd: %v", err)
}

func mustMake(t *testing.T, a *account.Accounts, app, environment string) account.User {
	t.Helper()
	u, err := a.Make(t.Context(), app, environment)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func wantProblem(t *testing.T, err error, code problem.Code, words ...string) {
	t.Helper()
	p := problem.From(err)
	if p == nil || p.Code != code {
		t.Fatalf("got %v, want a problem of code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(p.Message, w) {
			t.Errorf("it says nothing of %q: %s", w, p.Message)
		}
	}
}

// A user is the same each time, and nobody else's.
func TestMake(t *testing.T) {
	a := users(t)
	_, err := a.Find("shop", "production")
	wantProblem(t, err, problem.NotFound)
	u := mustMake(t, a, "shop", "production")
	if u.UID == 0 || u.GID == 0 || !regexp.MustCompile(`^gr-shop-production-[0-9a-f]{8}$`).MatchString(u.Name) {
		t.Errorf("made %+v", u)
	}
	if again := mustMake(t, a, "shop", "production"); again != u {
		t.Errorf("%+v became %+v", u, again)
	}
	if found, err := a.Find("shop", "production"); err != nil || found != u {
		t.Errorf("found %+v, %v", found, err)
	}
	others := []account.User{mustMake(t, a, "shop", "staging"), mustMake(t, a, "shop-production", "x"), mustMake(t, users(t), "shop", "production")}
	for _, o := range others {
		if o.Name == u.Name || o.UID == u.UID || o.GID == u.GID {
			t.Errorf("%+v and %+v are not apart", o, u)
		}
	}
	su, err := user.LookupId(strconv.Itoa(u.UID))
	if err != nil || su.Username != u.Name || su.HomeDir != "/nonexistent" {
		t.Errorf("the system knows %+v, %v", su, err)
	}
	if out, err := exec.Command("su", "-s", "", u.Name, "-c", "true").CombinedOutput(); err == nil {
		t.Errorf("one can log in as it: %s", out)
	}
}

// However long or odd the names are, useradd takes what becomes of them.
func TestNames(t *testing.T) {
	a := users(t)
	seen := map[string]bool{}
	for _, names := range [][2]string{
		{"a", "b"}, {"a-b", "c"}, {"a", "b-c"}, {"1", "2"}, {"with.dots", "and_lines"}, {"Großer Laden", "Übung: früh"},
		{strings.Repeat("long", 40), "production"}, {strings.Repeat("long", 40), "staging"},
	} {
		u := mustMake(t, a, names[0], names[1])
		if len(u.Name) > 32 || seen[u.Name] {
			t.Errorf("%q became %s", names, u.Name)
		}
		seen[u.Name] = true
	}
}

// Many may ask at once, as several environments that start do, and several processes.
func TestMakeAtOnce(t *testing.T) {
	needRoot(t)
	in := home.Home(t.TempDir())
	t.Cleanup(func() {
		if err := account.New(in).Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	made := make([]account.User, 8)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			u, err := account.New(in).Make(t.Context(), "shop", "production")
			if err != nil {
				t.Error(err)
			}
			made[i] = u
		})
	}
	all.Wait()
	for _, u := range made {
		if u != made[0] {
			t.Errorf("two were made: %+v and %+v", u, made[0])
		}
	}
}

// A name that is somebody else's is left alone, and said.
func TestSomebodyElses(t *testing.T) {
	a := users(t)
	u := mustMake(t, a, "shop", "production")
	for _, c := range []struct {
		name, program, undo string
		args, undoArgs      []string
		words               string
	}{
		{"comment", "usermod", "usermod", []string{"--comment", "the janitor"}, []string{"--comment", gecos(t, u.Name)}, "the janitor"},
		{"number", "usermod", "usermod", []string{"--non-unique", "--uid", "1"}, []string{"--uid", strconv.Itoa(u.UID)}, "daemon"},
		{"group", "usermod", "usermod", []string{"--gid", "daemon"}, []string{"--gid", strconv.Itoa(u.GID)}, "daemon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			system(t, c.program, append(c.args, u.Name)...)
			defer system(t, c.undo, append(c.undoArgs, u.Name)...)
			_, err := a.Make(t.Context(), "shop", "production")
			wantProblem(t, err, problem.Unavailable, u.Name, c.words)
		})
	}
	if again := mustMake(t, a, "shop", "production"); again != u {
		t.Errorf("%+v became %+v", u, again)
	}
}

// useradd was killed when it had written the user and not yet the group, whose number it would give to the next one.
func TestHalfMade(t *testing.T) {
	a := users(t)
	u := mustMake(t, a, "shop", "production")
	system(t, "groupdel", "--force", u.Name)
	_, err := a.Find("shop", "production")
	wantProblem(t, err, problem.NotFound)
	if again := mustMake(t, a, "shop", "production"); again != u {
		t.Errorf("%+v became %+v", u, again)
	}
	if other := mustMake(t, a, "shop", "staging"); other.GID == u.GID || other.UID == u.UID {
		t.Errorf("%+v got the number of %+v", other, u)
	}
}

func gecos(t *testing.T, name string) string {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return u.Name
}

func system(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
}

// Whoever is not root hears it.
func TestNotRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: this is root")
	}
	for name, ask := range map[string]func() error{
		"find": func() error { _, err := account.New("/x").Find("shop", "qa"); return err },
		"make": func() error { _, err := account.New("/x").Make(t.Context(), "shop", "qa"); return err },
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, ask(), problem.Unavailable) })
	}
}
