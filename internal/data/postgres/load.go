package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"greenroom/internal/data"
	"greenroom/internal/problem"
)

// Load puts the snapshot into a new database beside this one and then gives that its name, as Restore does: the database is
// the old one until it is the new one, and one that was interrupted is done again from the start. Everything in it belongs
// to the database's owner, but for what only a superuser may have.
//
// Before anything is changed the manifest is read strictly and the digest of every file is compared. Before the swap:
//   - the server has counted as many rows for each file, and so for each table, as the snapshot says (by COPY's own count);
//   - where ReadBack is asked for, every table is read back whole, and its rows and their sum are the manifest's. In the sum
//     every column counts with its text, except masked ones of types whose texts have several spellings (numbers, times,
//     jsonb, arrays and the like): of those it counts whether they are null;
//   - every constraint has been checked by the server, foreign keys included, on all rows;
//   - the schema is what it was: everything in it but texts, and the texts too where none was masked. That is left out where
//     the server is of another major version, which may spell the same in another way.
func (d *Database) Load(ctx context.Context, dir string, o data.LoadOptions) (loaded data.Loaded, err error) {
	started := time.Now()
	s, c, err := readForLoad(ctx, dir)
	if err != nil {
		return loaded, err
	}
	if o.Jobs <= 0 {
		o.Jobs = min(4, runtime.NumCPU())
	}
	err = d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error {
		if err := d.mayLoad(ctx, conn); err != nil {
			return err
		}
		fresh, old := d.beside("load"), d.beside("replaced")
		for _, name := range []string{fresh, old} {
			if err := drop(ctx, conn, name); err != nil {
				return err
			}
		}
		if err := d.createLike(ctx, conn, fresh); err != nil {
			return fmt.Errorf("make the database %s: %w", fresh, err)
		}
		l := &loading{Database: d, o: o, dir: dir, name: fresh, manifest: s, catalog: c, places: placesOf(c), meter: newMeter(ctx, 0, o.Progress), major: serverMajor(conn)}
		err := l.fill(ctx)
		if err == nil {
			err = d.swap(ctx, conn, fresh, old)
		}
		if err != nil {
			return errors.Join(err, d.tidy(ctx, fresh))
		}
		loaded = data.Loaded{Rows: l.rows, Tables: len(c.Tables), Schema: l.schema}
		return drop(ctx, conn, old)
	})
	loaded.Took = time.Since(started)
	return loaded, d.failed(ctx, "load the snapshot into", err)
}

// ghost is how long the session of a Greenroom that was killed may go on, until it notices: it may be copying a database.
const ghost = 30 * time.Second

