package migration

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// seen is an observation without gaps.
func seen(o Observation) Observation {
	o.Engine, o.Samples, o.Gap = "postgres", 1000, 6*ms
	return o
}

// blindly is a lock whose beginning and end were not seen.
func blindly(l Lock, early, late time.Duration) Lock {
	l.Early, l.Late = early, late
	return l
}

func lockOf(table, mode string, asked, from, until time.Duration) Lock {
	return Lock{Table: table, Mode: mode, Asked: asked, From: from, Until: until, Statement: 0}
}

func TestJudge(t *testing.T) {
	alter := []Statement{{SQL: "ALTER TABLE orders ALTER id TYPE bigint", Took: 9 * time.Second}}
	update := []Statement{{SQL: "UPDATE orders SET total = 0", Took: 9 * time.Second}}
	for _, c := range []struct {
		name    string
		o       Observation
		budget  Budget
		verdict string
		texts   []string // of the findings, in their order
	}{
		{"nothing happened", seen(Observation{}), Budget{}, pass, []string{"nobody would have stood still"}},
		{"nobody looked", Observation{Samples: 1}, Budget{}, inconclusive, []string{"the database was not looked at while the migration ran, so nobody knows what stood still"}},
		{"a table stands still", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 0, 9400*ms)}}), Budget{}, fail,
			[]string{"reads of orders and writes to it would have stood still for 9.4 s, and 250 ms is allowed"}},
		{"only writes do", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "ShareRowExclusive", 0, 0, 9400*ms)}}), Budget{}, fail,
			[]string{"writes to orders would have stood still for 9.4 s, and 1 s is allowed"}},
		{"the time in the queue counts", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 300*ms, 301*ms)}}), Budget{}, fail,
			[]string{"reads of orders would have stood still for 301 ms, and 250 ms is allowed"}},
		{"also where it was never had", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 300*ms, 300*ms)}}), Budget{}, fail,
			[]string{"reads of orders would have stood still for 300 ms, and 250 ms is allowed"}},
		{"a second witness", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "Share", 0, 0, 2*time.Second)},
			Waits: []Wait{{Table: "orders", Write: true, From: 1, Until: 2 * time.Second}, {Table: "orders", Write: true, From: 1, Until: time.Second}}}), Budget{}, fail,
			[]string{"writes to orders would have stood still for 2 s, and 1 s is allowed; sessions were seen to wait 2 times"}},
		{"locks one after the other in one transaction are one", seen(Observation{Statements: alter, Locks: []Lock{
			lockOf("orders", "Share", 0, 0, 600*ms), lockOf("orders", "ShareRowExclusive", 500*ms, 500*ms, 1100*ms)}}), Budget{}, fail,
			[]string{"writes to orders would have stood still for 1.1 s, and 1 s is allowed"}},
		{"with a pause between them they are two", seen(Observation{Statements: alter, Locks: []Lock{
			lockOf("orders", "Share", 0, 0, 600*ms), lockOf("orders", "Share", 601*ms, 601*ms, 1201*ms)}}), Budget{}, pass,
			[]string{"writes to orders would have stood still for 600 ms at most, and 1 s is allowed"}},
		{"two tables, the worse first", seen(Observation{Statements: alter, Locks: []Lock{
			lockOf("a", "Share", 0, 0, 2*time.Second), lockOf("b", "Share", 0, 0, 3*time.Second)}}), Budget{}, fail,
			[]string{"writes to b would have stood still for 3 s, and 1 s is allowed", "writes to a would have stood still for 2 s, and 1 s is allowed"}},
		{"its own tables stand in nobody's way", seen(Observation{Statements: alter, Locks: []Lock{
			{Table: "made", Mode: "AccessExclusive", Until: time.Hour, Made: true}, lockOf("billing.flyway_schema_history", "ShareRowExclusive", 0, 0, time.Hour)}}), Budget{}, pass,
			[]string{"nobody would have stood still"}},
		{"rows that are changed", seen(Observation{Statements: update, Locks: []Lock{lockOf("orders", "RowExclusive", 0, 0, 9*time.Second)}}), Budget{}, fail,
			[]string{"writes to the rows of orders that were changed would have stood still for 9 s, and 1 s is allowed"}},
		{"a table, and later rows of it", seen(Observation{Statements: append(alter, update...), Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 0, 2*time.Second),
			{Table: "orders", Mode: "RowExclusive", Asked: 3 * time.Second, From: 3 * time.Second, Until: 13 * time.Second, Statement: 1}}}), Budget{}, fail,
			[]string{"writes to the rows of orders that were changed would have stood still for 10 s, and 1 s is allowed", "reads of orders and writes to it would have stood still for 2 s, and 250 ms is allowed"}},
		{"rows that are new", seen(Observation{Statements: []Statement{{SQL: "INSERT INTO orders SELECT 1"}}, Locks: []Lock{lockOf("orders", "RowExclusive", 0, 0, 9*time.Second)}}), Budget{}, pass,
			[]string{"nobody would have stood still"}},
		{"a wait that no lock explains", seen(Observation{Waits: []Wait{{Table: "orders", Write: true, From: 0, Until: 3 * time.Second, Statement: -1}}}), Budget{}, fail,
			[]string{"a write to orders stood behind the migration for 3 s, and 1 s is allowed"}},
		{"a file as a database", seen(Observation{Engine: "sqlite", Statements: alter, Locks: []Lock{lockOf("", "Exclusive", 0, 0, 2*time.Second)}}), Budget{}, fail,
			[]string{"writes to the whole database would have stood still for 2 s, and 1 s is allowed"}},
		{"a budget of one's own", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 0, 2*time.Second)}}),
			Budget{BlockedReads: 3 * time.Second, BlockedWrites: 3 * time.Second}, pass, []string{
				"reads of orders would have stood still for 2 s at most, and 3 s is allowed", "writes to orders would have stood still for 2 s at most, and 3 s is allowed"}},
		{"hardly more", seen(Observation{Statements: alter, Locks: []Lock{lockOf("orders", "Share", 0, 0, time.Second+1)}}), Budget{}, fail,
			[]string{"writes to orders would have stood still for a little more than 1 s, and 1 s is allowed"}},
		{"too long", seen(Observation{Took: 11 * time.Minute}), Budget{Duration: 10 * time.Minute}, fail, []string{"the migration took 11 min, and 10 min is allowed"}},
		{"too large", seen(Observation{WAL: 5e6, Statements: alter, Tables: []Table{
			{Name: "a", Rewritten: true, BytesBefore: 9e6, BytesAfter: 8e6, IndexAfter: 1e6}, {Name: "b", BytesBefore: 7e6}, {Name: "c", Dropped: true, BytesBefore: 1e9}, {Name: "d", Made: true, BytesAfter: 1e6}}}),
			Budget{Growth: 1e6}, fail, []string{"it takes 15 MB more of the disk at its peak, and 1 MB is allowed"}},
		{"all of it took less than is allowed", Observation{Samples: 50, Gap: 15 * ms, Took: 200 * ms, Tables: []Table{{Name: "a", Made: true}}}, Budget{}, pass,
			[]string{"nobody would have stood still"}},
		{"nobody was seen to do it", seen(Observation{Took: 300 * ms, Tables: []Table{{Name: "a", Made: true}}}), Budget{}, inconclusive,
			[]string{"tables were changed, and no session was seen that did it: the migration has to log in under the application name that it is given"}},
		{"a file that was changed faster than one looks", Observation{Engine: "sqlite", Samples: 50, Gap: 6 * ms, Tables: []Table{{Name: "a", Made: true}}}, Budget{}, pass,
			[]string{"nobody would have stood still"}},
		{"a file that nobody looked at for long", Observation{Engine: "sqlite", Samples: 50, Gap: 300 * ms, Tables: []Table{{Name: "a", Made: true}}}, Budget{}, inconclusive,
			[]string{"reads of a table may have stood still for longer than the 250 ms that are allowed, because nobody could look for 300 ms"}},
		{"a gap that is shorter than what is allowed", Observation{Samples: 50, Gap: 200 * ms}, Budget{}, pass, []string{"nobody would have stood still"}},
		{"a gap", Observation{Samples: 50, Gap: 2 * time.Second}, Budget{}, inconclusive, []string{
			"reads of a table may have stood still for longer than the 250 ms that are allowed, because nobody could look for 2 s",
			"writes to a table may have stood still for longer than the 1 s that are allowed, because nobody could look for 2 s"}},
		{"a gap that changes nothing", Observation{Samples: 50, Gap: 200 * ms, Statements: alter, Locks: []Lock{lockOf("orders", "AccessExclusive", 0, 0, 90*ms)}}, Budget{}, pass, []string{
			"reads of orders would have stood still for 90 ms at most, and 250 ms is allowed", "writes to orders would have stood still for 90 ms at most, and 1 s is allowed"}},
		{"a gap before and one after", Observation{Samples: 50, Gap: 100 * ms, Statements: alter, Locks: []Lock{blindly(lockOf("orders", "AccessExclusive", 100*ms, 100*ms, 190*ms), 90*ms, 80*ms)}}, Budget{}, inconclusive, []string{
			"reads of orders may have stood still for 260 ms, and 250 ms is allowed: nobody could look when that began or ended"}},
		{"a gap between two locks", Observation{Samples: 50, Gap: 100 * ms, Statements: alter, Locks: []Lock{
			blindly(lockOf("orders", "AccessExclusive", 0, 0, 90*ms), 0, 80*ms), blindly(lockOf("orders", "AccessExclusive", 180*ms, 180*ms, 260*ms), 90*ms, 0)}}, Budget{}, inconclusive, []string{
			"reads of orders may have stood still for 260 ms, and 250 ms is allowed: nobody could look when that began or ended"}},
		{"a gap and a lock that is too long for sure", Observation{Samples: 50, Gap: 100 * ms, Statements: alter, Locks: []Lock{blindly(lockOf("orders", "AccessExclusive", 0, 0, 300*ms), 0, 90*ms)}}, Budget{}, fail, []string{
			"reads of orders would have stood still for 300 ms, and 250 ms is allowed"}},
		{"a gap where every lock is known", Observation{Samples: 50, Gap: 600 * ms, Exact: true}, Budget{}, pass, []string{"nobody would have stood still"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Judge(c.o, c.budget)
			if v := Verdict(found); v != c.verdict {
				t.Errorf("%s, want %s", v, c.verdict)
			}
			var texts []string
			for _, f := range found {
				texts = append(texts, f.Text)
			}
			if got, want := strings.Join(texts, "\n"), strings.Join(c.texts, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestJudgeLost(t *testing.T) {
	gone := []Loss{{Table: "orders", Rows: 12, Text: "12 of 40 rows are gone"}, {Table: "customers", Column: "phone", Rows: 38, Text: "the column phone is gone, with 38 values"}}
	for _, c := range []struct {
		lost []Loss
		may  int64
		want string
		text string
	}{
		{nil, 0, inconclusive, ""},
		{gone, 0, fail, "orders: 12 of 40 rows are gone; customers: the column phone is gone, with 38 values, and none may be"},
		{gone, 49, fail, "orders: 12 of 40 rows are gone; customers: the column phone is gone, with 38 values, 50 rows in all, and 49 may be"},
		{gone, 50, pass, "orders: 12 of 40 rows are gone; customers: the column phone is gone, with 38 values"},
		{gone, -1, pass, "orders: 12 of 40 rows are gone; customers: the column phone is gone, with 38 values"},
	} {
		found := JudgeLost(c.lost, Budget{RowsLost: c.may})
		if Verdict(found) != c.want || len(found) > 0 && found[0].Text != c.text {
			t.Errorf("%d may be: %+v", c.may, found)
		}
	}
	r := Report{Observation: seen(Observation{}), Lost: gone}
	if f := r.Judge(); len(f) != 2 || f[0].Verdict != fail || f[1].Verdict != pass {
		t.Errorf("%+v", f)
	}
}

func TestVerdict(t *testing.T) {
	f := func(vs ...string) (out []Finding) {
		for _, v := range vs {
			out = append(out, Finding{Verdict: v})
		}
		return out
	}
	for _, c := range []struct {
		found []Finding
		want  string
	}{{nil, inconclusive}, {f(pass), pass}, {f(pass, inconclusive), inconclusive}, {f(inconclusive, fail, pass), fail}} {
		if got := Verdict(c.found); got != c.want {
			t.Errorf("%v: %s, want %s", c.found, got, c.want)
		}
	}
}

// TestBudgetRises says that who allows more never fails where who allows less passed, and that a longer lock is never better.
func TestBudgetRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObservation(t)
		d := func(name string) time.Duration { return time.Duration(rapid.IntRange(1, 5000).Draw(t, name)) * ms }
		b := Budget{BlockedReads: d("reads"), BlockedWrites: d("writes")}
		more := Budget{BlockedReads: b.BlockedReads + d("more reads"), BlockedWrites: b.BlockedWrites + d("more writes")}
		was, is := rank(Finding{Verdict: Verdict(Judge(o, b))}), rank(Finding{Verdict: Verdict(Judge(o, more))})
		if is < was {
			t.Fatalf("%v fails where %v does not", more, b)
		}
		if len(o.Locks) == 0 {
			return
		}
		longer := o
		longer.Locks = append([]Lock{}, o.Locks...)
		longer.Locks[0].Until += d("longer")
		if is := rank(Finding{Verdict: Verdict(Judge(longer, b))}); is > was && was != 1 {
			t.Fatal("a longer lock is better")
		}
		for _, s := range StoodStill(o) {
			if s.Reads.Took() > s.Writes.Took() {
				t.Fatalf("%s: what stops reads stops writes: %+v", s.Table, s)
			}
		}
	})
}

