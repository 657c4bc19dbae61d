package store

import (
	"context"
	"encoding/json"

	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// The expressions of the indexes in migrations/00004_history.sql: SQLite uses those only for the same words.
const (
	planFrom    = `CASE WHEN json_valid(plan) THEN json_extract(plan, '$.from') END`
	schemaAfter = `CASE WHEN json_valid(result) THEN json_extract(result, '$.after') END`
	schemaOther = `CASE WHEN json_valid(result) THEN json_extract(result, '$.before') <> json_extract(result, '$.after') END`
)

const leavingQuery = `SELECT result FROM runs JOIN journal ON run = runs.id WHERE app = ? AND environment = ? AND ` + planFrom + ` = ?
	AND outcome = 'succeeded' AND step = ? AND state = 'done' AND result <> '' ORDER BY runs.id DESC, seq LIMIT 1`

// Leaving is what a step returned in the newest run that took an environment from that release to another; found is false
// where none did, or none of those had the step.
func (r Reader) Leaving(ctx context.Context, app, environment string, from release.Digest, step string) (result json.RawMessage, found bool, err error) {
	text, found, err := first(ctx, r, scanText, leavingQuery, app, environment, from, step)
	return json.RawMessage(text), found, err
}

const makerQuery = `SELECT release FROM journal JOIN runs ON runs.id = run WHERE ` + schemaAfter + ` = ? AND ` + schemaOther + ` = ?
	AND step = 'migrate' AND state = 'done' AND app = ? AND environment = ? AND release <> ? AND json_extract(plan, '$.kind') = ?
	ORDER BY run DESC LIMIT 1`

// SchemaMaker is the release whose promotion made that schema (its fingerprint) of an environment, the newest; but is none
// of them. Where none made it, it is the newest that found it as it left it: after a kill in between, it had done it before.
// It is "" for none.
func (r Reader) SchemaMaker(ctx context.Context, app, environment, schema string, but release.Digest) (release.Digest, error) {
	for _, changed := range []int{1, 0} {
		maker, found, err := first(ctx, r, scanText, makerQuery, schema, changed, app, environment, but, plan.Promotion)
		if err != nil || found {
			return release.Digest(maker), err
		}
	}
	return "", nil
}
