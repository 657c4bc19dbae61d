package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/problem"
)

var _ data.Migrator = (*Database)(nil)

// Applied reads the tool's version table.
func (d *Database) Applied(ctx context.Context, tool layout.Tool) (s layout.State, err error) {
	err = d.with(ctx, func(conn *sql.Conn) error {
		s, err = applied(ctx, conn, layout.VersionTable(tool, layout.SQLite, ""))
		return err
	})
	if err != nil {
		return layout.State{}, fmt.Errorf("read the version of %s: %w", d.file, err)
	}
	return s, nil
}

func applied(ctx context.Context, conn *sql.Conn, table layout.Table) (layout.State, error) {
	var n int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", table.Name).Scan(&n); err != nil {
		return layout.State{}, err
	}
	if n == 0 {
		s := table.State(nil)
		s.Missing = true
		return s, nil
	}
	var rows []layout.Row
	q := table.Read()
	err := each(ctx, conn, q.SQL, func(scan func(...any) error) error {
		var r layout.Row
		err := scan(&r.Version, &r.Name, &r.Checksum, &r.At, &r.Kind, &r.Yes)
		rows = append(rows, r)
		return err
	}, q.Args...)
	return table.State(rows), err
}

// Run runs migrations in this process. Two runs at once wait for one another, by a lock on the database's folder; a tool
// that runs beside them waits for the write lock, as they do. Foreign keys are not enforced meanwhile, which is SQLite's
// own default and that of the tools: a table that others refer to can be dropped and made anew. A lock time-out is SQLite's
// busy time-out; there are no sessions to end, so what Blockers returns is left alone.
func (d *Database) Run(ctx context.Context, o data.RunOptions) (ran data.Ran, err error) {
	for _, m := range o.Migrations {
		if o.Down && m.Down == nil {
			return ran, problem.New(problem.Invalid, "%s has no way down", m.File)
		}
	}
	if len(o.Migrations) == 0 {
		return ran, nil
	}
	unlock, err := lockFolder(ctx, filepath.Dir(d.file))
	if err != nil {
		return ran, fmt.Errorf("wait for another migrator of %s: %w", d.file, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := d.create(); err != nil {
		return ran, err
	}
	r := &runner{database: d, options: o, table: layout.VersionTable(o.Tool, layout.SQLite, "")}
	r.witness, _ = o.Watch.(data.Witness)
	if w, ok := o.Watch.(*watch); ok {
		w.attach(1)
		defer w.attach(-1)
	}
	if r.looker = newKernelLooker(d.file); r.looker == nil {
		r.looker = blind{}
	}
	for _, m := range o.Migrations {
		f, done, err := r.migrate(ctx, m)
		if f != nil {
			ran.Failed, ran.File, ran.Line, ran.SQL, ran.Partial = f.text, r.file(m), f.statement.Line, f.statement.SQL, f.partial
		}
		if err != nil {
			return ran, fmt.Errorf("run %s: %w", r.file(m), err)
		}
		if f != nil {
			return ran, nil
		}
		if done {
			ran.Done = append(ran.Done, r.file(m))
		}
	}
	return ran, nil
}

// blind sees no locks.
type blind struct{}

func (blind) look() ([]hold, error) { return nil, nil }
func (blind) close() error          { return nil }

// lockFolder waits for an exclusive lock on a folder, which the kernel lets go with the process.
func lockFolder(ctx context.Context, dir string) (unlock func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if err := wait(ctx, pause); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// create makes the file of a database that is not there yet, as its folder's owner's. An empty file is a database.
func (d *Database) create() error {
	uid, gid, perm, err := d.owner()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chown(uid, gid), f.Close())
}

// runner runs migrations one after the other.
type runner struct {
	database *Database
	options  data.RunOptions
	table    layout.Table
	witness  data.Witness
	looker   looker
}

// failure is what the database said to a statement.
type failure struct {
	text      string
	statement layout.Statement
	busy      bool // a lock was in the way, and nothing is left of what was tried
	partial   bool
}

func (r *runner) file(m layout.Migration) string {
	if r.options.Down && m.DownFile != "" {
		return m.DownFile
	}
	return m.File
}

// migrate runs a migration, again after each lock time-out. It is not done where somebody else has done it meanwhile.
func (r *runner) migrate(ctx context.Context, m layout.Migration) (f *failure, done bool, err error) {
	pause := r.options.Pause
	for retries := 0; ; retries++ {
		err := r.connected(ctx, func(conn *sql.Conn) (err error) {
			a := &attempt{runner: r, conn: conn, migration: m, retries: retries}
			f, done, err = a.run(ctx)
			return err
		})
		if err != nil || f == nil || !f.busy || retries >= r.options.Retries {
			return f, done, err
		}
		if err := wait(ctx, pause); err != nil {
			return nil, false, err
		}
		pause = min(2*pause, 10*r.options.Pause)
	}
}

// connected gives each attempt a connection of its own, so that no setting of an earlier one is left.
func (r *runner) connected(ctx context.Context, f func(*sql.Conn) error) error {
	return connect(ctx, address(r.database.file, url.Values{"mode": {"rw"}}), f)
}
