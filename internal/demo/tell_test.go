package demo

import (
	"strings"
	"testing"

	"greenroom/internal/term"
)

// TestTell: what the story says in sentences is broken between words on a terminal, and nowhere else, so that it can be searched.
func TestTell(t *testing.T) {
	const text = "  ✓ the migration took 1 min 20 s in production, and nobody noticed"
	for live, want := range map[bool]string{true: "  ✓ the migration took 1 min\n    20 s in production, and\n    nobody noticed\n", false: text + "\n"} {
		var b strings.Builder
		s := &story{screen: term.Screen{Writer: &b, Live: live, Width: func() int { return 30 }}}
		s.tell("%s\n", text)
		if b.String() != want {
			t.Errorf("live %v: %q", live, b.String())
		}
	}
}

// TestColumns: names stand beside their sentences, and a name that would leave those no room above its own.
func TestColumns(t *testing.T) {
	s := &story{screen: term.Screen{Width: func() int { return 40 }}}
	want := "no: live in qa  nothing is live\n                there\n" +
		"no: checks buy, browse, smoke, rollback\n                the schema changed\n                since\n"
	if got := s.columns([][]string{{"no: live in qa", "nothing is live there"}, {"no: checks buy, browse, smoke, rollback", "the schema changed since"}}); got != want {
		t.Errorf("%s", got)
	}
}
