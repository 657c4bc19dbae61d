package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// Census counts every table and sums up every column in one moment, computed columns included. A value counts with its
// storage class, so a number that became a text is another one. The sums are SQLite's own: they can't be compared with
// another engine's.
func (d *Database) Census(ctx context.Context) (c migration.Census, err error) {
	err = d.moment(ctx, func(conn *sql.Conn) error {
		s, err := readStructure(ctx, conn)
		if err != nil {
			return err
		}
		for _, t := range s.tables {
			if t.empty {
				continue // it can't be read
			}
			count, err := t.count(ctx, conn)
			if err != nil {
				return fmt.Errorf("count the table %s: %w", t.name, err)
			}
			c.Tables = append(c.Tables, count)
		}
		all, err := orphans(ctx, conn, s)
		for _, o := range all {
			c.Orphans = append(c.Orphans, o.Orphan)
		}
		return err
	})
	if err != nil {
		return migration.Census{}, fmt.Errorf("take a census of %s: %w", d.file, err)
	}
	return c, nil
}

// count reads a table from its beginning to its end.
func (t *table) count(ctx context.Context, conn *sql.Conn) (migration.Count, error) {
	c := migration.Count{Name: t.name, Columns: make([]migration.ColumnCount, len(t.columns))}
	list := make([]string, len(t.columns))
	for i, column := range t.columns {
		list[i] = "+" + quote(column.name)
		c.Columns[i] = migration.ColumnCount{Name: column.name, Type: column.typ}
	}
	sums := make([]sum, len(t.columns))
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + quote(t.name)
	err := rawRows(ctx, conn, query, func(rows driver.Rows) error {
		row := make([]driver.Value, len(t.columns))
		var text []byte
		for {
			err := rows.Next(row)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			c.Rows++
			for i, v := range row {
				if v == nil {
					c.Columns[i].Nulls++
					continue
				}
				text = exact(text[:0], v)
				sums[i].add(text)
			}
		}
	})
	for i := range c.Columns {
		c.Columns[i].Sum = sums[i].String()
	}
	slices.SortFunc(c.Columns, func(a, b migration.ColumnCount) int { return cmp.Compare(a.Name, b.Name) })
	return c, err
}

// orphan is rows whose foreign key leads nowhere, and the table that it would lead to.
type orphan struct {
	migration.Orphan
	parent string
}

func (o orphan) same(other orphan) bool {
	return o.Table == other.Table && o.Column == other.Column && o.Refers == other.Refers
}

// orphans are the rows whose foreign keys lead nowhere, whether or not anybody enforces them. Of a key that SQLite can't
// check, since what it leads to is not unique or not there, every row counts.
func orphans(ctx context.Context, conn *sql.Conn, s *structure) (all []orphan, err error) {
	for _, t := range s.tables {
		if t.virtual {
			continue
		}
		keys, err := foreignKeys(ctx, conn, t.name)
		if err != nil {
			return nil, err
		}
		found, err := t.orphans(ctx, conn, keys)
		if err != nil {
			return nil, fmt.Errorf("check the foreign keys of %s: %w", t.name, err)
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b orphan) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Refers, b.Refers))
	})
	return all, nil
}

func (t *table) orphans(ctx context.Context, conn *sql.Conn, keys []foreignKey) ([]orphan, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	counts := map[int]int64{}
	err := each(ctx, conn, `SELECT fkid, count(*) FROM pragma_foreign_key_check(?) GROUP BY fkid`, func(scan func(...any) error) error {
		var id int
		var n int64
		err := scan(&id, &n)
		counts[id] = n
		return err
	}, t.name)
	if err != nil && !strings.Contains(err.Error(), "foreign key mismatch") {
		return nil, err
	}
	var all []orphan
	for _, k := range keys {
		n := counts[k.id]
		if err != nil {
			condition := make([]string, len(k.from))
			for i, c := range k.from {
				condition[i] = quote(c) + " IS NOT NULL"
			}
			if err := queryRow(ctx, conn, "SELECT count(*) FROM "+quote(t.name)+" WHERE "+strings.Join(condition, " AND "), &n); err != nil {
				return nil, err
			}
		}
		if n > 0 {
			all = append(all, orphan{migration.Orphan{
				Table: t.name, Column: strings.Join(k.from, ", "), Refers: k.table + "." + strings.Join(k.to, ", "), Rows: n,
			}, k.table})
		}
	}
	return all, nil
}

// Ask runs one query on a connection that can't write. More than one statement, and one that does not begin as a query
// does, is Invalid: a PRAGMA could make the connection write again.
func (d *Database) Ask(ctx context.Context, query string) (answer string, err error) {
	if err := askable(query); err != nil {
		return "", err
	}
	err = d.withOptions(ctx, url.Values{"_query_only": {"1"}}, func(conn *sql.Conn) error {
		return rawRows(ctx, conn, query, func(rows driver.Rows) error {
			row := make([]driver.Value, len(rows.Columns()))
			if err := rows.Next(row); err != nil || len(row) == 0 {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			answer = display(row[0])
			return nil
		})
	})
	if err != nil && ctx.Err() == nil && !isBusy(err) {
		return "", problem.New(problem.Fail, "the query %q on %s: %w", query, d.file, err)
	}
	return answer, err
}

// askable says whether a text is one statement that reads.
func askable(query string) error {
	all, err := layout.Split(query, layout.SQLite)
	if err != nil {
		return problem.New(problem.Invalid, "%q is no query: %w", query, err)
	}
	if len(all) > 1 {
		return problem.New(problem.Invalid, "%q is more than one statement", query)
	}
	if len(all) == 0 || !slices.Contains([]string{"select", "with", "values"}, tokens(all[0].SQL)[0]) {
		return problem.New(problem.Invalid, "%q is no query: it has to begin with SELECT, WITH or VALUES", query)
	}
	return nil
}

// display is a value as SQLite's shell prints it, but for what data.Comparer says of no text.
func display(v driver.Value) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return data.Empty
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', 1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		if len(v) == 0 {
			return data.Empty
		}
		return string(v)
	case nil:
		return data.Null
	}
	return fmt.Sprint(v)
}
