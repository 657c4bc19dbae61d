package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"greenroom/internal/mask"
)

// Shape reads the structure. SQLite takes a column's type as a hint and lets any value into any column, so a kind says
// what people declared; what of the values does not fit it is masked as text when a snapshot is taken.
//
// Tables that a virtual table keeps for itself are left out, since they are never copied; so is a full-text index of
// another table's rows, which is built anew from what that table then holds.
func (d *Database) Shape(ctx context.Context) (shape mask.Shape, err error) {
	err = d.moment(ctx, func(conn *sql.Conn) error {
		s, err := readStructure(ctx, conn)
		if err != nil {
			return err
		}
		if err := s.measure(ctx, conn); err != nil {
			return err
		}
		shape = s.shape()
		return nil
	})
	if err != nil {
		return mask.Shape{}, fmt.Errorf("read the structure of %s: %w", d.file, err)
	}
	return shape, nil
}

// moment runs f on a connection whose reads all see the same moment.
func (d *Database) moment(ctx context.Context, f func(*sql.Conn) error) error {
	return d.with(ctx, func(conn *sql.Conn) error { return inMoment(ctx, conn, func() error { return f(conn) }) })
}

// inMoment runs f in a transaction that reads. The first read takes the moment.
func inMoment(ctx context.Context, conn *sql.Conn, f func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		_, endErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, endErr)
	}()
	var n int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&n); err != nil {
		return err
	}
	return f()
}

func (s *structure) shape() mask.Shape {
	var shape mask.Shape
	for _, t := range s.tables {
		m := mask.Table{Name: t.name, Rows: t.rows, Bytes: t.own, Index: t.bytes - t.own}
		for _, c := range t.columns {
			m.Columns = append(m.Columns, mask.Column{
				Name: c.name, Type: c.typ, Kind: kindOf(c.typ), Length: lengthIn(c.typ), NotNull: c.notNull,
				Unique: c.unique, Together: c.together, Key: c.key, Refers: c.refers, Generated: c.generated,
			})
		}
		shape.Tables = append(shape.Tables, m)
	}
	known := s.names()
	for _, e := range s.entries {
		e.sql = plain(e.sql, known)
		shape.Literals = append(shape.Literals, e.literals()...)
	}
	return shape
}
