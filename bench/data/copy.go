package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// contender does the same work as the others in its own way, and tells how long that took.
type contender struct {
	name string
	do   func(context.Context) (spent, error)
	all  []spent
}

// turns has contenders take turns.
func (b *bench) turns(ctx context.Context, all ...*contender) error {
	for r := range b.rounds {
		for _, c := range all {
			d, err := c.do(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d  %-72s %8.3f s\n", r+1, c.name, d.clock.Seconds())
			c.all = append(c.all, d)
		}
	}
	return nil
}

func clockRatio(over, under *contender) float64 { return ratio(clocks(over.all), clocks(under.all)) }

// copies copies the whole database.
func (b *bench) copies(ctx context.Context) error {
	if err := b.eighth(ctx); err != nil {
		return err
	}
	kept, err := b.large.rules(ctx, false, "")
	if err != nil {
		return err
	}
	covered, err := b.large.rules(ctx, true, "")
	if err != nil {
		return err
	}
	var rows int64
	copied := func(r mask.Rules) func(context.Context) (spent, error) {
		return func(ctx context.Context) (spent, error) {
			snapshot, load, err := b.copied(ctx, b.large, r)
			rows = load.Rows
			b.most["snapshot"], b.most["load"] = max(b.most["snapshot"], snapshot.Most), max(b.most["load"], load.Most)
			return snapshot.spent.plus(load.spent), err
		}
	}
	raw := &contender{name: "raw copying of its files, byte by byte", do: b.raw}
	dump := &contender{name: "pg_dump -Fd and pg_restore", do: func(ctx context.Context) (spent, error) { return b.dumped(ctx) }}
	plain := &contender{name: "pg_dump -Fd -Z0 and pg_restore", do: func(ctx context.Context) (spent, error) { return b.dumped(ctx, "--compress=0") }}
	bare := &contender{name: "snapshot and load, nothing masked", do: copied(kept)}
	own := &contender{name: "snapshot and load, masked", do: copied(covered)}
	all := []*contender{raw, dump, plain, bare, own}
	if err := b.turns(ctx, all...); err != nil {
		return err
	}
	b.say("\nthe whole database, copied into another one")
	for _, c := range all {
		b.took(c.name, c.all, rows)
	}
	b.times("masked, loaded, counted and measured, to pg_dump and pg_restore alone", own.all, dump.all, 1)
	b.say("  (pg_restore neither counts the rows nor runs ANALYZE; the load does both, and does not read the rows back, as a verification does)")
	b.say("  to pg_dump without compression: %.2f; unmasked to pg_dump: %.2f, to raw copying: %.1f", clockRatio(own, plain), clockRatio(bare, dump), clockRatio(bare, raw))
	b.times("masked to unmasked", own.all, bare.all, 2.5)
	b.remembered("snapshot", "masked snapshot")
	b.remembered("load", "load")
	return nil
}

// remembered tells how much memory a piece of work had at most, at both sizes.
func (b *bench) remembered(what, name string) {
	const asked = 200
	for _, d := range []struct {
		key string
		*database
	}{{what + " small", b.small}, {what, b.large}} {
		name := fmt.Sprintf("MB of memory that the %s had at most, of %s", name, migration.Bytes(d.size))
		if b.most[d.key] == 0 {
			b.say("  %s: not known here", name)
			continue
		}
		b.aim(name, float64(b.most[d.key])/1e6, asked, "")
	}
}

// eighth copies the small database, to know what memory that takes.
func (b *bench) eighth(ctx context.Context) error {
	rules, err := b.small.rules(ctx, true, "")
	if err != nil {
		return err
	}
	snapshot, load, err := b.copied(ctx, b.small, rules)
	b.most["snapshot small"], b.most["load small"] = snapshot.Most, load.Most
	return err
}

// dumped is what PostgreSQL's own programs take. What Greenroom's load does beside is not in it: to compare the files' digests,
// to count the rows, to compare the schema, to measure the tables, and to take the place of a database that is there.
func (b *bench) dumped(ctx context.Context, options ...string) (took spent, err error) {
	dir := filepath.Join(b.dir, "dump")
	if err := b.server.program(ctx, "createdb", "restored"); err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, b.server.program(ctx, "dropdb", "restored"), os.RemoveAll(dir)) }()
	jobs := fmt.Sprintf("--jobs=%d", b.jobs)
	stop := b.server.stopwatch()
	if err := b.server.program(ctx, "pg_dump", append(options, "--format=directory", jobs, "--file="+dir, b.large.name)...); err != nil {
		return took, err
	}
	err = b.server.program(ctx, "pg_restore", jobs, "--dbname=restored", dir)
	return stop(), err
}

