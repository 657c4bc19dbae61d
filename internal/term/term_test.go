package term

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a Progress on a terminal of 40 cells, with a clock that the test moves.
func stage(color bool) (*Progress, *vt, func(time.Duration)) {
	screen := &vt{width: 40}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := newProgress(Screen{Writer: screen, Live: true, Color: color, Width: func() int { return screen.width }},
		func() time.Time { return now })
	return p, screen, func(d time.Duration) { now = now.Add(d); p.tick() }
}

func sees(t *testing.T, v *vt, lines ...string) {
	t.Helper()
	if d := cmp.Diff(strings.Join(lines, "\n"), v.String()); d != "" {
		t.Errorf("the screen (-want +got):\n%s", d)
	}
}

func TestLiveProgress(t *testing.T) {
	for _, color := range []bool{false, true} {
		p, v, pass := stage(color)
		p.Start("backup", "back up the database")
		sees(t, v, "⠋ back up the database  0.0 s")
		pass(1200 * time.Millisecond)
		sees(t, v, "⠙ back up the database  1.2 s")
		p.Say("backup", "12 MB")
		sees(t, v, "⠙ back up the database  1.2 s  12 MB")
		p.Start("web", "start 10 replicas of web beside the old ones, and wait")
		sees(t, v, "⠙ back up the database  1.2 s  12 MB", "⠙ start 10 replicas of web beside the …")
		p.End("backup", Pass, "")
		sees(t, v, "✓ back up the database  1.2 s", "⠙ start 10 replicas of web beside the …")
		p.Print("a line that stays")
		pass(70 * time.Second)
		p.End("web", Fail, "web-3 exited: exit code 1\nport taken")
		sees(t, v, "✓ back up the database  1.2 s", "a line that stays",
			"✗ start 10 replicas of web beside the", "  old ones, and wait  1 min 10 s", // what stays is whole
			"    web-3 exited: exit code 1", "    port taken")
		p.Close()
	}
}

func TestLiveProgressWraps(t *testing.T) {
	p, v, _ := stage(false)
	p.Start("a", "first")
	p.Start("b", "second")
	p.Start("a", "another text")
	sees(t, v, "⠋ another text  0.0 s", "⠋ second  0.0 s")
	p.Forget("a")
	p.Forget("nobody")
	sees(t, v, "⠋ second  0.0 s")
	p.Say("nobody", "heard of somebody else")
	sees(t, v, "    heard of somebody else", "⠋ second  0.0 s")
	p.Close()
	sees(t, v, "    heard of somebody else")
}

func TestPlainProgress(t *testing.T) {
	var b bytes.Buffer
	now := time.Now()
	p := newProgress(Screen{Writer: &b, Width: func() int { return 10 }}, func() time.Time { return now })
	p.Start("web", "start web, and a text that is longer than the screen")
	p.Start("web", "start web, and a text that is longer than the screen")
	p.Say("web", "web-1 is healthy")
	p.Say("web", "web-1 is healthy")
	p.Say("other", "something")
	now = now.Add(2500 * time.Millisecond)
	p.End("web", Pass, "")
	p.End("never begun", Unknown, "why\x1b[2J")
	p.Print("a line")
	p.Close()
	want := `… start web, and a text that is longer than the screen
    web-1 is healthy
    something
✓ start web, and a text that is longer than the screen  2.5 s
? never begun  0.0 s
    why�[2J
a line
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestProgressIsSafe(t *testing.T) {
	p := NewProgress(Screen{Writer: &vt{width: 1000}, Live: true, Width: func() int { return 80 }})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := string(rune('a' + i))
			for range 20 {
				p.Start(name, name)
				p.Say(name, "x")
				p.Print("y")
				p.End(name, Pass, "")
			}
		})
	}
	wg.Wait()
	p.Close()
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, line, block string }{
		{"plain ü 你", "plain ü 你", "plain ü 你"},
		{"a\nb\tc\r\nd\re", "a b c  d e", "a\nb\tc\nd\ne"},
		{"\x1b]0;title\x07", "�]0;title�", "�]0;title�"},
		{"\x9b31m", "�31m", "�31m"},        // a byte that is no UTF-8
		{"\u009b31m", "�31m", "�31m"},      // CSI as one character
		{"a\u202Eb\u2066", "a�b�", "a�b�"}, // text that runs backwards
		{"x\x00\x08\x7f", "x���", "x���"},  // overwriting
		{"a\u2028b", "a�b", "a�b"},         // a line end that JSON logs forget
		{"\x1b[31mred\x1b[0m", "�[31mred�[0m", "�[31mred�[0m"},
	} {
		if got := Clean(c.in); got != c.line {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.line)
		}
		if got := CleanBlock(c.in); got != c.block {
			t.Errorf("CleanBlock(%q) = %q, want %q", c.in, got, c.block)
		}
	}
}

func TestColumns(t *testing.T) {
	s := Screen{Color: true}
	got := Columns("  ", [][]string{{"A", "LONGER", "C"}, {s.Paint(Green, "ok"), "x"}, {"你好", "y", "z"}})
	got = strings.NewReplacer("\x1b[32m", "", "\x1b[m", "", "\x1b[0m", "").Replace(got)
	want := "  A     LONGER  C\n  ok    x\n  你好  y       z\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{{"short", 5, "short"}, {"longer", 5, "long…"}, {"x", 1, "x"}, {"xyz", 1, ""}, {"你好吗", 5, "你好…"}} {
		if got := Fit(c.in, c.width); got != c.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}

func TestDetect(t *testing.T) {
	s := Detect(&bytes.Buffer{}, func(string) string { return "" })
	if s.Live || s.Color || s.Width() != defaultWidth {
		t.Errorf("a buffer is %+v", s)
	}
	if got := s.Mark(Pass) + s.Paint(Red, "x"); got != "✓x" {
		t.Errorf("painted without colours: %q", got)
	}
	if got := (Screen{Color: true}).Paint(Red, "x"); !strings.Contains(got, "\x1b[") {
		t.Errorf("not painted: %q", got)
	}
}
