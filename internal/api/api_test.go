package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs the API over f on a socket until the test ends, or stop is called.
func serve(t *testing.T, f *fake, log io.Writer) (socket string, stop func()) {
	t.Helper()
	return serveBackend(t, f, log)
}

func serveBackend(t *testing.T, b Backend, log io.Writer) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(folder(t), "s")
	ln, err := Listen(socket, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, NewServer(b, "1.2.3", slog.New(slog.NewTextHandler(log, nil)))) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return socket, stop
}

// folder is a folder for a socket: one of t.TempDir can have too long a path.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func dial(t *testing.T, socket string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), socket, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// invoke calls a method of the client, or of another backend, with filled arguments. It returns the arguments as the fake records them, and the
// result with the items of a stream collected; err is the method's or the stream's.
func invoke(t *testing.T, c Backend, m reflect.Method) (args []any, result any, err error) {
	t.Helper()
	f := reflect.ValueOf(c).MethodByName(m.Name)
	in := []reflect.Value{reflect.ValueOf(t.Context())}
	n := 100
	for i := 1; i < m.Type.NumIn(); i++ {
		v := reflect.New(m.Type.In(i)).Elem()
		if m.Type.In(i) == reflect.TypeFor[io.Reader]() {
			v.Set(reflect.ValueOf(strings.NewReader("a layout")))
			args = append(args, "a layout")
		} else {
			fill(v, &n)
			args = append(args, v.Interface())
		}
		in = append(in, v)
	}
	out := f.Call(in)
	if e, ok := out[len(out)-1].Interface().(error); ok {
		return args, nil, e
	}
	if len(out) == 1 {
		return args, nil, nil
	}
	switch s := out[0].Interface().(type) {
	case Stream[Event]:
		result, err = collect(s)
	case Stream[LogLine]:
		result, err = collect(s)
	case Stream[evidence.Entry]:
		result, err = collect(s)
	case io.ReadCloser:
		result, err = drain(s)
	default:
		result = s
	}
	return args, result, err
}

