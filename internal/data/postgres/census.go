package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

var _ data.Comparer = (*Database)(nil)

// Census counts every table that has rows of its own, a partitioned one as the whole that it is, and reads each once. It takes
// the sums over the values' texts under fixed settings, so that a server's or a role's own make no difference. Views,
// materialized ones too, and foreign tables are not counted.
func (d *Database) Census(ctx context.Context) (migration.Census, error) {
	var c migration.Census
	err := d.with(ctx, d.name, func(conn *pgx.Conn) error {
		return d.moment(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, censusSettings); err != nil {
				return err
			}
			var snapshot string
			if err := tx.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
				return err
			}
			tables, err := countable(ctx, tx)
			if err != nil {
				return err
			}
			keys, err := foreignKeys(ctx, tx)
			if err != nil {
				return err
			}
			c, err = d.countAll(ctx, snapshot, tables, keys)
			return err
		})
	})
	if err != nil {
		return migration.Census{}, d.failed(ctx, "count what is in", err)
	}
	return c, nil
}

// moment runs f in a transaction that sees one moment and changes nothing.
func (d *Database) moment(ctx context.Context, conn *pgx.Conn, f func(pgx.Tx) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, conn, options, f)
}

// censusSettings fix how values are written, and see to it that all rows are seen or none: row security would hide some.
const censusSettings = `SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
	SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL statement_timeout = 0`

// countedTable is a table as the catalogue has it.
type countedTable struct {
	Schema, Name string
	Only         bool // its children are tables of their own
	Columns      []countedColumn
}

type countedColumn struct {
	Name, Type string
	Plain      bool // its type is the system's own: the cast to text is nobody else's function
}

func (t countedTable) title() string { return title(t.Schema, t.Name) }

// title is a table's name as people and rules write it.
func title(schema, name string) string {
	if schema == "public" {
		return name
	}
	return schema + "." + name
}

// from is the table in a query.
func (t countedTable) from() string {
	if t.Only {
		return "ONLY " + quote(t.Schema, t.Name)
	}
	return quote(t.Schema, t.Name)
}

// countable are the tables, the largest first, so that none of them is left to the end.
func countable(ctx context.Context, tx pgx.Tx) ([]*countedTable, error) {
	rows, err := tx.Query(ctx, `SELECT n.nspname, c.relname, c.relkind = 'r', coalesce(a.attname, ''), coalesce(format_type(a.atttypid, a.atttypmod), ''),
			coalesce(y.typtype = 'b' AND y.typnamespace = 'pg_catalog'::regnamespace AND y.typelem = 0, false)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_type y ON y.oid = a.atttypid
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
			AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
		ORDER BY pg_table_size(c.oid) DESC, n.nspname, c.relname, a.attname`)
	if err != nil {
		return nil, err
	}
	var all []*countedTable
	var t countedTable
	var column countedColumn
	_, err = pgx.ForEachRow(rows, []any{&t.Schema, &t.Name, &t.Only, &column.Name, &column.Type, &column.Plain}, func() error {
		if last := len(all) - 1; last < 0 || all[last].Schema != t.Schema || all[last].Name != t.Name {
			all = append(all, &countedTable{Schema: t.Schema, Name: t.Name, Only: t.Only})
		}
		if column.Name != "" {
			column.Type = strings.TrimPrefix(column.Type, "public.")
			all[len(all)-1].Columns = append(all[len(all)-1].Columns, column)
		}
		return nil
	})
	return all, err
}

