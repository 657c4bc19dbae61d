package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

var somewhere = release.Of([]byte("x"))

func put(t testing.TB, s *Store, envelope string) (d release.Digest) {
	t.Helper()
	change(t, s, func(tx *Tx) (err error) {
		d, err = tx.PutEvidence(t.Context(), "shop", somewhere, evidence.KindRollout, []byte(envelope))
		return err
	})
	return d
}

func recorded(t testing.TB, s *Store) []evidence.Recorded {
	t.Helper()
	all, err := s.Evidence(t.Context(), "shop", somewhere)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func envelopes(all []evidence.Recorded) string {
	var b strings.Builder
	for _, r := range all {
		if r.Envelope == nil {
			b.WriteString("- ")
			continue
		}
		b.Write(append(r.Envelope, ' '))
	}
	return b.String()
}

func TestEvidenceIsWhatTheLogSays(t *testing.T) {
	s := open(t)
	one, two := put(t, s, "one"), put(t, s, "two")
	if put(t, s, "one") != one {
		t.Error("another digest")
	}
	put(t, s, "three")
	change(t, s, func(tx *Tx) error { // the same words about something else are something else
		_, err := tx.PutEvidence(t.Context(), "blog", somewhere, evidence.KindRollout, []byte("one"))
		return err
	})
	all := recorded(t, s)
	if got := envelopes(all); got != "one two three " || all[0].Digest != one || all[1].Digest != two {
		t.Errorf("%s: %+v", got, all)
	}
	for _, r := range all {
		if err := r.Check(evidence.Keys{{ID: testSigner().ID(), Public: testSigner().Public(), Own: true}}); err != nil {
			t.Error(err)
		}
	}
	if none, err := s.Evidence(t.Context(), "shop", release.Of([]byte("y"))); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}

	// What is removed is missed; what is put in by hand does not exist; what comes again is put back where it was.
	byHand(t, s, `DELETE FROM evidence WHERE envelope = CAST('two' AS BLOB)`)
	if got := envelopes(recorded(t, s)); got != "one - three " {
		t.Errorf("removed: %s", got)
	}
	if err := raw(t, s, `INSERT INTO evidence (seq, kind, envelope, statement, content) VALUES (999, 'check', x'61', '', '')`); err != nil {
		t.Fatal(err)
	}
	if got := envelopes(recorded(t, s)); got != "one - three " {
		t.Errorf("put in: %s", got)
	}
	put(t, s, "two")
	if got := envelopes(recorded(t, s)); got != "one two three " {
		t.Errorf("put back: %s", got)
	}
	verified(t, s)
}

func TestStatementsAreSealedOnce(t *testing.T) {
	r := newRing()
	s := openWith(t, filepath.Join(t.TempDir(), "state.db"), r)
	seal := func(st evidence.Statement) error {
		return s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error { return tx.PutStatement(t.Context(), st) })
	}
	one, two := statement("1", somewhere), statement("2", somewhere)
	for _, st := range []evidence.Statement{one, two, one} {
		if err := seal(st); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RotateKey(t.Context(), "ann", "yearly"); err != nil {
		t.Fatal(err)
	}
	if err := seal(one); err != nil { // another key would seal it into other bytes
		t.Fatal(err)
	}
	forged := one
	forged.Result.Verdict, forged.Result.Summary = evidence.Fail, "failed"
	wantProblem(t, seal(forged), problem.Invalid, "another statement has the id 1", "")
	if err := seal(evidence.Statement{App: "shop"}); err == nil {
		t.Error("a statement without an id")
	}
	all := recorded(t, s)
	if len(all) != 2 {
		t.Fatalf("%d are recorded", len(all))
	}
	got, k, err := evidence.Open(all[0].Envelope, evidence.Keys{{ID: key(1).ID(), Public: key(1).Public(), Own: true}})
	if err != nil || got.ID != "1" || got.Result.Summary != "1 passed" || k.ID != key(1).ID() {
		t.Errorf("%+v, %v, %v", got, k, err)
	}
}

