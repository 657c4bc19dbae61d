package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"

	"github.com/zeebo/xxh3"

	"greenroom/internal/mask"
)

// rowSum is a checksum over rows that does not depend on their order: the sum of their 128-bit hashes. It finds what went
// wrong, not what somebody forged; against that the files have their SHA-256.
type rowSum struct{ hi, lo uint64 }

func (s *rowSum) add(h xxh3.Uint128) { s.merge(rowSum{hi: h.Hi, lo: h.Lo}) }

func (s *rowSum) merge(other rowSum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, other.lo, 0)
	s.hi, _ = bits.Add64(s.hi, other.hi, carry)
}

func (s rowSum) String() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.hi), s.lo))
}

// tally is what was seen of a table's rows.
type tally struct {
	rows, bytes int64
	sum         rowSum
}

func (t *tally) merge(other tally) {
	t.rows += other.rows
	t.bytes += other.bytes
	t.sum.merge(other.sum)
}

// column is how a column of a row is treated.
type column struct {
	index  int  // in mask.Table.Columns
	keep   bool // goes over as it is
	shown  bool // and is shown to the sieve
	silent bool // its text may come back from a server in another spelling, so only whether it is null counts in the sum
}

// large is from where a row is treated as one that should not be in memory twice.
const large = 64 << 10

// rowMasker takes rows in COPY's text format, one each Write, as PostgreSQL sends them, and writes them masked. See
// https://www.postgresql.org/docs/current/sql-copy.html for the format.
//
// What it holds beside the row that it was given is the masked value that is being made, and a buffer.
type rowMasker struct {
	out     io.Writer
	mask    *mask.TableMask // nil: only counted
	columns []column
	tally   tally

	asIs  bool // all columns go over as they are, and all count
	shown int  // how many columns there are up to the last one that is shown to the sieve
	buf   []byte
	sum   []byte
	value []byte
	raw   []byte
	hash  *xxh3.Hasher
}

func newRowMasker(out io.Writer, m *mask.TableMask, columns []column) *rowMasker {
	w := &rowMasker{out: out, mask: m, columns: columns, asIs: true, value: []byte{}}
	for i, c := range columns {
		w.asIs = w.asIs && c.keep && !c.silent
		if c.shown {
			w.shown = i + 1
		}
	}
	return w
}

// Write takes one row with the line feed behind it. It changes what is in p.
func (w *rowMasker) Write(p []byte) (int, error) {
	if len(p) == 0 || p[len(p)-1] != '\n' {
		return 0, fmt.Errorf("a row of %d bytes without its end", len(p))
	}
	w.tally.rows++
	var err error
	if w.asIs {
		err = w.pass(p)
	} else {
		err = w.row(p)
	}
	return len(p), err
}

