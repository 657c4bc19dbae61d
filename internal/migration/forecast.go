package migration

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Size is how large a table of production's is.
type Size struct {
	Table string `json:"table"` // as Table.Name
	Rows  int64  `json:"rows"`  // about; -1 unknown
	Bytes int64  `json:"bytes"` // without indexes
	Index int64  `json:"index"`
}

// How a statement's time follows the size of what it works on.
const (
	constant = iota // it changes the catalogue only
	linear          // it reads or writes every row
	sorting         // it builds an index
)

// Bounds of a forecast. What is measured on one machine and told of another, with other data in its memory and other work
// to do, is right to about a factor of two; what fits in memory here and not there takes longer still.
const (
	lowFactor = 0.5
	far       = 10 // from here on a small measurement says little
	// Below these what was measured is mostly how long it takes to begin; what can be told then is only how much a server
	// does at best and at worst, bytes a second.
	smallBytes = 1 << 20
	smallTime  = 20 * time.Millisecond
	bestRate   = 400e6
	worstRate  = 10e6
)

// Predict says how long an observed migration will take in production, and how long it will stand in the way, from what each
// statement took here and the sizes of the tables that it worked on. A rewrite and a search take as much longer as the table
// is larger, an index a little more than that, a change of the catalogue no longer. How long production's own sessions
// keep the migration waiting nobody can foresee, so that is left as it was here. It is nil without production's sizes.
func Predict(o Observation, production []Size) *Forecast {
	if len(production) == 0 {
		return nil
	}
	p := &prediction{o: o, here: map[string]Table{}, there: map[string]Size{}, told: map[string]string{}}
	for _, t := range o.Tables {
		p.here[t.Name] = t
	}
	for _, s := range production {
		p.there[s.Table] = s
	}
	low, high := make([]float64, len(o.Statements)), make([]float64, len(o.Statements))
	for i := range o.Statements {
		low[i], high[i] = p.factors(i)
	}
	worst := p.stretch(high)
	f := &Forecast{Low: min(p.stretch(low).Took, worst.Took), High: worst.Took, Disk: p.disk()}
	for _, s := range StoodStill(worst) {
		f.BlockedReads = max(f.BlockedReads, s.Reads.Took())
		f.BlockedWrites = max(f.BlockedWrites, s.Writes.Took(), s.Rows.Took())
	}
	f.Why = p.why()
	return f
}

// SizedAt notes when production had the sizes that the forecast is told from, where that was not just now.
func (f *Forecast) SizedAt(t time.Time) {
	f.Sized = t.UTC()
	f.Why += "; from production's sizes of " + f.Sized.Format("2 January 2006")
}

// Compare says in words how a forecast and what then happened go together.
func (f Forecast) Compare(actual time.Duration) string {
	expected := Human(f.Low) + " to " + Human(f.High)
	if Human(f.Low) == Human(f.High) {
		expected = Human(f.High)
	}
	switch {
	case actual > f.High:
		return fmt.Sprintf("the migration took %s, longer than the %s of the forecast", Human(actual), expected)
	case actual < f.Low:
		return fmt.Sprintf("the migration took %s, less than the %s of the forecast", Human(actual), expected)
	}
	return fmt.Sprintf("the migration took %s, as forecast: %s", Human(actual), expected)
}

type prediction struct {
	o     Observation
	here  map[string]Table
	there map[string]Size
	told  map[string]string // what is said of a table
}

// factors are how many times as long a statement's work will take in production, at least and at most.
func (p *prediction) factors(i int) (low, high float64) {
	s := p.o.Statements[i]
	work := s.Took - s.Waited
	kind := growth(s.SQL, p.o.dialect())
	tables := p.tables(i)
	if kind == constant || len(tables) == 0 || work <= 0 || p.sameFile(i, tables) {
		return 1, 1
	}
	low, high = 0, 0
	for _, name := range tables {
		l, h := p.ofTable(name, kind, work)
		low, high = max(low, l), max(high, h)
	}
	return low, high
}

// sameFile says whether a statement changed a column's type and the server found that no row had to be touched for it.
func (p *prediction) sameFile(i int, tables []string) bool {
	c := p.o.read(i)
	if !c.word("ALTER", "TABLE") || !c.has("TYPE") || c.has("ADD") || c.has("NOT", "NULL") {
		return false
	}
	return !slices.ContainsFunc(tables, func(name string) bool {
		return p.here[name].Rewritten || p.here[name].IndexBefore != p.here[name].IndexAfter
	})
}

func (p *prediction) ofTable(name string, kind int, work time.Duration) (low, high float64) {
	here, there := p.here[name], p.there[name]
	small, large := here.BytesBefore, there.Bytes
	if here.Rewritten {
		small, large = small+here.IndexBefore, large+there.Index
	}
	rows := func(n int64) string {
		if n < 0 {
			return "an unknown number of"
		}
		return Thousands(n)
	}
	p.told[name] = fmt.Sprintf("%s has %s rows there and %s here", tableLabel(name), rows(there.Rows), rows(here.Rows))
	ratio := float64(large) / float64(max(small, 1))
	most := spread(ratio, work)
	if small < smallBytes && work < 10*smallTime && large > small || work < smallTime && ratio > far {
		p.told[name] += ", too few to tell much"
		best, worst := float64(large)/bestRate, float64(large)/worstRate
		return max(1, best/work.Seconds()), max(1+worst/work.Seconds(), most*min(ratio, far))
	}
	if kind == sorting {
		ratio *= max(1, math.Log2(float64(max(there.Rows, 2)))/math.Log2(float64(max(here.Rows, 2))))
	}
	return lowFactor * ratio, most * ratio
}

