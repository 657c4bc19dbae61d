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
	for _, v := range l.Items {
		mark, text := markOfEvidence(v.Summary, v.Fault == ""), term.Fit(term.Clean(v.Text), reasonWidth)
		if v.Fault != "" {
			text = s.Paint(term.Red, "does not count: "+term.Clean(v.Fault))
		}
		rows = append(rows, []string{s.Mark(mark), subject(v.Summary), verdict(s, v.Summary), signer(v.Signer, v.Key),
			ago(v.At, now) + " ago", term.Clean(v.Environment), text})
	}
	b.WriteString(term.Columns("", rows))
	return b.String()
}

func evidenceHead(s term.Screen, l api.EvidenceList) string {
	return s.Paint(term.Bold, term.Clean(l.App)+" "+l.Release.Short()) + "  " + count(len(l.Items), "piece of evidence", "pieces of evidence")
}

// subject is what a piece of evidence is about: the check, or the kind.
func subject(v evidence.Summary) string {
	if v.Check != "" {
		return term.Clean(v.Check)
	}
	return term.Clean(string(v.Kind))
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
		fmt.Fprintf(&b, "\n%s %s  %s\n", s.Mark(markOfEvidence(v.Summary, v.Fault == "")), s.Paint(term.Bold, subject(v.Summary)),
			s.Paint(term.Dim, fmt.Sprintf("number %d of the log, signed by %s, %s", v.Seq, signer(v.Signer, v.Key), v.Digest.Short())))
		if v.Fault != "" {
			fmt.Fprintf(&b, "  %s\n", s.Paint(term.Red, "does not count: "+term.Clean(v.Fault)))
		}
		b.WriteString(term.Indent("  ", term.CleanBlock(payload(v.Envelope))))
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
	for _, one := range v.items {
		mark, text := term.Pass, "signed by "+term.Clean(one.Signer)+", "+ago(one.At, now)+" ago"
		switch {
		case one.Unknown:
			mark, text = term.Unknown, s.Paint(term.Yellow, term.Clean(one.Fault))
		case !one.OK:
			mark, text = term.Fail, s.Paint(term.Red, term.Clean(one.Fault))
		}
		rows = append(rows, []string{s.Mark(mark), one.Digest.Short(), subject(one.Summary), verdict(s, one.Summary), text})
	}
	b.WriteString(term.Columns("", rows))
	good, unknown := v.counts()
	switch bad := len(v.items) - good - unknown; {
	case good == len(v.items):
		fmt.Fprintf(&b, "\n%s all %s verified, with %s\n", s.Mark(term.Pass), count(good, "envelope is", "envelopes are"), keyNames(v.keys))
	default:
		fmt.Fprintf(&b, "\n%s %d verified, %d not, %d signed by unknown keys; verified with %s\n", s.Mark(term.Fail), good, bad, unknown, keyNames(v.keys))
	}
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
	return count(len(keys), "key", "keys") + ": " + strings.Join(names, ", ")
}

// takenPage tells what a bundle brought.
func takenPage(s term.Screen, t api.Taken) string {
	var b strings.Builder
	what := "is here"
	if t.Known {
		what = "was here already"
	}
	fmt.Fprintf(&b, "%s %s %s\n", s.Mark(term.Pass), s.Paint(term.Bold, term.Clean(t.Release.App)+" "+t.Release.Digest.Short()), what)
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
	fmt.Fprintf(&b, "%s %s, says %s, %s ago\n", s.Mark(term.Pass),
		s.Paint(term.Bold, fmt.Sprintf("%s of %s has %s", term.Clean(v.Environment), term.Clean(v.App), v.Release.Short())),
		term.Clean(v.Signer), ago(v.At, now))
	if !v.Known {
		fmt.Fprintf(&b, "  %s that release is not here\n", s.Paint(term.Yellow, "!"))
	}
	return b.String()
}
