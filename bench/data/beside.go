package main

import (
	"context"
	"errors"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// resets makes databases again what they were, beside PostgreSQL's copy of a template.
func (b *bench) resets(ctx context.Context) error {
	for _, d := range []*database{b.small, b.large} {
		if err := d.Keep(ctx); err != nil {
			return err
		}
	}
	var how string
	reset := func(d *database) func(context.Context) (spent, error) {
		return func(ctx context.Context) (took spent, err error) {
			if err := d.execute(ctx, "CHECKPOINT"); err != nil {
				return took, err
			}
			stop := b.server.stopwatch()
			how, err = d.Reset(ctx)
			return stop(), err
		}
	}
	template := func(drop bool, options ...string) func(context.Context) (spent, error) {
		return func(ctx context.Context) (spent, error) { return b.templated(ctx, drop, options...) }
	}
	small := &contender{name: "reset of " + migration.Bytes(b.small.size), do: reset(b.small)}
	own := &contender{name: "reset of " + migration.Bytes(b.large.size), do: reset(b.large)}
	file := &contender{name: "createdb -T, by files", do: template(false)}
	instead := &contender{name: "createdb -T, by files, and dropdb of what it replaces", do: template(true)}
	all := []*contender{small, own, file, instead}
	if b.server.Programs.Major >= 15 { // before, there was no other way
		file.do, instead.do = template(false, "--strategy=file_copy"), template(true, "--strategy=file_copy")
		all = append(all, &contender{name: "createdb -T, as it is by default (through the log)", do: template(false)})
	}
	if err := b.turns(ctx, all...); err != nil {
		return err
	}
	b.say("\nback to what was kept (%s)", how)
	for _, c := range all {
		b.took(c.name, c.all, 0)
	}
	b.times("reset to createdb -T by files", own.all, file.all, 1.2)
	b.say("  to createdb -T by files and dropdb, which is what a reset does: %.2f", clockRatio(own, instead))
	if how == "clone" {
		b.constant("reset", own.all, small.all)
	} else {
		b.say("  that it takes the same time at any size can't be shown with this server and this file system: bytes are copied")
	}
	return nil
}

// constant is an aim that eight times the size takes no longer. A third is for what the machine does beside.
func (b *bench) constant(what string, large, small []spent) {
	b.times(what+", to that of an eighth of the size", large, small, 1.33)
}

// templated makes a database out of another, and removes it again. With drop that is in what it took.
func (b *bench) templated(ctx context.Context, drop bool, options ...string) (took spent, err error) {
	if err := b.large.execute(ctx, "CHECKPOINT"); err != nil {
		return took, err
	}
	stop := b.server.stopwatch()
	if err := b.server.program(ctx, "createdb", append(options, "--template="+b.large.name, "copied")...); err != nil {
		return took, err
	}
	took = stop()
	err = b.server.program(ctx, "dropdb", "copied")
	if drop {
		took = stop()
	}
	return took, err
}

const migrator = "bench migrator"

// changes are a migration that rewrites a table and makes an index.
var changes = []string{"ALTER TABLE moved ALTER COLUMN product TYPE bigint", "CREATE INDEX moved_price ON moved (price, product)",
	"ALTER TABLE moved ADD CHECK (price >= 0)"}

// migrations runs the same migration watched and not watched. The rounds are more than elsewhere: what is looked for is
// small.
func (b *bench) migrations(ctx context.Context) error {
	var with, without []spent
	var seen migration.Observation
	for r := range 2*b.rounds + 3 {
		for _, watched := range []bool{r%2 == 0, r%2 == 1} {
			took, o, err := b.migrated(ctx, watched)
			if err != nil {
				return err
			}
			if watched {
				with, seen = append(with, took), o
			} else {
				without = append(without, took)
			}
		}
	}
	b.say("\na migration that rewrites a table of %s rows and makes an index, medians of %d rounds", migration.Thousands(4*b.large.customers), len(with))
	b.took("alone", without, 0)
	b.took("watched", with, 0)
	b.say("  %d looks, %d statements seen, the longest time between two looks %s", seen.Samples, len(seen.Statements), migration.Human(seen.Gap))
	b.times("watched to alone", with, without, 1.03)
	return nil
}

func (b *bench) migrated(ctx context.Context, watched bool) (took spent, o migration.Observation, err error) {
	if err := b.large.execute(ctx, "DROP TABLE IF EXISTS moved", "CREATE TABLE moved AS SELECT * FROM items", "CHECKPOINT"); err != nil {
		return took, o, err
	}
	conn, err := b.large.connect(ctx, migrator)
	if err != nil {
		return took, o, err
	}
	defer conn.Close(ctx) //nolint:errcheck // all that it was for is done
	if watched {
		w, err := b.large.Watch(ctx, data.WatchOptions{Migrator: migrator})
		if err != nil {
			return took, o, err
		}
		defer func() {
			var ended error
			o, ended = w.End(ctx)
			err = errors.Join(err, ended)
		}()
	}
	stop := b.server.stopwatch()
	for _, change := range changes {
		if _, err := conn.Exec(ctx, change); err != nil {
			return took, o, err
		}
	}
	return stop(), o, nil
}
