package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/human"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

var _ data.Copier = (*Database)(nil)

const engine = "postgres"

// Snapshot reads the database in one moment, over several connections, and writes it masked. Production is held up by
// nothing but what a reader holds up: changes of a table's structure wait until the tables are read.
//
// The rules are compiled against the structure as it is in that moment, before a value is read. Where the role may not see
// every row, and where the database has large objects, which no rule can mask, nothing is read either.
//
// What is in memory does not depend on the tables: a few megabytes for each job, and for a row of more than 64 kB what
// PostgreSQL sends as one message, the row as text, with one masked value of it beside.
func (d *Database) Snapshot(ctx context.Context, dir string, o data.SnapshotOptions) (s data.Snapshot, err error) {
	if err := d.programs.need("pg_dump"); err != nil {
		return s, err
	}
	o = withDefaults(o)
	folder, err := data.NewFolder(dir)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, folder.Discard()) }()
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	t := &taking{Database: d, o: o, folder: folder, meter: newMeter(limited, o.Rate, o.Progress)}
	s, err = t.run(limited)
	switch {
	case ctx.Err() != nil:
		return s, ctx.Err()
	case limited.Err() != nil:
		return s, problem.New(problem.Fail, "the snapshot of %s took longer than %s, for which production may be held in one moment", d.name, human.Duration(o.Timeout)).
			WithHint("allow more time, or a higher rate")
	case err != nil:
		return s, d.failed(ctx, "take a snapshot of", unreadable(err))
	}
	s.By(o)
	return folder.Complete(s)
}

