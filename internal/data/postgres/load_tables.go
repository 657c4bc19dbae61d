package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"greenroom/internal/problem"
)

// job is a piece of work for whichever connection is free, the largest first.
type job struct {
	size int64
	do   func(context.Context, *loader) error
}

// share has the sessions do all jobs, and returns when they are done or one has failed.
func share(ctx context.Context, sessions []*loader, jobs []job) error {
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(b.size, a.size) })
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	g := newGroup(ctx)
	for _, s := range sessions {
		g.run(func(ctx context.Context) error {
			for j := range queue {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := j.do(ctx, s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.wait()
}

// filling is a table while its rows come in.
type filling struct {
	*catalogTable
	mu    sync.Mutex
	rows  int64 // that the server counted on their way in
	tally tally // of those that were read back
}

// fillTables copies all rows in, and reads them back where that is asked for. A heap is filled, frozen and read back in one
// transaction, while it is in memory. Only one that the connections would end up waiting for is filled by several, and read
// back later.
func (l *loading) fillTables(ctx context.Context, sessions []*loader) error {
	var in, back []job
	tables := make([]*filling, len(l.catalog.Tables))
	for i := range l.catalog.Tables {
		f := &filling{catalogTable: &l.catalog.Tables[i]}
		tables[i] = f
		if f.Routed {
			back = append(back, l.readBack(f, f.catalogName, l.manifest.Tables[i].Bytes, false)...)
		}
		for _, h := range f.Heaps {
			switch {
			case f.Routed:
				in = append(in, l.pour(f, f.catalogName, h.Files)...)
			case len(h.Files) == 1 || size(h.Files) <= l.size()/int64(len(sessions)):
				in = append(in, l.frozen(f, h))
			default:
				in = append(in, l.pour(f, h.catalogName, h.Files)...)
				back = append(back, l.readBack(f, h.catalogName, l.manifest.Tables[i].Bytes, true)...)
			}
		}
	}
	l.meter.expect(len(tables))
	if err := share(ctx, sessions, in); err != nil {
		return err
	}
	if l.o.ReadBack {
		if err := share(ctx, sessions, back); err != nil {
			return err
		}
	}
	for i, f := range tables {
		if err := l.same(i, f); err != nil {
			return err
		}
	}
	return nil
}

// size is how many bytes of values files have.
func size(files []catalogPart) (bytes int64) {
	for _, f := range files {
		bytes += f.Bytes
	}
	return bytes
}

func (l *loading) size() (bytes int64) {
	for _, t := range l.manifest.Tables {
		bytes += t.Bytes
	}
	return bytes
}

// same compares a table with what the manifest says of it.
func (l *loading) same(i int, f *filling) error {
	want := l.manifest.Tables[i]
	if f.rows != want.Rows {
		return problem.New(problem.Fail, "of %d rows of the table %s %d arrived", want.Rows, want.Name, f.rows).
			WithHint("take another snapshot; the database was not touched")
	}
	if l.o.ReadBack && (f.tally.rows != want.Rows || f.tally.sum.String() != want.Sum) {
		return problem.New(problem.Fail, "the table %s did not come out as it went in: %d rows with the sum %s, the snapshot has %d with %s",
			want.Name, f.tally.rows, f.tally.sum, want.Rows, want.Sum).
			WithHint("load again; if it stays so, the server changes rows while they come in. The database was not touched")
	}
	l.rows += want.Rows
	l.meter.tableDone(want.Name)
	return nil
}

// pour is a job for each file of a table that several connections fill.
func (l *loading) pour(f *filling, into catalogName, files []catalogPart) (jobs []job) {
	for _, file := range files {
		jobs = append(jobs, job{size: file.Bytes, do: func(ctx context.Context, s *loader) error {
			return l.copyIn(ctx, s, f, into, file, "")
		}})
	}
	return jobs
}

// frozen fills a heap in one transaction that also made it empty, so that PostgreSQL can mark its rows as old ones: nobody
// has to look at them again to find out whether they were committed.
func (l *loading) frozen(f *filling, h catalogHeap) job {
	return job{size: size(h.Files), do: func(ctx context.Context, s *loader) error {
		tx, err := s.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "TRUNCATE ONLY "+h.sql()); err != nil {
			return err
		}
		for _, file := range h.Files {
			if err := l.copyIn(ctx, s, f, h.catalogName, file, " WITH (FREEZE)"); err != nil {
				return err
			}
		}
		if l.o.ReadBack {
			if err := l.countBack(ctx, s, f, copyText(h.sql(), f.names(), "TO STDOUT")); err != nil {
				return err
			}
		}
		return tx.Commit(ctx)
	}}
}

// copyIn copies a file into a table, and compares how many rows arrived.
func (l *loading) copyIn(ctx context.Context, s *loader, f *filling, into catalogName, file catalogPart, options string) error {
	r, err := os.Open(filepath.Join(l.dir, file.Name))
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // read only
	z, err := decompressor(r)
	if err != nil {
		return err
	}
	defer z.Close()
	statement := copyText(into.sql(), f.names(), "FROM STDIN"+options)
	source := &meteredReader{meter: l.meter, table: f.Rule, from: z}
	defer source.end()
	tag, err := s.PgConn().CopyFrom(ctx, source, statement)
	if err != nil {
		if p := l.refused(err, statement); p != nil {
			return p
		}
		return fmt.Errorf("fill the table %s: %w", f.Rule, withoutValues(err))
	}
	if tag.RowsAffected() != file.Rows {
		return problem.New(problem.Fail, "of %d rows in %s %d arrived in the table %s", file.Rows, file.Name, tag.RowsAffected(), f.Rule).
			WithHint("load again; the database was not touched")
	}
	f.mu.Lock()
	f.rows += file.Rows
	f.mu.Unlock()
	return l.meter.take(f.Rule, file.Rows, 0)
}

// meteredReader tells a meter of what is read.
type meteredReader struct {
	meter *meter
	table string

	mu   sync.Mutex
	from io.Reader // nil once it has ended
}

// end returns when nobody reads any more. CopyFrom leaves its reading goroutine behind when the connection is lost.
func (r *meteredReader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = nil
}

func (r *meteredReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := r.from.Read(p)
	if took := r.meter.take(r.table, 0, int64(n)); took != nil {
		err = errors.Join(err, took)
	}
	return n, err
}

// countBack reads rows and adds them to what was seen of the table.
func (l *loading) countBack(ctx context.Context, s *loader, f *filling, query string) error {
	columns := f.columns()
	for i := range columns {
		columns[i].keep = true
	}
	rows := newRowMasker(io.Discard, nil, columns)
	if _, err := s.PgConn().CopyTo(ctx, rows, query); err != nil {
		return fmt.Errorf("read the table %s back: %w", f.Rule, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.merge(rows.tally)
	return nil
}

// readBack are the jobs that read a table back. One that is divided is read by ranges of its blocks, as many as there are
// connections; how many blocks it has by then is asked by each.
func (l *loading) readBack(f *filling, t catalogName, size int64, divide bool) (jobs []job) {
	if !divide {
		columns := quoteAll(f.names())
		return []job{{size: size, do: func(ctx context.Context, s *loader) error {
			return l.countBack(ctx, s, f, fmt.Sprintf("COPY (SELECT %s FROM %s) TO STDOUT", columns, t.sql()))
		}}}
	}
	pieces := int64(l.o.Jobs)
	for n := range pieces {
		jobs = append(jobs, job{size: size / pieces, do: func(ctx context.Context, s *loader) error {
			h := heap{space: t.Schema, name: t.Name}
			err := s.QueryRow(ctx, "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint", t.sql()).Scan(&h.blocks)
			if err != nil {
				return err
			}
			return l.countBack(ctx, s, f, readQuery(h, f.names(), n, pieces))
		}})
	}
	return jobs
}
