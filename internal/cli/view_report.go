package cli

import (
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/term"
)

// Bounds of what one page shows; all of it is in --output json.
const (
	maxFailures     = 10 // of one check
	maxFailureLines = 4
	maxOutputLines  = 12 // of a check that failed without naming a test
	maxMaskLines    = 40
)

// reportPage is a rehearsal's report on one page: the verdict first. full shows all of a migration also where it is well.
func reportPage(s term.Screen, r evidence.Report, full bool) string {
	var b strings.Builder
	against := "nothing live to compare with"
	if r.Old != "" {
		against = "against " + r.Old.Short()
	}
	fmt.Fprintf(&b, "%s %s  %s %s, %s  %s\n\n", s.Mark(markOf(r.Verdict)),
		s.Paint(inkOf(r.Verdict), strings.ToUpper(string(r.Verdict))),
		s.Paint(term.Bold, term.Clean(r.App)), s.Paint(term.Bold, r.Release.Short()), against,
		s.Paint(term.Dim, term.Duration(r.Duration)))
	width := 0
	for _, res := range r.Results {
		width = max(width, term.Width(term.Clean(res.Check)))
	}
	for _, res := range r.Results {
		took := term.Duration(res.Duration)
		lines := wrap(term.Clean(saysBrief(r, res)), cells(s)-width-8-term.Width(took))
		fmt.Fprintf(&b, "  %s %s  %s  %s\n", s.Mark(markOf(res.Verdict)), term.Pad(term.Clean(res.Check), width),
			strings.Join(lines, "\n"+strings.Repeat(" ", width+6)), s.Paint(term.Dim, took))
		b.WriteString(migrationPart(s, res, full))
		b.WriteString(failures(s, res))
	}
	if r.Mask != nil {
		b.WriteString(maskPart(s, *r.Mask))
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(term.Note), strings.Join(term.Wrap(term.Clean(n), cells(s)-4), "\n    "))
	}
	return b.String()
}

// maskPart is what the mask will not say once the release is live, and the lines to add, as they are to be pasted.
func maskPart(s term.Screen, o mask.Outlook) string {
	var b strings.Builder
	mark := term.Note
	if o.Stops() || o.Unknown != "" {
		mark = term.Unknown
	}
	b.WriteString("\n")
	for _, said := range o.Says() {
		fmt.Fprintf(&b, "  %s %s\n", s.Mark(mark), strings.Join(term.Wrap(term.Clean(said), cells(s)-4), "\n    "))
	}
	if len(o.Add) > 0 {
		fmt.Fprintf(&b, "    lines for %s, as greenroom mask init --add would write them:\n", term.Clean(o.File))
	}
	for i, line := range o.Add {
		if i == maxMaskLines {
			fmt.Fprintf(&b, "      # and %s, in --html and --output json\n", count(len(o.Add)-i, "line more", "lines more"))
			break
		}
		fmt.Fprintf(&b, "      %s\n", s.Paint(term.Green, term.Clean(line)))
	}
	if o.Stops() {
		fmt.Fprintf(&b, "    %s\n", s.Paint(term.Dim, strings.Join(term.Wrap(maskWhen, cells(s)-4), "\n    ")))
	}
	return b.String()
}

// maskWhen says when to do it: a mask is a condition of every rehearsal, so another one voids this, and what it proved.
const maskWhen = "greenroom apply, with that in the file, once the release is live and is to stay: it voids this rehearsal, also as proof that one can go back"

// saysBrief is what a result says. Why the rehearsal ended early stands once, among the notes, and not at every check that
// was not run for it.
func saysBrief(r evidence.Report, res evidence.Result) string {
	const notRun = "not run"
	said := res.Says()
	if why, ok := strings.CutPrefix(said, notRun+": "); ok && slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasSuffix(n, why) }) {
		return notRun
	}
	return said
}

// failures names what failed inside a check, and shows the end of its output where it named nothing.
func failures(s term.Screen, r evidence.Result) string {
	if r.Verdict == evidence.Pass {
		return ""
	}
	var b strings.Builder
	for i, f := range r.Failures {
		if i == maxFailures {
			b.WriteString(term.Indent("      ", "and "+count(len(r.Failures)-i, "more", "more")))
			break
		}
		b.WriteString(term.Indent("      ", s.Paint(term.Red, term.Clean(f.Name))))
		b.WriteString(term.Indent("        ", firstLines(term.CleanBlock(f.Message), maxFailureLines)))
	}
	if len(r.Failures) == 0 {
		b.WriteString(term.Indent("      | ", lastLines(term.CleanBlock(r.Output), maxOutputLines)))
	}
	return b.String()
}

func firstLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = append(lines[:n:n], "…")
	}
	return strings.Join(lines, "\n")
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = append([]string{"…"}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}
