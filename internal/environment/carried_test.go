package environment

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// snapshotAt makes an empty snapshot of that minute; brought is the minute in which it came from elsewhere, 0 for never.
func snapshotAt(t *testing.T, e *Environment, id string, minute, brought int) {
	t.Helper()
	f, err := data.NewFolder(filepath.Join(e.snapshots(), id))
	if err != nil {
		t.Fatal(err)
	}
	at := func(minute int) time.Time { return time.Date(2026, 11, 26, 9, minute, 0, 0, time.UTC) }
	if _, err := f.Complete(data.Snapshot{Engine: "postgres", Version: "15", Schema: "s", Taken: at(minute)}); err != nil {
		t.Fatal(err)
	}
	if brought == 0 {
		return
	}
	b, err := json.Marshal(Origin{Signed: []byte("{}"), Brought: at(brought)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.snapshots(), id+originSuffix), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T, e *Environment) (all []string) {
	t.Helper()
	snapshots, err := e.Snapshots()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range snapshots {
		all = append(all, s.ID)
	}
	return all
}

// TestSweepOfWhatWasBrought: those that came last are kept, however old what is in them; what a run needs is kept; and what
// a kill left beside them goes.
func TestSweepOfWhatWasBrought(t *testing.T) {
	e := lasting(t)
	snapshotAt(t, e, "old-but-new-here", 1, 50)
	snapshotAt(t, e, "newer-data", 20, 30)
	snapshotAt(t, e, "newest-data", 25, 29)
	snapshotAt(t, e, "needed", 2, 3)
	for _, left := range []string{"gone" + originSuffix, "gone" + verifiedSuffix, ".needed" + originSuffix + ".tmp-123", removedPrefix + "x"} {
		if err := os.WriteFile(filepath.Join(e.snapshots(), left), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, e); !slices.Equal(got, []string{"newest-data", "newer-data", "needed", "old-but-new-here"}) {
		t.Errorf("the newest data come first: %v", got)
	}
	if err := e.sweepSnapshots(2, map[string]bool{"needed": true}); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, e); !slices.Equal(got, []string{"newer-data", "needed", "old-but-new-here"}) {
		t.Errorf("left are %v", got)
	}
	entries, err := os.ReadDir(e.snapshots())
	if err != nil || len(entries) != 6 { // each with its note
		t.Errorf("there are %v, %v", entries, err)
	}
	if err := e.RemoveSnapshot("needed"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(e.snapshots(), "needed"+originSuffix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its note stays: %v", err)
	}
}

// TestTakenUnderOtherRules: a run that was interrupted goes on with the copy that it took, but not where the rules are others
// since: what they hide now stands in it.
func TestTakenUnderOtherRules(t *testing.T) {
	e := lasting(t)
	snapshotAt(t, e, "r1", 1, 0)
	_, err := e.TakeSnapshot(t.Context(), release.Release{}, app.Data{From: "production", Mask: "mask.yaml"}, "r1", nil)
	if err == nil {
		t.Error("a copy that was masked otherwise was taken for the one that is asked for")
	}
	if _, err := e.Snapshot("r1"); problem.From(err) == nil || problem.From(err).Code != problem.NotFound {
		t.Errorf("it is still there: %v", err)
	}
}

// TestTornOrigin: where a snapshot comes from and that can't be read, it is damaged, and not one that was taken here.
func TestTornOrigin(t *testing.T) {
	e := lasting(t)
	snapshotAt(t, e, "1", 1, 2)
	if err := os.WriteFile(filepath.Join(e.snapshots(), "1"+originSuffix), []byte(`{"signed":`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := e.Snapshot("1")
	isProblem(t, err, problem.Fail)
	all, err := e.Snapshots()
	if err != nil || len(all) != 1 || all[0].Damaged == "" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestSizes: what an earlier Greenroom wrote counts as data, and of rows that stayed behind nobody knows the number.
func TestSizes(t *testing.T) {
	s := Snapshot{Data: data.Snapshot{Tables: []data.SnapshotTable{
		{Name: "a", Rows: 3, Bytes: 12, Source: 8192, Index: 2048}, {Name: "b", Rows: 4, Source: 4096}, {Name: "c", None: true, Source: 1 << 20, Index: 1},
	}}}
	want := []migration.Size{{Table: "a", Rows: 3, Bytes: 6144, Index: 2048}, {Table: "b", Rows: 4, Bytes: 4096}, {Table: "c", Rows: -1, Bytes: 1<<20 - 1, Index: 1}}
	if got := s.Sizes(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestNewestVouched: the newest that is whole, and none where there is none.
func TestNewestVouched(t *testing.T) {
	e := lasting(t)
	if s, ok, err := e.Vouched(t.Context(), app.Policy{}); ok || err != nil {
		t.Errorf("out of nothing: %+v, %v", s, err)
	}
	snapshotAt(t, e, "old", 1, 0)
	snapshotAt(t, e, "new", 2, 0)
	snapshotAt(t, e, "torn", 3, 0)
	if err := os.WriteFile(filepath.Join(e.snapshots(), "torn", data.Manifest), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, ok, err := e.Vouched(t.Context(), app.Policy{}); s.ID != "new" || !ok || err != nil {
		t.Errorf("%+v, %v, %v", s, ok, err)
	}
}

func TestFits(t *testing.T) {
	rules := func(email string) mask.Rules {
		return mask.Rules{Tables: map[string]mask.TableRules{"customers": {Columns: map[string]mask.Rule{"id": {Use: "keep"}, "email": {Use: email}}}}}
	}
	of := func(r mask.Rules, known bool) Snapshot {
		digest, err := r.Digest()
		if err != nil {
			t.Fatal(err)
		}
		s := Snapshot{ID: "1", Environment: "production", Data: data.Snapshot{Rules: digest}}
		if known {
			s.Data.Mask = &r
		}
		return s
	}
	now := app.Data{From: "production", Mask: "mask.yaml", Rules: rules("email")}
	for name, s := range map[string]Snapshot{"the same": of(rules("email"), true), "the same, of an earlier Greenroom": of(rules("email"), false)} {
		if err := s.Fits(now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, s := range map[string]Snapshot{
		"customers.email was keep, which is looser than email now": of(rules("keep"), true),
		"customers.email was text, and is email now":               of(rules("text"), true),
		"by which is not known":                                    of(rules("keep"), false),
	} {
		err := s.Fits(now)
		isProblem(t, err, problem.Blocked)
		if !strings.Contains(problem.From(err).Message, want) || !strings.Contains(problem.From(err).Hint, "greenroom snapshot create production") {
			t.Errorf("%v says nothing of %q", err, want)
		}
	}
	more := now
	more.Rules = rules("email")
	more.Rules.Tables["customers"].Columns["phone"] = mask.Rule{Use: "phone"}
	if err := of(rules("email"), true).Fits(more); err != nil {
		t.Errorf("a column more: %v", err)
	}
	policy := app.Policy{Environments: []app.Environment{{Name: "qa", Data: &now}, {Name: "staging", Data: &app.Data{From: "production", Rules: rules("text")}}}}
	if err := of(rules("text"), true).fitsSome(policy); err != nil {
		t.Errorf("as staging would have it: %v", err)
	}
	isProblem(t, of(rules("keep"), true).fitsSome(policy), problem.Blocked)
	isProblem(t, of(rules("keep"), true).fitsSome(app.Policy{}), problem.Blocked)
}
