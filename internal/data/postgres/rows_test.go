package postgres

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"greenroom/internal/mask"
)

// textMask is the mask of a table of text columns of which some are kept.
func textMask(t testing.TB, uses ...string) (*mask.TableMask, []column) {
	t.Helper()
	table := mask.Table{Name: "t"}
	rules := mask.TableRules{Columns: map[string]mask.Rule{}}
	var columns []column
	for i, use := range uses {
		name := string(rune('a' + i))
		table.Columns = append(table.Columns, mask.Column{Name: name, Type: "text", Kind: mask.KindText})
		rules.Columns[name] = mask.Rule{Use: use}
		columns = append(columns, column{index: i, keep: use == "keep"})
	}
	m, err := mask.Compile(mask.Rules{Tables: map[string]mask.TableRules{"t": rules}}, testKey, mask.Shape{Tables: []mask.Table{table}})
	if err != nil {
		t.Fatal(err)
	}
	tm, _ := m.Table("t")
	return tm, columns
}

// encoded is a row as COPY writes it; nil is null.
func encoded(values ...[]byte) []byte {
	var row []byte
	for i, v := range values {
		if i > 0 {
			row = append(row, '\t')
		}
		if v == nil {
			row = append(row, null...)
		} else {
			row = appendEscaped(row, v)
		}
	}
	return append(row, '\n')
}

// TestEscaping: whatever a value is, it is the same after it was written and read, also in its own memory.
func TestEscaping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := []byte(rapid.StringOf(rapid.SampledFrom([]rune("\\\b\t\n\v\f\rNx.a1ü"))).Draw(t, "value"))
		field := appendEscaped(nil, value)
		if bytes.ContainsAny(field, "\t\n\r") {
			t.Fatalf("%q would end a field", field)
		}
		if bytes.Equal(field, null) {
			t.Fatalf("%q is taken for null", value)
		}
		if got := (&rowMasker{}).unescape(field); !bytes.Equal(got, value) {
			t.Fatalf("%q became %q", value, got)
		}
	})
}

// TestRowMasker masks rows of every size: what is kept stays, what is masked does not, null stays null, and the sum is that
// of what was written, whichever way it was written.
func TestRowMasker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, columns := textMask(t, "keep", "text", "keep")
		var out bytes.Buffer
		w := newRowMasker(&out, m, columns)
		rows := rapid.IntRange(1, 5).Draw(rt, "rows")
		var kept [][]byte
		for range rows {
			values := make([][]byte, 3)
			for i := range values {
				if rapid.Bool().Draw(rt, "null") {
					continue
				}
				text := rapid.StringOf(rapid.SampledFrom([]rune("\\\t\nNab7ü "))).Draw(rt, "value")
				if rapid.IntRange(0, 3).Draw(rt, "size") == 3 && text != "" {
					text = strings.Repeat(text, large/len(text)+1) // just large, which is enough
				}
				values[i] = []byte(text)
			}
			kept = append(kept, values[0], values[2])
			if _, err := w.Write(encoded(values...)); err != nil {
				rt.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			rt.Fatal(err)
		}
		again := newRowMasker(&bytes.Buffer{}, nil, []column{{keep: true}, {keep: true}, {keep: true}})
		for i, line := range bytes.SplitAfter(out.Bytes(), []byte("\n"))[:rows] {
			fields := bytes.Split(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
			for j, at := range []int{0, 2} {
				if want := bytes.TrimSuffix(encoded(kept[2*i+j]), []byte("\n")); !bytes.Equal(fields[at], want) {
					rt.Fatalf("%.40q became %.40q", want, fields[at])
				}
			}
			if _, err := again.Write(bytes.Clone(line)); err != nil {
				rt.Fatal(err)
			}
		}
		if again.tally != w.tally || w.tally.bytes != int64(out.Len()) {
			rt.Fatalf("%+v was written and %+v is there, %d bytes", w.tally, again.tally, out.Len())
		}
	})
}

// TestSilentColumns: a text that comes back in another spelling leaves the sum as it is, one that is null instead does not,
// and the order of rows does not matter.
func TestSilentColumns(t *testing.T) {
	t.Parallel()
	sum := func(rows ...string) rowSum {
		w := newRowMasker(&bytes.Buffer{}, nil, []column{{keep: true}, {keep: true, silent: true}})
		for _, r := range rows {
			if _, err := w.Write([]byte(r + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		return w.tally.sum
	}
	one := sum("1\t{\"a\": 1}", "2\t1.0")
	if one != sum("2\t1", "1\t{\"a\":1}") {
		t.Error("another spelling or order is another sum")
	}
	for _, other := range []rowSum{sum("1\tx", "2\t\\N"), sum("1\tx", "3\tx"), sum("1\tx"), sum("1\tx", "2\tx", "2\tx")} {
		if one == other {
			t.Error("other rows have the same sum")
		}
	}
	huge := strings.Repeat("x", 2*large)
	if sum(huge+"\t"+huge) != sum(huge+"\ty") {
		t.Error("a huge silent text counts")
	}
}

func TestRowMaskerRefusesOddRows(t *testing.T) {
	t.Parallel()
	for _, row := range []string{"", "a\tb", "a\n", "a\tb\tc\td\n"} {
		m, columns := textMask(t, "keep", "text", "keep")
		if _, err := newRowMasker(&bytes.Buffer{}, m, columns).Write([]byte(row)); err == nil {
			t.Errorf("%q was taken for a row of three columns", row)
		}
	}
}

func BenchmarkRowMasker(b *testing.B) {
	row := encoded([]byte("4711"), []byte("Ada Lovelace"), []byte("Some Street 12, 12345 Town"))
	for name, uses := range map[string][]string{"kept": {"keep", "keep", "keep"}, "masked": {"keep", "name", "address"}} {
		b.Run(name, func(b *testing.B) {
			m, columns := textMask(b, uses...)
			w := newRowMasker(discard{}, m, columns)
			b.SetBytes(int64(len(row)))
			var buf []byte
			for b.Loop() {
				buf = append(buf[:0], row...)
				if _, err := w.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
