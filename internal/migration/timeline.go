package migration

import (
	"slices"
	"strings"
	"time"
)

// Kinds of rows in a timeline.
const (
	RowStatement = "statement"
	RowLock      = "lock"
	RowWait      = "wait"
)

// Kinds of spans in a row.
const (
	SpanWorks  = "works"  // a statement at work
	SpanQueues = "queues" // a statement or a lock that waits; others stand behind a lock that does
	SpanAll    = "all"    // a lock: nobody reads or writes
	SpanWrites = "writes" // a lock: nobody writes
	SpanRows   = "rows"   // a lock: nobody writes to the rows that were changed
	SpanOthers = "others" // a lock: it keeps other changes of the schema out, and nobody else
	SpanMade   = "made"   // a lock on what the migration made itself: nobody can see it yet
	SpanStands = "stands" // a session that stands behind the migration
)

// Row is a line of a timeline.
type Row struct {
	Kind      string // RowStatement, RowLock, RowWait
	Table     string // of a lock or a wait; "" is the whole database
	Label     string // the statement in one line, the table, the query that waited
	Detail    string // "2.1 s", "AccessExclusive, 8 s", "12 times, 9.3 s at most"
	Statement int    // index of the one that it is, or belongs to; -1
	Spans     []Span // sorted, not overlapping within a kind
}

// Span is a stretch of time in a row, as offsets.
type Span struct {
	Kind        string
	From, Until time.Duration
}

// Rows are what happened as a picture has it: the statements in their order, then the locks by table, the one that stood
// longest in somebody's way first, then those who waited, the longest first.
func Rows(r Report) []Row {
	o := r.Observation
	rows := statementRows(o)
	rows = append(rows, lockRows(o)...)
	return append(rows, waitRows(o)...)
}

func statementRows(o Observation) []Row {
	rows := make([]Row, 0, len(o.Statements))
	for i, s := range o.Statements {
		row := Row{Kind: RowStatement, Label: oneLine(s.SQL), Detail: Human(s.Took), Statement: i}
		if s.Waited > 0 {
			row.Detail += ", " + Human(s.Waited) + " of it waiting"
		}
		if s.Error != "" {
			row.Detail += ", failed"
		}
		row.Spans = []Span{{SpanWorks, s.From, s.From + s.Took}}
		// When within the statement it waited is what its locks say.
		for _, l := range o.Locks {
			if l.Statement == i && l.From > l.Asked {
				row.Spans = append(row.Spans, Span{SpanQueues, l.Asked, l.From})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// lockRows has a row for each table, with all its locks in it, so that an upgrade of a lock reads as one. A migration tool's
// own tables have none: nobody else uses them.
func lockRows(o Observation) []Row {
	var rows []Row
	at := map[string]int{}
	worst, took := map[string]string{}, map[string]time.Duration{}
	for _, l := range o.Locks {
		if bookkeeping(l.Table) {
			continue
		}
		i, ok := at[l.Table]
		if !ok {
			i = len(rows)
			at[l.Table] = i
			rows = append(rows, Row{Kind: RowLock, Table: l.Table, Label: tableLabel(l.Table), Statement: l.Statement})
		}
		if l.From > l.Asked {
			rows[i].Spans = append(rows[i].Spans, Span{SpanQueues, l.Asked, l.From})
		}
		if l.Until > l.From {
			rows[i].Spans = append(rows[i].Spans, Span{lockKind(o, l), l.From, l.Until})
		}
		if Stronger(l.Mode, worst[l.Table]) {
			worst[l.Table], rows[i].Statement, took[l.Table] = l.Mode, l.Statement, 0
		}
		if l.Mode == worst[l.Table] {
			took[l.Table] = max(took[l.Table], l.Until-l.Asked)
			rows[i].Detail = l.Mode + ", " + Human(took[l.Table])
		}
	}
	for i := range rows {
		rows[i].Spans = tidy(rows[i].Spans)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return compareWeight(b.Spans, a.Spans) })
	return rows
}

func waitRows(o Observation) []Row {
	type group struct{ query, table string }
	var rows []Row
	at := map[group]int{}
	longest, times := []time.Duration{}, []int{}
	for _, w := range o.Waits {
		g := group{w.Query, w.Table}
		i, ok := at[g]
		if !ok {
			i = len(rows)
			at[g] = i
			rows = append(rows, Row{Kind: RowWait, Table: w.Table, Label: oneLine(w.Query), Statement: w.Statement})
			longest, times = append(longest, 0), append(times, 0)
		}
		rows[i].Spans = append(rows[i].Spans, Span{SpanStands, w.From, w.Until})
		longest[i] = max(longest[i], w.Until-w.From)
		times[i]++
		rows[i].Detail = waited(times[i], longest[i])
	}
	for i := range rows {
		rows[i].Spans = tidy(rows[i].Spans)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return compareWeight(b.Spans, a.Spans) })
	return rows
}

// compareWeight compares how much of a picture is what somebody has to worry about.
func compareWeight(a, b []Span) int {
	sum := func(spans []Span) (d time.Duration) {
		for _, s := range spans {
			switch s.Kind {
			case SpanAll, SpanStands:
				d += 4 * (s.Until - s.From)
			case SpanWrites, SpanQueues:
				d += 2 * (s.Until - s.From)
			case SpanRows:
				d += s.Until - s.From
			}
		}
		return d
	}
	return int(sum(a) - sum(b))
}

func lockKind(o Observation, l Lock) string {
	switch {
	case l.Made:
		return SpanMade
	case StopsReads(l.Mode):
		return SpanAll
	case StopsWrites(l.Mode):
		return SpanWrites
	case changesRows(o, l):
		return SpanRows
	}
	return SpanOthers
}

// tidy sorts spans, and joins those of a kind that overlap or touch.
func tidy(spans []Span) []Span {
	slices.SortStableFunc(spans, func(a, b Span) int {
		if c := strings.Compare(a.Kind, b.Kind); c != 0 {
			return c
		}
		return int(a.From - b.From)
	})
	var out []Span
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].Kind == s.Kind && s.From <= out[n-1].Until {
			out[n-1].Until = max(out[n-1].Until, s.Until)
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Span) int { return int(a.From - b.From) })
	return out
}

func tableLabel(table string) string {
	if table == "" {
		return "the whole database"
	}
	return table
}

// oneLine is a text with each run of white space as one space.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
