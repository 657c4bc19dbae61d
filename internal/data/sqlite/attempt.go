package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/human"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// attempt is one try of one migration.
type attempt struct {
	*runner
	conn      *sql.Conn
	migration layout.Migration
	retries   int
	begun     time.Time // when it held the database against writers
	execution time.Time
	current   layout.Statement
}

// statements are those of the migration, one by one also where the tool would send its file as one.
func (a *attempt) statements() (all []layout.Statement) {
	sent := a.migration.Up
	if a.options.Down {
		sent = a.migration.Down
	}
	for _, s := range sent {
		parts, err := layout.Split(s.SQL, layout.SQLite)
		if err != nil || len(parts) < 2 {
			all = append(all, s)
			continue
		}
		for _, p := range parts {
			all = append(all, layout.Statement{SQL: p.SQL, Line: s.Line + p.Line - 1})
		}
	}
	return all
}

func (a *attempt) run(ctx context.Context) (*failure, bool, error) {
	noTx := a.migration.NoTx
	if a.options.Down {
		noTx = a.migration.DownNoTx
	}
	a.execution = time.Now()
	if noTx {
		return a.outside(ctx)
	}
	return a.inside(ctx)
}

// inside runs the migration and its record in one transaction.
func (a *attempt) inside(ctx context.Context) (f *failure, done bool, err error) {
	skip, err := a.begin(ctx)
	if err != nil {
		return a.gaveUp(ctx, err)
	}
	if skip {
		_, err := a.rollback(ctx)
		return nil, false, err
	}
	for _, s := range a.statements() {
		if err := a.exec(ctx, s); err != nil {
			return a.gaveUp(ctx, err)
		}
	}
	a.current = layout.Statement{SQL: "the record in " + a.table.Name}
	if err := a.queries(ctx, a.table.After(a.migration, a.record(false))); err != nil {
		return a.gaveUp(ctx, err)
	}
	a.held(ctx)
	a.current = layout.Statement{SQL: "COMMIT"}
	if err := run(ctx, a.conn, "COMMIT"); err != nil {
		return a.gaveUp(ctx, err)
	}
	a.own(true)
	return nil, true, nil
}

// begin takes the write lock and looks whether there is anything to do. Where there is no version table it is made, and
// stays whatever becomes of the migration, as with the tools.
func (a *attempt) begin(ctx context.Context) (skip bool, err error) {
	a.current = layout.Statement{SQL: "BEGIN IMMEDIATE"}
	if err := a.acquire(ctx); err != nil {
		return false, err
	}
	s, err := applied(ctx, a.conn, a.table)
	if err == nil && s.Missing {
		if err = a.queries(ctx, a.table.Create()); err == nil {
			err = run(ctx, a.conn, "COMMIT")
		}
		if err == nil {
			a.own(true)
			err = a.acquire(ctx)
		}
		if err == nil {
			s, err = applied(ctx, a.conn, a.table)
		}
	}
	if err != nil {
		return false, err
	}
	return a.nothingToDo(s)
}

// acquire takes the write lock. Who is in the way is told before it is waited for.
func (a *attempt) acquire(ctx context.Context) error {
	if err := run(ctx, a.conn, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err := run(ctx, a.conn, "BEGIN IMMEDIATE")
	if isBusy(err) {
		if err := a.blocked(); err != nil {
			return err
		}
	}
	if err := run(ctx, a.conn, fmt.Sprintf("PRAGMA busy_timeout = %d", a.patience())); err != nil {
		return err
	}
	if isBusy(err) {
		err = run(ctx, a.conn, "BEGIN IMMEDIATE")
	}
	if err == nil {
		a.begun = time.Now()
	}
	return err
}

// patience is the lock time-out in milliseconds; as long as it takes is 24 days.
func (a *attempt) patience() int64 {
	if a.options.LockTimeout <= 0 {
		return 1<<31 - 1
	}
	return max(1, a.options.LockTimeout.Milliseconds())
}

// blocked tells who is in the way.
func (a *attempt) blocked() error {
	all, err := blockers(a.looker)
	if err != nil {
		return err
	}
	if a.options.Blockers != nil && len(all) > 0 {
		for i := range all {
			all[i].Spared = "it is a process, and has no session that could be ended"
		}
		a.options.Blockers(all)
	}
	if a.options.Progress != nil {
		a.options.Progress(migration.Moment{SQL: a.current.SQL, Waits: true, Blocker: all})
	}
	return nil
}

// nothingToDo says whether another migrator has done it, and refuses a database that another one left half-migrated.
func (a *attempt) nothingToDo(s layout.State) (bool, error) {
	for _, row := range s.Applied {
		if row.Failed {
			return false, problem.New(problem.Blocked, "the table %s says that %s began and did not come to its end", a.table.Name, versionOf(row)).
				WithHint("what there is and how to go on: greenroom db status")
		}
	}
	return s.Has(a.migration) != a.options.Down, nil
}

func versionOf(a layout.Applied) string {
	if a.Version == "" {
		return a.Name
	}
	return "the version " + a.Version
}

// exec runs one statement of the migration.
func (a *attempt) exec(ctx context.Context, s layout.Statement) error {
	a.current = s
	if a.options.Progress != nil {
		a.options.Progress(migration.Moment{SQL: cut(s.SQL, 200)})
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if a.options.Statement > 0 {
		limited, cancel = context.WithTimeout(ctx, a.options.Statement)
	}
	defer cancel()
	began := time.Now()
	err := run(limited, a.conn, s.SQL)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("it took longer than the %s that a statement may take, and was ended", human.Duration(a.options.Statement))
	}
	if a.witness != nil {
		told := data.Told{SQL: s.SQL, File: a.file(a.migration), Began: began, Ended: time.Now(), Retries: a.retries,
			NoTx: a.migration.OutsideTx(a.options.Down)}
		if err != nil {
			told.Error = err.Error()
		}
		a.witness.Told(told)
	}
	return err
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most]
}

