package migration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdicts of a finding, as evidence.Verdict has them.
const (
	pass         = "pass"
	fail         = "fail"
	inconclusive = "inconclusive"
)

// fine is how long nobody may have looked without it mattering: what is seen is right to that.
const fine = 20 * time.Millisecond

// Default is the budget with what is zero and has a default set to that: 250 ms for reads, 1 s for writes.
func (b Budget) Default() Budget {
	return b.Or(Budget{BlockedReads: 250 * time.Millisecond, BlockedWrites: time.Second})
}

// Or is the budget with what is zero taken from another one.
func (b Budget) Or(other Budget) Budget {
	return Budget{
		BlockedReads:  cmp.Or(b.BlockedReads, other.BlockedReads),
		BlockedWrites: cmp.Or(b.BlockedWrites, other.BlockedWrites),
		Duration:      cmp.Or(b.Duration, other.Duration),
		Growth:        cmp.Or(b.Growth, other.Growth),
		RowsLost:      cmp.Or(b.RowsLost, other.RowsLost),
	}
}

// Judge says what production would have suffered, from the locks alone: whether or not somebody was waiting behind them.
// What was seen to wait is a second witness. A budget's zeros mean the defaults. There is always a finding, the worst come
// first, and what was looked at too seldom to be decided is inconclusive.
func Judge(o Observation, b Budget) []Finding {
	b = b.Default()
	var found []Finding
	if o.Samples < 2 {
		return []Finding{{Verdict: inconclusive, Statement: -1,
			Text: "the database was not looked at while the migration ran, so nobody knows what stood still"}}
	}
	found = append(found, judgeTables(o, b)...)
	found = append(found, judgeWaits(o, b, found)...)
	found = append(found, judgeSight(o, b)...)
	found = append(found, judgeWhole(o, b)...)
	if Verdict(found) == pass || len(found) == 0 {
		found = append(found, harmless(o, b)...)
	}
	return sorted(found)
}

// Judge is everything that the budget has to say about a report: Judge of what was observed, and of what was lost.
func (r Report) Judge() []Finding {
	return sorted(append(Judge(r.Observation, r.Budget), JudgeLost(r.Lost, r.Budget)...))
}

// JudgeLost holds what is gone against the budget. None gone is no finding.
func JudgeLost(lost []Loss, b Budget) []Finding {
	var rows int64
	var texts []string
	for _, l := range lost {
		rows += l.Rows
		texts = append(texts, tableLabel(l.Table)+": "+l.Text)
	}
	if len(lost) == 0 {
		return nil
	}
	if n := len(texts) - 3; n > 0 {
		texts = append(texts[:3], fmt.Sprintf("and %d more", n))
	}
	text := strings.Join(texts, "; ")
	switch {
	case b.RowsLost < 0 || rows <= b.RowsLost:
		return []Finding{{Verdict: pass, Text: text, Statement: -1, Table: lost[0].Table}}
	case b.RowsLost == 0:
		text += ", and none may be"
	default:
		text += fmt.Sprintf(", %s rows in all, and %s may be", Thousands(rows), Thousands(b.RowsLost))
	}
	return []Finding{{Verdict: fail, Text: text, Statement: -1, Table: lost[0].Table}}
}

// Verdict is the worst of the findings': fail, then inconclusive, then pass. Of none it is inconclusive.
func Verdict(found []Finding) string {
	if len(found) == 0 {
		return inconclusive
	}
	return slices.MinFunc(found, func(a, b Finding) int { return rank(a) - rank(b) }).Verdict
}

func rank(f Finding) int {
	switch f.Verdict {
	case fail:
		return 0
	case pass:
		return 2
	}
	return 1
}

// sorted has the worst first, and of equals the longest.
func sorted(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(b.Took, a.Took))
	})
	return found
}

// judgeTables has a finding for each table that would have stood still for too long.
func judgeTables(o Observation, b Budget) []Finding {
	var found []Finding
	for _, s := range StoodStill(o) {
		reads, writes := s.Reads.Took() > b.BlockedReads, s.Writes.Took() > b.BlockedWrites
		switch {
		case reads && writes && s.Reads == s.Writes: // one lock stops both, and is told of once
			found = append(found, stood(o, "reads of %s and writes to it", s.Table, s.Reads, min(b.BlockedReads, b.BlockedWrites)))
		case reads && writes:
			found = append(found, stood(o, "reads of %s", s.Table, s.Reads, b.BlockedReads), stood(o, "writes to %s", s.Table, s.Writes, b.BlockedWrites))
		case reads:
			found = append(found, stood(o, "reads of %s", s.Table, s.Reads, b.BlockedReads))
		case writes:
			found = append(found, stood(o, "writes to %s", s.Table, s.Writes, b.BlockedWrites))
		}
		if s.Rows.Took() > b.BlockedWrites && (s.Rows.From > s.Writes.Until || s.Rows.Until < s.Writes.From || s.Rows.Took() > s.Writes.Took()) {
			found = append(found, stood(o, "writes to the rows of %s that were changed", s.Table, s.Rows, b.BlockedWrites))
		}
	}
	return found
}

