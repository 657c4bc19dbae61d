package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/definition"
	"greenroom/internal/evidence"
	"greenroom/internal/home"
	"greenroom/internal/mask"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
	"greenroom/internal/web"
)

// suite runs the tests and looks for goroutines that they left.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	code := s.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	time.Local = time.UTC
	testscript.Main(suite{m}, map[string]func(){"greenroom": func() {
		os.Exit(Main(context.Background(), os.Args[1:], Streams{In: os.Stdin, Out: term.Detect(os.Stdout, os.Getenv),
			Err: term.Detect(os.Stderr, os.Getenv), Getenv: os.Getenv}, fakeDeps()))
	}})
}

// TestScripts runs what a person types, in processes of its own, against a fake daemon on a socket.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			folder, stop, err := serve(newFake(), io.Discard)
			if err != nil {
				return err
			}
			e.Defer(stop)
			e.Setenv("GREENROOM_HOME", folder)
			e.Setenv("TZ", "UTC")
			e.Setenv("GORACE", "atexit_sleep_ms=10") // a second for each command otherwise
			for _, r := range []struct{ name, id string }{{"GOOD", good.Digest.Short()}, {"BROKEN", broken.Digest.Short()},
				{"UNSURE", unsure.Digest.Short()}, {"SOUR", sour.Digest.Short()}, {"STUCK", stuck.Digest.Short()}} {
				e.Setenv(r.name, r.id)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits N COMMAND… runs the command and demands its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ee *exec.ExitError
		if !errors.As(err, &ee) {
			ts.Fatalf("%v", err)
		}
		got = ee.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// serve runs the API over f in a state folder of its own. It is under /tmp: a test's own folder can be too long for a socket.
func serve(f *fake, log io.Writer) (folder string, stop func(), err error) {
	folder, err = os.MkdirTemp("/tmp", "cli")
	if err != nil {
		return "", nil, err
	}
	ln, err := api.Listen(home.Home(folder).Socket(), 0o600)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = api.Serve(ctx, ln, api.NewServer(f, "1.2.3", slog.New(slog.NewTextHandler(log, nil)))) // a test: the client notices
	}()
	f.stop = cancel
	return folder, func() {
		cancel()
		<-done
		_ = os.RemoveAll(folder)
	}, nil
}

// typed is what a command line gave.
type typed struct {
	out, err string
	code     int
}

// person is somebody at a keyboard whose daemon is f.
type person struct {
	f    *fake
	home string
	dir  string
	in   io.Reader
	env  map[string]string
	live bool // at a terminal
	deps Deps
}

func newPerson(t *testing.T) *person {
	t.Helper()
	f := newFake()
	folder, stop, err := serve(f, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "greenroom.yaml"), []byte("app: shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &person{f: f, home: folder, dir: dir, in: strings.NewReader(""), env: map[string]string{}, deps: fakeDeps()}
}

func (p *person) types(ctx context.Context, args ...string) typed {
	var out, errs bytes.Buffer
	screen := func(b *bytes.Buffer) term.Screen {
		return term.Screen{Writer: b, Live: p.live, Color: p.live, Width: func() int { return 100 }}
	}
	code := Main(ctx, append([]string{"--home", p.home, "-C", p.dir}, args...),
		Streams{In: p.in, Out: screen(&out), Err: screen(&errs), Getenv: func(k string) string { return p.env[k] }}, p.deps)
	return typed{out: out.String(), err: errs.String(), code: code}
}

func fakeDeps() Deps {
	say := func(name string) func(context.Context, home.Home, []string) error {
		return func(_ context.Context, h home.Home, args []string) error {
			fmt.Println(name, filepath.IsAbs(string(h)), args)
			return nil
		}
	}
	return Deps{
		Version: "1.2.3",
		AppName: fakeAppName,
		Load:    fakeLoad,
		Draft: func(_ context.Context, dir string) (Draft, error) {
			return Draft{File: filepath.Join(dir, "greenroom.yaml"), Content: []byte("app: shop\n# hello\n"), Findings: []Finding{
				{Subject: "service web", Runs: true, Text: "runs as a process"},
				{Subject: "service mail", Text: "its image can't run as a process", Add: "    x-greenroom:\n      run: bin/mail", File: "compose.yaml", Line: 7},
				{Subject: "compose.yaml:9", Text: "`volumes_from` can't be had", File: "compose.yaml", Line: 9}}}, nil
		},
		Schema:   func(file string) ([]byte, error) { return []byte(`{"title":"` + file + `","type":"object"}`), nil },
		MaskFile: fakeMaskFile, AddRules: definition.AddRules,
		DatabaseShape: func(_ context.Context, address string) (mask.Shape, error) {
			if address != "app.db" {
				return mask.Shape{}, problem.New(problem.NotFound, "there is no such database")
			}
			shape := fakeShape()
			shape.Tables = shape.Tables[1:]
			return shape, nil
		},
		Commit: func(_ context.Context, _, ref string) (string, error) {
			commits := map[string]string{"main": good.Commit, "tax": sour.Commit, "idle": strings.Repeat("9", 40)}
			if c := commits[ref]; c != "" {
				return c, nil
			}
			return "", problem.New(problem.NotFound, "no such ref")
		},
		Build:    fakeBuild,
		TrustKey: fakeTrustKey, RotateBuilder: func() (string, error) { return public(stagingKey), nil },
		BuilderKey: func() (string, error) { return public(stagingKey), nil },
		PushBundle: func(_ context.Context, bundle io.Reader, ref string) error {
			n, err := io.Copy(io.Discard, bundle)
			fmt.Println("pushed", ref, n > 0)
			return err
		},
		ReportPage: web.Report,
		RestoreState: func(_ context.Context, _ home.Home, archive io.Reader) error {
			if text, err := io.ReadAll(archive); err != nil || string(text) != "a state" {
				return problem.New(problem.Invalid, "this is no backup of a Greenroom's state")
			}
			return nil
		},
		PullBundle: func(_ context.Context, ref string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("the bundle of " + ref)), nil
		},
		EnsureDaemon: func(_ context.Context, h home.Home) error {
			if _, err := os.Stat(h.Socket()); err != nil {
				return problem.New(problem.Unavailable, "the control plane did not start: %w", err)
			}
			return nil
		},
		Demo: func(_ context.Context, o DemoOptions) error {
			_, err := fmt.Fprintf(o.Screen, "a demo, exit %v\n", o.Exit)
			return err
		},
		Daemon: say("daemon"), Edge: say("edge"), Supervise: say("supervise"), Network: say("network"),
	}
}

