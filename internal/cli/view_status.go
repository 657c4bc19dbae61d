package cli

import (
	"fmt"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/term"
)

// statusPage is how things stand, one table an app.
func statusPage(s term.Screen, v api.StatusView, now time.Time) string {
	var b strings.Builder
	if len(v.Apps) == 0 {
		b.WriteString("Greenroom runs, and knows no app yet\n  next: greenroom up, in a repository with a greenroom.yaml\n")
	}
	for i, a := range v.Apps {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(appStatus(s, a, now))
	}
	return b.String()
}

func appStatus(s term.Screen, a api.AppStatus, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", s.Paint(term.Bold, term.Clean(a.Name)), s.Paint(term.Dim, term.Clean(a.Repository)))
	rows := [][]string{dim(s, "", "ENVIRONMENT", "RELEASE", "FROM", "LIVE FOR", "SERVICES", "LAST MINUTE", "ADDRESS")}
	for _, e := range a.Environments {
		rows = append(rows, environmentRow(s, e, now))
	}
	b.WriteString(term.Columns("", rows))
	for _, e := range a.Environments {
		b.WriteString(remarks(s, e))
	}
	for _, r := range a.Runs {
		fmt.Fprintf(&b, "  %s %s\n", s.Paint(term.Blue, "▸"), underWay(r, now))
	}
	if a.Latest != nil {
		fmt.Fprintf(&b, "  latest release: %s\n", releaseLine(s, *a.Latest))
	}
	return b.String()
}

func dim(s term.Screen, cells ...string) []string {
	for i := range cells {
		cells[i] = s.Paint(term.Dim, cells[i])
	}
	return cells
}

func environmentRow(s term.Screen, e api.EnvironmentStatus, now time.Time) []string {
	marks := map[api.EnvironmentState]term.Mark{api.EnvironmentUp: term.Pass, api.EnvironmentTrouble: term.Fail}
	mark, ok := marks[e.State]
	if !ok {
		mark = term.Note
	}
	rel, from := string(e.State), ""
	if e.Live != nil {
		rel, from = e.Live.Digest.Short(), origin(*e.Live)
	}
	if e.State == api.EnvironmentDown {
		from = strings.TrimSpace(from + " (down)")
	}
	var services []string
	for _, v := range e.Services {
		text := fmt.Sprintf("%s %d/%d", term.Clean(v.Name), v.Healthy, v.Wanted)
		if v.Healthy < v.Wanted {
			text = s.Paint(term.Red, text)
		}
		services = append(services, text)
	}
	traffic := "no requests"
	if e.Deployed {
		traffic = "not counted here"
	}
	if e.Traffic.Requests > 0 {
		traffic = count(int(e.Traffic.Requests), "request", "requests")
	}
	if e.Traffic.Failed > 0 {
		traffic += ", " + s.Paint(term.Red, thousands(e.Traffic.Failed)+" failed")
	}
	return []string{s.Mark(mark), term.Clean(e.Name), rel, from, ago(e.Since, now), strings.Join(services, ", "), traffic,
		term.Clean(strings.Join(append([]string{e.Address}, hosts(e)...), " "))}
}

// hosts are the names of an environment with the port at which they are answered.
func hosts(e api.EnvironmentStatus) []string {
	if e.Secure {
		secure := make([]string, len(e.Hosts))
		for i, h := range e.Hosts {
			secure[i] = "https://" + h
		}
		return secure
	}
	_, port, ok := strings.Cut(e.Front, ":")
	if !ok {
		return e.Hosts
	}
	out := make([]string, len(e.Hosts))
	for i, h := range e.Hosts {
		out[i] = h + ":" + port
	}
	return out
}

// remarks are what a table has no room for: what is wrong with an environment.
func remarks(s term.Screen, e api.EnvironmentStatus) string {
	var b strings.Builder
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, "  %s %s: %s\n", s.Mark(term.Fail), term.Clean(e.Name), fmt.Sprintf(format, args...))
	}
	if e.Reason != "" {
		say("%s", term.Clean(e.Reason))
	}
	for _, v := range e.Services {
		if v.Reason != "" && v.Name+": "+v.Reason != e.Reason {
			say("%s: %s", term.Clean(v.Name), term.Clean(v.Reason))
		}
	}
	if e.Schema == gate.SchemaHalfMigrated || e.Schema == gate.SchemaUnknown {
		say("its schema is %s, which blocks every promotion there", e.Schema)
	}
	for _, g := range e.Glass {
		b.WriteString(glassPage(s, term.Clean(e.Name), g))
	}
	return b.String()
}

// underWay is a run in one line.
func underWay(r api.RunSummary, now time.Time) string {
	text := fmt.Sprintf("%s of %s", r.Kind, r.Release.Short())
	if r.Kind != plan.Rehearsal {
		text += " in " + term.Clean(r.Environment)
	}
	text += fmt.Sprintf(" by %s, for %s", term.Clean(r.By), ago(r.Since, now))
	if r.Queue > 0 {
		return text + fmt.Sprintf(", waits for %s (%s)", count(r.Queue, "other run", "other runs"), term.Clean(r.ID))
	}
	if r.Step != "" {
		text += ": " + term.Clean(r.Step)
	}
	return text + " (" + term.Clean(r.ID) + ")"
}

// badWidth is how many cells it takes in a release's line that it is bad, and why; explain tells all of it.
const badWidth = 100

// headline is a reason without what a command printed last, which stands below it.
func headline(reason string) string {
	first, _, _ := strings.Cut(reason, "\n")
	return term.Clean(first)
}

// releaseLine is a release in one line.
func releaseLine(s term.Screen, r api.ReleaseView) string {
	words := []string{s.Paint(term.Bold, r.Digest.Short()), origin(r)}
	switch {
	case r.Bad != "":
		words = append(words, s.Paint(term.Red, term.Fit("known to be bad: "+headline(r.Bad), badWidth)))
	case r.Verdict != "":
		words = append(words, "rehearsed: "+s.Paint(inkOf(r.Verdict), string(r.Verdict)))
	default:
		words = append(words, "not rehearsed")
	}
	return strings.Join(words, "  ")
}