func stood(o Observation, what, table string, s Stretch, allowed time.Duration) Finding {
	text := fmt.Sprintf(what, tableLabel(table)) + " would have stood still for " + exceeding(s.Took(), allowed)
	if n := behind(o, table, s); n == 1 {
		text += "; one session was seen to wait"
	} else if n > 1 {
		text += fmt.Sprintf("; sessions were seen to wait %s times", Thousands(int64(n)))
	}
	return Finding{Verdict: fail, Text: text, Table: table, Took: s.Took(), Budget: allowed, Statement: s.Statement}
}

// exceeding never tells two times that differ with the same words.
func exceeding(took, allowed time.Duration) string {
	a, b := Human(took), Human(allowed)
	if a == b {
		a = "a little more than " + b
	}
	return a + ", and " + b + " is allowed"
}

// behind counts who was seen to wait for a table in a stretch.
func behind(o Observation, table string, s Stretch) (n int) {
	for _, w := range o.Waits {
		if w.Table == table && w.From <= s.Until && w.Until >= s.From {
			n++
		}
	}
	return n
}

// judgeWaits has a finding for each table that somebody was seen to wait for longer than its locks explain: for rows that
// were changed, or for a lock that is no table's.
func judgeWaits(o Observation, b Budget, told []Finding) []Finding {
	type key struct {
		table string
		write bool
	}
	worst := map[key]Wait{}
	for _, w := range o.Waits {
		k := key{w.Table, w.Write}
		if w.Until-w.From > worst[k].Until-worst[k].From {
			worst[k] = w
		}
	}
	var found []Finding
	for k, w := range worst {
		allowed, what := b.BlockedReads, "a read of "
		if k.write {
			allowed, what = b.BlockedWrites, "a write to "
		}
		took := w.Until - w.From
		if took <= allowed || slices.ContainsFunc(told, func(f Finding) bool { return f.Table == k.table }) {
			continue
		}
		found = append(found, Finding{Verdict: fail, Table: k.table, Took: took, Budget: allowed, Statement: w.Statement,
			Text: what + tableLabel(k.table) + " stood behind the migration for " + exceeding(took, allowed)})
	}
	slices.SortFunc(found, func(a, b Finding) int { return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Text, b.Text)) })
	return found
}

// judgeSight says what can't be said, because nobody looked at the time.
func judgeSight(o Observation, b Budget) []Finding {
	changed := slices.ContainsFunc(o.Tables, func(t Table) bool { return t.Made || t.Dropped || t.Rewritten })
	// A file's locks are seen whoever has them: one that was not was there for less than a gap. A server's may be those of a
	// session that was not known for the migrator's; but none was there for longer than all of it took.
	if changed && o.Engine != "sqlite" && !o.Exact && o.Took > min(b.BlockedReads, b.BlockedWrites) && len(o.Locks) == 0 && len(o.Statements) == 0 {
		return []Finding{{Verdict: inconclusive, Statement: -1,
			Text: "tables were changed, and no session was seen that did it: the migration has to log in under the application name that it is given"}}
	}
	if allowed := min(b.BlockedReads, b.BlockedWrites); o.Prepared > allowed {
		return []Finding{{Verdict: inconclusive, Statement: -1, Took: o.Prepared, Budget: allowed,
			Text: fmt.Sprintf("a prepared transaction kept its locks for %s, and %s is allowed: what it locked is not known", Human(o.Prepared), Human(allowed))}}
	}
	var found []Finding
	sure, most := longestOf(StoodStill(o), b), longestOf(stoodStill(o, true), b)
	for i, m := range most {
		if sure[i].Took <= m.Budget && m.Took > m.Budget {
			m.Verdict = inconclusive
			m.Text += fmt.Sprintf(" %s may have stood still for %s, and %s is allowed: nobody saw what was locked there",
				tableLabel(m.Table), Human(m.Took), Human(m.Budget))
			found = append(found, m)
		}
	}
	if o.Gap <= fine || len(found) > 0 {
		return found
	}
	most = longestOf(stoodStill(atMost(o), true), b)
	for i, f := range sure {
		switch m := most[i]; {
		case f.Took > f.Budget: // which is told already
		case m.Took > m.Budget:
			m.Verdict = inconclusive
			m.Text += fmt.Sprintf(" %s may have stood still for %s, and %s is allowed: nobody could look when that began or ended",
				tableLabel(m.Table), Human(m.Took), Human(m.Budget))
			found = append(found, m)
		case o.Gap > f.Budget && !o.Exact: // where every lock is known there is none to miss
			found = append(found, Finding{Verdict: inconclusive, Statement: -1, Budget: f.Budget, Text: f.Text +
				fmt.Sprintf(" a table may have stood still for longer than the %s that are allowed, because nobody could look for %s", Human(f.Budget), Human(o.Gap))})
		}
	}
	return found
}

