package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"greenroom/internal/account"
	"greenroom/internal/data/postgres"
	"greenroom/internal/data/postgres/clustertest"
	"greenroom/internal/environment/addresstest"
	"greenroom/internal/home"
)

// TestScripts plays a user in a repository of their own: testdata/script holds one story a file, with the commands as
// they are typed.
//
// Each has a state folder and addresses of its own, and leaves nothing running behind. Beside testscript's commands there are:
//
//	exits CODE COMMAND …   run it; it has to end with exactly this code
//	make-additions         do to the Compose file what `greenroom init --output json` says, read from standard output
//	remember               note all that Greenroom keeps
//	unchanged              all that it keeps is as it was noted
//	port NAME              put a port of 127.0.0.1 on which nobody listens into the variable
//	serve-ssh              start a server of ssh, see serveSSH
//	commit MESSAGE         commit everything that is here
//	pipeline SERVICE       run the pipeline for github or gitlab that docs/in-a-pipeline.md has, for the commit that is here
func TestScripts(t *testing.T) {
	site, err := filepath.Abs(filepath.Join("testdata", "site"))
	if err != nil {
		t.Fatal(err)
	}
	cache := append(goEnv(t, "GOCACHE", "GOMODCACHE"), cheapClusters(t)...)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, cache...)
			env.Setenv("CGO_ENABLED", "0") // as whatever other tests build: nothing is compiled twice
			env.Setenv("SITE", site)
			env.Setenv("EXAMPLES", filepath.Join(filepath.Dir(site), "..", "..", "..", "examples"))
			env.Setenv("DEPLOYED", filepath.Join(filepath.Dir(site), "deployed"))
			env.Setenv("DOCKER_HOST", "unix://"+filepath.Join(env.WorkDir, "no-engine.sock")) // what init writes depends on one
			env.Setenv("PAGES", filepath.Dir(filepath.Dir(site)))
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "someone")
				env.Setenv("GIT_"+who+"_EMAIL", "someone@example.com")
			}
			return errors.Join(openPrograms(env), giveHome(env))
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "make-additions": makeAdditions, "remember": remember, "unchanged": unchanged, "commit": commit,
			"pipeline": pipeline, "port": port, "serve-ssh": serveSSH,
		},
	})
}

// cheapClusters is where the scripts have PostgreSQL's programs from, see clustertest; nothing where there are none.
func cheapClusters(t *testing.T) []string {
	t.Helper()
	found, err := postgres.Find("")
	if err != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "greenroom-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	folder, err := clustertest.Install(found.Bin, dir)
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil { //nolint:gosec // see openPrograms
		t.Fatal(err)
	}
	return []string{postgres.Folders + "=" + folder}
}

// openPrograms lets the users that environments run as reach the programs of testscript.
func openPrograms(env *testscript.Env) error {
	first, _, _ := strings.Cut(env.Getenv("PATH"), string(filepath.ListSeparator))
	return os.Chmod(filepath.Dir(first), 0o755) //nolint:gosec // see above
}

// goEnv is what the go command says of these variables: the scripts build with the caches that are there.
func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var vars []string
	for i, value := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		vars = append(vars, names[i]+"="+value)
	}
	return vars
}

// giveHome gives a script its state folder and takes it away afterwards, with all that still runs for it.
func giveHome(env *testscript.Env) error {
	t := env.T().(testing.TB)
	// Not in the script's own folder: the user that PostgreSQL runs as has to be able to pass through.
	base, err := os.MkdirTemp("", "gr-script-") // short: sockets lie in it
	if err != nil {
		return err
	}
	if err := os.Chmod(base, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	state := home.Home(filepath.Join(base, "home"))
	first, giveBack, err := addresstest.Take()
	if err != nil {
		return err
	}
	env.Setenv(addresstest.Variable, strconv.Itoa(first))
	env.Setenv("GREENROOM_HOME", string(state))
	env.Setenv("GORACE", quick+" log_path="+filepath.Join(base, "race"))
	vars := env.Vars
	env.Defer(func() {
		cmd := exec.Command("greenroom", "down", "--everything")
		cmd.Env = vars
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("greenroom down --everything: %v\n%s\n%s", err, out, logOf(string(state)))
		}
		if left := endLeft(base); len(left) > 0 {
			t.Errorf("it left processes behind:\n%s\n%s", strings.Join(left, "\n"), logOf(string(state)))
		}
		if races, _ := filepath.Glob(filepath.Join(base, "race.*")); len(races) > 0 { // the pattern is right
			b, err := os.ReadFile(races[0])
			t.Errorf("data races (%v):\n%s", err, b)
		}
		if err := errors.Join(giveBack(), removeAll(base), account.New(state).Remove(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return nil
}

// removeAll removes a folder in which files are read-only.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700) //nolint:gosec // it goes
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

func logOf(home string) string {
	b, err := os.ReadFile(filepath.Join(home, "daemon.log"))
	if err != nil {
		return err.Error()
	}
	return "daemon.log:\n" + string(b[max(0, len(b)-4000):])
}

// condition knows [postgres] and [ssh]. Where CI is set they have to be there.
func condition(name string) (bool, error) {
	if name == "ssh" {
		return haveSSH()
	}
	if name != "postgres" {
		return false, fmt.Errorf("there is no condition %q", name)
	}
	_, err := postgres.Find("")
	if err != nil && os.Getenv("CI") != "" {
		return false, fmt.Errorf("CI needs PostgreSQL: %w", err)
	}
	return err == nil, nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, number, err := net.SplitHostPort(l.Addr().String())
	ts.Check(errors.Join(err, l.Close()))
	ts.Setenv(args[0], number)
}

func commit(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("git", "add", "--all"))
	ts.Check(ts.Exec("git", "commit", "--quiet", "--allow-empty", "--message", strings.Join(args, " ")))
}
