package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/problem"
)

var _ data.Migrator = (*Database)(nil)

// Applied reads the tool's version table where the tool would look for it: in the current schema of the database's role.
func (d *Database) Applied(ctx context.Context, tool layout.Tool) (layout.State, error) {
	s, err := d.openSession(ctx, data.RunOptions{Migrator: "greenroom"})
	if err != nil {
		return layout.State{}, err
	}
	defer s.close(ctx)
	state, err := s.read(ctx, s.versionTable(tool))
	if err != nil {
		return state, d.failed(ctx, "read the version table of "+string(tool)+" in", err)
	}
	return state, nil
}

// Run runs migrations as data.Migrator says. It holds the locks of Greenroom and of all the tools meanwhile, passes over what
// another migrator has done by the time it gets them, and refuses a database that is half-migrated. A connection that is lost
// is Unavailable, and nothing is concluded before the session's backend is gone.
func (d *Database) Run(ctx context.Context, o data.RunOptions) (data.Ran, error) {
	if err := allowed(o); err != nil {
		return data.Ran{}, err
	}
	s, err := d.openSession(ctx, o)
	if err != nil {
		return data.Ran{}, err
	}
	defer s.close(ctx)
	if err := s.allowed(o); err != nil {
		return data.Ran{}, err
	}
	r := &runner{d: d, o: o, session: s, table: s.versionTable(o.Tool), waits: newWaits(d, o, s)}
	stop := r.waits.begin(ctx)
	defer stop()
	if err := r.lock(ctx, lockWait); err != nil {
		return r.ran, err
	}
	state, err := r.start(ctx)
	if err != nil {
		return r.ran, err
	}
	for _, m := range o.Migrations {
		if state.Has(m) != o.Down {
			continue
		}
		if err := r.migration(ctx, m); err != nil || r.ran.Failed != "" {
			return r.ran, err
		}
		r.ran.Done = append(r.ran.Done, r.file(m))
	}
	return r.ran, nil
}

// allowed refuses what can't work before anything is tried.
func allowed(o data.RunOptions) error {
	if o.Migrator == "" {
		return problem.New(problem.Invalid, "a migrator without an application name can't be told from the app")
	}
	for _, m := range o.Migrations {
		if o.Down && m.Down == nil {
			return problem.New(problem.Invalid, "%s has no way down", m.File)
		}
	}
	return nil
}

// runner is one Run.
type runner struct {
	d       *Database
	o       data.RunOptions
	session *session
	table   layout.Table
	waits   *waits
	ran     data.Ran
}