// countAll counts tables and looks for orphans, several at the same time on connections that see the same moment.
func (d *Database) countAll(ctx context.Context, snapshot string, tables []*countedTable, keys []foreignKey) (migration.Census, error) {
	counts := make([]migration.Count, len(tables))
	orphans := make([]migration.Orphan, len(keys))
	work := make(chan func(pgx.Tx) error, len(tables)+len(keys))
	for i, t := range tables {
		work <- func(tx pgx.Tx) (err error) {
			counts[i], err = t.count(ctx, tx)
			return err
		}
	}
	for i, k := range keys {
		work <- func(tx pgx.Tx) (err error) {
			orphans[i], err = k.count(ctx, tx)
			return err
		}
	}
	close(work)
	jobs := min(runtime.GOMAXPROCS(0), maxCensusJobs, len(work))
	if err := d.crew(ctx, snapshot, jobs, work); err != nil {
		return migration.Census{}, err
	}
	orphans = slices.DeleteFunc(orphans, func(o migration.Orphan) bool { return o.Rows == 0 })
	slices.SortFunc(counts, func(a, b migration.Count) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(orphans, func(a, b migration.Orphan) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Refers, b.Refers))
	})
	return migration.Census{Tables: counts, Orphans: orphans}, nil
}

// maxCensusJobs bounds the load on a server that others use.
const maxCensusJobs = 4

// crew does the work on so many connections; the first fault ends all.
func (d *Database) crew(ctx context.Context, snapshot string, jobs int, work <-chan func(pgx.Tx) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, jobs)
	var group sync.WaitGroup
	for i := range jobs {
		group.Go(func() {
			errs[i] = d.with(ctx, d.name, func(conn *pgx.Conn) error {
				return d.moment(ctx, conn, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT "+literal(snapshot)+"; "+censusSettings); err != nil {
						return err
					}
					for f := range work {
						if err := f(tx); err != nil {
							return err
						}
					}
					return nil
				})
			})
			if errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	return first(errs)
}

// first is the error that made the others: they were only cancelled.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

// columnsAtOnce keeps a query below the 1,664 columns that a result may have; a table with more columns is read again.
const columnsAtOnce = 800

// count reads a table once. A sum is taken over hashes of 64 bits, exactly, so that the rows' order makes no difference, and
// a value that is there twice counts twice.
func (t *countedTable) count(ctx context.Context, tx pgx.Tx) (migration.Count, error) {
	c := migration.Count{Name: t.title(), Columns: []migration.ColumnCount{}}
	for from := 0; from == 0 || from < len(t.Columns); from += columnsAtOnce {
		columns := t.Columns[from:min(from+columnsAtOnce, len(t.Columns))]
		query := []string{"count(*)"}
		for _, column := range columns {
			query = append(query, column.expressions()...)
		}
		values := make([]any, 1, len(query))
		values[0] = &c.Rows
		filled, sums := make([]int64, len(columns)), make([]string, len(columns))
		for i := range columns {
			values = append(values, &filled[i], &sums[i])
		}
		if err := tx.QueryRow(ctx, "SELECT "+strings.Join(query, ", ")+" FROM "+t.from()).Scan(values...); err != nil {
			return c, fmt.Errorf("count %s: %w", c.Name, err)
		}
		for i, column := range columns {
			c.Columns = append(c.Columns, migration.ColumnCount{Name: column.Name, Type: column.Type, Nulls: c.Rows - filled[i], Sum: sums[i]})
		}
	}
	slices.SortFunc(c.Columns, func(a, b migration.ColumnCount) int { return cmp.Compare(a.Name, b.Name) })
	return c, nil
}

// expressions are how many values a column has, and their sum. format writes a value with its type's own output function;
// a cast may be anybody's.
func (c countedColumn) expressions() []string {
	name := quote(c.Name)
	hash := `hashtextextended((` + name + `)::text COLLATE "C", 0)`
	if !c.Plain {
		hash = `CASE WHEN ` + name + ` IS DISTINCT FROM NULL THEN hashtextextended(format('%s', ` + name + `) COLLATE "C", 0) END`
	}
	return []string{"count(" + name + ")", "coalesce(sum(" + hash + "), 0)::text"}
}

// foreignKey is one that the catalogue knows.
type foreignKey struct {
	Table, To           countedTable
	Columns, References []string
	Operators           []string // that compare the two, each "schema.=" as it is called
}

