package daemon

import (
	"context"
	"fmt"
	"slices"

	"greenroom/internal/api"
	"greenroom/internal/data"
	"greenroom/internal/environment"
	"greenroom/internal/gate"
	layouts "greenroom/internal/layout"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// Database is api.Backend's.
func (d *Daemon) Database(ctx context.Context, name, at string) (api.DatabaseView, error) {
	v := api.DatabaseView{Environment: at, State: api.DatabaseEmpty, Says: "nothing was ever live there"}
	policy, _, err := d.policyAnd(ctx, name, at)
	if err != nil {
		return v, err
	}
	if d.world.Elsewhere(policy, at) {
		return v, problem.New(problem.Invalid, "%s lives elsewhere, and its database with it", at)
	}
	record, err := d.world.Store.Environment(ctx, name, at)
	if err != nil || record.Live == "" {
		return v, err
	}
	env, _ := d.world.Open(policy, at)
	live, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return v, err
	}
	v.Release, v.Recorded = record.Live, record.Schema
	if live.Contents.Database == nil {
		v.State, v.Says = api.DatabaseCurrent, "the app has no database"
		return v, nil
	}
	v.Engine = string(live.Contents.Database.Engine)
	if record.Want != store.Up {
		v.State, v.Says, v.Next = api.DatabaseUnknown, "it is stopped", "greenroom up "+at
		return v, nil
	}
	return d.readDatabase(ctx, env, live, record, v)
}

// readDatabase asks the database itself.
func (d *Daemon) readDatabase(ctx context.Context, env *environment.Environment, live release.Release, record store.Environment,
	v api.DatabaseView) (api.DatabaseView, error) {
	var err error
	if v.Schema, err = env.Fingerprint(ctx, live); err != nil {
		v.State, v.Says = api.DatabaseUnknown, "its schema can't be read: "+problem.From(err).Message
		v.Next = "greenroom logs --environment " + v.Environment
		return v, nil
	}
	standing, err := d.layoutStanding(ctx, env, live, &v)
	if err != nil {
		return v, err
	}
	switch {
	case v.Schema != record.Schema:
		v.Objects = env.SchemaChanges(record.Schema, v.Schema)
		d.otherSchema(env, record, &v)
	case standing != nil && standing.Verdict == layouts.Ahead && record.SchemaState == gate.SchemaProven:
		v.State = api.DatabaseCurrent
		v.Says = fmt.Sprintf("as it was left: %s lives on the schema of a later release, at version %s", record.Live.Short(), v.Version)
	case standing != nil && (standing.Failed != "" || standing.Verdict != layouts.Current):
		v.State, v.Says, v.Next = databaseState(*standing), standing.Text, standing.Next
	default:
		v.State, v.Says = api.DatabaseCurrent, "as "+record.Live.Short()+" left it"
		if v.Version != "" {
			v.Says += ", at version " + v.Version
		}
	}
	return v, nil
}

// layoutStanding reads where the database stands in the live release's migrations, where those are a folder, or what the
// definition's query says of the version.
func (d *Daemon) layoutStanding(ctx context.Context, env *environment.Environment, live release.Release, v *api.DatabaseView) (*layouts.Standing, error) {
	m := live.Contents.Migrations
	switch {
	case m == nil:
		return nil, nil
	case m.Dir != "":
		files, state, err := env.Layout(ctx, live)
		if err != nil {
			return nil, err
		}
		s := layouts.Judge(files, state)
		v.Version, v.Pending, v.Ahead, v.Edited = s.Version, s.Pending, s.Ahead, s.Edited
		return &s, nil
	case m.Version != "":
		db, err := env.Database(ctx, live)
		if err != nil {
			return nil, err
		}
		if c, ok := db.(data.Comparer); ok {
			v.Version, err = c.Ask(ctx, m.Version)
		}
		return nil, err
	}
	return nil, nil
}

func databaseState(s layouts.Standing) api.DatabaseState {
	switch {
	case s.Failed != "":
		return api.DatabaseHalfMigrated
	case len(s.Ahead) > 0:
		return api.DatabaseAhead
	case len(s.Pending) > 0:
		return api.DatabasePending
	default:
		return api.DatabaseUnknown
	}
}

// otherSchema says what it means that the schema is not the recorded one, and what one can do.
func (d *Daemon) otherSchema(env *environment.Environment, record store.Environment, v *api.DatabaseView) {
	differ := fmt.Sprintf("%d things differ", len(v.Objects))
	switch len(v.Objects) {
	case 0:
		differ = "it differs, nobody knows in what,"
	case 1:
		differ = "one thing differs"
	}
	if record.SchemaState != gate.SchemaHalfMigrated {
		v.State = api.DatabaseUnknown
		v.Says = differ + " from the schema that was recorded last: somebody changed it by hand, or another tool did"
		v.Next = "take the change back, or bring it into a release's migrations; until then gates say no"
		return
	}
	v.State = api.DatabaseHalfMigrated
	v.Says = differ + " from the schema of before a migration that did not come to its end"
	v.Next = "finish what it began, or take it back, by hand: once the schema is whole it counts as proven again"
	backups, err := env.Backups()
	if err != nil {
		return
	}
	// A later one, as a restore takes before it begins, holds the half of it.
	if i := slices.IndexFunc(backups, func(b environment.Backup) bool { return b.Schema == record.Schema }); i >= 0 {
		v.Next += fmt.Sprintf("; or greenroom backup restore %s --environment %s", backups[i].ID, v.Environment)
	}
}
