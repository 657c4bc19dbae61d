package sqlite

import (
	"database/sql/driver"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// masks are what the rules make of a database's values: of those that are what their columns say, and of the others.
type masks struct {
	rules        mask.Rules
	proper       *mask.Mask
	texts, bytes *mask.Mask
	sieve        *mask.Sieve
}

// compile checks the rules against the structure, and makes masks for what rules can't speak about: a text in a column of
// numbers, bytes in a column of texts.
func (s *structure) compile(r mask.Rules, k mask.Key) (*masks, error) {
	shape := s.shape()
	m := &masks{rules: r}
	var err error
	if m.proper, err = mask.Compile(r, k, shape); err != nil {
		return nil, err
	}
	for _, t := range s.tables {
		if _, none := m.proper.Table(t.name); t.empty && !none {
			return nil, problem.New(problem.Blocked, "the table %s is an index of words whose texts it does not keep (content=''), so they can't be masked", t.name).
				WithHint("let its rows stay behind: %s: none in mask.yaml", t.name)
		}
	}
	if m.texts, err = compileAll(shape, k, mask.KindText, "text"); err != nil {
		return nil, err
	}
	m.bytes, err = compileAll(shape, k, mask.KindBytes, "bytes")
	return m, err
}

// compileAll masks every column with one use.
func compileAll(of mask.Shape, k mask.Key, kind mask.Kind, use string) (*mask.Mask, error) {
	var shape mask.Shape
	r := mask.Rules{Tables: map[string]mask.TableRules{}}
	for _, t := range of.Tables {
		same := mask.Table{Name: t.Name}
		columns := map[string]mask.Rule{}
		for _, c := range t.Columns {
			same.Columns = append(same.Columns, mask.Column{Name: c.Name, Kind: kind, Unique: c.Unique, Key: c.Key})
			columns[c.Name] = mask.Rule{Use: use}
		}
		shape.Tables = append(shape.Tables, same)
		r.Tables[t.Name] = mask.TableRules{Columns: columns}
	}
	return mask.Compile(r, k, shape)
}

// rowMask masks rows as a table's rules say, for one goroutine.
type rowMask struct {
	columns      []maskedColumn // as in a row
	proper       *mask.TableMask
	texts, bytes *mask.TableMask
	text, out    []byte
}

// maskedColumn is what has to be known of a value in a row.
type maskedColumn struct {
	index int // into the table's columns; -1 for the row's number, which stays
	kind  mask.Kind
	keeps bool
	fixed bool // what comes out does not depend on what goes in
}

// of is a mask for a table's rows.
func (m *masks) of(t *table) *rowMask {
	r := &rowMask{text: make([]byte, 0, 64), out: make([]byte, 0, 64)}
	r.proper, _ = m.proper.Table(t.name)
	r.texts, _ = m.texts.Table(t.name)
	r.bytes, _ = m.bytes.Table(t.name)
	for _, one := range []*mask.TableMask{r.proper, r.texts, r.bytes} {
		one.Watch(m.sieve)
	}
	if t.rowid != "" {
		r.columns = append(r.columns, maskedColumn{index: -1})
	}
	for i, c := range t.columns {
		if c.generated {
			continue
		}
		use := m.rules.Tables[t.name].Columns[c.name].Use
		r.columns = append(r.columns, maskedColumn{
			index: i, kind: kindOf(c.typ), keeps: r.proper.Keeps(i), fixed: use == "null" || use == "constant",
		})
	}
	return r
}

func (m *rowMask) row(values []driver.Value) {
	for i, c := range m.columns {
		v := values[i]
		if c.index < 0 || v == nil {
			continue
		}
		by := m.proper
		if !c.fixed && !fits(c.kind, v) {
			by = m.texts
			if _, ok := v.([]byte); ok {
				by = m.bytes
			}
		} else if c.keeps {
			m.kept(v)
			continue
		}
		values[i] = m.value(by, c, v)
	}
}

// kept shows the sieve what stays. Numbers are none of its canaries as a file has them.
func (m *rowMask) kept(v driver.Value) {
	switch v.(type) {
	case string, []byte:
		m.text = written(m.text[:0], mask.KindText, v)
		m.proper.Kept(m.text)
	}
}

func (m *rowMask) value(by *mask.TableMask, c maskedColumn, v driver.Value) driver.Value {
	kind := c.kind
	if by == m.bytes {
		kind = mask.KindBytes
	}
	m.text = written(m.text[:0], kind, v)
	out := by.Value(m.out[:0], c.index, m.text)
	if out != nil { // an empty text that is appended to nil would come out as null
		m.out = out
	}
	return reread(out, v)
}

// changed adds up how many values of each column came out other than they went in.
func (m *rowMask) changed(into []int64) {
	for _, t := range []*mask.TableMask{m.proper, m.texts, m.bytes} {
		for i, n := range t.Changed() {
			into[i] += n
		}
	}
}
