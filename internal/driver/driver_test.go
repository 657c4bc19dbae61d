package driver

import (
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

func TestPace(t *testing.T) {
	h := app.Health{Interval: time.Second}
	for _, c := range []struct {
		was     bool
		elapsed time.Duration
		want    time.Duration
	}{
		{false, 0, soonest},
		{false, time.Second, soonest},
		{false, 2 * time.Second, 20 * time.Millisecond},
		{false, time.Minute, 600 * time.Millisecond},
		{false, time.Hour, time.Second},
		{true, 0, time.Second},
	} {
		if got := Pace(h, c.was, c.elapsed); got != c.want {
			t.Errorf("Pace(%v, %s) = %s, want %s", c.was, c.elapsed, got, c.want)
		}
	}
	if got := Pace(app.Health{Interval: time.Millisecond}, false, time.Hour); got != soonest {
		t.Errorf("with a tiny interval: %s", got)
	}
}

func TestUnhealthyTells(t *testing.T) {
	st := Status{
		ID: "shop.web.1", Environment: "qa", Service: "web", Phase: Backoff, Reason: "exit code 1",
		Listen: Endpoint{Network: "tcp", Address: "127.0.0.1:20001"},
	}
	last := "boot\nlisten: Address already in use"
	p := problem.From(Unhealthy(st, 5, last))
	want := "shop.web.1 is not healthy on 127.0.0.1:20001, it ended 5 times: exit code 1\n" +
		"it printed last:\n  boot\n  listen: Address already in use"
	if p.Code != problem.Fail || p.Message != want || !strings.Contains(p.Hint, "127.0.0.1:20001") {
		t.Errorf("%s: %s\n%s", p.Code, p.Message, p.Hint)
	}
	last = ""
	if p := problem.From(Unhealthy(st, 5, last)); !strings.Contains(p.Hint, "greenroom logs web --environment qa") {
		t.Errorf("hint %q", p.Hint)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		" a\tb\r\n":       "a b",
		"\x1b[31mred\x00": "[31mred",
		"ab\xffcd":        "ab cd",
		"äöüß":            "äöü…",
		"a\u202eb":        "a b",
	} {
		limit := 10
		if in == "äöüß" {
			limit = 3
		}
		if got := Printable(in, limit); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}
