package docker

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"pgregory.net/rapid"

	"greenroom/internal/app"
	"greenroom/internal/driver"
)

func TestStatusOf(t *testing.T) {
	const started, finished = "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:06Z"
	for name, c := range map[string]struct {
		state    container.State
		restarts int
		want     driver.Status
	}{
		"created":       {container.State{Status: "created"}, 0, driver.Status{Phase: driver.Exited, Reason: "it was created and never started"}},
		"half created":  {container.State{Status: "created", Error: "no such thing"}, 0, driver.Status{Phase: driver.Exited, Reason: "it was created and never started: no such thing"}},
		"running":       {container.State{Status: "running", Running: true, Pid: 7}, 2, driver.Status{Phase: driver.Starting, PID: 7, Restarts: 2}},
		"paused":        {container.State{Status: "paused", Running: true, Paused: true, Pid: 7}, 0, driver.Status{Phase: driver.Sick, PID: 7, Reason: "somebody paused it: docker unpause shop"}},
		"ended":         {container.State{Status: "exited", ExitCode: 3}, 0, driver.Status{Phase: driver.Exited, ExitCode: 3, Reason: "exit code 3"}},
		"killed":        {container.State{Status: "exited", ExitCode: 137}, 0, driver.Status{Phase: driver.Exited, ExitCode: -1, Reason: "ended by signal 9 (killed)"}},
		"out of memory": {container.State{Status: "exited", ExitCode: 137, OOMKilled: true}, 0, driver.Status{Phase: driver.Exited, ExitCode: -1, OutOfMemory: true, Reason: "it took more memory than its limit of 1 MB, and was killed for it: ended by signal 9 (killed)"}},
		"first backoff": {container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 1}, 1, driver.Status{Phase: driver.Backoff, ExitCode: 1, Reason: "exit code 1"}},
		"third backoff": {container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 1}, 3, driver.Status{Phase: driver.Backoff, ExitCode: 1, Restarts: 2, Reason: "exit code 1"}},
		"dead":          {container.State{Status: "dead", Dead: true, Error: "the disk"}, 0, driver.Status{Phase: driver.Exited, Reason: "exit code 0: the disk"}},
	} {
		c.state.StartedAt, c.state.FinishedAt = started, finished
		in := container.InspectResponse{Name: "/shop", Created: started, State: &c.state, RestartCount: c.restarts, Config: &container.Config{Labels: map[string]string{labelReplica: "web"}}}
		got := statusOf(in, record{Memory: 1e6, Index: 4})
		want := c.want
		want.ID, want.Index, want.Since, want.Next = "web", 4, timeOf(finished), got.Next
		if c.state.Running && !c.state.Restarting || c.state.Status == "created" {
			want.Since = timeOf(started)
		}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
		if next := time.Duration(1<<max(0, c.restarts-1)) * firstBackoff; got.Phase == driver.Backoff && got.Next != got.Since.Add(next) {
			t.Errorf("%s: next %s after its end, want %s", name, got.Next.Sub(got.Since), next)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{0: firstBackoff, 1: firstBackoff, 2: 2 * firstBackoff, 10: 51200 * time.Millisecond, 11: longestBackoff, 1 << 40: longestBackoff} {
		if got := backoff(n); got != want {
			t.Errorf("backoff(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestCommandAnswer(t *testing.T) {
	plain := func(s string) string { return s }
	last := func(code int, output string) []*container.HealthcheckResult {
		return []*container.HealthcheckResult{{ExitCode: 9, Output: "before"}, {ExitCode: code, Output: output}}
	}
	for want, h := range map[string]*container.Health{
		"":                                       {Status: container.Healthy, FailingStreak: 2, Log: last(1, "once")},
		"health command: not asked yet":          {Status: container.Starting},
		"health command: exit code 4: dry":       {Status: container.Unhealthy, Log: last(4, "pump\ndry\n\n")},
		"health command: exit code 4":            {Status: container.Starting, Log: last(4, "")},
		"health command: no answer within 1 s":   {Status: container.Starting, Log: last(-1, "Health check exceeded timeout (1s): x")},
		"health command: exit code -1: no shell": {Status: container.Starting, Log: last(-1, "no shell")},
	} {
		got := ""
		if err := commandAnswer(h, time.Second, plain); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: %q, want %q", h, got, want)
		}
	}
	got := commandAnswer(&container.Health{Log: last(1, strings.Repeat("x", 390)+"secret-value")}, time.Second, func(s string) string { return strings.ReplaceAll(s, "secret-value", "***") })
	if strings.Contains(got.Error(), "secret") {
		t.Errorf("half a secret is told: %v", got)
	}
}

// Memory judges by what was seen before: see the table.
func TestJudge(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sick := errAnswer("down")
	var m memory
	look := func(restarts int, start time.Time, now time.Duration, answer error, misses int) driver.Phase {
		in := container.InspectResponse{ID: "c", RestartCount: restarts, State: &container.State{Running: true, StartedAt: start.Format(time.RFC3339Nano)}}
		v := view{rec: record{Health: app.Health{TCP: true, Start: time.Minute, Retries: 3}}, status: driver.Status{Phase: driver.Starting}, misses: misses}
		m.judge(&v, in, answer, at.Add(now))
		return v.status.Phase
	}
	m.made("c")
	for _, c := range []struct {
		what     string
		restarts int
		start    time.Time
		now      time.Duration
		answer   error
		misses   int
		want     driver.Phase
	}{
		{"not yet", 0, at, time.Second, sick, 1, driver.Starting},
		{"its time is over", 0, at, 61 * time.Second, sick, 9, driver.Sick},
		{"late, and well", 0, at, 62 * time.Second, nil, 0, driver.Healthy},
		{"one miss", 0, at, 63 * time.Second, sick, 1, driver.Healthy},
		{"too many", 0, at, 64 * time.Second, sick, 3, driver.Sick},
		{"well again", 0, at, 65 * time.Second, nil, 0, driver.Healthy},
		{"started again", 1, at.Add(70 * time.Second), 71 * time.Second, sick, 1, driver.Starting},
		{"and again: its time counts from the first", 2, at.Add(125 * time.Second), 131 * time.Second, sick, 1, driver.Sick},
	} {
		if got := look(c.restarts, c.start, c.now, c.answer, c.misses); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// What the Engine forgets when it starts a container again is remembered: how it ended.
func TestEndedBefore(t *testing.T) {
	var m memory
	m.made("c")
	in := container.InspectResponse{ID: "c", RestartCount: 1, State: &container.State{Status: "restarting", Running: true, Restarting: true, ExitCode: 2}}
	m.ended(in)
	for _, state := range []container.State{{Status: "paused", Running: true, Paused: true}, {Status: "created"}} {
		m.ended(container.InspectResponse{ID: "c", RestartCount: 1, State: &state})
	}
	in.State = &container.State{Status: "running", Running: true, StartedAt: "2026-01-02T03:04:05Z"}
	v := view{rec: record{Health: app.Health{TCP: true, Start: time.Minute, Retries: 3}}, status: driver.Status{Phase: driver.Starting}}
	m.judge(&v, in, errAnswer("down"), timeOf(in.State.StartedAt))
	if v.status.ExitCode != 2 || v.status.Reason != "it ended before: exit code 2; down" || v.failures != 1 {
		t.Errorf("status %+v, %d failures", v.status, v.failures)
	}
}

type errAnswer string

func (e errAnswer) Error() string { return string(e) }

// Whatever the secrets are, the label holds none of them, and tells a later driver all of those that can be printed.
func TestRecordHoldsNoSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[A-Z]{8,20}`).Draw(t, "secret")
		around := rapid.StringMatching(`[a-z:/@ ]{0,10}`)
		value, word := around.Draw(t, "before")+secret+around.Draw(t, "after"), around.Draw(t, "in the command")+secret
		s := driver.Spec{
			ID: "web", Command: []string{"run", word}, Env: map[string]string{"URL": value, "OTHER": "x"}, Secrets: []string{secret, "x"},
			Health:    app.Health{Command: []string{"ask", word}},
			Container: &driver.Container{Image: "sha256:" + strings.Repeat("0", 64), Files: []driver.File{{Target: "/s", Content: []byte(secret + "F"), Secret: true}}},
		}.WithDefaults()
		r, err := recordOf(s)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil || strings.Contains(string(text), secret) {
			t.Fatalf("the label is %s, %v", text, err)
		}
		back := readRecord(map[string]string{labelRecord: string(text)})
		found := 0
		for _, p := range back.Secrets {
			if got, ok := p.of(s.Env, s.Command); !ok || got != secret {
				t.Fatalf("%+v is %q", p, got)
			}
			found++
		}
		if found != 2 || len(back.Files) != 1 {
			t.Fatalf("found %+v", back)
		}
		other := s
		other.Env = map[string]string{"URL": strings.Replace(value, secret, "ANOTHERSECRET", 1), "OTHER": "x"}
		other.Command, other.Health.Command = []string{"run", strings.Replace(word, secret, "ANOTHERSECRET", 1)}, []string{"ask", strings.Replace(word, secret, "ANOTHERSECRET", 1)}
		other.Secrets = []string{"ANOTHERSECRET", "x"}
		if same, err := driver.SpecDigest(other); err != nil || same != r.Spec {
			t.Fatalf("another secret gives another digest: %s, %s, %v", same, r.Spec, err)
		}
		other.Dir = "/elsewhere"
		if same, err := driver.SpecDigest(other); err != nil || same == r.Spec {
			t.Fatal("another folder gives the same digest")
		}
	})
}

// A secret that stands in an address is escaped there, and is found as it is, too.
func TestEscapedSecrets(t *testing.T) {
	for _, secret := range []string{"p@ss:w/rd?", "100% sure+", "plain-one", "ü ü ü", "a b+c%20d"} {
		env := map[string]string{
			"URL":   (&url.URL{Scheme: "postgres", User: url.UserPassword("shop", secret), Host: "db", Path: "/shop"}).String(),
			"QUERY": "https://x/?" + url.Values{"password": {secret}}.Encode(),
		}
		for name, value := range env {
			s := driver.Spec{Env: map[string]string{name: value}, Secrets: []string{secret}, Container: &driver.Container{}}
			found := spans(s)
			if len(found) == 0 {
				t.Errorf("%q is not found in %s", secret, value)
			}
			for _, p := range found {
				if got, ok := p.of(s.Env, nil); !ok || got != secret {
					t.Errorf("in %s %+v is %q, %v", value, p, got, ok)
				}
			}
		}
	}
}

// A label is whatever somebody wrote.
func FuzzSpan(f *testing.F) {
	f.Add(`{"secrets":[{"env":"A","at":1,"len":2},{"word":1,"at":-1,"len":1}]}`, "abc")
	f.Add(`{"secrets":[{"env":"A","at":9223372036854775807,"len":9}]}`, "abc")
	f.Add(`{"secrets":[{"word":9223372036854775807,"at":9223372036854775807,"len":9223372036854775807}]}`, "")
	f.Add(`{"secrets":[{"env":"A","at":0,"len":3,"form":"path"},{"env":"A","at":0,"len":2,"form":"query"}]}`, "%zz")
	f.Fuzz(func(t *testing.T, label, value string) {
		for _, s := range readRecord(map[string]string{labelRecord: label}).Secrets {
			if got, ok := s.of(map[string]string{"A": value}, []string{value}); ok && s.Form == "" && !strings.Contains(value, got) {
				t.Errorf("%q is no part of %q", got, value)
			}
		}
	})
}

func TestLastOf(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 0, "a\nb\nc\n"}, {"a\nb\nc\n", 1, "c\n"}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc\n", 9, "a\nb\nc\n"}, {"a\nb", 1, "b"}, {"", 3, ""}, {"\n\n", 1, "\n"},
	} {
		if got := string(lastOf([]byte(c.text), c.n)); got != c.want {
			t.Errorf("lastOf(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

// TestTail keeps the end, however it comes.
func TestTail(t *testing.T) {
	for _, piece := range []int{1, 3, 10, 100} {
		out := tail{most: 10}
		for text := strings.Repeat("0123456789abc", 9); text != ""; {
			n := min(piece, len(text))
			if wrote, err := out.Write([]byte(text[:n])); wrote != n || err != nil {
				t.Fatalf("wrote %d, %v", wrote, err)
			}
			text = text[n:]
		}
		if got := out.String(); got != "3456789abc" {
			t.Errorf("in pieces of %d: %q", piece, got)
		}
	}
}

func TestNeedsVolume(t *testing.T) {
	mounts := func(m ...driver.Mount) []driver.Mount { return m }
	memory := func(target string) []driver.Tmpfs { return []driver.Tmpfs{{Target: target}} }
	for what, c := range map[string]struct {
		c    driver.Container
		want bool
	}{
		"an own layer":                       {driver.Container{}, false},
		"a root that is read-only":           {driver.Container{ReadOnly: true}, true},
		"with a volume there":                {driver.Container{ReadOnly: true, Mounts: mounts(driver.Mount{Volume: "v", Target: "/run"})}, false},
		"with one that is read-only":         {driver.Container{ReadOnly: true, Mounts: mounts(driver.Mount{Volume: "v", Target: "/run", ReadOnly: true})}, false}, // refused before
		"a file system in memory":            {driver.Container{Tmpfs: memory("/run")}, true},
		"one elsewhere":                      {driver.Container{Tmpfs: memory("/run/sec")}, false},
		"one in memory on a volume":          {driver.Container{Tmpfs: memory("/run/secrets"), Mounts: mounts(driver.Mount{Volume: "v", Target: "/run"})}, true},
		"a volume on one in memory":          {driver.Container{Tmpfs: memory("/run"), Mounts: mounts(driver.Mount{Volume: "v", Target: "/run/secrets"})}, false},
		"read-only, and a volume in between": {driver.Container{ReadOnly: true, Tmpfs: memory("/run"), Mounts: mounts(driver.Mount{Volume: "v", Target: "/run/secrets"})}, false},
	} {
		if got := needsVolume(&c.c, "/run/secrets"); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
