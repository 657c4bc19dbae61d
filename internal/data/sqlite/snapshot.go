package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/human"
	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// The file of a snapshot, and how long its moment may be held unless the options say otherwise.
const (
	snapshotFile  = "database"
	snapshotHeld  = time.Hour
	progressEvery = 250 * time.Millisecond
)

// Snapshot writes the masked copy as a database of its own: each row is read in one transaction, masked, and inserted into
// a file that was empty. A copy of the file would carry deleted rows along in its free pages. What SQLite derives from
// rows (indexes, full-text tables and those they keep, statistics) is derived anew.
//
// Where it is less than with PostgreSQL: one connection reads, so jobs only mask side by side. Writers go on meanwhile with
// a write-ahead log, which grows until the end; without one (journal_mode is not wal) they wait until the moment is let go.
func (d *Database) Snapshot(ctx context.Context, dir string, o data.SnapshotOptions) (s data.Snapshot, err error) {
	if o.Timeout == 0 {
		o.Timeout = snapshotHeld
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jobs <= 0 {
		o.Jobs = min(4, runtime.GOMAXPROCS(0))
	}
	folder, err := data.NewFolder(dir)
	if err != nil {
		return data.Snapshot{}, err
	}
	defer func() { err = errors.Join(err, folder.Discard()) }()
	held, cancel := context.WithTimeoutCause(ctx, o.Timeout, errHeld)
	defer cancel()
	w := &snapshotWriter{database: d, options: o, file: folder.Path(snapshotFile), pace: &pace{rate: o.Rate}}
	started := time.Now()
	err = d.moment(held, func(conn *sql.Conn) error { return w.write(held, conn) })
	switch {
	case err != nil && errors.Is(context.Cause(held), errHeld) && ctx.Err() == nil:
		return data.Snapshot{}, problem.New(problem.Fail, "the snapshot of %s was not done within %s, and its moment is not held longer", d.file, human.Duration(o.Timeout)).
			WithHint("give it more time, or a higher rate")
	case codeOf(err) == codeFull:
		return data.Snapshot{}, problem.New(problem.Unavailable, "the disk is full where the snapshot %s is written: %w", dir, err).
			WithHint("make room there (df -h %s); nothing was left behind", filepath.Dir(dir))
	case err != nil:
		return data.Snapshot{}, fmt.Errorf("take a snapshot of %s: %w", d.file, err)
	}
	if err := w.search(ctx); err != nil {
		return data.Snapshot{}, err
	}
	if err := folder.Adopt(snapshotFile); err != nil {
		return data.Snapshot{}, err
	}
	w.snapshot.Took = time.Since(started)
	w.snapshot.By(w.options)
	return folder.Complete(w.snapshot)
}

var errHeld = errors.New("the moment was held for too long")

// snapshotWriter is a snapshot on its way.
type snapshotWriter struct {
	database  *Database
	options   data.SnapshotOptions
	file      string
	pace      *pace
	source    *structure
	masks     *masks
	snapshot  data.Snapshot
	progress  data.Progress
	told      time.Time
	sieve     *mask.Sieve
	statement map[string]string // what is executed, by the entry's id
	unchecked bool              // checks are made once the tables have their final statements
	secure    bool              // what is freed is overwritten
}

// write fills the file from the connection's moment.
func (w *snapshotWriter) write(ctx context.Context, from *sql.Conn) (err error) {
	if err := w.prepare(ctx, from); err != nil {
		return err
	}
	// SQLite would make it readable for all.
	if err := os.WriteFile(w.file, nil, 0o600); err != nil {
		return err
	}
	return connect(ctx, address(w.file, url.Values{}), func(to *sql.Conn) error {
		if err := w.begin(ctx, to); err != nil {
			return err
		}
		for _, t := range w.source.tables {
			if err := w.carry(ctx, t, from, to); err != nil {
				return err
			}
		}
		if err := w.finish(ctx, from, to); err != nil {
			return err
		}
		return w.compare(ctx, from, to)
	})
}

// prepare reads what there is and checks the rules against it, before anything is written.
func (w *snapshotWriter) prepare(ctx context.Context, from *sql.Conn) (err error) {
	o := w.options
	w.snapshot = data.Snapshot{Engine: engineName, Taken: o.Now().UTC()}
	if w.source, err = readStructure(ctx, from); err != nil {
		return err
	}
	if w.masks, err = w.source.compile(o.Rules, o.Key); err != nil {
		return err
	}
	w.sieve = mask.NewSieve(mask.Canaries, w.source.texts())
	w.masks.sieve = w.sieve
	if err := w.source.measure(ctx, from); err != nil {
		return err
	}
	text, err := describe(ctx, from)
	if err != nil {
		return err
	}
	w.snapshot.Schema = fingerprint(text)
	if w.snapshot.Rules, err = o.Rules.Digest(); err != nil {
		return err
	}
	w.progress.Of = len(w.source.tables)
	return from.QueryRowContext(ctx, "SELECT sqlite_version(), page_size * page_count FROM pragma_page_size, pragma_page_count").
		Scan(&w.snapshot.Version, &w.snapshot.Source)
}

// begin makes the empty tables. Nothing here is worth a journal: a file that is not finished is thrown away.
func (w *snapshotWriter) begin(ctx context.Context, to *sql.Conn) error {
	s := w.source
	statements := []string{
		"PRAGMA encoding = '" + s.encoding + "'", fmt.Sprintf("PRAGMA page_size = %d", s.pageSize),
		"PRAGMA journal_mode = off", "PRAGMA synchronous = off", "PRAGMA locking_mode = exclusive",
		"PRAGMA cache_size = -32000", "PRAGMA foreign_keys = off",
	}
	for _, p := range s.pragmas {
		statements = append(statements, "PRAGMA "+p)
	}
	w.drafts()
	if w.secure {
		statements = append(statements, "PRAGMA secure_delete = on")
	}
	if w.unchecked {
		statements = append(statements, "PRAGMA ignore_check_constraints = on")
	}
	if err := run(ctx, to, statements...); err != nil {
		return err
	}
	return w.make(ctx, to, "table")
}

// make executes the statements of a kind, in the order in which they were first.
func (w *snapshotWriter) make(ctx context.Context, to *sql.Conn, kind string) error {
	for _, e := range w.source.entries {
		if e.kind != kind {
			continue
		}
		if err := run(ctx, to, w.statement[e.id()]); err != nil {
			return problem.New(problem.Fail, "the %s can't be made from what is masked: %w", e.id(), err).
				WithHint("where it says that values are not unique or a constraint failed, a rule of that table's columns made them so")
		}
	}
	return nil
}

// carry copies a table's rows.
func (w *snapshotWriter) carry(ctx context.Context, t *table, from, to *sql.Conn) (err error) {
	_, none := w.masks.proper.Table(t.name)
	m := data.SnapshotTable{Name: t.name, Source: t.bytes, Index: t.bytes - t.own, None: none, Sum: sum{}.String()}
	if !none {
		if err := run(ctx, to, "BEGIN"); err != nil {
			return err
		}
		p := &pump{table: t, width: t.width(), jobs: w.options.Jobs, masks: w.masks, pace: w.pace, moved: func(rows, bytes int64) {
			w.progress.Table, w.progress.Rows, w.progress.Bytes = t.name, w.progress.Rows+rows, w.progress.Bytes+bytes
			w.tell(false)
		}}
		done, err := p.run(ctx, from, to)
		if err != nil {
			return masked(t, err)
		}
		if err := run(ctx, to, "COMMIT"); err != nil {
			return err
		}
		if m.Rows, m.Bytes, m.Sum, err = w.readBack(ctx, t, to, done); err != nil {
			return err
		}
		for i, c := range t.columns {
			if n := done.changed[i]; n > 0 {
				if m.Changed == nil {
					m.Changed = map[string]int64{}
				}
				m.Changed[c.name] = n
			}
		}
	}
	w.snapshot.Tables = append(w.snapshot.Tables, m)
	w.progress.Table = t.name
	w.progress.Tables++
	w.tell(true)
	return nil
}

// readBack sums up what came out of a table's rows.
func (w *snapshotWriter) readBack(ctx context.Context, t *table, to *sql.Conn, done carried) (rows, bytes int64, sum string, err error) {
	all, err := t.tally(ctx, to)
	if err == nil && all.rows != done.rows {
		err = problem.New(problem.Fail, "the table %s has %d rows after %d were written", t.name, all.rows, done.rows)
	}
	return all.rows, all.bytes, all.sum.String(), err
}

// masked explains a table that does not take what the rules made of its values.
func masked(t *table, err error) error {
	if !isConstraint(err) {
		return err
	}
	return problem.New(problem.Fail, "the table %s does not take its masked rows: %w", t.name, err).
		WithHint("choose another rule for the columns of that constraint")
}

// tell says how far it is, and not too often unless it must.
func (w *snapshotWriter) tell(must bool) {
	if w.options.Progress == nil || !must && time.Since(w.told) < progressEvery {
		return
	}
	w.told = time.Now()
	w.options.Progress(w.progress)
}

// finish makes what is derived from rows, and what would have acted on them while they were written.
func (w *snapshotWriter) finish(ctx context.Context, from, to *sql.Conn) error {
	if err := w.settle(ctx, to); err != nil {
		return err
	}
	for _, kind := range []string{"index", "view"} {
		if err := w.make(ctx, to, kind); err != nil {
			return err
		}
	}
	if err := w.sequences(ctx, from, to); err != nil {
		return err
	}
	for _, t := range w.source.rebuilt {
		if err := run(ctx, to, fmt.Sprintf("INSERT INTO %[1]s (%[1]s) VALUES ('rebuild')", quote(t.name))); err != nil {
			return problem.New(problem.Fail, "the index %s can't be built anew: %w", t.name, err).
				WithHint("an index of words that names its content has to find its columns there")
		}
	}
	if err := w.make(ctx, to, "trigger"); err != nil || !w.unchecked {
		return err
	}
	var verdict string
	if err := to.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return problem.New(problem.Fail, "the masked copy does not hold what its schema demands: %s", verdict).
			WithHint("choose another rule for the columns of that check")
	}
	return nil
}

