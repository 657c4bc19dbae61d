package proc

import (
	"slices"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		want   string
		cut    bool
	}{
		{"nothing", nil, "", false},
		{"all of it fits", []string{"one\n", "two\n"}, "one\ntwo\n", false},
		{"cut at the beginning of a line", []string{strings.Repeat("a line\n", 100)}, "a line\na line\n", true},
		{"in many writes", slices.Repeat([]string{"a line\n"}, 100), "a line\na line\n", true},
		{"one line without an end", []string{strings.Repeat("x", 1000)}, strings.Repeat("x", 20), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewTail(20)
			for _, s := range c.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			text, cut := w.End()
			if got := w.String(); got != c.want || cut != c.cut || len(text) > 40 {
				t.Errorf("%q, cut %v, %d kept; want %q, %v", got, cut, len(text), c.want, c.cut)
			}
		})
	}
	w := NewTail(100)
	_, _ = w.Write([]byte("a\nb\nc\n"))
	if got := w.Lines(2); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("lines %q", got)
	}
}
