package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
)

// TestAuditVerify is the table of what may be wrong with a log.
func TestAuditVerify(t *testing.T) {
	log := fakeLog()
	anchor := func(i int) string { return api.NewAnchor(log[i]).Line }
	edited := slices.Clone(log)
	edited[1].Because = "another reason"
	anew := []evidence.Entry{evidence.Link(evidence.Entry{At: at, Actor: "eve", Action: "policy registered"}, evidence.Head{}, oldKey)}
	resigned := slices.Clone(log)
	resigned[2].Signature = flipped(resigned[2].Signature)
	for _, c := range []struct {
		name string
		log  []evidence.Entry
		args []string
		code int
		says string
	}{
		{"whole", log, nil, 0, "the log is whole: 3 entries"},
		{"whole, with the key that began it", log, []string{"--key", public(oldKey)}, 0, "whole"},
		{"whole, with anchors", log, []string{"--anchor", anchor(0), "--anchor", anchor(2)}, 0, "it contains 2 anchors"},
		{"with a key that has nothing to do with it", log, []string{"--key", public(strangerKey)}, 1, "not whole"},
		{"empty", nil, nil, 3, "the log is empty"},
		{"empty, and it was not", nil, []string{"--anchor", anchor(0)}, 1, "cut off"},
		{"edited", edited, nil, 1, "not whole"},
		{"one removed", slices.Delete(slices.Clone(log), 1, 2), nil, 1, "not whole"},
		{"the first removed", log[1:], nil, 1, "not whole"},
		{"moved", []evidence.Entry{log[0], log[2], log[1]}, nil, 1, "not whole"},
		{"a signature damaged", resigned, nil, 1, "not whole"},
		{"cut off, and nobody knows", log[:2], nil, 0, "only an anchor tells"},
		{"cut off, with an anchor", log[:2], []string{"--anchor", anchor(2)}, 1, "it has 2 entries, and had at least 3"},
		{"written anew, with an anchor", anew, []string{"--anchor", anchor(0)}, 1, "written anew"},
		{"a line that is no anchor", log, []string{"--anchor", "greenroom log x"}, 2, "not the line of an anchor"},
		{"an URL", log, []string{"--anchor", "https://example.com/anchors"}, 2, "is not read from there"},
		{"a file that is not there", log, []string{"--anchor", "/nowhere"}, 2, "can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			p.f.log = c.log
			got := p.types(t.Context(), append([]string{"audit", "verify"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, c.code, c.says, got.out, got.err)
			}
		})
	}
}

