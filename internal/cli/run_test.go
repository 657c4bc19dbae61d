package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/home"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// interrupts types a command and presses Ctrl-C once the daemon is at it.
func (p *person) interrupts(t *testing.T, args ...string) typed {
	t.Helper()
	p.f.slow = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		select {
		case <-p.f.reached:
		case <-t.Context().Done():
		}
		cancel()
	}()
	return p.types(ctx, args...)
}

func TestCtrlC(t *testing.T) {
	t.Run("cancels a rehearsal", func(t *testing.T) {
		p := newPerson(t)
		got := p.interrupts(t, "rehearse")
		if got.code != problem.ExitInterrupted || !strings.Contains(got.err, "its stage is taken down") {
			t.Errorf("%+v", got)
		}
		if last := p.f.asked[len(p.f.asked)-1]; !strings.HasPrefix(last, "cancel rehearsal-") {
			t.Errorf("the daemon was asked %q", p.f.asked)
		}
	})
	t.Run("detaches from a promotion", func(t *testing.T) {
		p := newPerson(t)
		got := p.interrupts(t, "promote", "latest", "production")
		if got.code != problem.ExitInterrupted || !strings.Contains(got.err, "goes on by itself") {
			t.Errorf("%+v", got)
		}
		for _, asked := range p.f.asked {
			if strings.HasPrefix(asked, "cancel") {
				t.Errorf("the daemon was asked %q", p.f.asked)
			}
		}
	})
	t.Run("ends following logs", func(t *testing.T) {
		p := newPerson(t)
		if got := p.interrupts(t, "logs", "--follow"); got.code != 0 || got.err != "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestFollowingOutlivesTheControlPlane(t *testing.T) {
	p := newPerson(t)
	p.f.away = 2
	got := p.types(t.Context(), "promote", "latest", "production")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if n := strings.Count(got.out, "… back up the database"); n != 1 {
		t.Errorf("a step is told %d times:\n%s", n, got.out)
	}
	for _, want := range []string{"control plane is away", "it is back", "is live in production"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing:\n%s", want, got.out)
		}
	}
}

func TestAtATerminal(t *testing.T) {
	p := newPerson(t)
	p.live = true
	got := p.types(t.Context(), "promote", "latest", "production")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"\x1b[32m✓", "\x1b[J", "is live in production"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing: %q", want, got.out)
		}
	}
	for _, never := range []string{"\x1b[2J", "… "} {
		if strings.Contains(got.out, never) {
			t.Errorf("%q is there: %q", never, got.out)
		}
	}
}

// TestExitCodes drives every code of the interface through a real command.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		code problem.Code
		want int
	}{{problem.Fail, 1}, {problem.Invalid, 2}, {problem.NotFound, 2}, {problem.Inconclusive, 3}, {problem.Blocked, 4},
		{problem.Unavailable, 1}, {problem.Internal, 1}, {problem.Interrupted, 130}} {
		t.Run(string(c.code), func(t *testing.T) {
			p := newPerson(t)
			p.deps.Schema = func(string) ([]byte, error) { return nil, problem.New(c.code, "so it is") }
			if got := p.types(t.Context(), "schema"); got.code != c.want || c.code != problem.Interrupted && !strings.Contains(got.err, "so it is") {
				t.Errorf("%+v", got)
			}
		})
	}
	p := newPerson(t)
	p.deps.Schema = func(string) ([]byte, error) { return nil, errors.New("a bug") }
	if got := p.types(t.Context(), "schema"); got.code != 1 || strings.Contains(got.err, "--help") {
		t.Errorf("a bug is no usage error: %+v", got)
	}
}

func TestDown(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		code int
	}{
		{"down qa", []string{"down shop [qa] false"}, 0},
		{"down", []string{"down shop [] false", "shutdown"}, 0},
		{"down --everything", []string{"down  [] true", "shutdown"}, 0},
		{"down --control-plane", []string{"shutdown"}, 0},
		{"down --volumes --yes", []string{"down shop [] false with data", "shutdown"}, 0},
		{"down qa --volumes --yes", []string{"down shop [qa] false with data"}, 0},
		{"down --everything --volumes -y", []string{"down  [] true with data", "shutdown"}, 0},
		{"down --volumes", nil, 2}, // nobody is here to be asked
		{"down --volumes --control-plane", nil, 2},
		{"down qa --everything", nil, 2},
		{"down --control-plane --everything", nil, 2},
	} {
		t.Run(c.line, func(t *testing.T) {
			p := newPerson(t)
			got := p.types(t.Context(), strings.Fields(c.line)...)
			if got.code != c.code || strings.Join(p.f.asked, "; ") != strings.Join(c.want, "; ") {
				t.Errorf("exit code %d (%s), asked %q", got.code, got.err, p.f.asked)
			}
		})
	}
}

func TestSecretValue(t *testing.T) {
	p := newPerson(t)
	for in, want := range map[string]string{"a\n": "a", "a\r\n": "a", " a \n\n": " a \n", "a": "a", "\x00\xff": "\x00\xff"} {
		p.in = strings.NewReader(in)
		if got := p.types(t.Context(), "secret", "set", "KEY/1", "-e", "qa"); got.code != 0 {
			t.Fatalf("%q: %+v", in, got)
		}
		if got := p.f.secrets["qa/KEY/1"]; got != want {
			t.Errorf("%q is kept as %q", in, got)
		}
	}
	p.in = strings.NewReader(strings.Repeat("x", maxSecret+1))
	if got := p.types(t.Context(), "secret", "set", "KEY", "-e", "qa"); got.code != 2 || !strings.Contains(got.err, "longer than") {
		t.Errorf("%+v", got)
	}
	p.in = iotest.ErrReader(errors.New("no"))
	if got := p.types(t.Context(), "secret", "set", "KEY", "-e", "qa"); got.code != 2 {
		t.Errorf("%+v", got)
	}
}

func TestBuildFailures(t *testing.T) {
	p := newPerson(t)
	p.deps.Build = func(context.Context, Definition, func(api.Event)) (Built, error) {
		return Built{}, problem.New(problem.Fail, "web: go build: exit code 1").WithHint("repair it")
	}
	if got := p.types(t.Context(), "build"); got.code != 1 || got.out != "" || !strings.Contains(got.err, "next: repair it") {
		t.Errorf("%+v", got)
	}
	p.deps.EnsureDaemon = func(context.Context, home.Home) error { return problem.New(problem.Unavailable, "no") }
	if got := p.types(t.Context(), "up"); got.code != 1 {
		t.Errorf("%+v", got)
	}
}

// TestEveryCommandTeaches demands of every command what a newcomer needs, in a terminal of 80 columns.
func TestEveryCommandTeaches(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "completion" || c.Name() == "help" {
			return
		}
		if c.Short == "" || len(c.Long) < 60 || (c.Runnable() && !c.HasSubCommands() && c.Example == "") {
			t.Errorf("%s: it needs a short and a long text, and an example", c.CommandPath())
		}
		var help bytes.Buffer
		c.SetOut(&help)
		if err := c.Help(); err != nil {
			t.Errorf("%s: %v", c.CommandPath(), err)
		}
		for line := range strings.Lines(help.String()) {
			if width := term.Width(strings.TrimSuffix(line, "\n")); width > 80 {
				t.Errorf("%s: a line of its help has %d columns, and a terminal may have 80: %s", c.CommandPath(), width, line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(New(fakeDeps(), Streams{Getenv: func(string) string { return "" }}))
}
