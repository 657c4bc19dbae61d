package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

func TestMain(m *testing.M) {
	child()
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 123456789, time.UTC)

// clock ticks a second each time that it is read.
func clock() func() time.Time {
	var mu sync.Mutex
	now := noon
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func open(t testing.TB) *Store {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "state.db"))
}

func openFile(t testing.TB, file string) *Store {
	t.Helper()
	s, err := Open(t.Context(), file, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// testKey is the same each time, so that a file can be opened again.
var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testSigner() evidence.Signer { return evidence.NewSigner(testKey) }

func testOptions() Options { return Options{Now: clock(), Signer: testSigner} }

// raw does what nobody may, with the store's own connection.
func raw(t testing.TB, s *Store, query string, args ...any) error {
	t.Helper()
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.give()
	_, err := s.session.conn.ExecContext(t.Context(), query, args...)
	return err
}

// asked is the one value that a query answers with.
func asked(t testing.TB, s *Store, query string) (value string) {
	t.Helper()
	if err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.give()
	if err := s.session.conn.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// verified walks along the whole log, which has to be good, and returns its head.
func verified(t testing.TB, s *Store) evidence.Head {
	t.Helper()
	head, err := verify(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func verify(t testing.TB, s *Store) (evidence.Head, error) {
	t.Helper()
	return walkLog(t, s, (*evidence.Verifier).Next)
}

func walkLog(t testing.TB, s *Store, walk func(*evidence.Verifier, []evidence.Entry) error) (evidence.Head, error) {
	t.Helper()
	known, err := s.Keys(t.Context())
	if err != nil {
		return evidence.Head{}, err
	}
	v := evidence.NewVerifier(evidence.Head{}, evidence.Keys{{ID: known[0].ID, Public: known[0].Public, Own: true}})
	for {
		entries, err := s.Log(t.Context(), v.Head().Seq, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return v.Head(), nil
		}
		if err := walk(v, entries); err != nil {
			return v.Head(), err
		}
	}
}

// change makes a change that has to work.
func change(t testing.TB, s *Store, do func(tx *Tx) error) {
	t.Helper()
	if err := s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, do); err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t testing.TB, err error, code problem.Code, message, hint string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatalf("%v is no problem", err)
	}
	if p.Code != code || !strings.Contains(p.Message, message) || !strings.Contains(p.Hint, hint) {
		t.Errorf("got  %s: %s (%s)\nwant %s: %s (%s)", p.Code, p.Message, p.Hint, code, message, hint)
	}
}

func TestEveryChangeIsAuditedInItsTransaction(t *testing.T) {
	s := open(t)
	by := Audit{Actor: "ann", Action: "secret set", App: "shop", Environment: "qa", Subject: "KEY", Because: "rotation", Detail: []byte(`{"a":1}`)}
	put := func(tx *Tx) error {
		return tx.PutSecret(t.Context(), Secret{App: "shop", Environment: "qa", Name: "KEY", Sealed: []byte{1}})
	}
	if err := s.Change(t.Context(), by, put); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no luck")
	if err := s.Change(t.Context(), by, func(tx *Tx) error { return errors.Join(tx.RemoveSecret(t.Context(), "shop", "qa", "KEY"), failed) }); !errors.Is(err, failed) {
		t.Fatalf("got %v", err)
	}
	if err := s.Change(t.Context(), Audit{Action: "nobody"}, put); err == nil {
		t.Fatal("a change by nobody")
	}
	if _, err := s.Secret(t.Context(), "shop", "qa", "KEY"); err != nil {
		t.Errorf("the failed change had an effect: %v", err)
	}
	log, err := s.History(t.Context(), HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	by.Seq, by.At = 1, noon.Add(time.Second)
	if diff := cmp.Diff([]Audit{by}, log); diff != "" {
		t.Error(diff)
	}
}

func TestWhatOnlyGrowsCantBeEdited(t *testing.T) {
	s := open(t)
	change(t, s, func(tx *Tx) error {
		_, err := tx.PutEvidence(t.Context(), "shop", release.Of([]byte("x")), evidence.KindCheck, []byte("envelope"))
		return err
	})
	r := mustCreate(t, s, promotion("production"))
	mustAppend(t, s, r.ID, started)
	for _, table := range []string{"audit", "journal", "evidence"} {
		for _, query := range []string{"DELETE FROM " + table, "UPDATE " + table + " SET seq = seq + 1"} {
			if err := raw(t, s, query); err == nil || !strings.Contains(err.Error(), "only grow") {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	s := open(t)
	for i := range 7 {
		a := Audit{Actor: "ann", Action: fmt.Sprint(i), App: "shop", Environment: []string{"qa", "production"}[i%2]}
		if err := s.Change(t.Context(), a, func(*Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		q    HistoryQuery
		want string
	}{
		{HistoryQuery{}, "6 5 4 3 2 1 0"},
		{HistoryQuery{Limit: 2}, "6 5"},
		{HistoryQuery{Limit: 2, Before: 6}, "4 3"},
		{HistoryQuery{App: "shop", Environment: "qa"}, "6 4 2 0"},
		{HistoryQuery{App: "blog"}, ""},
	} {
		log, err := s.History(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range log {
			got = append(got, a.Action)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %s, want %s", c.q, got, c.want)
		}
	}
}

func TestApps(t *testing.T) {
	s := open(t)
	_, err := s.App(t.Context(), "shop")
	wantProblem(t, err, problem.NotFound, `no app "shop"`, "greenroom up")
	for _, policy := range []app.Policy{{App: "shop"}, {App: "shop", Environments: []app.Environment{{Name: "qa"}}}} {
		change(t, s, func(tx *Tx) error {
			return tx.PutApp(t.Context(), App{Name: "shop", Repository: "/src/shop", Policy: policy})
		})
		a, err := s.App(t.Context(), "shop")
		if err != nil || a.Digest != policy.Digest() || a.Policy.Digest() != policy.Digest() || a.Registered.IsZero() {
			t.Errorf("%+v, %v", a, err)
		}
	}
	change(t, s, func(tx *Tx) error { return tx.PutApp(t.Context(), App{Name: "blog"}) })
	all, err := s.Apps(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "blog" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAnEnvironmentChangesOnlyFromWhatWasRead(t *testing.T) {
	s := open(t)
	e, err := s.Environment(t.Context(), "shop", "qa")
	if want := (Environment{App: "shop", Name: "qa", SchemaState: gate.SchemaNone, Want: Down}); err != nil || !cmp.Equal(e, want) {
		t.Fatalf("%+v, %v", e, err)
	}
	e.Live, e.Previous, e.Since = "sha256:b", []release.Digest{"sha256:a"}, noon
	e.Schema, e.SchemaState, e.Want = "f", gate.SchemaProven, Up
	put := func(e Environment) error {
		return s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error { return tx.PutEnvironment(t.Context(), e) })
	}
	if err := put(e); err != nil {
		t.Fatal(err)
	}
	if err := put(e); !errors.Is(err, ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	e.Version = 1
	got, err := s.Environment(t.Context(), "shop", "qa")
	if diff := cmp.Diff(e, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	got.Want = Down
	if err := put(got); err != nil {
		t.Fatal(err)
	}
	if err := put(got); !errors.Is(err, ErrChanged) {
		t.Errorf("changed twice from one reading: %v", err)
	}
	all, err := s.Environments(t.Context(), "")
	if err != nil || len(all) != 1 || all[0].Version != 2 || all[0].Want != Down {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestOfManyWhoChangeOneEnvironmentOneWins(t *testing.T) {
	s := open(t)
	const n = 16
	won := make(chan bool, n)
	var work sync.WaitGroup
	for range n {
		work.Go(func() {
			err := s.Change(context.Background(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error {
				return tx.PutEnvironment(context.Background(), Environment{App: "shop", Name: "qa"})
			})
			if err != nil && !errors.Is(err, ErrChanged) {
				t.Error(err)
			}
			won <- err == nil
		})
	}
	work.Wait()
	close(won)
	wins := 0
	for w := range won {
		if w {
			wins++
		}
	}
	if wins != 1 {
		t.Errorf("%d won", wins)
	}
}

func TestReports(t *testing.T) {
	s := open(t)
	d := release.Of([]byte("x"))
	_, err := s.LatestReport(t.Context(), "shop", d)
	wantProblem(t, err, problem.NotFound, "was not rehearsed", "greenroom rehearse "+d.Short())
	_, err = s.Report(t.Context(), "r1")
	wantProblem(t, err, problem.NotFound, "no report of the run r1", "greenroom status")
	for _, run := range []string{"r1", "r2"} {
		change(t, s, func(tx *Tx) error {
			return tx.PutReport(t.Context(), evidence.Report{Run: run, App: "shop", Release: d, Verdict: evidence.Pass})
		})
	}
	if r, err := s.LatestReport(t.Context(), "shop", d); err != nil || r.Run != "r2" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.Report(t.Context(), "r1"); err != nil || r.Run != "r1" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestKnownBad(t *testing.T) {
	s := open(t)
	d := release.Of([]byte("x"))
	if bad, err := s.KnownBad(t.Context(), "shop", d); err != nil || bad != nil {
		t.Fatalf("%v, %v", bad, err)
	}
	change(t, s, func(tx *Tx) error { return tx.MarkBad(t.Context(), "shop", d, "5 % errors") })
	change(t, s, func(tx *Tx) error { return tx.MarkBad(t.Context(), "shop", d, "9 % errors") })
	if bad, err := s.KnownBad(t.Context(), "shop", d); err != nil || bad == nil || bad.Reason != "9 % errors" || bad.At.IsZero() {
		t.Errorf("%v, %v", bad, err)
	}
	change(t, s, func(tx *Tx) error { return tx.ClearBad(t.Context(), "shop", d) })
	if bad, err := s.KnownBad(t.Context(), "shop", d); err != nil || bad != nil {
		t.Errorf("%v, %v", bad, err)
	}
}

func TestSecrets(t *testing.T) {
	s := open(t)
	for _, v := range []string{"old", "new"} {
		for _, environment := range []string{"production", "qa"} {
			change(t, s, func(tx *Tx) error {
				return tx.PutSecret(t.Context(), Secret{App: "shop", Environment: environment, Name: "KEY", Sealed: []byte(v), Fingerprint: v})
			})
		}
	}
	got, err := s.Secret(t.Context(), "shop", "qa", "KEY")
	if err != nil || string(got.Sealed) != "new" || got.Fingerprint != "new" || got.At.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := s.Secrets(t.Context(), "shop", "")
	if err != nil || len(all) != 2 || all[0].Environment != "production" || all[0].Sealed != nil {
		t.Errorf("%+v, %v", all, err)
	}
	change(t, s, func(tx *Tx) error { return tx.RemoveSecret(t.Context(), "shop", "qa", "KEY") })
	_, err = s.Secret(t.Context(), "shop", "qa", "KEY")
	wantProblem(t, err, problem.NotFound, "qa has no secret KEY", "greenroom secret set")
	err = s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error { return tx.RemoveSecret(t.Context(), "shop", "qa", "KEY") })
	wantProblem(t, err, problem.NotFound, "qa has no secret KEY", "greenroom secret set")
}

func TestNumbersStayWithTheirKeys(t *testing.T) {
	s := open(t)
	next := func(taken map[int]bool) (int, error) {
		for n := 20000; ; n++ {
			if !taken[n] {
				return n, nil
			}
		}
	}
	reserve := func(key string) (n int) {
		change(t, s, func(tx *Tx) (err error) {
			n, err = tx.ReserveNumber(t.Context(), key, next)
			return err
		})
		return n
	}
	a, b := reserve("shop/qa"), reserve("shop/production")
	if a == b || reserve("shop/qa") != a {
		t.Errorf("%d, %d, %d", a, b, reserve("shop/qa"))
	}
	if n, known, err := s.Number(t.Context(), "shop/qa"); n != a || !known || err != nil {
		t.Errorf("%d, %v, %v", n, known, err)
	}
	change(t, s, func(tx *Tx) error { return tx.ReleaseNumber(t.Context(), "shop/qa") })
	if _, known, err := s.Number(t.Context(), "shop/qa"); known || err != nil {
		t.Errorf("%v, %v", known, err)
	}
	first := func(taken func(int) bool) (int, error) {
		return next(map[int]bool{20000: taken(20000), 20001: taken(20001)})
	}
	for range 2 {
		if n, err := s.Reserve(t.Context(), "blog/dev", first); err != nil || n != a {
			t.Errorf("%d was free, got %d, %v", a, n, err)
		}
	}
	if keys, err := s.NumberKeys(t.Context(), "blog/"); err != nil || !slices.Equal(keys, []string{"blog/dev"}) {
		t.Errorf("%v, %v", keys, err)
	}
	if keys, err := s.NumberKeys(t.Context(), "bl_g/"); err != nil || len(keys) > 0 {
		t.Errorf("%v, %v", keys, err)
	}
	if err := s.ReleasePrefixes(t.Context(), "bl_g", "blog/"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"blog/dev": false, "shop/production": true} {
		if _, known, err := s.Number(t.Context(), key); known != want || err != nil {
			t.Errorf("%s: %v, %v", key, known, err)
		}
	}
	err := s.Change(t.Context(), Audit{Actor: "ann", Action: "test"}, func(tx *Tx) error {
		_, err := tx.ReserveNumber(t.Context(), "blog/qa", func(map[int]bool) (int, error) { return b, nil })
		return err
	})
	if err == nil {
		t.Error("one number for two keys")
	}
}