// drain reads a bundle to its end.
func drain(r io.ReadCloser) (any, error) {
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func collect[T any](s Stream[T]) (items []T, err error) {
	for item, err := range s {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func methods() []reflect.Method {
	var ms []reflect.Method
	for i := range reflect.TypeFor[Backend]().NumMethod() {
		m := reflect.TypeFor[Backend]().Method(i)
		ms = append(ms, m) // of an interface: no receiver, so argument 0 is the context
	}
	return ms
}

func TestEveryMethodTravels(t *testing.T) {
	f := &fake{}
	socket, _ := serve(t, f, t.Output())
	c := dial(t, socket)
	for _, m := range methods() {
		t.Run(m.Name, func(t *testing.T) {
			args, got, err := invoke(t, c, m)
			if err != nil {
				t.Fatal(err)
			}
			asked := f.last()
			if asked.Method != m.Name {
				t.Fatalf("%s became %s", m.Name, asked.Method)
			}
			if d := cmp.Diff(args, asked.Args); d != "" {
				t.Errorf("arguments (-sent +arrived):\n%s", d)
			}
			if asked.Actor != peer(uint32(os.Getuid()), nil).Name {
				t.Errorf("the actor is %q", asked.Actor)
			}
			if d := cmp.Diff(wanted(m), got); d != "" {
				t.Errorf("result (-returned +arrived):\n%s", d)
			}
		})
	}
}

// wanted is what the fake returns from a method.
func wanted(m reflect.Method) any {
	switch {
	case m.Name == "Version":
		return Version{Version: "1.2.3", API: Protocol, PID: 1}
	case m.Type.NumOut() == 1:
		return nil
	case m.Type.Out(0) == reflect.TypeFor[Stream[Event]]():
		return []Event{filled[Event](), filled[Event](), filled[Event]()}
	case m.Type.Out(0) == reflect.TypeFor[Stream[LogLine]]():
		return []LogLine{filled[LogLine](), filled[LogLine](), filled[LogLine]()}
	case m.Type.Out(0) == reflect.TypeFor[Stream[evidence.Entry]]():
		return []evidence.Entry{filled[evidence.Entry](), filled[evidence.Entry](), filled[evidence.Entry]()}
	case m.Type.Out(0) == reflect.TypeFor[io.ReadCloser]():
		return bundleText
	}
	v := reflect.New(m.Type.Out(0)).Elem()
	n := 0
	fill(v, &n)
	return v.Interface()
}

var codes = []problem.Code{problem.Fail, problem.Invalid, problem.NotFound, problem.Inconclusive, problem.Blocked,
	problem.Unavailable, problem.Internal, problem.Interrupted}

func TestProblemsTravel(t *testing.T) {
	for _, code := range codes {
		t.Run(string(code), func(t *testing.T) {
			want := problem.New(code, "it said \"no\": <&>").WithHint("greenroom status")
			f := &fake{}
			socket, _ := serve(t, f, t.Output())
			c := dial(t, socket)
			f.err = want
			for _, m := range methods() {
				_, _, err := invoke(t, c, m)
				same(t, m.Name, want, err)
			}
			f.err, f.late = nil, want
			events, err := c.Events(t.Context(), "r1", 0)
			if err != nil {
				t.Fatal(err)
			}
			items, err := collect(events)
			same(t, "the end of a stream", want, err)
			if len(items) != 3 {
				t.Errorf("%d items came before the problem", len(items))
			}
		})
	}
}

func same(t *testing.T, what string, want *problem.Error, err error) {
	t.Helper()
	var got *problem.Error
	if !errors.As(err, &got) {
		t.Fatalf("%s: %v (%T) is no problem", what, err, err)
	}
	if got.Code != want.Code || got.Message != want.Message || got.Hint != want.Hint {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
	if problem.ExitCode(err) != problem.ExitCode(want) {
		t.Errorf("%s: exit code %d, want %d", what, problem.ExitCode(err), problem.ExitCode(want))
	}
}

func TestBugsAreLoggedOnceAndToldWithoutDetail(t *testing.T) {
	var log bytes.Buffer
	f := &fake{}
	socket, stop := serve(t, f, &log)
	c := dial(t, socket)
	f.panic = true
	_, err := c.Status(t.Context(), "")
	if problem.From(err).Code != problem.Internal || strings.Contains(err.Error(), "a bug") {
		t.Errorf("the client was told %v", err)
	}
	f.panic = false
	f.err = errors.New("nobody expected this")
	if _, err = c.Status(t.Context(), ""); problem.From(err).Code != problem.Internal {
		t.Errorf("the client was told %v", err)
	}
	stop()
	for _, want := range []string{"a bug", "nobody expected this"} {
		if n := strings.Count(log.String(), want); n == 0 {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	_, err := Dial(t.Context(), filepath.Join(dir, "s"), "1")
	p := problem.From(err)
	if p.Code != problem.Unavailable || p.Hint != "greenroom up" || !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %+v", p)
	}
	// A socket that a killed daemon left behind.
	socket, stop := serve(t, &fake{}, t.Output())
	stop()
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), socket, "1"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
	ln, err := Listen(socket, 0o660)
	if err != nil {
		t.Fatalf("a dead socket is not replaced: %v", err)
	}
	defer ln.Close() //nolint:errcheck // a test
	if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("permissions: %v %v", st.Mode(), err)
	}
}

func TestOneDaemonPerSocket(t *testing.T) {
	socket, _ := serve(t, &fake{}, t.Output())
	if _, err := Listen(socket, 0o600); problem.From(err).Code != problem.Blocked {
		t.Errorf("a second daemon: %v", err)
	}
	dial(t, socket) // the first still answers
	if _, err := Listen("/tmp/"+strings.Repeat("x", 100), 0o600); problem.From(err).Code != problem.Invalid {
		t.Errorf("a path that is too long: %v", err)
	}
}

func TestStreamOfADyingDaemonIsLost(t *testing.T) {
	f := &fake{hold: true, ended: make(chan struct{})}
	socket, stop := serve(t, f, t.Output())
	c := dial(t, socket)
	events, err := c.Events(t.Context(), "r1", 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range events {
		n++
		if n == 3 {
			go stop()
		}
		if n == 4 && !errors.Is(err, ErrLost) {
			t.Errorf("the end of the stream: %v", err)
		}
	}
	if n != 4 {
		t.Errorf("%d items", n)
	}
	<-f.ended
}

func TestLeavingAStreamEndsIt(t *testing.T) {
	f := &fake{hold: true, ended: make(chan struct{})}
	socket, _ := serve(t, f, t.Output())
	lines, err := dial(t, socket).Logs(t.Context(), LogQuery{App: "a", Environment: "e", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	for range lines { //nolint:errcheck // one item is enough
		break
	}
	<-f.ended // or the test hangs
}

func TestInterruptedStream(t *testing.T) {
	f := &fake{hold: true, ended: make(chan struct{})}
	socket, _ := serve(t, f, t.Output())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := dial(t, socket).Events(ctx, "r1", 0)
	if err != nil {
		t.Fatal(err)
	}
	var last error
	n := 0
	for _, err := range events {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if problem.ExitCode(last) != problem.ExitInterrupted {
		t.Errorf("the stream ended with %v", last)
	}
	<-f.ended
}

func TestPeerOfSomethingElseIsUnknown(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close() //nolint:errcheck // a test
	defer b.Close() //nolint:errcheck // a test
	if got := Actor(identify(t.Context(), a)); got != "unknown" {
		t.Errorf("actor %q", got)
	}
	if got := Actor(t.Context()); got != "greenroom" {
		t.Errorf("the daemon itself is %q", got)
	}
}