// raw copies the database's files with nothing but reads and writes: no blocks are shared, and nothing could read the copy.
func (b *bench) raw(ctx context.Context) (took spent, err error) {
	from, err := b.large.folder(ctx)
	if err != nil {
		return took, err
	}
	to, err := os.MkdirTemp(b.dir, "raw-*")
	if err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	entries, err := os.ReadDir(from)
	if err != nil {
		return took, err
	}
	stop := b.server.stopwatch()
	for _, e := range entries {
		if err := errors.Join(ctx.Err(), copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))); err != nil {
			return took, err
		}
	}
	return stop(), nil
}

// copyFile hides from io.Copy that both are files, which it would have the kernel copy, and a file system share.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 256<<10))
	return err
}

// folder is where the server has the database's files, all of them written there.
func (d *database) folder(ctx context.Context) (string, error) {
	if err := d.execute(ctx, "CHECKPOINT"); err != nil {
		return "", err
	}
	var path string
	err := d.ask(ctx, `SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()`, &path)
	return path, err
}

// masks copies the one table that has something to mask.
func (b *bench) masks(ctx context.Context) error {
	kept, err := b.large.rules(ctx, false, "customers")
	if err != nil {
		return err
	}
	covered, err := b.large.rules(ctx, true, "customers")
	if err != nil {
		return err
	}
	var loads [2][]spent
	taken := func(r mask.Rules, loads *[]spent) func(context.Context) (spent, error) {
		return func(ctx context.Context) (spent, error) {
			snapshot, load, err := b.copied(ctx, b.large, r)
			*loads = append(*loads, snapshot.spent.plus(load.spent))
			return snapshot.spent, err
		}
	}
	as := &contender{name: "COPY as it is, into files", do: func(ctx context.Context) (spent, error) { return b.queried(ctx, "SELECT * FROM customers") }}
	sql := &contender{name: "COPY with masking in SQL, into files", do: func(ctx context.Context) (spent, error) { return b.queried(ctx, masking) }}
	bare := &contender{name: "snapshot, nothing masked", do: taken(kept, &loads[0])}
	own := &contender{name: "snapshot, masked", do: taken(covered, &loads[1])}
	all := []*contender{as, sql, bare, own}
	if err := b.turns(ctx, all...); err != nil {
		return err
	}
	b.say("\nthe customers alone, of whose nine columns six are masked")
	for _, c := range all {
		b.took(c.name, c.all, b.large.customers)
	}
	b.took("snapshot and load, nothing masked", loads[0], b.large.customers)
	b.took("snapshot and load, masked", loads[1], b.large.customers)
	b.times("the snapshot masked to unmasked", own.all, bare.all, 2.5)
	b.times("snapshot and load, masked to unmasked", loads[1], loads[0], 2.5)
	b.say("  the masked snapshot to COPY with masking in SQL: %.2f, which to COPY as it is: %.2f", clockRatio(own, sql), clockRatio(sql, as))
	b.say("  greenmask (asked: 6 times as fast) was not measured in this run")
	return nil
}

// queried runs COPY over ranges of the table's blocks, as many as there are connections, into a file each.
func (b *bench) queried(ctx context.Context, query string) (took spent, err error) {
	dir, err := os.MkdirTemp(b.dir, "queried-*")
	if err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var blocks int64
	if err := b.large.ask(ctx, "SELECT pg_relation_size('customers') / current_setting('block_size')::bigint + 1", &blocks); err != nil {
		return took, err
	}
	errs := make([]error, b.jobs)
	var all sync.WaitGroup
	stop := b.server.stopwatch()
	for i := range int64(b.jobs) {
		all.Go(func() {
			part := fmt.Sprintf("COPY (%s WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)') TO STDOUT", query, blocks*i/int64(b.jobs), blocks*(i+1)/int64(b.jobs))
			errs[i] = b.large.queryInto(ctx, part, filepath.Join(dir, fmt.Sprint(i)))
		})
	}
	all.Wait()
	return stop(), errors.Join(errs...)
}

func (d *database) queryInto(ctx context.Context, query, name string) (err error) {
	conn, err := d.connect(ctx, "bench")
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriterSize(file, 256<<10)
	_, err = conn.PgConn().CopyTo(ctx, out, query)
	return errors.Join(err, out.Flush())
}
