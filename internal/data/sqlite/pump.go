package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A batch is at most so many rows, and about so many bytes of values.
const (
	batchRows  = 500
	batchBytes = 1 << 20
)

// batch is rows on their way: read, then masked by whichever worker takes it, then written in the order of reading.
type batch struct {
	values []driver.Value // row after row
	read   int64          // bytes
	masked chan struct{}  // closed once the values are safe, and counted
	bytes  int64
}

// pump carries one table's rows from one connection to another.
type pump struct {
	table *table
	width int // values in a row: the rowid where it is carried, and the stored columns
	jobs  int
	masks *masks
	pace  *pace
	moved func(rows, bytes int64)
}

// carried is what a pump has done.
type carried struct {
	rows, bytes int64
	changed     []int64 // values by column of the table
}

// run carries the rows: one goroutine reads them, several mask them, and this one writes them.
func (p *pump) run(ctx context.Context, from, to *sql.Conn) (done carried, err error) {
	ctx, cancel := context.WithCancel(ctx)
	work, order := make(chan *batch, p.jobs), make(chan *batch, 2*p.jobs)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var readErr error
	all.Go(func() {
		defer close(order)
		defer close(work)
		readErr = p.read(ctx, from, func(b *batch) bool {
			for _, c := range []chan *batch{order, work} {
				select {
				case c <- b:
				case <-ctx.Done():
					return false
				}
			}
			return true
		})
	})
	workers := make([]*rowMask, p.jobs)
	for i := range workers {
		workers[i] = p.masks.of(p.table)
		all.Go(func() {
			for b := range work {
				p.mask(workers[i], b)
				close(b.masked)
			}
		})
	}
	if err := p.write(ctx, to, order, &done); err != nil {
		return done, err
	}
	all.Wait()
	done.changed = make([]int64, len(p.table.columns))
	for _, m := range workers {
		m.changed(done.changed)
	}
	return done, errors.Join(readErr, ctx.Err())
}

// read hands out batches until there are no more rows, or nobody takes them.
func (p *pump) read(ctx context.Context, from *sql.Conn, give func(*batch) bool) error {
	return rawRows(ctx, from, p.table.selection(), func(rows driver.Rows) error {
		row := make([]driver.Value, p.width)
		b := &batch{masked: make(chan struct{})}
		for {
			err := rows.Next(row)
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the table %s: %w", p.table.name, err)
			}
			full := len(b.values) >= batchRows*p.width || b.read >= batchBytes
			if (full || err != nil) && len(b.values) > 0 {
				if err := p.pace.wait(ctx, b.read); err != nil || !give(b) {
					return err
				}
				b = &batch{masked: make(chan struct{})}
			}
			if err != nil {
				return nil
			}
			b.values = append(b.values, row...)
			b.read += volumes(row)
		}
	})
}

func (p *pump) mask(m *rowMask, b *batch) {
	for row := range slices.Chunk(b.values, p.width) {
		m.row(row)
		b.bytes += volumes(row[p.table.first():])
	}
}

// write inserts what order brings, several rows with each statement.
func (p *pump) write(ctx context.Context, to *sql.Conn, order <-chan *batch, done *carried) error {
	in := &inserter{table: p.table, width: p.width, at: max(1, min(50, 900/p.width))}
	return to.Raw(func(conn any) (err error) {
		in.conn = conn.(driver.ConnPrepareContext)
		defer func() { err = errors.Join(err, in.close()) }()
		for b := range order {
			select {
			case <-b.masked:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := in.insert(b.values); err != nil {
				return fmt.Errorf("write the table %s: %w", p.table.name, err)
			}
			done.rows += int64(len(b.values) / p.width)
			done.bytes += b.bytes
			p.moved(int64(len(b.values)/p.width), b.bytes)
		}
		return nil
	})
}

// inserter writes rows with two statements: one for as many as it takes at once, and one for single ones.
type inserter struct {
	conn         driver.ConnPrepareContext
	table        *table
	width, at    int
	many, single driver.Stmt
	args         []driver.NamedValue
}

func (in *inserter) insert(values []driver.Value) error {
	for len(values) > 0 {
		n := in.at
		if len(values) < n*in.width {
			n = 1
		}
		if err := in.exec(n, values[:n*in.width]); err != nil {
			return err
		}
		values = values[n*in.width:]
	}
	return nil
}

func (in *inserter) exec(rows int, values []driver.Value) (err error) {
	stmt := &in.single
	if rows > 1 {
		stmt = &in.many
	}
	if *stmt == nil {
		if *stmt, err = in.conn.PrepareContext(context.Background(), in.table.insertion(rows)); err != nil {
			return err
		}
	}
	in.args = in.args[:0]
	for i, v := range values {
		if b, ok := v.([]byte); ok && len(b) == 0 {
			v = []byte{} // the driver reads no bytes as nil, and writes nil as null
		}
		in.args = append(in.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	// Without a context that could end: the driver starts a goroutine for each call that has one.
	_, err = (*stmt).(driver.StmtExecContext).ExecContext(context.Background(), in.args)
	return err
}

func (in *inserter) close() (err error) {
	for _, s := range []driver.Stmt{in.many, in.single} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// selection reads a table's rows. The sign before each column takes its type from it: of a column declared as a time the
// driver would make a time, and the text that stood there would be lost.
func (t *table) selection() string {
	var list []string
	if t.rowid != "" {
		list = append(list, t.rowid)
	}
	for _, c := range t.stored() {
		list = append(list, "+"+quote(c.name))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + quote(t.name)
}

// insertion writes so many rows of selection's.
func (t *table) insertion(rows int) string {
	var list []string
	if t.rowid != "" {
		list = append(list, t.rowid)
	}
	for _, c := range t.stored() {
		list = append(list, quote(c.name))
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(list)), ",") + ")"
	return "INSERT INTO " + quote(t.name) + " (" + strings.Join(list, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(one+",", rows), ",")
}

// first is where the columns begin in a row of selection's, behind the row's number.
func (t *table) first() int {
	if t.rowid != "" {
		return 1
	}
	return 0
}

// width is how many values a row of selection's has.
func (t *table) width() int { return t.first() + len(t.stored()) }

// rawRows runs a query on the driver itself, which spares each value a conversion.
func rawRows(ctx context.Context, conn *sql.Conn, query string, f func(driver.Rows) error) error {
	return conn.Raw(func(c any) (err error) {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		return f(rows)
	})
}

// pace holds a reader back to so many bytes a second.
type pace struct {
	rate  int64 // 0 is as fast as it goes
	begun time.Time
	read  int64
}

func (p *pace) wait(ctx context.Context, bytes int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	p.read += bytes
	due := time.Duration(float64(p.read) / float64(p.rate) * float64(time.Second))
	timer := time.NewTimer(due - time.Since(p.begun))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
