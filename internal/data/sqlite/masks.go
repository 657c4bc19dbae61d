package sqlite

import (
	"database/sql/driver"

	"greenroom/internal/mask"
)

// rowMask masks rows as a table's rules say. What is not of its column's kind goes through another mask, of texts.
type rowMask struct {
	columns []maskedColumn // as in a row
	rules   *mask.TableMask
	strays  *mask.TableMask
	text    []byte
	out     []byte
}

// maskedColumn is what has to be known of a value in a row.
type maskedColumn struct {
	index int // into Table.Columns; -1 for the row's number, which stays
	kind  mask.Kind
	keeps bool
	fixed bool // what comes out does not depend on what goes in
	loose bool // anything may stand in there
}

func (m *rowMask) row(values []driver.Value) {
	for i, c := range m.columns {
		v := values[i]
		if v == nil && !c.fixed || c.index < 0 {
			continue
		}
		stray := c.loose && !c.fixed && !fits(c.kind, v)
		if c.keeps && !stray {
			continue
		}
		values[i] = m.value(c, v, stray)
	}
}

func (m *rowMask) value(c maskedColumn, v driver.Value, stray bool) driver.Value {
	var in []byte
	if v != nil {
		m.text = written(m.text[:0], c.kind, v)
		in = m.text
	}
	by := m.rules
	if stray {
		by = m.strays
	}
	out := by.Value(m.out[:0], c.index, in)
	if out != nil { // an empty text that is appended to nil would be null
		m.out = out
	}
	return reread(out, v)
}
