package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
)

// TestTrustingAgainKeepsWhatNobodyNamed: another key under a name that is there neither widens nor narrows it unsaid.
func TestTrustingAgainKeepsWhatNobodyNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"nothing named", nil, []string{"  # unit\n", "keys.staging.key"}},
		{"a check", []string{"--check", "smoke"}, []string{"  # smoke\n", "keys.staging.checks", "- unit", "+ smoke"}},
		{"all checks", []string{"--check", ""}, []string{"  # \n", "keys.staging.checks", "+ all", "weakens the gate"}},
		{"an environment", []string{"--environment", "production"}, []string{"  # unit, production\n", "keys.staging.environments"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			file := filepath.Join(p.dir, "greenroom.yaml")
			if err := os.WriteFile(file, []byte("app: keyed\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := p.types(t.Context(), append([]string{"key", "trust", public(strangerKey), "--as", "staging"}, c.args...)...)
			written, err := os.ReadFile(file)
			if err != nil || got.code != 0 {
				t.Fatalf("%+v, %v", got, err)
			}
			for _, want := range c.says {
				if !strings.Contains(string(written)+got.out, want) {
					t.Errorf("%q is not in %s%s", want, written, got.out)
				}
			}
		})
	}
}

func TestPastDays(t *testing.T) {
	p := inForce()
	p.Environments[0].Scale = app.Scale{Replicas: 1, Until: at}
	p.Environments[0].Differences = []app.Difference{{Fact: "platform", Until: at.Add(time.Hour)}, {Fact: "time zone"}}
	p.Gates = map[string]app.Gate{"production": {Except: map[string]app.Except{"load": {Until: at.Add(-time.Hour)}, "unit": {}}}}
	want := []string{"environments.dev.scale ended on 2026-01-02: it counts no more", "gates.production.except.load ended on 2026-01-02: it counts no more"}
	if got := pastDays(p, at); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestABackupReplacesNothingUnasked, and what can't be written is told by the name that was typed.
func TestABackupReplacesNothingUnasked(t *testing.T) {
	p := newPerson(t)
	file := filepath.Join(p.dir, "state.tar")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{file}, 0, ""},
		{[]string{file}, 2, "is there already"},
		{[]string{file, "--force"}, 0, ""},
		{[]string{"/nonexist/x.tar"}, 2, "✗ /nonexist/x.tar could not be written: no such file or directory\n"},
	} {
		if got := p.types(t.Context(), append([]string{"state", "backup"}, c.args...)...); got.code != c.code || !strings.Contains(got.err, c.says) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

// TestWithoutADaemon: where nothing runs, the hint names what works all the same.
func TestWithoutADaemon(t *testing.T) {
	p := newPerson(t)
	p.home = "/nowhere"
	for line, hint := range map[string]string{
		"audit verify":         "audit verify --file FILE --key KEY",
		"audit head":           "greenroom up: ",
		"audit export":         "greenroom up: ",
		"key show":             "greenroom key show --builder",
		"evidence verify file": "greenroom up",
	} {
		if got := p.types(t.Context(), strings.Fields(line)...); got.code != 1 || !strings.Contains(got.err, hint) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
