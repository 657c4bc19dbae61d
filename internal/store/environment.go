package store

import (
	"context"
	"encoding/json"
	"time"

	"greenroom/internal/gate"
	"greenroom/internal/release"
)

// Want is whether an environment is meant to run.
type Want string

// What is wanted of an environment.
const (
	Up   Want = "up"
	Down Want = "down"
)

// Environment is what is recorded about one environment: the one truth about what is live.
type Environment struct {
	App         string
	Name        string
	Live        release.Digest   // "" for nothing
	Previous    []release.Digest // what was live before, the newest first
	Since       time.Time        // when Live became live
	Schema      string           // fingerprint of the database's schema
	SchemaState gate.SchemaState
	Want        Want
	Version     int64 // changes with every change; 0 for an environment that has no record yet
}

const selectEnvironment = `SELECT app, name, version, live, previous, since, schema, schema_state, want FROM environments `

// Environment tells how an environment stands. One without a record is empty, has no schema and is wanted down.
func (r Reader) Environment(ctx context.Context, app, name string) (Environment, error) {
	e, found, err := first(ctx, r, scanEnvironment, selectEnvironment+`WHERE app = ? AND name = ?`, app, name)
	if err == nil && !found {
		e = Environment{App: app, Name: name, SchemaState: gate.SchemaNone, Want: Down}
	}
	return e, err
}

// Environments lists those of an app that have a record, or of all apps with app "".
func (r Reader) Environments(ctx context.Context, app string) ([]Environment, error) {
	return collect(ctx, r, scanEnvironment, selectEnvironment+`WHERE ? = '' OR app = ? ORDER BY app, name`, app, app)
}

// PutEnvironment records how an environment stands, if it still is as it was read: e.Version is that of the record that
// e was made from. Otherwise it is ErrChanged.
func (t *Tx) PutEnvironment(ctx context.Context, e Environment) error {
	previous, err := json.Marshal(e.Previous)
	if err != nil {
		return err
	}
	values := []any{e.Live, string(previous), nanos(e.Since), e.Schema, e.SchemaState, e.Want}
	if e.Version == 0 {
		return changedOne(t.exec(ctx, `INSERT INTO environments
			(live, previous, since, schema, schema_state, want, app, name, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)
			ON CONFLICT DO NOTHING`, append(values, e.App, e.Name)...))
	}
	return changedOne(t.exec(ctx, `UPDATE environments SET live = ?, previous = ?, since = ?, schema = ?, schema_state = ?,
		want = ?, version = version + 1 WHERE app = ? AND name = ? AND version = ?`, append(values, e.App, e.Name, e.Version)...))
}

func scanEnvironment(row row) (e Environment, err error) {
	var previous string
	var since int64
	if err := row.Scan(&e.App, &e.Name, &e.Version, &e.Live, &previous, &since, &e.Schema, &e.SchemaState, &e.Want); err != nil {
		return Environment{}, err
	}
	e.Since = moment(since)
	return e, json.Unmarshal([]byte(previous), &e.Previous)
}