// spread is how many times as long as its share a statement may take: the more the larger the step is, and the less there
// was to measure.
func spread(ratio float64, work time.Duration) float64 {
	most := 2.0
	switch {
	case ratio > 30:
		most = 4
	case ratio > 3:
		most = 3
	}
	if work < 5*smallTime {
		most *= 1.5
	}
	return most
}

// tables are those that a statement worked on and both databases have: the ones that it locked, or else that it names.
func (p *prediction) tables(i int) (names []string) {
	add := func(name string) {
		_, here := p.here[name]
		_, there := p.there[name]
		if here && there && !p.here[name].Made && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, l := range p.o.Locks {
		if l.Statement == i && !l.Made {
			add(l.Table)
		}
	}
	if len(names) > 0 {
		return names
	}
	c := p.o.read(i)
	for c.at < len(c.toks) {
		if o, ok := c.object(); ok {
			add(o.name)
		} else {
			c.at++
		}
	}
	return names
}

// stretch is the observation as it would be if each statement's work took that many times as long. What happens between
// statements, and while one waits, takes as long as it did.
func (p *prediction) stretch(factor []float64) Observation {
	type change struct {
		at      time.Duration
		factor  float64
		waiting bool
		begins  bool
	}
	var changes []change
	for i, s := range p.o.Statements {
		changes = append(changes, change{s.From, factor[i], false, true}, change{s.From + s.Took, factor[i], false, false})
		for _, l := range p.o.Locks {
			if l.Statement == i && l.From > l.Asked && s.Waited > 0 {
				changes = append(changes, change{l.Asked, 0, true, true}, change{l.From, 0, true, false})
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	var points []point
	now := point{}
	running := map[float64]int{}
	waiting := 0
	for _, c := range changes {
		speed := pace(running, waiting)
		now = now.on(c.at, speed)
		points = append(points, now)
		step := -1
		if c.begins {
			step = 1
		}
		if c.waiting {
			waiting += step
		} else {
			running[c.factor] += step
		}
	}
	move := func(at time.Duration) time.Duration {
		i, _ := slices.BinarySearchFunc(points, at, func(p point, at time.Duration) int { return cmp.Compare(p.from, at) })
		switch {
		case i < len(points) && points[i].from == at:
			return points[i].to
		case i == 0:
			return at
		case i == len(points):
			return points[i-1].to + at - points[i-1].from
		}
		a, b := points[i-1], points[i]
		return a.to + time.Duration(float64(b.to-a.to)*float64(at-a.from)/float64(b.from-a.from))
	}
	out := p.o
	out.Took = move(out.Took)
	out.Locks = slices.Clone(out.Locks)
	for i := range out.Locks {
		l := &out.Locks[i]
		l.Asked, l.From, l.Until = move(l.Asked), move(l.From), move(l.Until)
	}
	return out
}

// pace is how fast the forecast's time goes while statements with these factors are at work.
func pace(running map[float64]int, waiting int) float64 {
	speed, working := 0.0, false
	for f, n := range running {
		if n > 0 {
			speed, working = max(speed, f), true
		}
	}
	if !working || waiting > 0 {
		return 1
	}
	return speed
}

// point says where a moment of the observation is in the forecast.
type point struct{ from, to time.Duration }

func (p point) on(at time.Duration, speed float64) point {
	if at <= p.from {
		return p
	}
	const most = 100 * 365 * 24 * time.Hour
	return point{at, time.Duration(min(float64(p.to)+float64(at-p.from)*speed, float64(most)))}
}

// disk is what Peak would be there.
func (p *prediction) disk() int64 {
	var sum, small, large float64
	for _, t := range p.o.Tables {
		there, known := p.there[t.Name]
		if t.Dropped || !known {
			if t.Made {
				sum += float64(t.BytesAfter + t.IndexAfter)
			}
			continue
		}
		small += float64(max(t.BytesBefore, 1))
		large += float64(there.Bytes)
		ratio := float64(there.Bytes) / float64(max(t.BytesBefore, 1))
		data, index := float64(t.BytesAfter-t.BytesBefore)*ratio, float64(t.IndexAfter-t.IndexBefore)*ratio
		if t.Rewritten {
			sum += max(0, float64(there.Bytes)+data) + max(0, float64(there.Index)+index)
		} else {
			sum += max(0, data) + max(0, index)
		}
	}
	wal := float64(p.o.WAL)
	if small > 0 {
		wal *= max(1, large/small)
	}
	return int64(min(sum+wal, math.MaxInt64/2))
}

// why says from which sizes the forecast is, the largest first.
func (p *prediction) why() string {
	names := make([]string, 0, len(p.told))
	for name := range p.told {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.there[b].Bytes, p.there[a].Bytes), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, p.told[name])
	}
	switch n := len(parts) - 3; {
	case len(parts) == 0:
		return "no statement's time depends on how large a table is"
	case n > 0:
		parts = append(parts[:3], fmt.Sprintf("and %d more tables", n))
	}
	return strings.Join(parts, "; ")
}