func (a *attempt) queries(ctx context.Context, all []layout.Query) error {
	for _, q := range all {
		if _, err := a.conn.ExecContext(ctx, q.SQL, q.Args...); err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) record(failed bool) layout.Record {
	return layout.Record{Down: a.options.Down, Took: time.Since(a.execution), Failed: failed}
}

// held lets whoever watches read what is held. What becomes of its question is no reason to fail.
func (a *attempt) held(ctx context.Context) {
	if a.witness == nil {
		return
	}
	_ = a.witness.Held(ctx, func(ctx context.Context, query string) (answer string, err error) {
		return answer, a.conn.QueryRowContext(ctx, query).Scan(&answer)
	})
}

// own tells a watch of this package how long the database was held.
func (a *attempt) own(transaction bool) {
	if w, ok := a.options.Watch.(*watch); ok && !a.begun.IsZero() {
		w.owned(a.begun, time.Now(), transaction)
	}
}

// gaveUp rolls back, and tells what the database said apart from what kept it from being asked.
func (a *attempt) gaveUp(ctx context.Context, cause error) (*failure, bool, error) {
	ended, err := a.rollback(ctx)
	a.own(true)
	if ctx.Err() != nil {
		return nil, false, errors.Join(ctx.Err(), err)
	}
	var p *problem.Error
	if errors.As(cause, &p) {
		return nil, false, cause
	}
	f := &failure{text: cause.Error(), statement: a.current, busy: isBusy(cause)}
	if ended && !a.begun.IsZero() && !rollsBack(cause) {
		f.partial, f.busy = true, false // one of its statements has committed
	}
	return f, false, err
}

// rollback ends the transaction, and says whether there was none any more.
func (a *attempt) rollback(ctx context.Context) (ended bool, err error) {
	err = run(context.WithoutCancel(ctx), a.conn, "ROLLBACK")
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return true, nil
	}
	return false, err
}

// outside runs the statements one by one. What was done stays when one of them fails.
func (a *attempt) outside(ctx context.Context) (*failure, bool, error) {
	skip, err := a.begin(ctx)
	if err == nil && !skip {
		err = a.queries(ctx, a.table.Before(a.migration, a.record(false)))
	}
	if err == nil {
		err = run(ctx, a.conn, "COMMIT")
	}
	if err != nil {
		return a.gaveUp(ctx, err)
	}
	a.own(true)
	if skip {
		return nil, false, nil
	}
	for i, s := range a.statements() {
		a.begun = time.Now()
		if err := a.exec(ctx, s); err != nil {
			return a.stopped(ctx, err, i > 0)
		}
		a.own(false)
	}
	a.current = layout.Statement{SQL: "the record in " + a.table.Name}
	if err := a.recorded(ctx, a.record(false)); err != nil {
		return a.stopped(ctx, err, true)
	}
	return nil, true, nil
}

// stopped records that something of a migration stays, or takes the mark back that it had begun where nothing does.
func (a *attempt) stopped(ctx context.Context, cause error, partial bool) (*failure, bool, error) {
	a.own(false)
	f := &failure{text: cause.Error(), statement: a.current, partial: partial, busy: isBusy(cause) && !partial}
	_, err := a.rollback(ctx) // of a transaction that the file itself began
	switch {
	case partial:
		err = errors.Join(err, a.recorded(ctx, a.record(true)))
	case a.options.Tool == layout.Migrate:
		back := a.record(false)
		back.Down = !back.Down
		err = errors.Join(err, a.recorded(ctx, back))
	}
	return f, false, errors.Join(ctx.Err(), err)
}

// recorded writes the record of a migration that ran outside a transaction, also after the run was called off.
func (a *attempt) recorded(ctx context.Context, r layout.Record) error {
	ctx = context.WithoutCancel(ctx)
	if err := run(ctx, a.conn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := a.queries(ctx, a.table.After(a.migration, r))
	if err == nil {
		err = run(ctx, a.conn, "COMMIT")
	}
	if err != nil {
		_, rollErr := a.rollback(ctx)
		return errors.Join(err, rollErr)
	}
	return nil
}
