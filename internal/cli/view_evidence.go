package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// evidencePage lists what is signed about a release, the oldest first, and why something of it doesn't count.
func evidencePage(s term.Screen, l api.EvidenceList, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", evidenceHead(s, l))
	if len(l.Items) == 0 {
		return b.String()
	}
	rows := [][]string{dim(s, "", "WHAT", "VERDICT", "SIGNED BY", "WHEN", "WHERE", "")}
	below := []string{""}
	for _, v := range l.Items {
		rows = append(rows, []string{s.Mark(markOfEvidence(v.Summary, v.Fault == "")), subject(v.Summary, v.Digest), verdict(s, v.Summary),
			signer(v.Signer, v.Key), when(v.At, now), term.Clean(v.Environment), term.Fit(term.Clean(v.Text), reasonWidth)})
		below = append(below, notCounting(s, v.Fault))
	}
	b.WriteString(rowsWith(rows, below))
	return b.String()
}

// notCounting is what stands below a piece of evidence that does not count.
func notCounting(s term.Screen, fault string) string {
	if fault == "" {
		return ""
	}
	return "   " + s.Paint(term.Red, "does not count: "+term.Clean(fault)) + "\n"
}

// rowsWith aligns rows, with what stands below each.
func rowsWith(rows [][]string, below []string) string {
	var b strings.Builder
	i := 0
	for line := range strings.Lines(term.Columns("", rows)) {
		b.WriteString(line + below[i])
		i++
	}
	return b.String()
}

func evidenceHead(s term.Screen, l api.EvidenceList) string {
	return s.Paint(term.Bold, term.Clean(l.App)+" "+l.Release.Short()) + "  " + count(len(l.Items), "piece of evidence", "pieces of evidence")
}

// subject is what a piece of evidence is about: the check, or the kind; what can't be read has only its digest.
func subject(v evidence.Summary, d release.Digest) string {
	switch {
	case v.Check != "":
		return term.Clean(v.Check)
	case v.Kind != "":
		return term.Clean(string(v.Kind))
	default:
		return d.Short()
	}
}

func verdict(s term.Screen, v evidence.Summary) string {
	if v.Verdict == "" {
		return ""
	}
	return s.Paint(inkOf(v.Verdict), term.Clean(string(v.Verdict)))
}

// markOfEvidence is the verdict where there is one; what does not count is crossed out.
func markOfEvidence(v evidence.Summary, counts bool) term.Mark {
	switch {
	case !counts:
		return term.Fail
	case v.Verdict != "":
		return markOf(v.Verdict)
	default:
		return term.Note
	}
}

// statementsPage prints the statements themselves, as they are in their envelopes.
func statementsPage(s term.Screen, l api.EvidenceList) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", evidenceHead(s, l))
	for _, v := range l.Items {
		fmt.Fprintf(&b, "\n%s %s  %s\n", s.Mark(markOfEvidence(v.Summary, v.Fault == "")), s.Paint(term.Bold, subject(v.Summary, v.Digest)),
			s.Paint(term.Dim, fmt.Sprintf("number %d of the log, signed by %s, %s", v.Seq, signer(v.Signer, v.Key), v.Digest.Short())))
		b.WriteString(notCounting(s, v.Fault))
		b.WriteString(term.Indent("   ", term.CleanBlock(payload(v.Envelope))))
	}
	return b.String()
}

// payload is the statement in an envelope, laid out for people.
func payload(envelope []byte) string {
	e, err := signature(envelope)
	if err != nil {
		return "the envelope can't be read: " + err.Error()
	}
	var b bytes.Buffer
	if err := json.Indent(&b, e.Payload, "", "  "); err != nil {
		return "the statement can't be read: " + err.Error()
	}
	return b.String()
}

// verificationPage tells of each piece of evidence whether it is verified, and why not.
func verificationPage(s term.Screen, v *verification, now time.Time) string {
	var b strings.Builder
	if len(v.items) == 0 {
		return s.Mark(term.Unknown) + " there is no evidence to verify\n"
	}
	var rows [][]string
	var below []string
	for _, one := range v.items {
		mark, why := term.Pass, ""
		switch {
		case one.Unknown:
			mark, why = term.Unknown, "   "+s.Paint(term.Yellow, term.Clean(one.Fault))+"\n"
		case !one.OK:
			mark, why = term.Fail, "   "+s.Paint(term.Red, term.Clean(one.Fault))+"\n"
		}
		rows = append(rows, []string{s.Mark(mark), one.Digest.Short(), subject(one.Summary, ""), verdict(s, one.Summary),
			term.Clean(one.Signer), when(one.At, now)})
		below = append(below, why)
	}
	b.WriteString(rowsWith(rows, below))
	good, unknown := v.counts()
	if good == len(v.items) {
		fmt.Fprintf(&b, "\n%s all %s verified, with %s\n", s.Mark(term.Pass), count(good, "envelope is", "envelopes are"), keyNames(v.keys))
		return b.String()
	}
	mark := term.Fail
	if good+unknown == len(v.items) {
		mark = term.Unknown
	}
	fmt.Fprintf(&b, "\n%s %d verified, %d not, %d signed by unknown keys; verified with %s\n", s.Mark(mark), good,
		len(v.items)-good-unknown, unknown, keyNames(v.keys))
	return b.String()
}

func keyNames(keys evidence.Keys) string {
	var names []string
	for _, k := range keys {
		if name := signer(k.Name, k.ID); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "no key"
	}
	return count(len(keys), "key", "keys") + " (" + strings.Join(names, ", ") + ")"
}

// takenPage tells what a bundle brought.
func takenPage(s term.Screen, t api.Taken) string {
	var b strings.Builder
	what, mark := "is here", s.Mark(term.Pass)
	if t.Known {
		what = "was here already"
	}
	if t.Taken == 0 && len(t.Faults) > 0 {
		what, mark = what+", and none of its evidence was taken", s.Paint(term.Yellow, "!")
	}
	fmt.Fprintf(&b, "%s %s %s\n", mark, s.Paint(term.Bold, term.Clean(t.Release.App)+" "+t.Release.Digest.Short()), what)
	fmt.Fprintf(&b, "  %s new", count(t.Taken, "piece of evidence is", "pieces of evidence are"))
	if t.By != "" {
		fmt.Fprintf(&b, "; that it is all says %s", term.Clean(t.By))
	}
	b.WriteString("\n")
	for _, f := range t.Faults {
		fmt.Fprintf(&b, "  %s not taken: %s\n", s.Paint(term.Yellow, "!"), term.Clean(f))
	}
	return b.String()
}

// standingPage tells what another Greenroom says of an environment.
func standingPage(s term.Screen, v api.StandingView, now time.Time) string {
	var b strings.Builder
	has := "has " + v.Release.Short()
	if v.Release == "" {
		has = "has nothing live yet"
	}
	fmt.Fprintf(&b, "%s %s, says %s, %s\n", s.Mark(term.Pass),
		s.Paint(term.Bold, fmt.Sprintf("%s of %s %s", term.Clean(v.Environment), term.Clean(v.App), has)),
		term.Clean(v.Signer), when(v.At, now))
	if !v.Known && v.Release != "" {
		fmt.Fprintf(&b, "  %s that release is not here\n", s.Paint(term.Yellow, "!"))
	}
	return b.String()
}