func TestGlass(t *testing.T) {
	s := open(t)
	_, err := s.Glass(t.Context(), "r1")
	wantProblem(t, err, problem.NotFound, "no glass was broken in the run r1", "greenroom history")
	overridden := []gate.Demand{{Name: "check checkout", Answer: gate.No, Reason: "it failed"}}
	for i, g := range []Glass{
		{Run: "r1", App: "shop", Environment: "production", By: "ann", Because: "fire", Overridden: overridden},
		{Run: "r1", App: "shop", Environment: "production", By: "eve", Because: "again"},
		{Run: "r2", App: "shop", Environment: "qa", By: "bob"},
		{Run: "r3", App: "blog", Environment: "production", By: "bob"},
	} {
		change(t, s, func(tx *Tx) error { return tx.BreakGlass(t.Context(), g) })
		if i == 1 {
			got, err := s.Glass(t.Context(), "r1")
			if err != nil || got.By != "ann" || got.Because != "fire" || got.At.IsZero() || len(got.Overridden) != 1 || got.Overridden[0] != overridden[0] {
				t.Errorf("%+v, %v", got, err)
			}
		}
	}
	waiting := func(app, environment, want string) {
		t.Helper()
		all, err := s.OpenGlass(t.Context(), app, environment)
		var runs []string
		for _, g := range all {
			runs = append(runs, g.Run)
		}
		if got := strings.Join(runs, " "); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	waiting("", "", "r1 r2 r3")
	waiting("shop", "", "r1 r2")
	waiting("shop", "qa", "r2")
	review := func(run, by string) error {
		return s.Change(t.Context(), Audit{Actor: by, Action: "glass reviewed"}, func(tx *Tx) error { return tx.ReviewGlass(t.Context(), run, by, "it was right") })
	}
	wantProblem(t, review("r1", "ann"), problem.Blocked, "somebody else", "somebody else")
	wantProblem(t, review("r9", "ann"), problem.NotFound, "no glass", "")
	if err := review("r1", "bob"); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, review("r1", "eve"), problem.Invalid, "was reviewed by bob on", "")
	waiting("shop", "", "r2")
	if g, err := s.Glass(t.Context(), "r1"); err != nil || g.ReviewedBy != "bob" || g.Review != "it was right" || g.Reviewed.IsZero() {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestStandingsGoForward(t *testing.T) {
	s := open(t)
	if _, known, err := s.Standing(t.Context(), "shop", "production"); known || err != nil {
		t.Fatal(known, err)
	}
	at := time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func(seq int64, signer byte, envelope string) error {
		return s.Change(context.Background(), Audit{Actor: "ann", Action: "standing taken"}, func(tx *Tx) error {
			st := evidence.Standing{App: "shop", Environment: "production", Log: evidence.Head{Seq: seq}, At: at}
			return tx.PutStanding(context.Background(), st, key(signer).ID(), []byte(envelope))
		})
	}
	for _, c := range []struct {
		seq    int64
		signer byte
		body   string
		kept   bool
	}{
		{7, 5, "seven", true},
		{7, 5, "seven", true}, // again
		{6, 5, "six", false},  // replayed
		{9, 5, "nine", true},
		{3, 6, "another key's", true}, // after production's key was replaced
		{9, 5, "nine", true},
		{12, 6, "long ago", false}, // another key's, replayed
	} {
		if at = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC); c.body == "long ago" {
			at = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		err := take(c.seq, c.signer, c.body)
		if c.kept != (err == nil) {
			t.Fatalf("%+v: %v", c, err)
		}
		if err != nil {
			wantProblem(t, err, problem.Invalid, "before what is known", "greenroom evidence export production --baseline")
			continue
		}
		got, known, err := s.Standing(t.Context(), "shop", "production")
		if err != nil || !known || string(got.Recorded.Envelope) != c.body || got.Signer != key(c.signer).ID() || got.Log != c.seq ||
			got.Recorded.Digest != release.Of([]byte(c.body)) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
	if err := raw(t, s, `DELETE FROM standings`); err != nil {
		t.Fatal(err)
	}
	if got, known, err := s.Standing(t.Context(), "shop", "production"); err != nil || !known || got.Recorded.Envelope != nil {
		t.Errorf("removed by hand: %+v, %v, %v", got, known, err)
	}
	if err := take(9, 5, "nine"); err != nil {
		t.Error(err)
	}
	if got, _, err := s.Standing(t.Context(), "shop", "production"); err != nil || string(got.Recorded.Envelope) != "nine" {
		t.Errorf("put back: %+v, %v", got, err)
	}
	verified(t, s)
}

func TestTheNewestCollectionOfEachSigner(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		seq    int64
		signer byte
		body   string
	}{{7, 5, "seven"}, {6, 5, "six"}, {7, 5, "seven again"}, {1, 6, "other"}, {8, 5, "eight"}} {
		err := s.Change(t.Context(), Audit{Actor: "ann", Action: "release imported"}, func(tx *Tx) error {
			col := evidence.Collection{App: "shop", Release: somewhere, Log: evidence.Head{Seq: c.seq}}
			return tx.PutCollection(t.Context(), col, key(c.signer).ID(), []byte(c.body))
		})
		if older := c.body == "six"; older != (err != nil) {
			t.Errorf("%s: %v", c.body, err)
		}
	}
	all, err := s.Collections(t.Context(), "shop", somewhere)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, c := range all {
		want := map[evidence.KeyID]string{key(5).ID(): "eight", key(6).ID(): "other"}[c.Signer]
		if string(c.Envelope) != want || c.At.IsZero() {
			t.Errorf("%+v", c)
		}
	}
}

func TestBackup(t *testing.T) {
	s := open(t)
	dir := t.TempDir()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // work goes on
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				change(t, s, func(tx *Tx) error {
					_, err := tx.PutEvidence(context.Background(), "shop", somewhere, evidence.KindRollout, []byte("same"))
					return errors.Join(err, putApp("app")(tx))
				})
			}
		}
	}()
	put(t, s, "one")
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "copy.db")
	if err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-stopped
	wantProblem(t, s.Backup(t.Context(), file), problem.Invalid, "is there already", "")
	wantProblem(t, s.Backup(t.Context(), filepath.Join(dir, "none", "copy.db")), problem.Unavailable, "can't be read or written", "")

	restored := openFile(t, file)
	if head := verified(t, restored); head.Seq < before.Seq {
		t.Errorf("%d entries, there were %d before", head.Seq, before.Seq)
	}
	if err := restored.Check(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := restored.Log(t.Context(), before.Seq-1, 1)
	if err != nil || !bytes.Equal(entries[0].Hash, before.Hash) {
		t.Errorf("another log: %v", err)
	}
	if !strings.Contains(envelopes(recorded(t, restored)), "one ") {
		t.Error("the evidence is missing")
	}
	put(t, restored, "two")
	verified(t, restored)
}
