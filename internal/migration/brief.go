package migration

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
	o.Tables = brief(o, o.Tables)
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
