package migration

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	var rows []Row
	for i, took := range []time.Duration{5, 1, 9, 1, 1, 7} {
		rows = append(rows, Row{Kind: RowStatement, Statement: i, Spans: []Span{{SpanWorks, 0, took}}})
	}
	rows = append(rows, Row{Kind: RowWait, Label: "worst"}, Row{Kind: RowWait, Label: "least"})
	for _, c := range []struct {
		kind string
		most int
		want string
		left int
	}{
		{RowStatement, 3, "[0 2 5]", 3},
		{RowStatement, 4, "[0 1 2 5]", 2},
		{RowStatement, 6, "[0 1 2 3 4 5]", 0},
		{RowStatement, 9, "[0 1 2 3 4 5]", 0},
		{RowLock, 3, "[]", 0},
	} {
		kept, left := Choose(rows, c.kind, c.most)
		got := []int{}
		for _, r := range kept {
			got = append(got, r.Statement)
		}
		if fmt.Sprint(got) != c.want || left != c.left {
			t.Errorf("Choose(%s, %d) = %v, %d; want %s, %d", c.kind, c.most, got, left, c.want, c.left)
		}
	}
	if kept, left := Choose(rows, RowWait, 1); left != 1 || len(kept) != 1 || kept[0].Label != "worst" {
		t.Errorf("of those who waited %v is kept and %d left", kept, left)
	}
}

func TestMeanings(t *testing.T) {
	lock := Row{Kind: RowLock, Table: "orders", Spans: []Span{{SpanOthers, 0, 9}, {SpanMade, 0, 3}}}
	for _, c := range []struct {
		name  string
		still []Still
		want  []Meaning
	}{
		{"nothing stood still", nil, []Meaning{{9, KindWords(SpanOthers)}}},
		{"another table did", []Still{{Table: "other", Reads: Stretch{0, 5, 0}}}, []Meaning{{9, KindWords(SpanOthers)}}},
		{"reads and writes", []Still{{Table: "orders", Reads: Stretch{0, 5, 0}, Writes: Stretch{0, 5, 0}}}, []Meaning{{5, KindWords(SpanAll)}}},
		{"writes for longer", []Still{{Table: "orders", Reads: Stretch{0, 5, 0}, Writes: Stretch{0, 8, 0}}}, []Meaning{{8, KindWords(SpanWrites)}, {5, "of it nobody reads"}}},
		{"writes alone", []Still{{Table: "orders", Writes: Stretch{1, 8, 0}}}, []Meaning{{7, KindWords(SpanWrites)}}},
		{"rows", []Still{{Table: "orders", Rows: Stretch{1, 8, 0}}}, []Meaning{{7, KindWords(SpanRows)}}},
	} {
		if d := cmp.Diff(c.want, lock.Meanings(c.still)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestLimit(t *testing.T) {
	const s = time.Second
	lock := Row{Kind: RowLock, Table: "orders"}
	for _, c := range []struct {
		name  string
		row   Row
		still Still
		at    time.Duration
		over  bool
	}{
		{"within", lock, Still{Table: "orders", Reads: Stretch{0, s / 4, 0}, Writes: Stretch{0, s, 0}}, 0, false},
		{"reads", lock, Still{Table: "orders", Reads: Stretch{s, 9 * s, 0}, Writes: Stretch{s, 9 * s, 0}}, s + s/4, true},
		{"writes", lock, Still{Table: "orders", Writes: Stretch{s, 9 * s, 0}}, 2 * s, true},
		{"rows", lock, Still{Table: "orders", Rows: Stretch{s, 9 * s, 0}}, 2 * s, true},
		{"elsewhere", lock, Still{Table: "other", Writes: Stretch{s, 9 * s, 0}}, 0, false},
		{"no lock", Row{Kind: RowWait, Table: "orders"}, Still{Table: "orders", Writes: Stretch{s, 9 * s, 0}}, 0, false},
	} {
		if at, _, over := c.row.Limit([]Still{c.still}, Budget{}); at != c.at || over != c.over {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, at, over, c.at, c.over)
		}
	}
}