// atMost is the observation with each lock as long as it may have been.
func atMost(o Observation) Observation {
	o.Locks = slices.Clone(o.Locks)
	for i := range o.Locks {
		l := &o.Locks[i]
		l.Asked, l.From, l.Until = l.Asked-l.Early, l.From-l.Early, l.Until+l.Late
	}
	return o
}

// JudgeForecast says what data that is none of production's can't show: that production itself would stand still for longer
// than it may, by the most that is foretold. There is nothing to say where it would not.
func JudgeForecast(f Forecast, b Budget) []Finding {
	b = b.Default()
	var found []Finding
	for _, x := range []struct {
		what         string
		took, budget time.Duration
	}{{"reads", f.BlockedReads, b.BlockedReads}, {"writes", f.BlockedWrites, b.BlockedWrites}} {
		if x.took > x.budget {
			found = append(found, Finding{Verdict: inconclusive, Statement: -1, Took: x.took, Budget: x.budget,
				Text: fmt.Sprintf("%s may stand still in production for up to %s, and %s is allowed (%s): rehearse it on a copy of production's data",
					x.what, Human(x.took), Human(x.budget), cmp.Or(f.Why, "from its sizes"))})
		}
	}
	return found
}

// judgeWhole holds the migration as a whole against the budget.
func judgeWhole(o Observation, b Budget) []Finding {
	var found []Finding
	if b.Duration > 0 && o.Took > b.Duration {
		found = append(found, Finding{Verdict: fail, Took: o.Took, Budget: b.Duration, Statement: -1,
			Text: "the migration took " + exceeding(o.Took, b.Duration)})
	}
	if n := Peak(o); b.Growth > 0 && n > b.Growth {
		found = append(found, Finding{Verdict: fail, Statement: -1,
			Text: fmt.Sprintf("it takes %s more of the disk at its peak, and %s is allowed", Bytes(n), Bytes(b.Growth))})
	}
	return found
}

// Peak is how many bytes more of the disk are taken before anything is given back: what was made, what grew, a rewritten
// table's second file beside its first, and the write-ahead log.
func Peak(o Observation) int64 {
	sum := o.WAL + o.Grown
	for _, t := range o.Tables {
		sum += t.peak()
	}
	return sum
}

func (t Table) peak() int64 {
	switch {
	case t.Dropped:
		return 0
	case t.Rewritten:
		return t.BytesAfter + t.IndexAfter
	}
	return max(0, t.BytesAfter-t.BytesBefore) + max(0, t.IndexAfter-t.IndexBefore)
}

// harmless is what is said of a migration that keeps within its budget.
func harmless(o Observation, b Budget) []Finding {
	var found []Finding
	for _, f := range longestOf(StoodStill(o), b) {
		if f.Took > 0 {
			f.Verdict = pass
			f.Text += fmt.Sprintf(" %s would have stood still for %s, and %s is allowed", tableLabel(f.Table), roundly(f.Took), Human(f.Budget))
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		found = []Finding{{Verdict: pass, Text: "nobody would have stood still", Statement: -1}}
	}
	return found
}

func roundly(d time.Duration) string {
	if d < time.Millisecond {
		return Human(d)
	}
	return Human(d) + " at most"
}

// longestOf has the longest time that reads and that writes would have stood still anywhere, as findings without a verdict
// whose text is their beginning.
func longestOf(stood []Still, b Budget) []Finding {
	reads := Finding{Text: "reads of", Statement: -1, Budget: b.BlockedReads}
	writes := Finding{Text: "writes to", Statement: -1, Budget: b.BlockedWrites}
	longer := func(f *Finding, table string, s Stretch) {
		if s.Took() > f.Took {
			f.Table, f.Took, f.Statement = table, s.Took(), s.Statement
		}
	}
	for _, s := range stood {
		longer(&reads, s.Table, s.Reads)
		longer(&writes, s.Table, s.Writes)
		longer(&writes, s.Table, s.Rows)
	}
	return []Finding{reads, writes}
}
