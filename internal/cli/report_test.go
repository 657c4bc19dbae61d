package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/term"
)

func TestReportOfARun(t *testing.T) {
	p := newPerson(t)
	got := p.types(t.Context(), "report", "rehearsal-"+string(broken.Digest))
	if got.code != 0 || !strings.Contains(got.out, "✗ FAIL  shop "+broken.Digest.Short()) {
		t.Errorf("exit code %d: %s%s", got.code, got.out, got.err)
	}
}

// TestPageThatCantBeWritten demands that the report is shown all the same, that the fault is told, and that the verdict
// stays the exit code where it is none of a pass.
func TestPageThatCantBeWritten(t *testing.T) {
	for _, c := range []struct {
		release string
		code    int
		shows   string
	}{
		{good.Digest.Short(), 2, "✓ PASS"},
		{broken.Digest.Short(), 1, "✗ FAIL"},
		{unsure.Digest.Short(), 3, "? INCONCLUSIVE"},
	} {
		p := newPerson(t)
		p.deps.ReportPage = func(io.Writer, evidence.Report) error { return errors.New("no room on the disk") }
		file := filepath.Join(p.dir, "page.html")
		got := p.types(t.Context(), "rehearse", c.release, "--html", file)
		if got.code != c.code || !strings.Contains(got.out, c.shows) || !strings.Contains(got.err, "page.html could not be written: no room on the disk") {
			t.Errorf("%s: exit code %d, want %d:\n%s%s", c.release, got.code, c.code, got.out, got.err)
		}
		if strings.Contains(got.out, "page: ") {
			t.Errorf("%s: it names a page that is not there: %s", c.release, got.out)
		}
		if entries, err := filepath.Glob(filepath.Join(p.dir, "*page*")); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v is left, %v", c.release, entries, err)
		}
	}
}

// TestPageWhereNothingMayBeWritten demands that a rehearsal does not begin whose page would have no place.
func TestPageWhereNothingMayBeWritten(t *testing.T) {
	p := newPerson(t)
	file := filepath.Join(p.dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := p.types(t.Context(), "rehearse", "--html", filepath.Join(file, "page.html"))
	if got.code != 2 || !strings.Contains(got.err, "there is no folder "+file) {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if len(p.f.asked) > 0 {
		t.Errorf("it began: %v", p.f.asked)
	}
}

func TestReportOfARunThatIsNotThere(t *testing.T) {
	got := newPerson(t).types(t.Context(), "report", "r999")
	if got.code != 2 || !strings.Contains(got.err, "no rehearsal r999") || !strings.Contains(got.err, "next: greenroom report") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}

// TestReportFitsTheTerminal demands that a long sentence goes on below itself.
func TestReportFitsTheTerminal(t *testing.T) {
	said := strings.Repeat("the provider declined the charge ", 8)
	r := evidence.Report{App: "shop", Results: []evidence.Result{{Check: "buy", Verdict: evidence.Fail, Summary: said}}}
	page := reportPage(term.Screen{Live: true, Width: func() int { return 80 }}, r, false)
	for line := range strings.Lines(page) {
		if term.Width(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if !strings.Contains(page, "\n         the ") && !strings.Contains(page, "\n         provider ") && !strings.Contains(page, "\n         declined ") && !strings.Contains(page, "\n         charge ") {
		t.Errorf("the sentence does not go on below itself:\n%s", page)
	}
}
