package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"pgregory.net/rapid"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// What somebody does to the log by hand is found, and the entry is named.
func TestALogThatWasEditedByHand(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		want  string
	}{
		"an actor":           {`UPDATE audit SET actor = 'bob' WHERE seq = 5`, "entry 5 "},
		"a reason":           {`UPDATE audit SET because = because || ' ' WHERE seq = 1`, "entry 1 "},
		"a time":             {`UPDATE audit SET at = at + 1 WHERE seq = 20`, "entry 20 "},
		"a hash":             {`UPDATE audit SET hash = zeroblob(32) WHERE seq = 5`, "entry 5 "},
		"a signature":        {`UPDATE audit SET signature = zeroblob(64) WHERE seq = 5`, "entry 5 "},
		"no signature":       {`UPDATE audit SET signature = x'' WHERE seq = 20`, "entry 20 "},
		"a key":              {`UPDATE audit SET key = 'SHA256:x' WHERE seq = 5`, "entry 5 "},
		"a link":             {`UPDATE audit SET previous = (SELECT hash FROM audit WHERE seq = 3) WHERE seq = 5`, "entry 5 "},
		"removed":            {`DELETE FROM audit WHERE seq = 5`, "entry 5 "},
		"the first removed":  {`DELETE FROM audit WHERE seq = 1`, "entry 1 "},
		"removed and closed": {`DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5`, "entry 5 "},
		"moved": {`UPDATE audit SET seq = 100 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = 100`,
			"entry 5 "},
		"inserted": {`UPDATE audit SET seq = -seq - 1 WHERE seq > 5; UPDATE audit SET seq = -seq WHERE seq < 0;
			INSERT INTO audit SELECT 6, at, actor, action, app, environment, subject, run, because, detail, previous, hash, key, signature FROM audit WHERE seq = 5`,
			"entry 6 "},
		"appended": {`INSERT INTO audit SELECT 21, at, actor, action, app, environment, subject, run, because, detail, hash, hash, key, signature FROM audit WHERE seq = 20`,
			"entry 21 "},
	} {
		t.Run(name, func(t *testing.T) {
			s := openFile(t, filepath.Join(inMemory(t), "state.db"))
			for range 20 {
				change(t, s, func(*Tx) error { return nil })
			}
			verified(t, s)
			byHand(t, s, c.query)
			if _, err := verify(t, s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// byHand does what the triggers don't allow.
func byHand(t testing.TB, s *Store, query string) {
	t.Helper()
	for _, q := range []string{`DROP TRIGGER audit_grows_update`, `DROP TRIGGER audit_grows_delete`,
		`DROP TRIGGER evidence_grows_update`, `DROP TRIGGER evidence_grows_delete`, query} {
		if err := raw(t, s, q); err != nil {
			t.Fatal(err)
		}
	}
}

// The end can be cut off without a trace in the file: whoever has written the head down elsewhere notices.
func TestALogWhoseEndWasCutOff(t *testing.T) {
	s := open(t)
	for range 20 {
		change(t, s, func(*Tx) error { return nil })
	}
	anchor, err := s.Head(t.Context())
	if err != nil || anchor.Seq != 20 {
		t.Fatalf("%+v, %v", anchor, err)
	}
	byHand(t, s, `DELETE FROM audit WHERE seq > 17`)
	if head := verified(t, s); head.Seq != 17 {
		t.Errorf("%d entries verify", head.Seq)
	}
	for range 5 { // the log grows again past the anchor
		change(t, s, func(*Tx) error { return nil })
	}
	verified(t, s)
	entries, err := s.Log(t.Context(), anchor.Seq, 0)
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	own := evidence.Keys{{ID: testSigner().ID(), Public: testSigner().Public(), Own: true}}
	if err := evidence.NewVerifier(anchor, own).Next(entries); err == nil || !strings.Contains(err.Error(), "entry 21 ") {
		t.Errorf("got %v", err)
	}
}

// Whatever is written, it comes back as it was signed.
func TestAnyTextSurvivesInTheLog(t *testing.T) {
	s := openFile(t, filepath.Join(inMemory(t), "state.db"))
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x00", "a\x00b", "\xff\xfe", "🎭", "'; DROP TABLE audit; --", strings.Repeat("x", 1<<16)}))
	rapid.Check(t, func(r *rapid.T) {
		by := Audit{Actor: "a" + text.Draw(r, "actor"), Action: "b" + text.Draw(r, "action"), App: text.Draw(r, "app"), Subject: text.Draw(r, "subject"),
			Because: text.Draw(r, "because"), Run: text.Draw(r, "run"), Environment: text.Draw(r, "environment"), Detail: []byte(text.Draw(r, "detail"))}
		if err := s.Change(t.Context(), by, func(*Tx) error { return nil }); err != nil {
			r.Fatal(err)
		}
		last, _, err := s.last(t.Context())
		if err != nil || last.Because != by.Because || last.Detail != string(by.Detail) {
			r.Fatalf("%+v, %v", last, err)
		}
		if err := last.Check(evidence.Keys{{ID: testSigner().ID(), Public: testSigner().Public(), Own: true}}); err != nil {
			r.Fatal(err)
		}
	})
	verified(t, s)
}

func TestLog(t *testing.T) {
	s := open(t)
	if head, err := s.Head(t.Context()); err != nil || head.Seq != 0 || head.Hash != nil {
		t.Errorf("%+v, %v", head, err)
	}
	for range 7 {
		change(t, s, func(*Tx) error { return nil })
	}
	for _, c := range []struct {
		after int64
		limit int
		want  string
	}{{0, 0, "1 2 3 4 5 6 7"}, {0, 2, "1 2"}, {2, 3, "3 4 5"}, {7, 0, ""}} {
		entries, err := s.Log(t.Context(), c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprint(e.Seq))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// What readers of the log take for facts, only the store writes.
func TestAChangeCantPassForAFact(t *testing.T) {
	s := open(t)
	for _, action := range []string{evidence.ActionEvidence, evidence.ActionRotated, actionStanding, actionEnrolled, actionRevoked} {
		if err := s.Change(t.Context(), Audit{Actor: "ann", Action: action}, func(*Tx) error { return nil }); err == nil {
			t.Errorf("a change called %q", action)
		}
	}
}

// old makes a state file as the first Greenroom wrote it.
func old(t *testing.T, file string, entries int) {
	t.Helper()
	db, err := connect("sqlite", file, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(entries) + `)
			INSERT INTO audit (at, actor, action, app, environment, subject, run, because, detail)
			SELECT 1777896000000000000 + i, 'ann', 'action ' || i, 'shop', 'qa', 'x', 'r1', '', '{"a":1}' FROM n`,
		`INSERT INTO statements (id, app, release, body) VALUES ('1', 'shop', 'sha256:x', '{}')`,
		`INSERT INTO apps (name, repository, policy, policy_digest, registered) VALUES ('shop', '/shop', '{}', '', 1)`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func expectUpgraded(t *testing.T, s *Store, entries int) {
	t.Helper()
	if head := verified(t, s); head.Seq != int64(entries) {
		t.Errorf("%d entries", head.Seq)
	}
	log, err := s.History(t.Context(), HistoryQuery{App: "shop", Environment: "qa", Limit: 1})
	if err != nil || len(log) != 1 || log[0].Action != fmt.Sprint("action ", entries) || log[0].At.UnixNano() != 1777896000000000000+int64(entries) ||
		string(log[0].Detail) != `{"a":1}` {
		t.Errorf("%+v, %v", log, err)
	}
	if got := names(t, s); got != "shop" {
		t.Errorf("%s are here", got)
	}
	if got := asked(t, s, `SELECT count(*) FROM sqlite_schema WHERE name IN ('statements', 'audit_unsigned')`); got != "0" {
		t.Errorf("%s old tables are still here", got)
	}
	change(t, s, putApp("next"))
}

// TestHistoryOfARun has the entries of one run alone, page by page.
func TestHistoryOfARun(t *testing.T) {
	s := open(t)
	for i, run := range []string{"r1", "r2", "", "r1", "r1"} {
		by := Audit{Actor: "ann", Action: fmt.Sprint("action ", i), App: "shop", Environment: "production", Run: run}
		if err := s.Change(t.Context(), by, func(*Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	q := HistoryQuery{App: "shop", Environment: "production", Run: "r1", Limit: 2}
	for {
		log, err := s.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range log {
			got = append(got, e.Action)
		}
		if len(log) < q.Limit {
			break
		}
		q.Before = log[len(log)-1].Seq
	}
	if !slices.Equal(got, []string{"action 4", "action 3", "action 0"}) {
		t.Errorf("its entries are %q", got)
	}
}

// At an upgrade the log of before is linked and signed in its order.
func TestAnOlderLogIsSignedAtTheUpgrade(t *testing.T) {
	const entries = 1100 // more than are read at once
	file := filepath.Join(inMemory(t), "state.db")
	old(t, file, entries)
	expectUpgraded(t, openFile(t, file), entries)
}

// Whatever write fails during an upgrade, the next start finishes it.
func TestTheNthWriteOfAnUpgradeFails(t *testing.T) {
	t.Cleanup(func() { failAt(0, false) })
	const entries = 7
	dir := inMemory(t)
	template := filepath.Join(dir, "old.db")
	old(t, template, entries)
	failures := 0
	for n := 1; ; n++ {
		file := filepath.Join(dir, fmt.Sprint(n))
		copyFile(t, template, file)
		keys := newRing()
		failAt(n, n%2 == 0)
		s, err := Open(t.Context(), file, faultyOptions(keys))
		failAt(0, false)
		if err != nil {
			failures++
			if !errors.Is(err, errInjected) {
				t.Fatal(err)
			}
			if s, err = Open(t.Context(), file, faultyOptions(keys)); err != nil {
				t.Fatalf("after write %d failed: %v", n, err)
			}
		}
		expectUpgraded(t, s, entries)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if failures < n {
			break
		}
	}
	if failures < 20 {
		t.Errorf("only %d writes failed", failures)
	}
}

func TestAStoreNeedsASigner(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{}); err == nil {
		t.Error("it was opened")
	}
}

// A log goes on in the hands of its own key, or not at all.
func TestAnotherKeysLogIsLeftAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	s := openFile(t, file)
	change(t, s, func(*Tx) error { return nil })
	_, err := Open(t.Context(), file, Options{Signer: func() evidence.Signer { return key(9) }})
	wantProblem(t, err, problem.Blocked, "is to be signed by the key "+string(testSigner().ID()), "keys back")
	if _, err := s.RotateKey(t.Context(), "ann", "x"); err == nil {
		t.Error("a key was replaced that can't be")
	}
	verified(t, s)
}

func BenchmarkVerifyLog100k(b *testing.B) {
	s := openFile(b, filepath.Join(inMemory(b), "state.db"))
	if err := s.transact(context.Background(), func(t *Tx) error {
		for range 100_000 {
			if _, err := t.record(context.Background(), Audit{Actor: "ann", Action: "test", App: "shop", Environment: "production", Because: "a reason"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	for name, walk := range map[string]func(*evidence.Verifier, []evidence.Entry) error{
		"chain and head": (*evidence.Verifier).Skim, "all signatures": (*evidence.Verifier).Next,
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if head, err := walkLog(b, s, walk); err != nil || head.Seq != 100_000 {
					b.Fatal(head.Seq, err)
				}
			}
		})
	}
}
