package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

func lastEntry() evidence.Entry {
	e := evidence.Entry{Seq: 1234, Key: "SHA256:abc+/d", Hash: make([]byte, 32), Signature: make([]byte, 64)}
	e.Hash[0], e.Signature[63] = 7, 9
	return e
}

func TestAnAnchorSurvivesItsLine(t *testing.T) {
	want := lastEntry()
	a := NewAnchor(want)
	if !strings.HasPrefix(a.Line, "greenroom log 1234 07") || strings.ContainsRune(a.Line, '\n') {
		t.Errorf("the line is %q", a.Line)
	}
	got, err := ParseAnchor(a.Line + "\n")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-written +read):\n%s", err, d)
	}
}

func TestLinesThatAreNoAnchor(t *testing.T) {
	words := strings.Fields(NewAnchor(lastEntry()).Line)
	with := func(i int, word string) string {
		w := append([]string{}, words...)
		w[i] = word
		return strings.Join(w, " ")
	}
	for _, line := range []string{"", "greenroom log", with(0, "redroom"), with(1, "lag"), with(2, "0"), with(2, "-1"), with(2, "+1"),
		with(2, "12x"), with(2, "0x10"), with(2, "99999999999999999999"), with(3, "07"), with(3, strings.Repeat("g", 64)), with(5, "?"),
		strings.Join(words[:5], " "), strings.Join(append(words, "more"), " ")} {
		if e, err := ParseAnchor(line); err == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%q is read as %+v, %v", line, e, err)
		}
	}
}

func FuzzParseAnchor(f *testing.F) {
	f.Add(NewAnchor(lastEntry()).Line)
	f.Add("greenroom log 1 x y z")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseAnchor(line)
		if err != nil {
			return
		}
		again, err := ParseAnchor(NewAnchor(e).Line)
		if d := cmp.Diff(e, again); d != "" || err != nil {
			t.Errorf("%v (-read +read again):\n%s", err, d)
		}
	})
}