func drawObservation(t *rapid.T) Observation {
	at := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 5000).Draw(t, name)) * ms }
	o := Observation{Engine: "postgres", Samples: rapid.IntRange(0, 100).Draw(t, "samples"), Gap: at("gap") / 20, Took: 10 * time.Second, Exact: rapid.Bool().Draw(t, "exact")}
	for range rapid.IntRange(0, 4).Draw(t, "statements") {
		o.Statements = append(o.Statements, Statement{SQL: rapid.SampledFrom([]string{"UPDATE a SET b = 1", "ALTER TABLE a ADD b int", "", "\"'$$"}).Draw(t, "sql"), From: at("from"), Took: at("took")})
	}
	for range rapid.IntRange(0, 8).Draw(t, "locks") {
		asked := at("asked")
		from := asked + at("queue")
		o.Locks = append(o.Locks, Lock{Table: rapid.SampledFrom([]string{"a", "b", "billing.c", ""}).Draw(t, "table"), Asked: asked, From: from, Until: from + at("held"),
			Mode:      rapid.SampledFrom([]string{"RowExclusive", "ShareUpdateExclusive", "Share", "ShareRowExclusive", "Exclusive", "AccessExclusive", "nonsense"}).Draw(t, "mode"),
			Statement: rapid.IntRange(-1, 5).Draw(t, "statement"), Made: rapid.Bool().Draw(t, "made")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "waits") {
		from := at("from")
		o.Waits = append(o.Waits, Wait{Query: "SELECT 1", Table: "a", Write: rapid.Bool().Draw(t, "write"), From: from, Until: from + at("waited"), Statement: rapid.IntRange(-1, 5).Draw(t, "behind")})
	}
	return o
}

// TestJudgeUnseenWriter: rows that a statement changed which nobody saw are not taken for new ones.
func TestJudgeUnseenWriter(t *testing.T) {
	lock := Lock{Table: "orders", Mode: "RowExclusive", Until: 5 * time.Second}
	for sql, want := range map[string]string{
		"UPDATE orders SET total = 0":                                  fail,
		"INSERT INTO orders SELECT 1":                                  pass,
		"DO $$ BEGIN INSERT INTO orders SELECT 1; END $$":              pass,
		"CREATE INDEX ON customers (name)":                             inconclusive,
		"SELECT tidy()":                                                inconclusive,
		"INSERT INTO orders VALUES (1)" + strings.Repeat(", (1)", 250): inconclusive,
	} {
		o := Observation{Engine: "postgres", Samples: 9, Took: 6 * time.Second, Locks: []Lock{lock}, Statements: []Statement{{SQL: sql, Took: 5 * time.Second}}}
		if found := Judge(o, Budget{}); Verdict(found) != want {
			t.Errorf("%.60s: %+v, want %s", sql, found, want)
		}
	}
	if found := Judge(Observation{Engine: "postgres", Samples: 9, Took: 6 * time.Second, Locks: []Lock{{Table: "orders", Mode: "RowExclusive", Until: 5 * time.Second, Statement: -1}}}, Budget{}); Verdict(found) != inconclusive {
		t.Errorf("%+v", found)
	}
}
