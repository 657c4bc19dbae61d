package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// catalogue is what relations there are in one moment.
type catalogue struct {
	relations map[uint32]seenRelation
	wal       int64 // where the write-ahead log is
}

// seenRelation is a table, or what belongs to one.
type seenRelation struct {
	name  string // as mask.Table has it: "orders", "billing.invoices"
	table uint32 // whose index or TOAST table it is; its own number for all else
	kind  string // as pg_class has it: r, p, m, v, S, …
	file  uint32
	rows  int64
	bytes int64 // without indexes
	index int64
}

// catalogueQuery has each relation of users', with the table that it belongs to. Sizes are of tables only: an index is
// part of its table's, and so is a TOAST table.
const catalogueQuery = `SELECT c.oid, CASE n.nspname WHEN 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END,
	coalesce(ti.oid, i.indrelid, t.oid, c.oid), c.relkind::text, coalesce(pg_relation_filenode(c.oid), 0),
	CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint WHEN c.relkind IN ('r', 'm') THEN coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), c.reltuples::bigint)
		ELSE -1 END, %s
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_index i ON i.indexrelid = c.oid
	LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
	LEFT JOIN pg_class ti ON ti.reltoastrelid = i.indrelid
	WHERE c.oid >= $1 AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_temp'`

// sizesMeasured are true sizes; to learn them a table has to be opened, and who holds an exclusive lock keeps us out. sizesGuessed are
// those that the planner knows, and are there for everybody at any time.
const (
	sizesMeasured = `CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_table_size(c.oid), 0) ELSE 0 END,
		CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_indexes_size(c.oid), 0) ELSE 0 END`
	sizesGuessed = `CASE WHEN c.relkind IN ('r', 'm') THEN c.relpages::bigint * current_setting('block_size')::bigint ELSE 0 END,
		CASE WHEN c.relkind IN ('r', 'm') THEN coalesce((SELECT sum(x.relpages)::bigint FROM pg_index j JOIN pg_class x ON x.oid = j.indexrelid
			WHERE j.indrelid = c.oid), 0) * current_setting('block_size')::bigint ELSE 0 END`
)

// sizeTimeout is how long a table's size is waited for.
const sizeTimeout = time.Second

// catalogue reads what there is. It stands in nobody's way: it waits for no lock for longer than sizeTimeout.
func (l *looker) catalogue(ctx context.Context) (catalogue, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := l.conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", sizeTimeout.Milliseconds())); err != nil {
		return catalogue{}, err
	}
	relations, err := l.relations(ctx, sizesMeasured)
	if err != nil && !l.conn.IsClosed() {
		relations, err = l.relations(ctx, sizesGuessed)
	}
	if err != nil {
		return catalogue{}, err
	}
	c := catalogue{relations: relations}
	// A standby writes no log of its own.
	err = l.conn.QueryRow(ctx, `SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') END::bigint`).Scan(&c.wal)
	return c, err
}

func (l *looker) relations(ctx context.Context, sizes string) (map[uint32]seenRelation, error) {
	rows, err := l.conn.Query(ctx, fmt.Sprintf(catalogueQuery, sizes), uint32(firstUsersOID))
	if err != nil {
		return nil, err
	}
	out := map[uint32]seenRelation{}
	var oid uint32
	var r seenRelation
	_, err = pgx.ForEachRow(rows, []any{&oid, &r.name, &r.table, &r.kind, &r.file, &r.rows, &r.bytes, &r.index}, func() error {
		out[oid] = r
		return nil
	})
	return out, err
}

// isTable says whether a relation is one that rows are kept in.
func (r seenRelation) isTable() bool { return r.kind == "r" || r.kind == "p" || r.kind == "m" }

// touched is what became of the tables that the migration touched: made, dropped, rewritten, or locked by it. A table
// that only grew while somebody else wrote to it is none of them.
func touched(before, after catalogue, locked map[uint32]bool) []migration.Table {
	var out []migration.Table
	for oid, a := range after.relations {
		if !a.isTable() {
			continue
		}
		b, was := before.relations[oid]
		rewritten := was && a.file != b.file
		if was && !rewritten && !locked[oid] {
			continue
		}
		if a.rows < 0 && !rewritten {
			a.rows = b.rows
		}
		t := migration.Table{Name: a.name, Made: !was, Rewritten: rewritten, Rows: a.rows,
			BytesBefore: b.bytes, BytesAfter: a.bytes, IndexBefore: b.index, IndexAfter: a.index}
		out = append(out, t)
	}
	for oid, b := range before.relations {
		if _, is := after.relations[oid]; !is && b.isTable() {
			out = append(out, migration.Table{Name: b.name, Dropped: true, Rows: b.rows, BytesBefore: b.bytes, IndexBefore: b.index})
		}
	}
	slices.SortFunc(out, func(a, b migration.Table) int { return strings.Compare(a.Name, b.Name) })
	return out
}