// foreignKeys are all of them: also one that was validated may be broken, by whoever switched its triggers off.
func foreignKeys(ctx context.Context, tx pgx.Tx) ([]foreignKey, error) {
	rows, err := tx.Query(ctx, `SELECT n.nspname, c.relname, c.relkind = 'r', m.nspname, f.relname, f.relkind = 'r',
			(SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(o.conkey) WITH ORDINALITY AS k (n, i) JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.n),
			(SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(o.confkey) WITH ORDINALITY AS k (n, i) JOIN pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.n),
			(SELECT array_agg(format('OPERATOR(%I.%s)', s.nspname, p.oprname) ORDER BY k.i) FROM unnest(o.conpfeqop) WITH ORDINALITY AS k (n, i)
				JOIN pg_operator p ON p.oid = k.n JOIN pg_namespace s ON s.oid = p.oprnamespace)
		FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_class f ON f.oid = o.confrelid JOIN pg_namespace m ON m.oid = f.relnamespace
		WHERE o.contype = 'f' AND o.conparentid = 0 AND c.relpersistence <> 't'`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k foreignKey, err error) {
		err = row.Scan(&k.Table.Schema, &k.Table.Name, &k.Table.Only, &k.To.Schema, &k.To.Name, &k.To.Only, &k.Columns, &k.References, &k.Operators)
		return k, err
	})
}

// count counts the rows that refer to what is not there. One that has a null in it refers to nothing.
func (k foreignKey) count(ctx context.Context, tx pgx.Tx) (migration.Orphan, error) {
	o := migration.Orphan{Table: k.Table.title(), Column: strings.Join(k.Columns, ", "), Refers: k.To.title() + "." + strings.Join(k.References, ", ")}
	var there, same []string
	for i := range k.Columns {
		there = append(there, "c."+quote(k.Columns[i])+" IS NOT NULL")
		same = append(same, "p."+quote(k.References[i])+" "+k.Operators[i]+" c."+quote(k.Columns[i]))
	}
	err := tx.QueryRow(ctx, "SELECT count(*) FROM "+k.Table.from()+" AS c WHERE "+strings.Join(there, " AND ")+
		" AND NOT EXISTS (SELECT 1 FROM "+k.To.from()+" AS p WHERE "+strings.Join(same, " AND ")+")").Scan(&o.Rows)
	if err != nil {
		return o, fmt.Errorf("look for what %s of %s leads to: %w", o.Column, o.Table, err)
	}
	return o, nil
}

// askTimeout bounds a query of the team's.
const askTimeout = time.Minute

// Ask runs the query as the database's own role, since it is the release's text and not Greenroom's, and in a transaction
// that can't write. One that is no query, or more than one, is Invalid; what the database says against it is Fail.
func (d *Database) Ask(ctx context.Context, query string) (string, error) {
	text, err := layout.Question(query, layout.Postgres)
	if err != nil {
		return "", err
	}
	s, err := d.openSession(ctx, data.RunOptions{Migrator: "greenroom", Statement: askTimeout})
	if err != nil {
		return "", err
	}
	defer s.close(ctx)
	var value string
	err = pgx.BeginTxFunc(ctx, s.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(pgx.Tx) error {
		value, err = s.first(ctx, text)
		return err
	})
	if err != nil && ctx.Err() == nil {
		return "", problem.New(problem.Fail, "the query could not be answered by the database %s: %w: %s", d.name, err, cutTextTo(text, 200))
	}
	return value, err
}

// first is the first value of a query as the server writes it. Through a cursor no more than a row comes over.
func (s *session) first(ctx context.Context, query string) (string, error) {
	conn := s.conn.PgConn()
	if r := conn.ExecParams(ctx, "DECLARE greenroom NO SCROLL CURSOR FOR "+query, nil, nil, nil, nil).Read(); r.Err != nil {
		return "", r.Err
	}
	r := conn.ExecParams(ctx, "FETCH 1 FROM greenroom", nil, nil, nil, nil).Read()
	switch {
	case r.Err != nil || len(r.Rows) == 0:
		return "", r.Err
	case len(r.Rows[0]) == 0 || r.Rows[0][0] == nil:
		return data.Null, nil
	case len(r.Rows[0][0]) == 0:
		return data.Empty, nil
	}
	return string(r.Rows[0][0]), nil
}
