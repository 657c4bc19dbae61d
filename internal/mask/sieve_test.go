package mask

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// sieveTables are masks of a table whose first column is masked as text, and its second kept.
func sieveTables(t testing.TB, rule Rule) *Mask {
	m, err := Compile(Rules{Tables: map[string]TableRules{"t": {Columns: map[string]Rule{"secret": rule, "kept": {Use: "keep"}}}}}, testKey(1),
		Shape{Tables: []Table{{Name: "t", Columns: []Column{{Name: "secret", Type: "text", Kind: kindFor(rule)}, {Name: "kept", Type: "text", Kind: KindText}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func kindFor(r Rule) Kind {
	if r.Use == "array" {
		return KindArray
	}
	return KindText
}

func TestSieveFinds(t *testing.T) {
	for _, c := range []struct {
		name, value, written string
		rule                 Rule
		hit                  bool
	}{
		{"a value", "Anna Lastname", "x\tAnna Lastname\ty", Rule{Use: "name"}, true},
		{"within a text", "anna@mail.de", "{\"to\":\"anna@mail.de\"}", Rule{Use: "email"}, true},
		{"a word alone", "Lastnamesen", "to Lastnamesen, now", Rule{Use: "name"}, true},
		{"a word within another", "Lastnamesen", "Lastnamesens", Rule{Use: "name"}, false},
		{"a short one", "Anna Li", "Anna Li", Rule{Use: "name"}, false},
		{"a word that programs use", "processing", "processing", Rule{Use: "text"}, false},
		{"a moment", "2026-11-26 10:00:00", "2026-11-26 10:00:00", Rule{Use: "text"}, false},
		{"a short number", "12345678", "12345678", Rule{Use: "number"}, false},
		{"a long number", "123456789012", "123456789012", Rule{Use: "number"}, true},
		{"the beginning of a long text", strings.Repeat("Anna was here. ", 20), "x " + strings.Repeat("Anna was here. ", 6), Rule{Use: "text"}, true},
		{"a text in JSON", `{"ok": true, "name": "Anna Lastname", "n": 5}`, "Anna Lastname", Rule{Use: "json"}, true},
		{"JSON that did not change", `{"ok": true, "on": false}`, `{"ok": true, "on": false}`, Rule{Use: "json"}, false},
		{"an element", `{NULL,"Anna Lastname"}`, "Anna Lastname", Rule{Use: "array", Of: &Rule{Use: "name"}}, true},
		{"nothing of it", "Anna Lastname", strings.Repeat("nothing ", 1000), Rule{Use: "name"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSieve(100, nil)
			table, _ := sieveTables(t, c.rule).Table("t")
			table.Watch(s)
			table.Value(nil, 0, []byte(c.value))
			hits, err := s.Search(strings.NewReader(c.written))
			if err != nil || len(hits) > 0 != c.hit {
				t.Errorf("found %v, %v", hits, err)
			}
			for _, h := range hits {
				if h.From != "t.secret" {
					t.Errorf("from %s", h.From)
				}
			}
		})
	}
}

// TestSieveAcrossWrites: wherever what is written is cut, a canary is found once, at its place.
func TestSieveAcrossWrites(t *testing.T) {
	s := NewSieve(100, nil)
	table, _ := sieveTables(t, Rule{Use: "name"}).Table("t")
	table.Watch(s)
	table.Value(nil, 0, []byte("Anna Lastname"))
	text := []byte(strings.Repeat("x", 200) + "Anna Lastname" + strings.Repeat("y", 200))
	for cut := range len(text) {
		for _, second := range []int{1, 7, 150} {
			search := s.Searcher()
			for _, part := range [][]byte{text[:cut], text[cut:min(cut+second, len(text))], text[min(cut+second, len(text)):]} {
				if n, err := search.Write(part); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
			if hits := search.Hits(); len(hits) != 1 || hits[0].At != 200 {
				t.Fatalf("cut at %d and %d: %v", cut, cut+second, hits)
			}
		}
	}
	var big bytes.Buffer
	big.Write(bytes.Repeat([]byte("no "), 100_000))
	big.WriteString("Anna Lastname")
	if hits, _ := s.Search(&big); len(hits) != 1 || hits[0].At != 300_000 {
		t.Errorf("at the end: %v", hits)
	}
}

// TestSieveRaisesNoFalseAlarm: what a kept column holds too, or a mask made, before or after.
func TestSieveRaisesNoFalseAlarm(t *testing.T) {
	for _, before := range []bool{false, true} {
		s := NewSieve(100, nil)
		table, _ := sieveTables(t, Rule{Use: "name"}).Table("t")
		table.Watch(s)
		made := table.Value(nil, 0, []byte("Anna Lastname"))
		if before {
			table.Kept([]byte("Blue Door"))
		}
		table.Value(nil, 0, []byte("Blue Door"))
		if !before {
			table.Kept([]byte("Blue Door"))
		}
		table.Value(nil, 0, made)
		if hits, _ := s.Search(strings.NewReader("Blue Door " + string(made))); len(hits) != 0 {
			t.Errorf("false alarm: %v", hits)
		}
		if got := s.Shared(); len(got) != 1 || got["t.secret"] != 1 {
			t.Errorf("shared with kept columns are %v", got)
		}
		if s.Canaries() != 1 {
			t.Errorf("%d canaries, not one", s.Canaries())
		}
	}
}

func TestSieveSeen(t *testing.T) {
	s := NewSieve(10, []string{"Blue Door", "never there"})
	table, _ := sieveTables(t, Rule{Use: "text"}).Table("t")
	table.Watch(s)
	for _, v := range []string{"Blue Door", "Red Door"} {
		table.Value(nil, 0, []byte(v))
	}
	if !s.Seen("Blue Door") || s.Seen("never there") || s.Seen("Red Door") {
		t.Error("only Blue Door is a text of the schema that stood among the values")
	}
}

// TestSieveIsBounded: many values by many goroutines leave as many canaries as were asked for, from all over.
func TestSieveIsBounded(t *testing.T) {
	const most, workers, each = 200, 4, 20_000
	s := NewSieve(most, nil)
	m := sieveTables(t, Rule{Use: "text"})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			table, _ := m.Table("t")
			table.Watch(s)
			for i := range each {
				table.Value(nil, 0, fmt.Appendf(nil, "Person %d of %d", i, w))
				table.Kept(fmt.Appendf(nil, "kept %d of %d", i, w))
			}
		})
	}
	wg.Wait()
	if n := s.Canaries(); n > most || n < most/4 {
		t.Errorf("%d canaries, not %d", n, most)
	}
	if n := len(s.innocent); n > innocentMost*most {
		t.Errorf("%d innocent values", n)
	}
	var all bytes.Buffer
	for w := range workers {
		for i := range each {
			fmt.Fprintf(&all, "Person %d of %d\t", i, w)
		}
	}
	if hits, _ := s.Search(&all); len(hits) != hitsMost {
		t.Errorf("%d hits in all that there was", len(hits))
	}
}

func BenchmarkSieve(b *testing.B) {
	s := NewSieve(Canaries, nil)
	table, _ := sieveTables(b, Rule{Use: "hash"}).Table("t")
	table.Watch(s)
	for i := range 4 * Canaries {
		table.Value(nil, 0, fmt.Appendf(nil, "Person %d of the many", i))
	}
	b.Run("search", func(b *testing.B) {
		part := bytes.Repeat([]byte("4711\tSome Body\tsome.body@x.example\t2026-11-26\tOther words for a note\n"), 15_000)
		search := s.Searcher()
		b.SetBytes(int64(len(part)))
		begin := spent()
		for b.Loop() {
			if _, err := search.Write(part); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(part))*float64(b.N)/1e6/(spent()-begin).Seconds(), "MB/s/core")
	})
	b.Run("value", func(b *testing.B) {
		v, out := []byte("Person 4711 of the many"), []byte("Zerkos 8125 yd dak tovi")
		begin := spent()
		for b.Loop() {
			s.masked(v, out, table.table, 0)
		}
		b.ReportMetric(float64(b.N)/(spent()-begin).Seconds(), "values/s/core")
	})
}

// TestUpToControl: eight bytes at once or one by one, it is the same.
func TestUpToControl(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.OneOf(rapid.ByteRange(0x20, 0xff), rapid.ByteRange(0x20, 0xff), rapid.ByteRange(0x20, 0xff), rapid.Byte(), rapid.SampledFrom([]byte("\\\x1f\x80\x7f]["))), 0, 80).Draw(t, "value")
		want := value[:min(len(value), canaryMost)]
		if at := slices.IndexFunc(want, func(c byte) bool { return c < ' ' || c == '\\' }); at >= 0 {
			want = want[:at]
		}
		if got := upToControl(value); !bytes.Equal(got, want) {
			t.Fatalf("%q gives %q, not %q", value, got, want)
		}
	})
}
