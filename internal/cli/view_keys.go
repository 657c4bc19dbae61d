package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/term"
)

// keysPage lists keys, and what each may speak about.
func keysPage(s term.Screen, keys []api.KeyView) string {
	if len(keys) == 0 {
		return "no key is known here\n"
	}
	rows := [][]string{dim(s, "", "NAME", "KEY", "CHECKS", "ENVIRONMENTS", "")}
	for _, k := range keys {
		mark, state := term.Pass, ""
		switch {
		case !k.Revoked.IsZero():
			mark, state = term.Fail, s.Paint(term.Red, "revoked "+k.Revoked.Local().Format(time.DateOnly)+": "+term.Clean(k.Because))
		case !k.Retired.IsZero():
			mark, state = term.Note, "retired "+k.Retired.Local().Format(time.DateOnly)+": what it signed before counts"
		case k.Active:
			state = s.Paint(term.Green, "signs here")
		}
		rows = append(rows, []string{s.Mark(mark), term.Clean(k.Name), shortKey(k.ID), listed(k.Checks), listed(k.Environments), state})
	}
	return term.Columns("", rows)
}

// shortKey is the beginning of a key's id, which names it as well.
func shortKey(id evidence.KeyID) string {
	const enough = len("SHA256:") + 12
	return term.Clean(string(id[:min(len(id), enough)]))
}

// listed is what a key is trusted with.
func listed(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case slices.Contains(names, evidence.Any):
		return "all"
	default:
		return term.Clean(strings.Join(names, ", "))
	}
}

// revokedPage tells loudly what a revocation leaves without ground.
func revokedPage(s term.Screen, r api.Revoked) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", s.Mark(term.Pass), s.Paint(term.Bold, fmt.Sprintf("nothing of %s counts any more", signer(r.Key.Name, r.Key.ID))))
	fmt.Fprintf(&b, "  %s, and %s because of it\n", count(r.Evidence, "piece of evidence", "pieces of evidence"),
		count(len(r.Leaned), "promotion was let in", "promotions were let in"))
	for _, e := range r.Leaned {
		fmt.Fprintf(&b, "    %s  %s %s %s  %s\n", clock(e.At), term.Clean(e.App), term.Clean(e.Environment), e.Release.Short(), term.Clean(e.Run))
	}
	for _, e := range r.Live {
		fmt.Fprintf(&b, "  %s\n", s.Paint(term.Red, fmt.Sprintf("! LIVE WITHOUT GROUND: %s in %s of %s", e.Release.Short(), term.Clean(e.Environment), term.Clean(e.App))))
	}
	return b.String()
}

// auditPage tells whether a log is whole.
func auditPage(s term.Screen, r audited, now time.Time) string {
	switch {
	case r.Fault != "":
		return fmt.Sprintf("%s %s\n  %s\n  as far as number %d it is whole\n", s.Mark(term.Fail),
			s.Paint(term.Bold, "the log is not whole"), s.Paint(term.Red, term.Clean(r.Fault)), r.Head.Seq)
	case r.Head.Seq == 0:
		return s.Mark(term.Unknown) + " the log is empty\n"
	}
	text := fmt.Sprintf("%s %s, the last %s\n", s.Mark(term.Pass),
		s.Paint(term.Bold, "the log is whole: "+count(int(r.Head.Seq), "entry", "entries")), when(r.At, now))
	if r.Anchors > 0 {
		return text + fmt.Sprintf("  it contains %s\n", count(r.Anchors, "anchor", "anchors"))
	}
	return text + "  whether its end was cut off, only an anchor tells: greenroom audit head --to FILE, elsewhere\n"
}
