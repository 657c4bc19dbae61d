package cli

import (
	"context"
	"io"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// dataPages are the pages about data.
func dataPages() map[string]func(term.Screen) string {
	copies := fakeCopies()
	return map[string]func(term.Screen) string{
		"snapshots": func(s term.Screen) string { return copiesPage(s, api.CopySnapshot, copies[:2], at.Add(time.Hour)) },
		"snapshots-read-back": func(s term.Screen) string {
			read := fakeCopies()[:1]
			read[0].ReadBack = at.Add(time.Minute)
			return copiesPage(s, api.CopySnapshot, read, at.Add(time.Hour))
		},
		"snapshots-unread": func(s term.Screen) string {
			return copiesPage(s, api.CopySnapshot, []api.CopyView{
				{Kind: api.CopySnapshot, ID: "1", Environment: "production", Refused: "the snapshot was made by a newer Greenroom (format 3, this one knows 2): upgrade this one"},
				{Kind: api.CopySnapshot, ID: "2", Environment: "production", Damaged: "the snapshot in /state/2 is damaged: its file rows is missing"},
			}, at)
		},
		"snapshots-none":   func(s term.Screen) string { return copiesPage(s, api.CopySnapshot, nil, at) },
		"backups":          func(s term.Screen) string { return copiesPage(s, api.CopyBackup, copies[2:], at.Add(time.Hour)) },
		"snapshot-brought": func(s term.Screen) string { return copyPage(s, copies[1]) },
		"snapshot":         func(s term.Screen) string { return copyPage(s, copies[0]) },
		"backup":           func(s term.Screen) string { return copyPage(s, copies[2]) },
		"database":         func(s term.Screen) string { return databasePage(s, fakeDatabase("production")) },
		"database-half":    func(s term.Screen) string { return databasePage(s, fakeDatabase("staging")) },
		"database-behind":  func(s term.Screen) string { return databasePage(s, fakeDatabase("qa")) },
	}
}

func fakeCopies() []api.CopyView {
	return []api.CopyView{
		{Kind: api.CopySnapshot, ID: "20260102-030405.000", Environment: "production", Taken: at, Size: 123_456_789, Path: "/state/s", Schema: "aa",
			Verified: at.Add(time.Minute), Tables: []api.CopyTable{
				{Name: "customers", Rows: 300_000, Changed: map[string]int64{"email": 300_000, "name": 299_998, "born": 0}},
				{Name: "audit\x1b[2J", Rows: 12, Empty: true}, {Name: "orders", Rows: 1_200_000},
			}},
		{Kind: api.CopySnapshot, ID: "20260101-030405.000", Environment: "production", Taken: at.Add(-24 * time.Hour), Size: 1000,
			Brought: at.Add(time.Minute), By: "pro\x1b[2Jduction", Refused: "the snapshot was masked by other rules than those in force (mask.yaml):\ncustomers.email was keep, which is looser than email now"},
		{Kind: api.CopyBackup, ID: "r7", Environment: "production", Taken: at, Size: 7_000_000, Path: "/state/r7.backup", Release: good.Digest, Schema: "bb",
			Verified: at.Add(time.Minute)},
		{Kind: api.CopyBackup, ID: "r3", Environment: "staging", Taken: at.Add(-time.Hour), Size: 900, Undeclared: true},
	}
}

func (f *fake) Copies(_ context.Context, _, environment string, kind api.CopyKind) (all []api.CopyView, _ error) {
	for _, c := range fakeCopies() {
		if c.Kind == kind && (environment == "" || c.Environment == environment) {
			all = append(all, c)
		}
	}
	return all, nil
}

func (f *fake) TakeCopy(_ context.Context, r api.CopyRequest) (api.Stream[api.Event], error) {
	f.did("take %s of %s", r.Kind, r.Environment)
	if r.Environment == "qa" {
		return nil, problem.New(problem.Invalid, "nothing says how the data of qa is masked").WithHint("greenroom mask init")
	}
	if r.Kind == api.CopyBackup {
		return f.copying("r7"), nil
	}
	return f.copying(fakeCopies()[0].ID), nil
}

func (f *fake) copying(id string) api.Stream[api.Event] {
	return func(yield func(api.Event, error) bool) {
		_ = yield(api.Event{Step: id, State: plan.Started, Text: "copy production, masked"}, nil) &&
			yield(api.Event{Step: id, Text: "orders: 1 of 3 tables, 1200000 rows"}, nil) &&
			yield(api.Event{Step: id, State: plan.Done}, nil)
	}
}

func (f *fake) VerifyCopy(_ context.Context, r api.CopyRequest) (api.Stream[api.Event], error) {
	f.did("verify %s %s of %s", r.Kind, r.ID, r.Environment)
	return f.copying(r.ID), nil
}

func (f *fake) ExportCopy(_ context.Context, r api.CopyRequest) (io.ReadCloser, error) {
	f.did("export %s %s of %s", r.Kind, r.ID, r.Environment)
	if r.Kind == api.CopyBackup {
		return nil, problem.New(problem.Blocked, "a backup is raw: it never leaves production").WithHint("greenroom snapshot create production")
	}
	return io.NopCloser(strings.NewReader(archiveText)), nil
}

// archiveText is what an exported snapshot holds here.
const archiveText = "an archive"

func (f *fake) ImportCopy(_ context.Context, app string, archive io.Reader) (api.CopyView, error) {
	b, err := io.ReadAll(archive)
	if err != nil {
		return api.CopyView{}, err
	}
	f.did("import %q into %s", b, app)
	if string(b) != archiveText {
		return api.CopyView{}, problem.New(problem.Invalid, "this is no snapshot that a Greenroom exported").WithHint("greenroom snapshot export latest FILE")
	}
	v := fakeCopies()[0]
	v.Brought, v.By = at, "production"
	return v, nil
}

func (f *fake) RemoveCopy(_ context.Context, r api.CopyRequest) error {
	f.did("remove %s %s of %s", r.Kind, r.ID, r.Environment)
	return nil
}

func fakeDatabase(environment string) api.DatabaseView {
	v := api.DatabaseView{Environment: environment, Engine: "postgres", State: api.DatabaseCurrent, Says: "as 3f2a91c0 left it, at version 7",
		Release: good.Digest, Version: "7", Schema: "aa", Recorded: "aa"}
	switch environment {
	case "staging":
		v.State, v.Says, v.Next = api.DatabaseHalfMigrated, "2 things differ from the schema of before a migration that did not come to its end",
			"finish what it began, or take it back, by hand"
		v.Objects = []string{"+ column public.orders.note text", "- index CREATE INDEX orders_at\x1b[2J"}
	case "qa":
		v.State, v.Says, v.Next, v.Pending = api.DatabasePending, "2 migrations are pending", "greenroom promote latest qa", []string{"8_a.sql", "9_b.sql"}
	case "dev":
		v.State, v.Says, v.Next = api.DatabaseUnknown, "it is stopped", "greenroom up dev"
	}
	return v
}

func (f *fake) Database(_ context.Context, _, environment string) (api.DatabaseView, error) {
	return fakeDatabase(environment), nil
}
