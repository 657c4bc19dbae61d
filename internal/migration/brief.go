package migration

import (
	"cmp"
	"slices"

	"greenroom/internal/human"
)

// What a brief report has of each list, and of each statement's text.
const (
	briefEntries = 40
	briefText    = 400 // bytes
)

// Brief is the report as evidence carries it: every finding, and of long lists their beginning, so that what is signed and
// sent about stays small. Omitted counts what was left out of the observation.
func (r Report) Brief() Report {
	o := &r.Observation
	o.Statements = brief(o, o.Statements)
	o.Locks = brief(o, o.Locks)
	o.Waits = brief(o, o.Waits)
	*o = o.worthiest(briefEntries)
	for i := range o.Statements {
		o.Statements[i].SQL = clip(o.Statements[i].SQL)
	}
	for i := range o.Waits {
		o.Waits[i].Query = clip(o.Waits[i].Query)
	}
	r.Advice, r.Lost, r.Changed = first(r.Advice), first(r.Lost), first(r.Changed)
	return r
}

func brief[T any](o *Observation, all []T) []T {
	kept := first(all)
	o.Omitted += len(all) - len(kept)
	return kept
}

// first is a copy of the beginning of a list.
func first[T any](all []T) []T { return append([]T(nil), all[:min(briefEntries, len(all))]...) }

func clip(s string) string {
	if len(s) <= briefText {
		return s
	}
	n := briefText
	for n > 0 && s[n]&0xc0 == 0x80 { // not in the middle of a letter
		n--
	}
	return s[:n]
}

// boundTables is how many tables a bounded observation has.
const boundTables = 200

// Bounded is the observation as it is kept: of very many tables, as of a partitioned one, those of which there is most to
// say. Statements, locks and waits are bounded by those who look.
func (o Observation) Bounded() Observation { return o.worthiest(boundTables) }

// worthiest keeps the tables with the most to say of them, and of the others how much of the disk they took.
func (o Observation) worthiest(most int) Observation {
	if len(o.Tables) <= most {
		return o
	}
	all := slices.Clone(o.Tables)
	slices.SortStableFunc(all, func(a, b Table) int { return cmp.Compare(b.weight(), a.weight()) })
	kept, left := all[:most:most], all[most:]
	o.Omitted += len(left)
	for _, t := range left {
		o.Grown += t.peak()
	}
	slices.SortFunc(kept, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	o.Tables = kept
	return o
}

// weight is how much there is to say of a table: of one that was rewritten all of it, of others what grew or was given back.
func (t Table) weight() int64 {
	before, after := t.BytesBefore+t.IndexBefore, t.BytesAfter+t.IndexAfter
	weight := max(after-before, before-after)
	if t.Rewritten {
		weight = max(before, after)
	}
	if t.Made || t.Dropped || t.Rewritten {
		weight++ // before what it only touched
	}
	return weight
}

// boundLost is how many losses are kept one by one.
const boundLost = 200

// BoundedLosses are losses as they are kept: the worst of them, which come first, and the others as one, so that the sum of
// their rows is what it was.
func BoundedLosses(all []Loss) []Loss {
	if len(all) <= boundLost {
		return all
	}
	kept, rest := slices.Clone(all[:boundLost-1]), Loss{Table: Thousands(int64(len(all)-boundLost+1)) + " more"}
	for _, l := range all[boundLost-1:] {
		rest.Rows += l.Rows
	}
	rest.Text = human.Count(rest.Rows, "row or value", "rows and values") + " in all"
	return append(kept, rest)
}
