package migration

import (
	"cmp"
	"slices"
	"time"
)

// Kinds are the kinds of spans in the order in which they are drawn: what is worse is drawn over what is not.
func Kinds() []string {
	return []string{SpanWorks, SpanMade, SpanOthers, SpanQueues, SpanRows, SpanWrites, SpanAll, SpanStands}
}

// KindWords says what a kind of span is, as the rest of a sentence whose beginning is a time.
func KindWords(kind string) string {
	switch kind {
	case SpanWorks:
		return "at work"
	case SpanQueues:
		return "waits for a lock"
	case SpanAll:
		return "nobody reads or writes"
	case SpanWrites:
		return "nobody writes"
	case SpanRows:
		return "changed rows are locked"
	case SpanOthers:
		return "only schema changes wait"
	case SpanMade:
		return "new, nobody sees it yet"
	case SpanStands:
		return "stands behind the migration"
	default:
		return kind
	}
}

// Longest is how long the longest span of that kind is; "" is any.
func (r Row) Longest(kind string) (d time.Duration) {
	for _, s := range r.Spans {
		if kind == "" || s.Kind == kind {
			d = max(d, s.Until-s.From)
		}
	}
	return d
}

// End is where a picture of these rows ends.
func (r Report) End(rows []Row) time.Duration {
	end := r.Observation.Took
	for _, row := range rows {
		for _, s := range row.Spans {
			end = max(end, s.Until)
		}
	}
	return end
}

// Choose keeps of the rows of a kind at most so many, the most telling, in their order, and counts the others.
func Choose(rows []Row, kind string, most int) (kept []Row, left int) {
	for _, r := range rows {
		if r.Kind == kind {
			kept = append(kept, r)
		}
	}
	if len(kept) <= most {
		return kept, 0
	}
	left = len(kept) - most
	if kind != RowStatement { // these come with the worst first
		return kept[:most], left
	}
	byTime := slices.Clone(kept)
	slices.SortStableFunc(byTime, func(a, b Row) int { return cmp.Compare(b.Longest(""), a.Longest("")) })
	shown := byTime[:most]
	slices.SortFunc(shown, func(a, b Row) int { return cmp.Compare(a.Statement, b.Statement) })
	return shown, left
}

// Meaning is one thing that a lock meant: for how long, and what.
type Meaning struct {
	Took  time.Duration
	Words string // as KindWords has them
}

// Meanings are what a table's locks meant to others, by what stood still.
func (r Row) Meanings(still []Still) []Meaning {
	if i := slices.IndexFunc(still, func(s Still) bool { return s.Table == r.Table }); i >= 0 {
		reads, writes, rows := still[i].Reads.Took(), still[i].Writes.Took(), still[i].Rows.Took()
		switch {
		case reads > 0 && writes > reads:
			return []Meaning{{writes, KindWords(SpanWrites)}, {reads, "of it nobody reads"}}
		case reads > 0:
			return []Meaning{{reads, KindWords(SpanAll)}}
		case writes > 0:
			return []Meaning{{writes, KindWords(SpanWrites)}}
		case rows > 0:
			return []Meaning{{rows, KindWords(SpanRows)}}
		}
	}
	for _, kind := range slices.Backward(Kinds()) {
		if d := r.Longest(kind); d > 0 {
			return []Meaning{{d, KindWords(kind)}}
		}
	}
	return nil
}

// Limit is when a table had stood still for as long as the budget allows; false where it never did.
func (r Row) Limit(still []Still, b Budget) (at, allowed time.Duration, over bool) {
	i := slices.IndexFunc(still, func(s Still) bool { return s.Table == r.Table })
	if r.Kind != RowLock || i < 0 {
		return 0, 0, false
	}
	b = b.Default()
	for _, l := range []struct {
		Stretch
		allowed time.Duration
	}{{still[i].Reads, b.BlockedReads}, {still[i].Writes, b.BlockedWrites}, {still[i].Rows, b.BlockedWrites}} {
		if l.Took() > l.allowed {
			return l.From + l.allowed, l.allowed, true
		}
	}
	return 0, 0, false
}