// start makes the version table where there is none, and reads it.
func (r *runner) start(ctx context.Context) (layout.State, error) {
	state, err := r.session.read(ctx, r.table)
	if err != nil {
		return state, r.d.failed(ctx, "read the table "+r.table.Name+" in", err)
	}
	for _, a := range state.Applied {
		if a.Failed {
			st := layout.Judge(r.o.Migrations, state)
			return state, problem.New(problem.Blocked, "the database %s is %s", r.d.name, st.Text).WithHint("%s", st.Next)
		}
	}
	if !state.Missing || r.o.Down {
		return state, nil
	}
	err = pgx.BeginFunc(ctx, r.session.conn, func(tx pgx.Tx) error {
		for _, q := range r.table.Create() {
			if _, err := tx.Exec(ctx, q.SQL); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return state, r.d.failed(ctx, "make the table "+r.table.Name+" in", err)
	}
	return state, nil
}

func (r *runner) file(m layout.Migration) string {
	if r.o.Down {
		return m.DownFile
	}
	return m.File
}

// way is what of a migration is run.
func (r *runner) way(m layout.Migration) (statements []layout.Statement, alone bool) {
	if r.o.Down {
		return m.Down, m.DownNoTx
	}
	return m.Up, m.NoTx
}

// migration runs one migration to its end: done, or failed with what is in r.ran.
func (r *runner) migration(ctx context.Context, m layout.Migration) error {
	if err := r.session.reset(ctx); err != nil {
		return r.lost(ctx, m, err)
	}
	statements, alone := r.way(m)
	if alone {
		return r.alone(ctx, m, statements)
	}
	for attempt := 0; ; attempt++ {
		f := r.inTransaction(ctx, m, statements, attempt)
		if f == nil {
			return nil
		}
		if f.again && attempt < r.o.Retries {
			if err := r.pause(ctx, attempt); err != nil {
				return err
			}
			continue
		}
		return r.fail(ctx, m, f, attempt)
	}
}

// failure is what kept a migration from its end.
type failure struct {
	statement layout.Statement
	err       error
	again     bool // a lock was not to be had: it may work another time
	lost      bool // the connection is gone
	left      bool // something of a statement outside a transaction stays
}

// inTransaction runs a migration and records it, all or nothing. nil: it is committed.
func (r *runner) inTransaction(ctx context.Context, m layout.Migration, statements []layout.Statement, attempt int) *failure {
	began := time.Now()
	if _, err := r.session.conn.Exec(ctx, "BEGIN"); err != nil {
		return r.session.failed(layout.Statement{}, err)
	}
	for _, s := range statements {
		if err := r.statement(ctx, m, s, attempt); err != nil {
			return r.rollBack(ctx, s, err)
		}
	}
	err := r.write(ctx, r.table.After(m, layout.Record{Down: r.o.Down, Took: time.Since(began), By: r.session.user}))
	if err == nil {
		err = r.witness(ctx)
	}
	if err != nil {
		return r.rollBack(ctx, layout.Statement{}, err)
	}
	return r.commit(ctx, m)
}

// rollBack ends the transaction also when ctx is over, so that nobody waits for its locks any longer.
func (r *runner) rollBack(ctx context.Context, s layout.Statement, err error) *failure {
	f := r.session.failed(s, err)
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if _, err := r.session.conn.Exec(bye, "ROLLBACK"); err != nil {
		f.lost, f.again = true, false
	}
	return f
}

func (r *runner) write(ctx context.Context, queries []layout.Query) error {
	for _, q := range queries {
		if _, err := r.session.conn.Exec(ctx, q.SQL, q.Args...); err != nil {
			return fmt.Errorf("record it in %s: %w", r.table.Name, err)
		}
	}
	return nil
}

// witness lets whoever watches read what the transaction holds. A read that fails costs the exactness of what was seen, and
// not the migration.
func (r *runner) witness(ctx context.Context) error {
	w, ok := r.o.Watch.(data.Witness)
	if !ok {
		return nil
	}
	conn := r.session.conn
	if _, err := conn.Exec(ctx, "SAVEPOINT greenroom_witness"); err != nil {
		return err
	}
	err := w.Held(ctx, func(ctx context.Context, query string) (string, error) {
		var value *string
		if err := conn.QueryRow(ctx, query).Scan(&value); err != nil || value == nil {
			return "", err
		}
		return *value, nil
	})
	end := "RELEASE greenroom_witness"
	if err != nil {
		end = "ROLLBACK TO greenroom_witness"
	}
	_, err = conn.Exec(ctx, end)
	return err
}

// commit commits whatever becomes of ctx: it is too late to turn back. Where the answer does not come the version table
// decides, once the backend is gone.
func (r *runner) commit(ctx context.Context, m layout.Migration) *failure {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	_, err := r.session.conn.Exec(bounded, "COMMIT")
	if err == nil {
		return nil
	}
	f := r.session.failed(layout.Statement{}, fmt.Errorf("commit: %w", err))
	if !f.lost {
		return f
	}
	state, settle := r.settle(ctx)
	if settle != nil {
		f.err = problem.New(problem.Inconclusive, "the connection was lost while %s was committed, and the version table can't be read to see whether it was: %w", r.file(m), settle)
		return f
	}
	if state.Has(m) == r.o.Down {
		return f
	}
	return nil
}

// commitTimeout bounds COMMIT, which waits for the disk, and for standbys where the server is told to.
const commitTimeout = time.Minute

// settle ends the session's backend and reads the version table on a new connection.
func (r *runner) settle(ctx context.Context) (layout.State, error) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := r.session.end(bounded, r.d); err != nil {
		return layout.State{}, err
	}
	return r.d.Applied(bounded, r.o.Tool)
}

// pause lets everybody pass who stood behind, longer each time.
func (r *runner) pause(ctx context.Context, attempt int) error {
	d := r.o.Pause << min(attempt, 10)
	if d > 10*r.o.Pause {
		d = 10 * r.o.Pause
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(jitter(d)):
		return nil
	}
}
