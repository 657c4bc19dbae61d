package daemon

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// demanding is the app whose production asks for a rehearsal.
func demanding() sources {
	s := withPostgres()
	s.definition = production
	return s
}

func (h *house) explain(r release.Digest) gate.Decision {
	h.Helper()
	x, err := h.client.Explain(h.ctx(), appUnderTest, string(r), "production")
	must(h, err)
	return x.Decision
}

// rehearsed builds a release and rehearses it.
func (h *house) rehearsed(s sources) release.Digest {
	h.Helper()
	r := h.build(s)
	h.decided(r)
	return r
}

// TestTrust goes through a key's life, and what its evidence is worth.
func TestTrust(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := demanding()
	h.up(s)
	first := h.rehearsed(s)
	h.wantOutcome(h.promote(first), plan.Succeeded)

	second := h.rehearsed(s.as("v2", ""))
	h.part(t, "another policy", func() {
		soak := s.saying("checks:\n", "gates: {production: {except: {rollback: {because: a test, until: 2099-12-31}}}}\nchecks:\n")
		applied, err := h.client.Apply(h.ctx(), h.registration(soak), true)
		if must(h, err); !applied.Dry || len(applied.Changes) == 0 || len(applied.Void) > 0 {
			h.Errorf("%+v", applied)
		}
		budget := s.saying("timeout: 1m}", "timeout: 1m, budget: {rows_lost: any}}")
		applied, err = h.client.Apply(h.ctx(), h.registration(budget), true)
		if must(h, err); !slices.Equal(applied.Void, []release.Digest{second}) {
			h.Errorf("to be rehearsed again: %v, want %s alone, since %s is live", applied.Void, second, first)
		}
		if now, err := h.client.Register(h.ctx(), h.registration(soak)); err != nil || !now.Pending || now.Changed {
			h.Errorf("registering again: %+v, %v", now, err)
		}
		_, err = h.client.Apply(h.ctx(), h.registration(soak), false)
		must(h, err)
		if d := h.explain(second); !d.Allowed {
			h.Errorf("what does not concern a rehearsal voids it: %+v", d.Missing())
		}
	})
	old := h.ownKey()
	h.part(t, "rotated", func() {
		k, err := h.client.RotateKey(h.ctx(), "a test")
		if must(h, err); !k.Active || k.Public == old {
			h.Errorf("%+v", k)
		}
		if d := h.explain(second); !d.Allowed {
			h.Errorf("evidence of before the rotation does not count: %+v", d.Missing())
		}
		h.wantLogWhole()
		h.killDaemon()
		h.start()
		if now := h.ownKey(); now != k.Public {
			h.Errorf("after a restart it signs with %s", now)
		}
		h.wantOutcome(h.promote(second), plan.Succeeded)
	})
	h.part(t, "revoked", func() {
		third := h.rehearsed(s.as("v3", ""))
		public, err := evidence.ParsePublic(old)
		must(h, err)
		revoked, err := h.client.RevokeKey(h.ctx(), evidence.IDOf(public), "it was found in a car")
		if must(h, err); len(revoked.Leaned) != 2 || len(revoked.Live) != 1 || revoked.Live[0].Release != second {
			h.Errorf("%+v", revoked)
		}
		if d := h.explain(third); !d.Allowed {
			h.Errorf("another key's evidence: %+v", d.Missing())
		}
		h.wantOutcome(h.promote(third), plan.Succeeded)
		h.wantLogWhole()
		active, err := evidence.ParsePublic(h.ownKey())
		must(h, err)
		_, err = h.client.RevokeKey(h.ctx(), evidence.IDOf(active), "a test")
		wantProblem(h, err, problem.Blocked, "signs with", "greenroom key rotate")
	})
}

// wantLogWhole verifies the whole log, as an auditor would.
func (h *house) wantLogWhole() {
	h.Helper()
	if fault := h.logFault(); fault != "" {
		h.Error(fault)
	}
}

func (h *house) logFault() string {
	h.Helper()
	keys, err := h.client.Keys(h.ctx(), "")
	must(h, err)
	public, err := evidence.ParsePublic(keys[0].Public)
	must(h, err)
	v := evidence.NewVerifier(evidence.Head{}, evidence.Keys{{ID: keys[0].ID, Public: public, Own: true}})
	log, err := h.client.Log(h.ctx(), 0)
	must(h, err)
	entries, err := drain(log)
	must(h, err)
	if err := v.Next(entries); err != nil {
		return err.Error()
	}
	return ""
}