// mayLoad is mayRestore, so that the two exclude each other. The lock of one that was killed is waited for.
func (d *Database) mayLoad(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(ghost); ; {
		err := d.mayRestore(ctx, conn)
		p := problem.From(err)
		switch {
		case p == nil || p.Code != problem.Blocked:
			return err
		case p.Hint != "": // it is not the lock
			return p.WithHint("use a role that may create databases, or ALTER ROLE … CREATEDB")
		case time.Now().After(deadline):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tidyTimeout is how long is waited for a database that came to nothing to go.
const tidyTimeout = 20 * time.Second

// tidy removes what an attempt made that failed, also one that was cancelled. What it can't remove the next one does.
func (d *Database) tidy(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	return d.with(ctx, d.maintenance(), func(conn *pgx.Conn) error { return drop(ctx, conn, name) })
}

// readForLoad reads all of a snapshot before anything is changed.
func readForLoad(ctx context.Context, dir string) (s data.Snapshot, c catalog, err error) {
	if s, err = data.ReadSnapshot(dir); err != nil {
		return s, c, err
	}
	if s.Engine != engine {
		return s, c, problem.New(problem.Fail, "the snapshot in %s is of %s, the database is PostgreSQL", dir, s.Engine).
			WithHint("take a snapshot of a PostgreSQL database; nothing was changed")
	}
	if s, err = data.VerifySnapshot(ctx, dir); err != nil {
		return s, c, err
	}
	f, err := os.Open(filepath.Join(dir, catalogFile))
	if err != nil {
		return s, c, err
	}
	defer f.Close() //nolint:errcheck // read only
	if c, err = readCatalog(f); err == nil {
		err = c.agrees(s)
	}
	if err != nil {
		return s, c, problem.New(problem.Fail, "the snapshot in %s does not agree with itself: %w", dir, err).
			WithHint("take another snapshot; nothing was changed")
	}
	return s, c, nil
}

// agrees compares the catalogue with the manifest: the same tables, and each file in one place.
func (c catalog) agrees(s data.Snapshot) error {
	if len(c.Tables) != len(s.Tables) {
		return fmt.Errorf("it has %d tables and %d", len(c.Tables), len(s.Tables))
	}
	left := map[string]bool{}
	for _, f := range s.Files {
		left[f.Name] = true
	}
	take := func(name string) error {
		if !left[name] {
			return fmt.Errorf("the file %s is not in the manifest, or is used twice", name)
		}
		delete(left, name)
		return nil
	}
	err := errors.Join(take(catalogFile), take(beforeFile), take(afterFile))
	for i, t := range c.Tables {
		if m := s.Tables[i]; t.Rule != m.Name || t.None != m.None {
			return fmt.Errorf("the tables %s and %s", t.Rule, m.Name)
		}
		for _, h := range t.Heaps {
			for _, f := range h.Files {
				err = errors.Join(err, take(f.Name))
			}
		}
	}
	if err == nil && len(left) > 0 {
		err = errors.New("it has files that belong to nothing")
	}
	return err
}

// loading is one load while it goes on.
type loading struct {
	*Database
	o        data.LoadOptions
	dir      string
	name     string // of the database that is filled
	manifest data.Snapshot
	catalog  catalog
	places   map[catalogName]int // of tables in the catalogue
	meter    *meter
	major    int    // of the server
	rows     int64  // that came in
	schema   string // fingerprint of what came out
}

func (l *loading) fill(ctx context.Context) error {
	sessions, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sessions {
			hangUp(ctx, s.Conn)
			<-s.PgConn().CleanupDone()
		}
	}()
	before, err := l.script(beforeFile)
	if err != nil {
		return err
	}
	after, err := l.script(afterFile)
	if err != nil {
		return err
	}
	first := sessions[0]
	if !l.catalog.Public {
		before = append([]string{"DROP SCHEMA public"}, before...)
	}
	for _, statement := range before {
		if err := first.perform(ctx, statement); err != nil {
			return l.schemaFailed(statement, err)
		}
	}
	if err := l.fillTables(ctx, sessions); err != nil {
		return err
	}
	if err := l.finish(ctx, sessions, after); err != nil {
		return err
	}
	return l.sameSchema(ctx)
}

// loader is a connection that fills a database in the name of its owner.
type loader struct {
	*pgx.Conn
	owner string // "" is whoever connected
}

func (l *loading) open(ctx context.Context) (sessions []*loader, err error) {
	settings := append(spelling(), "application_name = 'greenroom load'", "statement_timeout = 0", "lock_timeout = 0",
		"idle_in_transaction_session_timeout = 0", "synchronous_commit = off", "maintenance_work_mem = '128MB'", "check_function_bodies = off",
		fmt.Sprintf("max_parallel_maintenance_workers = %d", helpers(runtime.NumCPU(), l.o.Jobs)))
	defer func() {
		if err != nil {
			for _, s := range sessions {
				hangUp(ctx, s.Conn)
			}
			sessions = nil
		}
	}()
	for range l.o.Jobs {
		conn, err := l.session(ctx, l.name, settings)
		if err != nil {
			return sessions, err
		}
		s := &loader{Conn: conn}
		sessions = append(sessions, s)
		var owner string
		var own bool
		err = conn.QueryRow(ctx, `SELECT pg_get_userbyid(datdba), pg_get_userbyid(datdba) = current_user
			FROM pg_database WHERE datname = current_database()`).Scan(&owner, &own)
		if err != nil {
			return sessions, err
		}
		if !own {
			s.owner = owner
			if err := s.become(ctx, owner); err != nil {
				return sessions, err
			}
		}
	}
	return sessions, nil
}

// helpers is how many workers PostgreSQL may take for one index. Where the connections keep all processors busy more of them
// only cost: a tenth of a load's processor time.
func helpers(processors, jobs int) int { return min(2, max(0, processors/jobs-1)) }

func (s *loader) become(ctx context.Context, owner string) error {
	_, err := s.Exec(ctx, "SET ROLE "+quote(owner))
	return err
}

// perform runs a statement as the owner, and what only a superuser may (an extension, an event trigger) as who we are. A
// statement that a deadlock ended is run again.
func (s *loader) perform(ctx context.Context, statement string) error {
	err := s.again(ctx, statement)
	if s.owner == "" || code(err) != "42501" { // insufficient_privilege
		return err
	}
	if _, err := s.Exec(ctx, "RESET ROLE"); err != nil {
		return err
	}
	return errors.Join(s.again(ctx, statement), s.become(ctx, s.owner))
}

func (s *loader) again(ctx context.Context, statement string) (err error) {
	for range 5 {
		if err = perform(ctx, s.Conn, statement); code(err) != "40P01" { // deadlock_detected
			return err
		}
	}
	return err
}

// code is the SQLSTATE of an error, "" of any other.
func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// script reads the statements of one of the schema's files.
func (l *loading) script(name string) ([]string, error) {
	text, err := l.read(name)
	if err != nil {
		return nil, err
	}
	return split(text), nil
}

func (l *loading) read(name string) (string, error) {
	f, err := os.Open(filepath.Join(l.dir, name))
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	z, err := decompressor(f)
	if err != nil {
		return "", err
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	return string(text), err
}

// sameSchema compares what was made with what the snapshot is of, text by text where none was masked. Two major versions
// spell some things in two ways.
func (l *loading) sameSchema(ctx context.Context) error {
	fresh := *l.Database
	fresh.name = l.name
	description, err := fresh.Describe(ctx)
	if err != nil {
		return err
	}
	l.schema = fingerprintOf(description)
	if l.major != Major(l.manifest.Version) {
		return nil
	}
	if l.catalog.Skeleton != fingerprintOf(skeleton(description)) || l.manifest.Masked != "" && l.manifest.Masked != l.schema {
		return problem.New(problem.Fail, "the schema did not come out as it went in").
			WithHint("compare the extensions of both servers (SELECT extname, extversion FROM pg_extension); the database was not touched")
	}
	return nil
}

// schemaFailed tells which statement did not work, by its beginning, and on which servers.
func (l *loading) schemaFailed(statement string, err error) error {
	if p := l.refused(err, statement); p != nil {
		return p
	}
	if code(err) == "" {
		return err
	}
	start, _, _ := strings.Cut(statement, "\n")
	return problem.New(problem.Fail, "a statement of the schema of PostgreSQL %s does not work here: %.200s: %w", l.manifest.Version, start, withoutValues(err)).
		WithHint("the database was not touched; does the server have the same version and the same extensions?")
}

var copyColumn = regexp.MustCompile(`^COPY .*, line \d+, column ([^:]+)`)

// refused makes a problem of rows that the server does not take. Classes of SQLSTATE: 22 is a value that a type can't
// have, 23 a constraint that does not hold. The server's details quote rows, so they are not told.
func (l *loading) refused(err error, statement string) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || (pe.Code[:2] != "22" && pe.Code[:2] != "23") {
		return nil
	}
	what := "a value does not fit its column"
	if pe.Code[:2] == "23" {
		what = "the masked rows break the constraint " + pe.ConstraintName
		if pe.ConstraintName == "" {
			what = "the masked rows break NOT NULL of the column " + pe.ColumnName
		}
	}
	if m := copyColumn.FindStringSubmatch(pe.Where); m != nil && pe.Code[:2] == "22" {
		what = "a value does not fit the column " + m[1]
	}
	table := pe.TableName
	if pe.SchemaName != "" && pe.TableName != "" {
		table = ruleName(pe.SchemaName, pe.TableName)
	} else if tables := l.tablesIn(statement); len(tables) > 0 {
		table = l.catalog.Tables[tables[0]].Rule
	}
	return problem.New(problem.Fail, "%s in %s (SQLSTATE %s)", what, table, pe.Code).
		WithHint("look at the mask's rules for %s; the database was not touched", l.suspects(table))
}

// suspects are the columns of a table, or of all, that a mask changed.
func (l *loading) suspects(table string) string {
	for i, t := range l.manifest.Tables {
		if t.Name != table && !l.isHeapOf(i, table) {
			continue
		}
		var columns []string
		for name := range t.Changed {
			columns = append(columns, t.Name+"."+name)
		}
		slices.Sort(columns)
		if len(columns) > 0 {
			return strings.Join(columns, ", ")
		}
	}
	return table + ", and the tables that it refers to"
}

func (l *loading) isHeapOf(table int, name string) bool {
	return slices.ContainsFunc(l.catalog.Tables[table].Heaps, func(h catalogHeap) bool { return ruleName(h.Schema, h.Name) == name })
}