func withDefaults(o data.SnapshotOptions) data.SnapshotOptions {
	if o.Jobs <= 0 {
		o.Jobs = min(4, runtime.NumCPU())
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// taking is one snapshot while it is taken.
type taking struct {
	*Database
	o       data.SnapshotOptions
	folder  *data.Folder
	meter   *meter
	moment  *moment
	mask    *mask.Mask
	sieve   *mask.Sieve
	catalog catalog
	results []*result // by table
}

// result is what came out for a table.
type result struct {
	mu      sync.Mutex
	tally   tally
	changed []int64
	left    int // parts
}

func (t *taking) run(ctx context.Context) (s data.Snapshot, err error) {
	started := t.o.Now()
	if s, err = t.describe(ctx); err != nil {
		return s, err
	}
	if t.moment, err = t.takeMoment(ctx, t.o.Jobs, t.o.Timeout); err != nil {
		return s, err
	}
	defer t.moment.end(ctx)
	s.Taken = t.o.Now().UTC()
	if err := t.prepare(ctx); err != nil {
		return s, err
	}
	description, err := describe(ctx, t.moment.exporter)
	if err != nil {
		return s, err
	}
	s.Schema = fingerprintOf(description)
	t.catalog.Skeleton = fingerprintOf(skeleton(description))
	if err := t.copyAll(ctx, &s); err != nil {
		return s, err
	}
	s.Tables = t.tables()
	s.Canaries, s.Shared = t.sieve.Canaries(), t.sieve.Shared()
	s.Took = t.o.Now().Sub(started)
	return s, t.searchManifest(s)
}

// describe reads what the snapshot is of.
func (t *taking) describe(ctx context.Context) (data.Snapshot, error) {
	s := data.Snapshot{Engine: engine}
	rules, err := t.o.Rules.Digest()
	if err != nil {
		return s, err
	}
	s.Rules = rules
	err = t.with(ctx, t.name, func(conn *pgx.Conn) error {
		if err := t.programs.reads(serverMajor(conn)); err != nil {
			return err
		}
		return conn.QueryRow(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1), pg_database_size(d.oid),
				coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') || ' ' ||
				coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate) || coalesce(' ' || (to_jsonb(d) ->> 'datcollversion'), '')
			FROM pg_database d WHERE d.datname = current_database()`).Scan(&s.Version, &s.Source, &s.Collation)
	})
	return s, err
}

// prepare decides what becomes of every column, before a value is read.
func (t *taking) prepare(ctx context.Context) (err error) {
	shape := t.moment.structure.shape()
	if t.mask, err = mask.Compile(t.o.Rules, t.o.Key, shape); err != nil {
		return err
	}
	var objects int64
	if err := t.moment.exporter.QueryRow(ctx, "SELECT count(*) FROM pg_largeobject_metadata").Scan(&objects); err != nil {
		return err
	}
	if objects > 0 {
		return problem.New(problem.Blocked, "the database %s has %d large objects, which no rule can mask", t.name, objects).
			WithHint("keep them in a column of type bytea, or remove those that nobody needs with vacuumlo")
	}
	for _, table := range t.moment.structure.tables {
		if _, none := t.mask.Table(table.Name); none {
			continue
		}
		for _, h := range table.heaps {
			if h.kind == "f" {
				return problem.New(problem.Blocked, "the rows of the foreign table %s are in another database, which this moment is not one with", table.Name).
					WithHint("leave them behind: rows: none for %s", table.Name)
			}
		}
	}
	return nil
}

// copyAll copies the rows, and the schema when it is known which of its texts stand among them; then it searches all that
// was written for what should not be there.
func (t *taking) copyAll(ctx context.Context, s *data.Snapshot) error {
	parts := t.plan()
	if err := t.readSequences(ctx); err != nil {
		return err
	}
	scripts, err := t.dumpSchema(ctx)
	if err != nil {
		return t.moment.ended(ctx, err)
	}
	t.moment.leave(ctx) // everybody has joined
	t.sieve = mask.NewSieve(mask.Canaries, textsOf(scripts))
	queue := make(chan *part, len(parts))
	for _, p := range parts {
		queue <- p
	}
	close(queue)
	g := newGroup(ctx)
	for _, conn := range t.moment.readers {
		g.run(func(ctx context.Context) error { return t.read(ctx, conn, queue) })
	}
	if err := g.wait(); err != nil {
		return err
	}
	changed, err := t.writeSchema(scripts, s)
	if err != nil {
		return err
	}
	if !changed {
		s.Masked = s.Schema
	}
	if err := t.writeCatalog(); err != nil {
		return err
	}
	return t.search(ctx)
}

// read copies parts until there are none, and then lets go of the moment: whatever comes after that is not production's
// affair. Of masks, which remember words, it holds one at a time: tables may be thousands, and the parts of one come one
// after the other.
func (t *taking) read(ctx context.Context, conn *pgx.Conn, queue <-chan *part) error {
	var m *mask.TableMask
	of := -1
	for p := range queue {
		if err := errors.Join(ctx.Err(), t.moment.cancelled(ctx, conn, hungUp)); err != nil {
			return err
		}
		if p.table != of {
			t.count(of, m)
			of = p.table
			m, _ = t.mask.Table(t.moment.structure.tables[of].Name)
			m.Watch(t.sieve)
		}
		if err := t.copyPart(ctx, conn, p, m); err != nil {
			return fmt.Errorf("copy the table %s: %w", t.moment.structure.tables[p.table].Name, withoutValues(err))
		}
	}
	t.count(of, m)
	hangUp(ctx, conn)
	return nil
}

// count adds what a mask changed to what is known of the table.
func (t *taking) count(table int, m *mask.TableMask) {
	if m == nil {
		return
	}
	r := t.results[table]
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, n := range m.Changed() {
		r.changed[c] += n
	}
}

func (t *taking) copyPart(ctx context.Context, conn *pgx.Conn, p *part, m *mask.TableMask) error {
	file, err := t.folder.Create(p.file.Name)
	if err != nil {
		return err
	}
	defer file.Abandon() //nolint:errcheck // closed already when all went well
	z, err := compressor(file)
	if err != nil {
		return err
	}
	table := t.moment.structure.tables[p.table]
	rows := newRowMasker(z, m, t.catalog.Tables[p.table].columns())
	metered := &meteredWriter{meter: t.meter, table: table.Name, to: rows}
	_, err = conn.PgConn().CopyTo(ctx, metered, p.query)
	if err = errors.Join(err, metered.flush()); err != nil {
		return errors.Join(err, z.Close())
	}
	if err := errors.Join(rows.Flush(), z.Close()); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	p.file.Rows, p.file.Bytes = rows.tally.rows, rows.tally.bytes
	r := t.results[p.table]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.merge(rows.tally)
	if r.left--; r.left == 0 {
		t.meter.tableDone(table.Name)
	}
	return nil
}

// tables is what the manifest tells of them.
func (t *taking) tables() []data.SnapshotTable {
	var all []data.SnapshotTable
	for i, table := range t.moment.structure.tables {
		r := t.results[i]
		st := data.SnapshotTable{Name: table.Name, Rows: r.tally.rows, Bytes: r.tally.bytes, Sum: r.tally.sum.String(),
			Source: table.Bytes + table.Index, Index: table.Index, None: t.catalog.Tables[i].None}
		for c, n := range r.changed {
			if n > 0 {
				if st.Changed == nil {
					st.Changed = map[string]int64{}
				}
				st.Changed[table.Columns[c].Name] = n
			}
		}
		all = append(all, st)
	}
	return all
}

// withoutValues takes out of an error of PostgreSQL's what may quote a row: detail and context are in none of its texts.
func withoutValues(err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	c := *pe
	c.Detail, c.Hint, c.Where, c.InternalQuery = "", "", "", ""
	return &c
}

// group runs functions at the same time. When one fails the others are told to stop; the first error is the group's.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

func (g *group) run(f func(context.Context) error) {
	g.all.Go(func() {
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	})
}

func (g *group) wait() error {
	g.all.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

// copyText is a COPY of columns, or of all that a table has where it has none that could be named.
func copyText(table string, columns []string, direction string) string {
	if len(columns) == 0 {
		return fmt.Sprintf("COPY %s %s", table, direction)
	}
	return fmt.Sprintf("COPY %s (%s) %s", table, quoteAll(columns), direction)
}

func quoteAll(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = quote(n)
	}
	return strings.Join(all, ", ")
}

var _ io.Writer = (*rowMasker)(nil)