// Flush writes what is still in memory.
func (w *rowMasker) Flush() error {
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *rowMasker) pass(p []byte) error {
	w.show(p[:len(p)-1])
	w.tally.sum.add(xxh3.Hash128(p[:len(p)-1]))
	w.tally.bytes += int64(len(p))
	if len(w.buf)+len(p) > large {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(p) > large {
		_, err := w.out.Write(p)
		if len(p) > immense {
			runtime.GC()
		}
		return err
	}
	w.buf = append(w.buf, p...)
	return nil
}

// show shows the sieve what is kept.
func (w *rowMasker) show(rest []byte) {
	for _, c := range w.columns[:w.shown] {
		field := rest
		if end := bytes.IndexByte(rest, '\t'); end >= 0 {
			field, rest = rest[:end], rest[end+1:]
		}
		if c.shown {
			w.mask.Kept(field)
		}
	}
}

// row masks a row. The text that is hashed is the masked row's, with the columns that are silent shown as null or empty.
func (w *rowMasker) row(p []byte) error {
	huge := len(p) > large
	if huge && w.hash == nil {
		w.hash = xxh3.New()
	}
	w.sum = w.sum[:0]
	rest := p[:len(p)-1]
	for i, c := range w.columns {
		field, last := rest, true
		if end := bytes.IndexByte(rest, '\t'); end >= 0 {
			field, rest, last = rest[:end], rest[end+1:], false
		}
		if last != (i == len(w.columns)-1) {
			return fmt.Errorf("a row has another number of columns than %d", len(w.columns))
		}
		if err := w.field(c, field, huge); err != nil {
			return err
		}
		if !last {
			w.put('\t')
		}
	}
	w.buf = append(w.buf, '\n')
	w.tally.bytes++
	if huge {
		return w.endHuge(len(p))
	}
	w.tally.sum.add(xxh3.Hash128(w.sum))
	if len(w.buf) > large {
		return w.Flush()
	}
	return nil
}

func (w *rowMasker) put(c byte) {
	w.buf, w.sum = append(w.buf, c), append(w.sum, c)
	w.tally.bytes++
}

// endHuge lets go of what a huge row took.
func (w *rowMasker) endHuge(size int) error {
	if _, err := w.hash.Write(w.sum); err != nil {
		return err
	}
	w.tally.sum.add(w.hash.Sum128())
	w.hash.Reset()
	w.sum = w.sum[:0]
	err := w.Flush()
	if cap(w.value) > large {
		w.value = []byte{} // not nil: that would be null
	}
	if cap(w.raw) > large {
		w.raw = nil
	}
	if size > immense {
		runtime.GC()
	}
	return err
}

// immense is from where on it is worth a collection to have the row before out of memory.
const immense = 16 << 20

// room makes room for a masked value at once, since growing into it would take it twice.
func (w *rowMasker) room(size int) {
	if size > immense {
		w.value = nil
		runtime.GC()
	}
	w.value = slices.Grow(w.value[:0], size+size/8)
}

var null = []byte(`\N`)

func (w *rowMasker) field(c column, field []byte, huge bool) error {
	if c.keep {
		if c.shown {
			w.mask.Kept(field)
		}
		return w.emit(c, field, huge)
	}
	var value []byte
	if !bytes.Equal(field, null) {
		value = w.unescape(field)
	}
	if len(value) > large {
		w.room(len(value))
	}
	masked := w.mask.Value(w.value[:0], c.index, value)
	if masked == nil {
		return w.emit(c, null, huge)
	}
	w.value = masked
	return w.escape(c, masked, huge)
}

// unescape gives the value of a field. It needs no memory of its own but for a field with a backslash in it.
func (w *rowMasker) unescape(field []byte) []byte {
	at := bytes.IndexByte(field, '\\')
	if at < 0 {
		return field
	}
	return unescape(field[:at], field[at:])
}

// emit writes a part of a field that is escaped already, in pieces so that a huge one is not in memory once more.
func (w *rowMasker) emit(c column, field []byte, huge bool) error {
	w.tally.bytes += int64(len(field))
	if !huge {
		w.buf = append(w.buf, field...)
		w.sum = appendSum(w.sum, c, field)
		return nil
	}
	w.sum = appendSilent(w.sum, c, field)
	for len(field) > 0 {
		piece := field[:min(len(field), large)]
		field = field[len(piece):]
		if !c.silent {
			w.sum = append(w.sum, piece...)
		}
		if err := w.drain(piece); err != nil {
			return err
		}
	}
	return nil
}

// drain writes a piece of a huge row and hashes what there is of it.
func (w *rowMasker) drain(piece []byte) error {
	w.buf = append(w.buf, piece...)
	if _, err := w.hash.Write(w.sum); err != nil {
		return err
	}
	w.sum = w.sum[:0]
	if len(w.buf) > large {
		return w.Flush()
	}
	return nil
}

func (w *rowMasker) escape(c column, value []byte, huge bool) error {
	if !huge {
		start := len(w.buf)
		w.buf = appendEscaped(w.buf, value)
		w.tally.bytes += int64(len(w.buf) - start)
		w.sum = appendSum(w.sum, c, w.buf[start:])
		return nil
	}
	for len(value) > 0 {
		piece := value[:min(len(value), large/2)]
		value = value[len(piece):]
		w.raw = appendEscaped(w.raw[:0], piece)
		if err := w.emitValue(c, w.raw); err != nil {
			return err
		}
	}
	return nil
}

func (w *rowMasker) emitValue(c column, piece []byte) error {
	w.tally.bytes += int64(len(piece))
	if !c.silent {
		w.sum = append(w.sum, piece...)
	}
	return w.drain(piece)
}

// appendSum appends what of a field counts in the sum.
func appendSum(sum []byte, c column, field []byte) []byte {
	if c.silent {
		return appendSilent(sum, c, field)
	}
	return append(sum, field...)
}

func appendSilent(sum []byte, c column, field []byte) []byte {
	if c.silent && bytes.Equal(field, null) {
		return append(sum, null...)
	}
	return sum
}

// escapes are the letters behind a backslash, by the byte that they stand for.
var escapes = [256]byte{'\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', '\\': '\\'}

func appendEscaped(dst, value []byte) []byte {
	start := 0
	for i, c := range value {
		if e := escapes[c]; e != 0 {
			dst = append(append(dst, value[start:i]...), '\\', e)
			start = i + 1
		}
	}
	return append(dst, value[start:]...)
}

var unescapes = [256]byte{'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r'}

// unescape appends what an escaped text stands for. dst may be the memory in front of it, since no value is longer than
// its escaped form. COPY TO writes no octal or hexadecimal escapes.
func unescape(dst, field []byte) []byte {
	for {
		at := bytes.IndexByte(field, '\\')
		if at < 0 || at+1 == len(field) {
			return append(dst, field...)
		}
		c := field[at+1]
		if unescapes[c] != 0 {
			c = unescapes[c]
		}
		dst = append(append(dst, field[:at]...), c)
		field = field[at+2:]
	}
}
