package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/proc"
)

// TestSecretsStayWhereTheyBelong plants two values, and looks for them wherever Greenroom writes or tells something: a
// migration and a journey print them, a rehearsal and promotions go over them.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := rehearsed().
		saying("      DATABASE_URL: postgres://app:app@${DB_HOST:-db}:${DB_PORT:-5432}/app?sslmode=disable\n", "").
		saying("    environment: &environment", "    secrets: [API_KEY]\n    environment: &environment").
		saying("POSTGRES_PASSWORD: app,", "POSTGRES_PASSWORD_FILE: /run/secrets/DB_PASSWORD,").
		saying("    image: postgres:15\n", "    image: postgres:15\n    secrets: [DB_PASSWORD]\n").
		saying("volumes: {db: {}}", "volumes: {db: {}}\nsecrets:\n  API_KEY: {external: true}\n  DB_PASSWORD: {external: true}")
	planted := map[string]string{"API_KEY": "planted-k7Qx2-api", "DB_PASSWORD": "planted w9/Zt4@db"}
	h.register(s)
	first := h.build(s)

	h.part(t, "one that is not set", func() {
		run := h.wantOutcome(h.await(h.rehearse(first).ID), plan.Stopped, "has no value for the secret", "API_KEY")
		if !strings.Contains(run.Hint, "greenroom secret set") || !strings.Contains(run.Hint, "production") {
			h.Errorf("the hint is %q", run.Hint)
		}
	})
	for name, value := range planted {
		must(t, h.client.SecretSet(h.ctx(), api.SecretName{App: appUnderTest, Environment: "production", Name: name}, []byte(value)))
	}
	h.wantRehearsed(first)
	must(t, h.upAgain())
	h.wantOutcome(h.promote(first), plan.Succeeded)
	next := h.build(s.as("v2", "CREATE TABLE IF NOT EXISTS notes (note text)"))
	h.wantRehearsed(next)
	bad := h.build(s.as("v3", "SELECT 1/0"))
	h.await(h.rehearse(bad).ID)
	h.tell("fail-journey", "v2", h.status().Address)
	h.wantOutcome(h.promote(next), plan.RolledBack)

	for name, value := range planted {
		h.part(t, name, func() {
			inAddress := url.UserPassword("", value).String()[1:] // as in DATABASE_URL
			for _, form := range []string{value, inAddress} {
				h.wantNotOnDisk(form)
				h.wantNotTold(form)
			}
			h.wantNotInProcesses(name, inAddress)
		})
	}
}

// wantNotOnDisk fails the test when a file of the state folder holds the value.
func (h *house) wantNotOnDisk(value string) {
	h.Helper()
	looked := 0
	must(h, filepath.WalkDir(string(h.home), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if looked++; bytes.Contains(b, []byte(value)) {
			h.Errorf("%s holds it", name)
		}
		return err
	}))
	if looked < 100 {
		h.Errorf("only %d files were looked through", looked)
	}
}

// wantNotTold fails the test when something that the API tells holds the value.
func (h *house) wantNotTold(value string) {
	h.Helper()
	ctx := h.ctx()
	told := map[string]any{}
	tell := func(what string, v any, err error) {
		must(h, err)
		told[what] = v
	}
	status, err := h.client.Status(ctx, appUnderTest)
	tell("status", status, err)
	history, err := h.client.History(ctx, api.HistoryQuery{App: appUnderTest, Limit: 1000})
	tell("history", history, err)
	secrets, err := h.client.SecretList(ctx, appUnderTest, "")
	tell("secrets", secrets, err)
	for _, e := range history {
		if e.Run == "" || told["run "+e.Run] != nil {
			continue
		}
		run, err := h.client.Run(ctx, e.Run)
		tell("run "+e.Run, run, err)
		stream, err := h.client.Events(ctx, e.Run, 0)
		must(h, err)
		events, err := drain(stream)
		tell("events "+e.Run, events, err)
		if run.Plan.Kind == plan.Rehearsal {
			if report, err := h.client.Report(ctx, appUnderTest, e.Run); err == nil {
				told["report "+e.Run] = report
			}
		}
	}
	said := false
	for what, v := range told {
		b, err := json.Marshal(v)
		must(h, err)
		if bytes.Contains(b, []byte(value)) {
			h.Errorf("it is told in the %s", what)
		}
		said = said || bytes.Contains(b, []byte("migrating with"))
	}
	if !said {
		h.Error("what the migration printed is told nowhere, so nothing is tested")
	}
}

// wantNotInProcesses fails the test when a process has the value that was not given it: in its command line, or in the
// environment of anybody but the service that names it. The database's password is in the address that every service
// gets.
func (h *house) wantNotInProcesses(name, value string) {
	h.Helper()
	table, err := proc.Table()
	must(h, err)
	given := 0
	for _, p := range table {
		command, environment := commandOf(p.PID), environmentOf(p.PID)
		if p.PID != os.Getpid() && strings.Contains(command, value) {
			h.Errorf("it is in the command line of process %d: %s", p.PID, commandLine(p.PID))
		}
		if !strings.Contains(environment, value) {
			continue
		}
		given++
		web := strings.Contains(environment, ".web.")
		worker := strings.Contains(environment, ".worker.")
		if !web && (name == "API_KEY" || !worker) {
			h.Errorf("it is in the environment of process %d: %s", p.PID, commandLine(p.PID))
		}
	}
	if given == 0 {
		h.Error("nobody has it")
	}
}