// TestAuditOffline exports a log and verifies it where no daemon is.
func TestAuditOffline(t *testing.T) {
	p := newPerson(t)
	file, anchors := filepath.Join(p.dir, "audit.jsonl"), filepath.Join(p.dir, "anchors.txt")
	for _, args := range [][]string{{"audit", "export", file}, {"audit", "head", "--to", anchors}, {"audit", "head", "--to", anchors}} {
		if got := p.types(t.Context(), args...); got.code != 0 {
			t.Fatalf("%q: %+v", args, got)
		}
	}
	p.home = "/nowhere"
	verify := func(key string, more ...string) typed {
		return p.types(t.Context(), append([]string{"audit", "verify", "--file", file, "--key", key}, more...)...)
	}
	if got := verify(public(oldKey), "--anchor", anchors); got.code != 0 || !strings.Contains(got.out, "2 anchors") {
		t.Errorf("%+v", got)
	}
	if got := verify(public(strangerKey)); got.code != 1 {
		t.Errorf("with another key: %+v", got)
	}
	if got := p.types(t.Context(), "audit", "verify", "--file", file); got.code != 3 || !strings.Contains(got.err, "no key to verify with") {
		t.Errorf("without a key: %+v", got)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut": whole[:len(whole)-10], "not JSON": []byte("hello"), "an unknown member": []byte(`{"seq":1,"more":2}`)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := verify(public(oldKey)); got.code != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestALongLog goes over the size of a page.
func TestALongLog(t *testing.T) {
	var log []evidence.Entry
	var head evidence.Head
	for range logPage + 1 {
		e := evidence.Link(evidence.Entry{At: at, Actor: "ada", Action: "up"}, head, ownKey)
		head = evidence.Head{Seq: e.Seq, Hash: e.Hash}
		log = append(log, e)
	}
	p := newPerson(t)
	p.f.log = log
	if got := p.types(t.Context(), "audit", "verify"); got.code != 0 || !strings.Contains(got.out, "2,001 entries") {
		t.Errorf("%+v", got)
	}
	p.f.log[logPage-1].Actor = "eve"
	if got := p.types(t.Context(), "audit", "verify"); got.code != 1 || !strings.Contains(got.out, "entry 2000 ") {
		t.Errorf("%+v", got)
	}
}

func TestAuditHead(t *testing.T) {
	line := api.NewAnchor(fakeLog()[2]).Line + "\n"
	t.Run("to a file", func(t *testing.T) {
		p := newPerson(t)
		file := filepath.Join(p.dir, "anchors.txt")
		if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.types(t.Context(), "audit", "head", "--to", file); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != "before\n"+line {
			t.Errorf("%q, %v", b, err)
		}
		if got := p.types(t.Context(), "audit", "head", "--to", filepath.Join(p.dir, "no", "folder")); got.code != 1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("to an URL", func(t *testing.T) {
		var posted bytes.Buffer
		status := http.StatusNoContent
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = io.Copy(&posted, r.Body)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		defer srv.Close()
		p := newPerson(t)
		if got := p.types(t.Context(), "audit", "head", "--to", srv.URL); got.code != 0 || posted.String() != line {
			t.Errorf("%q: %+v", posted.String(), got)
		}
		for _, status = range []int{http.StatusFound, http.StatusForbidden, http.StatusInternalServerError} {
			if got := p.types(t.Context(), "audit", "head", "--to", srv.URL); got.code != 1 {
				t.Errorf("%d: %+v", status, got)
			}
		}
		srv.Close()
		if got := p.types(t.Context(), "audit", "head", "--to", srv.URL); got.code != 1 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("to a git note", func(t *testing.T) {
		p := newPerson(t)
		env := map[string]string{"PATH": os.Getenv("PATH"), "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.com", "HOME": p.dir,
			"GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.com", "GIT_CONFIG_NOSYSTEM": "1"}
		p.env = env
		git := func(args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", p.dir}, args...)...)
			for k, v := range env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			b, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("git %q: %v: %s", args, err, b)
			}
			return string(b)
		}
		git("init", "-q")
		if got := p.types(t.Context(), "audit", "head", "--to", "git:"+p.dir); got.code != 1 || !strings.Contains(got.err, "could not be added") {
			t.Errorf("without a commit: %+v", got)
		}
		git("commit", "-q", "--allow-empty", "-m", "first")
		for range 2 {
			if got := p.types(t.Context(), "audit", "head", "--to", "git:"+p.dir); got.code != 0 {
				t.Fatalf("%+v", got)
			}
		}
		if notes := git("notes", "--ref=greenroom", "show", "HEAD"); strings.Count(notes, strings.TrimSpace(line)) != 2 {
			t.Errorf("the notes are %q", notes)
		}
		git("notes", "--ref=greenroom", "append", "-m", "what somebody else noted", "HEAD")
		if got := p.types(t.Context(), "audit", "verify", "--anchor", "git:"+p.dir); got.code != 0 || !strings.Contains(got.out, "it contains 2 anchors") {
			t.Errorf("verified with the notes: %+v", got)
		}
		p.f.log = p.f.log[:2]
		if got := p.types(t.Context(), "audit", "verify", "--anchor", "git:"+p.dir); got.code != 1 || !strings.Contains(got.out, "cut off") {
			t.Errorf("cut off: %+v", got)
		}
		git("update-ref", "-d", "refs/notes/greenroom")
		if got := p.types(t.Context(), "audit", "verify", "--anchor", "git:"+p.dir); got.code != 2 || !strings.Contains(got.err, "can't be read") {
			t.Errorf("without notes: %+v", got)
		}
	})
}

func TestAnExportIsByteForByte(t *testing.T) {
	p := newPerson(t)
	got := p.types(t.Context(), "audit", "export")
	var back []evidence.Entry
	for line := range strings.Lines(got.out) {
		var e evidence.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		back = append(back, e)
	}
	if !slices.EqualFunc(back, p.f.log, func(a, b evidence.Entry) bool { return bytes.Equal(a.Hash, b.Hash) && a.Because == b.Because }) {
		t.Errorf("%+v", back)
	}
	if !strings.Contains(got.out, "<it> & was ready") {
		t.Errorf("people can't read %s", got.out)
	}
}