// sequences carries over how far AUTOINCREMENT has counted, which is above the highest number where rows were deleted.
// Where the numbers were masked, it begins above the highest masked one, as SQLite has it already.
func (w *snapshotWriter) sequences(ctx context.Context, from, to *sql.Conn) error {
	var n int
	if err := from.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'").Scan(&n); err != nil || n == 0 {
		return err
	}
	counts := map[string]int64{}
	err := each(ctx, from, "SELECT name, seq FROM sqlite_sequence WHERE typeof(seq) = 'integer'", func(scan func(...any) error) error {
		var name string
		var seq int64
		err := scan(&name, &seq)
		counts[name] = seq
		return err
	})
	for _, t := range w.source.tables {
		seq, ok := counts[t.name]
		if !ok || err != nil || len(t.pk) != 1 {
			continue
		}
		if m, none := w.masks.proper.Table(t.name); none || !m.Keeps(t.index(t.pk[0])) {
			continue
		}
		if _, err = to.ExecContext(ctx, "DELETE FROM sqlite_sequence WHERE name = ?", t.name); err == nil {
			_, err = to.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", t.name, seq)
		}
	}
	return err
}

// compare says what came out, and whether rows have lost what they refer to on the way. The journal is the source's again.
func (w *snapshotWriter) compare(ctx context.Context, from, to *sql.Conn) error {
	before, err := orphans(ctx, from, w.source)
	if err != nil {
		return err
	}
	after, err := orphans(ctx, to, w.source)
	if err != nil {
		return err
	}
	for _, a := range after {
		was := slices.IndexFunc(before, func(b orphan) bool { return b.same(a) })
		if w.none(a.parent) || was >= 0 && before[was].Rows >= a.Rows {
			continue // rows that were left behind are missed
		}
		return problem.New(problem.Fail, "%d rows of %s refer to nothing any more: %s and %s are not masked in the same way", a.Rows, a.Table, a.Column, a.Refers).
			WithHint("give both columns the same rule")
	}
	text, err := describe(ctx, to)
	if err != nil {
		return err
	}
	w.snapshot.Masked = fingerprint(text)
	if w.source.journal == "wal" {
		return run(ctx, to, "PRAGMA locking_mode = normal", "PRAGMA journal_mode = wal")
	}
	return nil
}

func (w *snapshotWriter) none(table string) bool {
	return slices.ContainsFunc(w.snapshot.Tables, func(t data.SnapshotTable) bool { return strings.EqualFold(t.Name, table) && t.None })
}

func run(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