func fakeAppName(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "greenroom.yaml"))
	if err != nil {
		return "", problem.New(problem.NotFound, "there is no greenroom.yaml here").WithHint("greenroom init")
	}
	return strings.TrimSpace(strings.TrimPrefix(firstLine(string(b)), "app:")), nil
}

func fakeMaskFile(dir, file string) (MaskFile, error) {
	m := MaskFile{Name: cmp.Or(file, "mask.yaml"), Named: file != ""}
	m.File = filepath.Join(dir, m.Name)
	var err error
	if m.Content, err = os.ReadFile(m.File); err != nil {
		return m, nil
	}
	m.There = true
	m.Rules, err = definition.ParseMask(m.Content, m.Name)
	return m, err
}

func fakeLoad(_ context.Context, dir string) (Definition, error) {
	name, err := fakeAppName(dir)
	if err != nil {
		return Definition{}, err
	}
	if name == "broken" {
		return Definition{}, problem.New(problem.Invalid, "greenroom.yaml has 2 faults\ngreenroom.yaml:3:1: unknown key \"hots\"\ngreenroom.yaml:9:4: a check needs run").
			WithHint("greenroom schema")
	}
	d := Definition{Dir: dir, Notices: []string{"compose.yaml:7: cpus is not honoured by the process driver"}}
	d.App = app.App{Name: name, Policy: inForce()}
	d.App.Policy.App = name
	if name == "keyed" {
		d.App.Policy.Keys = []app.TrustedKey{{Name: "staging", Public: public(stagingKey), Checks: []string{"unit"}}}
	}
	if name == "wilder" { // the shop, with a weaker gate
		d.App.Name, d.App.Policy.App = "shop", "shop"
		d.App.Policy.Gates = map[string]app.Gate{"production": {Except: map[string]app.Except{"checkout": {Because: "in a hurry"}}}}
	}
	return d, nil
}

func fakeBuild(_ context.Context, d Definition, tell func(api.Event)) (Built, error) {
	tell(api.Event{Step: "web", State: plan.Started, Text: "build web"})
	tell(api.Event{Step: "web", State: plan.Done})
	b := Built{Info: api.ReleaseInfo{App: d.App.Name, Digest: good.Digest, Ref: "main", Commit: good.Commit, By: "ada"},
		Layout: io.NopCloser(strings.NewReader("layout"))}
	if d.App.Name == "failing" {
		b.Statements = []evidence.Statement{{Result: evidence.Result{Check: "unit", Verdict: evidence.Fail, Summary: "TestSum failed"}}}
	}
	return b, nil
}