// TestBreakGlass promotes past a no: with a reason, loudly, and not in silence onto a schema that nobody knows.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := demanding()
	h.up(s)
	r := h.build(s)
	request := toProduction(r)
	_, err := h.client.Start(h.ctx(), request)
	wantProblem(t, err, problem.Blocked, "check journey")
	request.BreakGlass, request.Because = true, ""
	_, err = h.client.Start(h.ctx(), request)
	wantProblem(t, err, problem.Invalid, "reason")
	request.Because = "the shop is down"
	run, err := h.client.Start(h.ctx(), request)
	must(t, err)
	run = h.wantOutcome(h.await(run.ID), plan.Succeeded)
	if run.Glass == nil || run.Glass.Because != request.Because || len(run.Glass.Overridden) == 0 {
		t.Errorf("%+v", run.Glass)
	}
	if open := h.status().Glass; len(open) != 1 || open[0].Run != run.ID {
		t.Errorf("status says nothing of it: %+v", open)
	}
	wantProblem(t, h.client.Review(h.ctx(), run.ID, "fine"), problem.Blocked, "somebody else")

	// Somebody changes the schema by hand.
	second := h.build(s.as("v2", ""))
	h.sql("CREATE TABLE by_hand (n int)")
	request.Release = string(second)
	_, err = h.client.Start(h.ctx(), request)
	wantProblem(t, err, problem.Blocked, "schema", "--half-migrated")
	request.HalfMigrated = true
	run, err = h.client.Start(h.ctx(), request)
	must(t, err)
	h.wantOutcome(h.await(run.ID), plan.Succeeded)
	h.wantLogWhole()
}

// TestEditedLog edits the log behind the control plane's back. Its gates say no from then on.
func TestEditedLog(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	for name, harm := range map[string]string{
		"edited":   "UPDATE audit SET because = 'because I say so' WHERE seq = 2",
		"removed":  "DELETE FROM audit WHERE seq = 3",
		"evidence": "DELETE FROM evidence",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			s := demanding()
			h.up(s)
			r := h.rehearsed(s)
			if d := h.explain(r); !d.Allowed {
				t.Fatalf("%+v", d.Missing())
			}
			h.killDaemon()
			h.edit(harm)
			h.start()
			d := h.explain(r)
			if d.Allowed {
				t.Fatal("it would go live")
			}
			if !strings.Contains(d.Missing()[0].Next, "greenroom") {
				t.Errorf("%+v", d.Missing()[0])
			}
			if name != "evidence" && h.logFault() == "" {
				t.Error("an auditor finds nothing")
			}
		})
	}
}

// edit changes the state file as somebody would who can write to it, triggers and all.
func (h *house) edit(statement string) {
	h.Helper()
	db, err := sql.Open("sqlite", string(h.home.Store()))
	must(h, err)
	defer db.Close()
	ctx := context.Background()
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
	must(h, err)
	var triggers []string
	for rows.Next() {
		var name string
		must(h, rows.Scan(&name))
		triggers = append(triggers, name)
	}
	must(h, rows.Close())
	for _, t := range triggers {
		_, err := db.ExecContext(ctx, "DROP TRIGGER "+t)
		must(h, err)
	}
	_, err = db.ExecContext(ctx, statement)
	must(h, err)
}

// sql runs a statement on production's database, as a person would by hand.
func (h *house) sql(statement string) {
	h.Helper()
	_, err := h.connect().Exec(h.ctx(), statement)
	must(h, err)
}

// TestEditedState edits what nobody signs, while the control plane runs and while it does not. What decides about releases is
// held against the log.
func TestEditedState(t *testing.T) {
	t.Parallel()
	needPostgres(t)
	h := newHouse(t)
	s := demanding()
	h.up(s)
	r := h.build(s)
	want := func(what, next string) {
		t.Helper()
		d := h.explain(r)
		if d.Allowed {
			t.Fatalf("%s: production would take it", what)
		}
		for _, m := range d.Missing() {
			if strings.Contains(m.Reason+m.Next, next) {
				return
			}
		}
		t.Errorf("%s: %+v", what, d.Missing())
	}
	h.part(t, "the policy", func() {
		h.edit(`UPDATE apps SET policy = replace(policy, '"gates":{', '"gates":{"x":{},')`)
		h.edit(`UPDATE apps SET policy = json_set(policy, '$.gates', json('{"production":{"except":{"journey":{"because":"x"},"migration":{"because":"x"},"old-on-new":{"because":"x"},"rollback":{"because":"x"}}}}'))`)
		want("another policy", "greenroom apply")
		_, err := h.client.Apply(h.ctx(), h.registration(s), false)
		must(h, err)
		want("the policy is right again", "greenroom rehearse")
	})
	h.part(t, "a release that is known to be bad", func() {
		h.decided(r)
		h.wantOutcome(h.promote(r), plan.Succeeded)
		next := h.rehearsed(s.as("v2", ""))
		h.wantOutcome(h.promote(next), plan.Succeeded)
		rollback, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Because: "it is bad"})
		must(h, err)
		h.wantOutcome(h.await(rollback.ID), plan.Succeeded)
		h.decided(next)
		h.edit("DELETE FROM known_bad")
		r = next
		want("its mark is gone", "it is bad")
	})
	h.part(t, "a release that was never live", func() {
		never := h.build(s.as("v3", ""))
		_, err := h.client.Start(h.ctx(), api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: "production", Release: string(never), Because: "a test"})
		wantProblem(h, err, problem.Blocked, "was not live in production before", "greenroom promote")
	})
	h.part(t, "a revocation", func() {
		old, err := evidence.ParsePublic(h.ownKey())
		must(h, err)
		r = h.rehearsed(s.as("v4", ""))
		_, err = h.client.RotateKey(h.ctx(), "a test")
		must(h, err)
		_, err = h.client.RevokeKey(h.ctx(), evidence.IDOf(old), "a test")
		must(h, err)
		want("a key that is revoked", "revoked")
		h.edit("DELETE FROM audit WHERE action = 'key revoked'")
		want("its revocation is gone", "greenroom audit verify")
	})
}
