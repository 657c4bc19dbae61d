package daemon

import (
	"context"

	"greenroom/internal/data"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
	"greenroom/internal/store"
)

// Shape is api.Backend's.
func (d *Daemon) Shape(ctx context.Context, name, environment string) (mask.Shape, error) {
	if environment == "" {
		a, err := d.world.Store.App(ctx, name)
		if err != nil {
			return mask.Shape{}, err
		}
		production, _ := a.Policy.Production()
		environment = production.Name
	}
	policy, _, err := d.policyAnd(ctx, name, environment)
	if err != nil {
		return mask.Shape{}, err
	}
	record, err := d.world.Store.Environment(ctx, name, environment)
	if err != nil {
		return mask.Shape{}, err
	}
	switch {
	case record.Live == "":
		return mask.Shape{}, problem.New(problem.Unavailable, "nothing is live in %s of %s here, so its database can't be asked", environment, name).
			WithHint("greenroom promote latest %s; or name a database with --database", environment)
	case record.Want != store.Up: // its server does not run, and a question must not start it
		return mask.Shape{}, problem.New(problem.Unavailable, "%s of %s does not run", environment, name).WithHint("greenroom up %s", environment)
	}
	live, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return mask.Shape{}, err
	}
	e, _ := d.world.Open(policy, environment)
	db, err := e.Database(ctx, live)
	if err != nil {
		return mask.Shape{}, err
	}
	if db == nil {
		return mask.Shape{}, problem.New(problem.NotFound, "%s has no database", name).WithHint("greenroom status")
	}
	return shapeOf(ctx, db)
}

// shapeOf reads the structure of a database.
func shapeOf(ctx context.Context, db data.Database) (mask.Shape, error) {
	c, ok := db.(data.Copier)
	if !ok {
		return mask.Shape{}, problem.New(problem.Unavailable, "the structure of this kind of database can't be read").
			WithHint("greenroom version")
	}
	return c.Shape(ctx)
}
