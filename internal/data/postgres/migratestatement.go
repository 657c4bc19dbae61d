package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// statement runs one statement, and tells its story to whoever watches.
func (r *runner) statement(ctx context.Context, m layout.Migration, s layout.Statement, retries int) error {
	began := time.Now()
	r.waits.runs(s.SQL)
	err := r.session.run(ctx, s.SQL)
	r.waits.ended()
	if w, ok := r.o.Watch.(data.Witness); ok {
		told := data.Told{SQL: s.SQL, File: r.file(m), Began: began, Ended: time.Now(), Retries: retries, NoTx: m.OutsideTx(r.o.Down)}
		if err != nil {
			told.Error = err.Error()
		}
		w.Told(told)
	}
	if err != nil || !strings.Contains(strings.ToLower(s.SQL), "_timeout") {
		return err
	}
	return r.clamp(ctx)
}

// clamp takes back time-outs that a file made longer than it may have them: files that pg_dump wrote begin with switching
// all of them off.
func (r *runner) clamp(ctx context.Context) error {
	for name, limit := range map[string]time.Duration{"lock_timeout": r.o.LockTimeout, "statement_timeout": r.o.Statement} {
		if limit <= 0 {
			continue
		}
		_, err := r.session.conn.Exec(ctx, `SELECT set_config(name, $2::text, false) FROM pg_settings
			WHERE name = $1 AND (setting::bigint = 0 OR setting::bigint > $2::bigint)`, name, milliseconds(limit))
		if err != nil {
			return err
		}
	}
	return nil
}

// alone runs a migration whose statements can't be in a transaction. Each is tried again by itself, since those before it
// stay whatever becomes of it.
func (r *runner) alone(ctx context.Context, m layout.Migration, statements []layout.Statement) error {
	began := time.Now()
	record := layout.Record{Down: r.o.Down, By: r.session.user}
	if f := r.note(ctx, r.table.Before(m, record)); f != nil {
		return r.fail(ctx, m, f, 0)
	}
	for i, s := range statements {
		f, attempt := r.oneAlone(ctx, m, s)
		if f == nil {
			continue
		}
		r.ran.Partial = i > 0 || f.left || f.lost
		record.Failed, record.Took = true, time.Since(began)
		if !f.lost {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
			defer cancel()
			if g := r.note(bounded, r.table.After(m, record)); g != nil {
				f.err = fmt.Errorf("%w; and %w", f.err, g.err)
			}
		}
		return r.fail(ctx, m, f, attempt)
	}
	record.Took = time.Since(began)
	if f := r.note(ctx, r.table.After(m, record)); f != nil {
		r.ran.Partial = true
		return r.fail(ctx, m, f, 0)
	}
	return nil
}

// note writes to the version table in a transaction of its own.
func (r *runner) note(ctx context.Context, queries []layout.Query) *failure {
	if len(queries) == 0 {
		return nil
	}
	err := pgx.BeginFunc(ctx, r.session.conn, func(pgx.Tx) error { return r.write(ctx, queries) })
	if err != nil {
		return r.session.failed(layout.Statement{}, err)
	}
	return nil
}

// oneAlone runs one statement outside a transaction, as often as a lock is not to be had.
func (r *runner) oneAlone(ctx context.Context, m layout.Migration, s layout.Statement) (f *failure, attempt int) {
	for ; ; attempt++ {
		left, err := r.invalid(ctx)
		if err == nil {
			err = r.clearInvalid(ctx, s)
		}
		if err == nil {
			err = r.patience(ctx, s)
		}
		if err == nil {
			err = r.statement(ctx, m, s, attempt)
		}
		if err == nil {
			return nil, attempt
		}
		f = r.session.failed(s, err)
		if f.lost {
			return f, attempt
		}
		// One that has transactions of its own may have left one open; in a session without any this only warns.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		if err := r.session.run(bounded, "ROLLBACK"); err == nil {
			f.left = r.dropNew(bounded, left) || len(layoutStatements(s)) > 1
		}
		cancel()
		if !f.again || f.left || attempt >= r.o.Retries {
			return f, attempt
		}
		if err := r.pause(ctx, attempt); err != nil {
			f.err = err
			return f, attempt
		}
	}
}

// patience lifts the lock time-out where nobody stands behind one who waits: what works CONCURRENTLY waits for old
// transactions with a lock that reads and writes pass, and to begin again would cost more than the wait.
func (r *runner) patience(ctx context.Context, s layout.Statement) error {
	limit := r.o.LockTimeout
	if layout.Patient(s.SQL) {
		limit = 0
	}
	_, err := r.session.conn.Exec(ctx, "SELECT set_config('lock_timeout', $1, false)", milliseconds(limit))
	return err
}

// layoutStatements is what a text that is sent as one consists of.
func layoutStatements(s layout.Statement) []layout.Statement {
	all, err := layout.Split(s.SQL, layout.Postgres)
	if err != nil {
		return []layout.Statement{s, s} // nobody knows what of it ran
	}
	return all
}

// fail says in r.ran what the database said, or returns what kept the migration from being tried to its end.
func (r *runner) fail(ctx context.Context, m layout.Migration, f *failure, attempt int) error {
	r.ran.File, r.ran.Line, r.ran.SQL = r.file(m), f.statement.Line, f.statement.SQL
	if pg := (*pgconn.PgError)(nil); errors.As(f.err, &pg) && f.statement.SQL != "" {
		r.ran.Line = f.statement.At(int(pg.Position))
	}
	switch {
	case ctx.Err() != nil && !f.lost:
		r.ran.Failed = "it was stopped"
		if !r.ran.Partial {
			r.ran.Failed += " and taken back"
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return problem.New(problem.Fail, "%s was stopped, since its time was up: %w", r.ran.File, ctx.Err())
		}
		return fmt.Errorf("migrate %s: %w", r.ran.File, ctx.Err())
	case f.lost:
		return r.lost(ctx, m, f.err)
	}
	r.ran.Failed = r.said(f, attempt)
	return nil
}

// lost makes sure that nothing of a session goes on in the server whose connection is gone, and says so.
func (r *runner) lost(ctx context.Context, m layout.Migration, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if end := r.session.end(bounded, r.d); end != nil {
		return problem.New(problem.Inconclusive, "the connection was lost in %s, and whether its statement goes on in the server can't be seen: %w", r.file(m), errors.Join(err, end))
	}
	what := "what it had done was taken back"
	if r.ran.Partial {
		what = "what it had done stays"
	}
	return problem.New(problem.Unavailable, "the connection to the database %s was lost in %s, and %s: %w", r.d.name, r.file(m), what, err)
}

// said is what the database said, for people.
func (r *runner) said(f *failure, attempt int) string {
	var text strings.Builder
	pg := (*pgconn.PgError)(nil)
	if !errors.As(f.err, &pg) {
		text.WriteString(f.err.Error())
	} else {
		fmt.Fprintf(&text, "%s (SQLSTATE %s)", pg.Message, pg.Code)
		for _, more := range [][2]string{{"detail", pg.Detail}, {"hint", pg.Hint}, {"where", pg.Where}} {
			if more[1] != "" {
				fmt.Fprintf(&text, "; %s: %s", more[0], strings.ReplaceAll(more[1], "\n", " "))
			}
		}
	}
	if f.again && attempt > 0 {
		fmt.Fprintf(&text, "; tried %d times", attempt+1)
	}
	blockers := r.waits.seen()
	if pg != nil && (pg.Code == lockTimedOut || pg.Code == cancelled && len(blockers) > 0) {
		fmt.Fprintf(&text, "; in the way: %s", migration.Blockers(blockers))
	}
	return text.String()
}
