package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// TestBadReleaseInOneLine: what a command printed when a release was taken back is for explain and the logs.
func TestBadReleaseInOneLine(t *testing.T) {
	r := api.ReleaseView{Digest: good.Digest, Bad: strings.Repeat("x", 300) + "\nit printed last:\n  no space"}
	line := releaseLine(term.Screen{}, r)
	if strings.Contains(line, "\n") || strings.Contains(line, "printed") || term.Width(line) > badWidth+40 {
		t.Errorf("a line of %d cells: %q", term.Width(line), line)
	}
}

// update writes the pages as they are now: go test ./internal/cli -run Pages -update
var update = flag.Bool("update", false, "write the golden files")

// TestPages pins what a person reads, with colours and without.
func TestPages(t *testing.T) {
	history := fakeHistory()
	releases := newFake().released
	for i := range releases {
		releases[i].BuiltAt = at.Add(-time.Duration(i) * time.Hour)
	}
	releases[0].Live, releases[0].Verdict = []string{"staging", "production"}, "pass"
	releases[3].Bad = "3.1% errors\nit printed last:\n  no"
	pages := map[string]func(term.Screen) string{
		"status":              func(s term.Screen) string { return statusPage(s, fakeStatus(at), at) },
		"status-empty":        func(s term.Screen) string { return statusPage(s, api.StatusView{}, at) },
		"report-pass":         func(s term.Screen) string { return reportPage(s, fakeReport(good.Digest), false) },
		"report-fail":         func(s term.Screen) string { return reportPage(s, fakeReport(broken.Digest), false) },
		"report-inconclusive": func(s term.Screen) string { return reportPage(s, fakeReport(unsure.Digest), false) },
		"explain-yes":         func(s term.Screen) string { return explainPage(s, "shop x", "qa", decision(good.Digest, ""), at) },
		"explain-no": func(s term.Screen) string {
			return explainPage(s, "shop x", "production", decision(broken.Digest, ""), at)
		},
		"explain-narrow": func(s term.Screen) string {
			s.Live, s.Width = true, func() int { return 60 }
			return explainPage(s, "shop x", "production", wordy(), at)
		},
		"explain-not-run": func(s term.Screen) string {
			return explainPage(s, "shop x", "production", notReached(), at)
		},
		"refused": func(s term.Screen) string {
			return decisionPage(s, "shop x", "production", decision(broken.Digest, ""))
		},
		"plan":               func(s term.Screen) string { return planPage(s, fakePlan(plan.Promotion, good.Digest)) },
		"run":                func(s term.Screen) string { return runPage(s, fakeRun(t, plan.Promotion, good.Digest)) },
		"run-rolled-back":    func(s term.Screen) string { return runPage(s, fakeRun(t, plan.Promotion, sour.Digest)) },
		"run-needs-operator": func(s term.Screen) string { return runPage(s, fakeRun(t, plan.Promotion, stuck.Digest)) },
		"run-restored":       func(s term.Screen) string { return runPage(s, fakeRun(t, plan.Restore, good.Digest)) },
		"diff":               func(s term.Screen) string { return diffPage(s, fakeDiff(), false) },
		"diff-same":          func(s term.Screen) string { return diffPage(s, api.DiffView{A: "a", B: "b"}, false) },
		"releases":           func(s term.Screen) string { return releasesPage(s, releases, at) },
		"releases-none":      func(s term.Screen) string { return releasesPage(s, nil, at) },
		"history":            func(s term.Screen) string { return historyPage(s, history) },
		"history-80": func(s term.Screen) string {
			s.Live, s.Width = true, func() int { return 80 }
			return historyPage(s, longHistory())
		},
		"history-none": func(s term.Screen) string { return historyPage(s, nil) },
		"secrets":      func(s term.Screen) string { return secretsPage(s, fakeSecrets()) },
		"secrets-none": func(s term.Screen) string { return secretsPage(s, nil) },
	}
	for _, more := range []map[string]func(term.Screen) string{dataPages(), trustPages(t), migrationPages(), maskPages(t)} {
		maps.Copy(pages, more)
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			plain := page(term.Screen{})
			if strings.ContainsFunc(plain, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
				t.Errorf("something from outside steers the terminal: %q", plain)
			}
			golden(t, name+".golden", plain)
			painted := page(term.Screen{Color: true})
			if d := cmp.Diff(plain, withoutColour(painted)); d != "" {
				t.Errorf("colours change more than colours (-plain +painted):\n%s", d)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// withoutColour takes away the sequences that set colours, and only those.
func withoutColour(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexByte(after, 'm')
		s = after[end+1:]
	}
}

func fakePlan(kind plan.Kind, d release.Digest) plan.Plan {
	return newFake().planOf(api.RunRequest{Kind: kind, Release: string(d), Environment: "production"})
}

func fakeRun(t *testing.T, kind plan.Kind, d release.Digest) api.RunView {
	t.Helper()
	r, err := newFake().Run(t.Context(), string(kind)+"-"+string(d))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJSON demands one valid document on standard output, and nothing else, of every command that has an answer.
func TestJSON(t *testing.T) {
	for _, line := range []string{"up", "up --dry-run", "down qa", "build", "rehearse", "rehearse --dry-run", "rehearse --detach",
		"report", "report GOOD --full", "explain latest production", "promote latest production", "promote latest production --dry-run",
		"promote latest production --detach", "rollback production --because x", "status", "status --all", "releases", "history",
		"diff a b", "secret list", "secret rm X -e qa", "schema", "version", "init --dry-run",
		"apply", "apply --dry-run", "break-glass production BROKEN --because x --yes", "break-glass production BROKEN --dry-run",
		"break-glass review r9 --because x", "evidence show GOOD", "evidence verify GOOD", "evidence export GOOD --out DIR/e",
		"evidence export production --baseline", "evidence import STANDING", "release export GOOD DIR/b", "release import STANDING",
		"key list", "key show", "key rotate --because x", "key revoke staging --because x --yes", "key trust " + public(stagingKey) + " --as s",
		"audit verify", "audit head", "audit export DIR/a", "down"} {
		t.Run(line, func(t *testing.T) {
			p := newPerson(t)
			standing := filepath.Join(p.dir, "standing.json")
			if err := os.WriteFile(standing, fakeStanding(), 0o600); err != nil {
				t.Fatal(err)
			}
			line = strings.NewReplacer("GOOD", good.Digest.Short(), "BROKEN", broken.Digest.Short(), "DIR", p.dir, "STANDING", standing).Replace(line)
			got := p.types(t.Context(), append(strings.Fields(line), "--output", "json")...)
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			var v any
			if err := json.Unmarshal([]byte(got.out), &v); err != nil {
				t.Errorf("%v:\n%s", err, got.out)
			}
			if v == nil {
				t.Error("null is no answer")
			}
		})
	}
}

// TestErrors pins the form of an error: what happened, why, the next command.
func TestErrors(t *testing.T) {
	var b bytes.Buffer
	for _, err := range []error{
		problem.New(problem.Invalid, "one line"),
		problem.New(problem.Blocked, "the release is known to be bad: 3.1%% errors").WithHint("greenroom promote x production --because REASON"),
		problem.New(problem.Invalid, "greenroom.yaml has 2 faults\ngreenroom.yaml:3:1: a\n  | b\n").WithHint("greenroom schema"),
		problem.New(problem.Fail, "a name from outside: \x1b]0;pwned\x07\x1b[2J"),
		context.Canceled,
		silently(problem.Blocked, "said already"),
	} {
		s := &shell{Streams: Streams{Err: term.Screen{Writer: &b}}, output: "text"}
		s.tell(err)
	}
	golden(t, "errors.golden", b.String())
}
