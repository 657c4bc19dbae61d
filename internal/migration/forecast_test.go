package migration

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const mb = int64(1e6)

// rehearsed is a migration of a table of 300,000 rows.
func rehearsed(sql string, took, waited time.Duration) Observation {
	return seen(Observation{Took: took + 200*ms, WAL: 40 * mb,
		Statements: []Statement{{SQL: sql, From: 100 * ms, Took: took, Waited: waited}},
		Locks:      []Lock{lockOf("orders", "AccessExclusive", 100*ms, 100*ms+waited, 100*ms+took)},
		Tables:     []Table{{Name: "orders", Rows: 300_000, Rewritten: true, BytesBefore: 40 * mb, BytesAfter: 44 * mb, IndexBefore: 10 * mb, IndexAfter: 12 * mb}}})
}

func TestPredict(t *testing.T) {
	tenfold := []Size{{Table: "orders", Rows: 3_000_000, Bytes: 400 * mb, Index: 100 * mb}}
	for _, c := range []struct {
		name       string
		o          Observation
		production []Size
		low, high  time.Duration
		reads      time.Duration
		disk       int64
		why        string
	}{
		{"a rewrite, ten times as large", rehearsed("ALTER TABLE orders ALTER id TYPE bigint", time.Second, 0), tenfold,
			5200 * ms, 30200 * ms, 30 * time.Second, 440*mb + 120*mb + 400*mb, "orders has 3,000,000 rows there and 300,000 here"},
		{"the same size", rehearsed("ALTER TABLE orders ALTER id TYPE bigint", time.Second, 0), []Size{{Table: "orders", Rows: 300_000, Bytes: 40 * mb, Index: 10 * mb}},
			700 * ms, 2200 * ms, 2 * time.Second, 44*mb + 12*mb + 40*mb, "orders has 300,000 rows there and 300,000 here"},
		{"waiting does not grow", rehearsed("ALTER TABLE orders ALTER id TYPE bigint", 2*time.Second, time.Second), tenfold,
			6200 * ms, 31200 * ms, 31 * time.Second, 960 * mb, "orders has 3,000,000 rows there and 300,000 here"},
		{"the catalogue only", rehearsed("ALTER TABLE orders ADD COLUMN x integer", 5*ms, 0), tenfold,
			205 * ms, 205 * ms, 5 * ms, 960 * mb, "no statement's time depends on how large a table is"},
		{"far larger", rehearsed("ALTER TABLE orders ALTER id TYPE bigint", time.Second, 0), []Size{{Table: "orders", Rows: -1, Bytes: 4000 * mb, Index: 1000 * mb}},
			50200 * ms, 400200 * ms, 400 * time.Second, 4400*mb + 1200*mb + 4000*mb, "orders has an unknown number of rows there and 300,000 here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Predict(c.o, c.production)
			near := func(a, b time.Duration) bool { return max(a-b, b-a) < ms }
			if !near(f.Low, c.low) || !near(f.High, c.high) || !near(f.BlockedReads, c.reads) || f.BlockedWrites != f.BlockedReads || f.Disk != c.disk || f.Why != c.why {
				t.Errorf("%+v", *f)
			}
		})
	}
	f := Predict(rehearsed("ALTER TABLE orders ALTER id TYPE bigint", time.Second, 0), tenfold)
	f.SizedAt(time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC))
	if want := "orders has 3,000,000 rows there and 300,000 here; from production's sizes of 24 November 2026"; f.Why != want || f.Sized.Day() != 24 {
		t.Errorf("%+v", *f)
	}
	if Predict(rehearsed("SELECT 1", time.Second, 0), nil) != nil {
		t.Error("a forecast from no sizes")
	}
}

// TestPredictIndex is n log n, and stops writes only.
func TestPredictIndex(t *testing.T) {
	o := rehearsed("CREATE INDEX a ON orders (note)", time.Second, 0)
	o.Locks[0].Mode, o.Tables[0].Rewritten = "Share", false
	f := Predict(o, []Size{{Table: "orders", Rows: 3_000_000, Bytes: 400 * mb, Index: 100 * mb}})
	if f.BlockedReads != 0 || f.BlockedWrites <= 30*time.Second || f.BlockedWrites > 40*time.Second || f.Low <= 5*time.Second {
		t.Errorf("%+v", *f)
	}
}

// TestPredictSmall has too little to measure: the range is wide, and says so.
func TestPredictSmall(t *testing.T) {
	o := rehearsed("ALTER TABLE orders ALTER id TYPE bigint", 4*ms, 0)
	o.Tables[0].Rows, o.Tables[0].BytesBefore, o.Tables[0].IndexBefore = 10, 8192, 16384
	f := Predict(o, []Size{{Table: "orders", Rows: 3_000_000, Bytes: 400 * mb, Index: 100 * mb}})
	if f.High < 20*f.Low || f.High < 50*time.Second || !strings.Contains(f.Why, "too few to tell much") {
		t.Errorf("%+v", *f)
	}
}

func TestForecastCompare(t *testing.T) {
	f := Forecast{Low: 5 * time.Second, High: 20 * time.Second}
	for actual, want := range map[time.Duration]string{
		3 * time.Second:  "the migration took 3 s, less than the 5 s to 20 s of the forecast",
		5 * time.Second:  "the migration took 5 s, as forecast: 5 s to 20 s",
		21 * time.Second: "the migration took 21 s, longer than the 5 s to 20 s of the forecast",
	} {
		if got := f.Compare(actual); got != want {
			t.Errorf("%s: %q, want %q", actual, got, want)
		}
	}
}

// TestPredictIsOrdered says of any observation: low is not above high, nothing overflows, and of a larger production nothing
// gets less.
func TestPredictIsOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObservation(t)
		size := func() int64 { return rapid.Int64Range(0, 1<<50).Draw(t, "bytes") }
		var production, larger []Size
		for _, name := range []string{"a", "b"} {
			o.Tables = append(o.Tables, Table{Name: name, Rows: size(), BytesBefore: size(), BytesAfter: size(), IndexBefore: size(), IndexAfter: size(), Rewritten: rapid.Bool().Draw(t, "rewritten")})
			s := Size{name, size(), size(), size()}
			production = append(production, s)
			larger = append(larger, Size{name, s.Rows, 2*s.Bytes + 1, 2*s.Index + 1})
		}
		f, l := Predict(o, production), Predict(o, larger)
		if f.Low < 0 || f.Low > f.High || f.BlockedReads < 0 || f.BlockedWrites < 0 || f.Disk < 0 {
			t.Fatalf("%+v", *f)
		}
		if l.High < f.High {
			t.Fatalf("%+v, and of a larger production %+v", *f, *l)
		}
	})
}
