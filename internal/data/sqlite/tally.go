package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
)

// tally is how many rows a table has, how many bytes of values, and their sum.
type tally struct {
	rows, bytes int64
	sum         sum
}

// tally reads a table from its beginning to its end. What is summed up is what was read and never what was written: a
// column's affinity may have made a number of a text, or an integer of a real, on the way in.
func (t *table) tally(ctx context.Context, conn *sql.Conn) (all tally, err error) {
	err = rawRows(ctx, conn, t.selection(), func(rows driver.Rows) error {
		row := make([]driver.Value, t.width())
		var text []byte
		for {
			err := rows.Next(row)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			text = text[:0]
			for _, v := range row {
				text = exact(text, v)
			}
			all.bytes += volumes(row[t.first():])
			all.sum.add(text)
			all.rows++
		}
	})
	return all, err
}
