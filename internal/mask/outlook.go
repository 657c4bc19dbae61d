package mask

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Bounds of an outlook: what is beyond them is counted, and "greenroom mask check" tells it once it is live.
const (
	outlookNames = 100
	outlookLines = 400
	spokenNames  = 5 // in a sentence
)

// Outlook is how rules fit the shape that a migration makes, beside the one that it found: what will stop the next copy, and
// what nobody needs any more.
type Outlook struct {
	File    string   `json:"file"`              // that the rules stand in
	From    string   `json:"from"`              // the environment that is copied
	Missing []Remark `json:"missing,omitempty"` // no rule names it
	Judge   []Remark `json:"judge,omitempty"`   // no rule names it, and none can be proposed: a person has to choose one
	Wrong   []Remark `json:"wrong,omitempty"`   // it can't have the rule that it has
	Unused  []Remark `json:"unused,omitempty"`  // a rule names it, and the migration dropped or renamed it
	// Add are the lines to put into the file, as Format writes them, under a key tables of their own.
	Add     []string `json:"add,omitempty"`
	Omitted int      `json:"omitted,omitempty"` // entries and lines that were left out above
	Unknown string   `json:"unknown,omitempty"` // why nobody could look; "" is that somebody did
}

// Remark is a table, or a column of it, and what there is to say of it.
type Remark struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // "" for the table itself
	What   string `json:"what"`
}

// Name is "table" or "table.column".
func (r Remark) Name() string {
	if r.Column == "" {
		return r.Table
	}
	return r.Table + "." + r.Column
}

// Stops says that the next copy stops.
func (o Outlook) Stops() bool { return len(o.Missing)+len(o.Judge)+len(o.Wrong) > 0 }

// Empty says that there is nothing to tell.
func (o Outlook) Empty() bool { return !o.Stops() && len(o.Unused) == 0 && o.Unknown == "" }

// Says is the outlook in sentences.
func (o Outlook) Says() (said []string) {
	if len(o.Missing) > 0 {
		said = append(said, fmt.Sprintf("%s has no rule for %s: once this release is live, the next copy of %s stops", o.File, spoken(o.Missing), o.From))
	}
	said = append(said, each(o.Judge, func(r Remark) string {
		return fmt.Sprintf("once this release is live, the next copy of %s stops until %s has a rule for %s that nobody can propose: %s", o.From, o.File, r.Name(), r.What)
	})...)
	said = append(said, each(o.Wrong, func(r Remark) string {
		return fmt.Sprintf("once this release is live, %s's rule for %s can't be any more, and the next copy of %s stops: %s", o.File, r.Name(), o.From, r.What)
	})...)
	if len(o.Unused) > 0 {
		said = append(said, fmt.Sprintf("unused in %s once this release is live: %s", o.File, spoken(o.Unused)))
	}
	if o.Unknown != "" {
		said = append(said, fmt.Sprintf("whether %s names everything once this release is live is not known: %s", o.File, o.Unknown))
	}
	return said
}

// each is a sentence for the first of a list, and one for the others.
func each(list []Remark, says func(Remark) string) (said []string) {
	for _, r := range list[:min(len(list), spokenNames)] {
		said = append(said, says(r))
	}
	if more := len(list) - spokenNames; more > 0 {
		said = append(said, fmt.Sprintf("and so for %d more", more))
	}
	return said
}

// spoken names the first of a list.
func spoken(list []Remark) string {
	var names []string
	for _, r := range list[:min(len(list), spokenNames)] {
		names = append(names, r.Name())
	}
	text := strings.Join(names, ", ")
	if more := len(list) - spokenNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Ahead says how rules that fit one shape fit the one that a migration made of it. A rule for what was not there before
// either is left out: it may be for a release that is still to come.
func Ahead(r Rules, before, after Shape) Outlook {
	var o Outlook
	was := Unused(r, before)
	merged, notes := Merge(r, after)
	for _, f := range checked(r, after).faults {
		remark := Remark{Table: f.Table, Column: f.Column, What: f.What}
		switch {
		case f.Missed:
			o.Missing = append(o.Missing, remark)
		case !f.Absent:
			o.Wrong = append(o.Wrong, remark)
		case !slices.ContainsFunc(was, func(old Fault) bool { return unusedBy(old, f) }):
			o.Unused = append(o.Unused, remark)
		}
	}
	for _, n := range notes {
		o.undecided(n)
	}
	if added := Added(r, merged); len(added.Tables) > 0 {
		o.Add = Lines(added, notes)
	}
	o.bound()
	return o
}

// undecided tells of a column for which nothing can be proposed, so that the lines to add lack it.
func (o *Outlook) undecided(n Note) {
	if n.Use != "" {
		return
	}
	o.Missing = slices.DeleteFunc(o.Missing, func(r Remark) bool { return r.Table == n.Table && r.Column == n.Column })
	o.Judge = append(o.Judge, Remark{Table: n.Table, Column: n.Column, What: n.Why})
}

// unusedBy says whether a rule was for nothing before already, itself or with its table.
func unusedBy(old, now Fault) bool {
	return old.Table == now.Table && (old.Column == now.Column || old.Column == "")
}

func (o *Outlook) bound() {
	for _, list := range []*[]Remark{&o.Missing, &o.Judge, &o.Wrong, &o.Unused} {
		if more := len(*list) - outlookNames; more > 0 {
			*list, o.Omitted = (*list)[:outlookNames:outlookNames], o.Omitted+more
		}
	}
	if more := len(o.Add) - outlookLines; more > 0 {
		o.Add, o.Omitted = o.Add[:outlookLines:outlookLines], o.Omitted+more
	}
}

// Added are the rules of now that was does not have.
func Added(was, now Rules) Rules {
	out := Rules{Tables: map[string]TableRules{}}
	for name, t := range now.Tables {
		before, there := was.Tables[name]
		if !there {
			out.Tables[name] = t
			continue
		}
		columns := map[string]Rule{}
		for column, rule := range t.Columns {
			if _, had := before.Columns[column]; !had {
				columns[column] = rule
			}
		}
		if len(columns) > 0 {
			out.Tables[name] = TableRules{Columns: columns}
		}
	}
	return out
}

// Lines are the lines of a mask.yaml with these rules, without what stands above every file.
func Lines(r Rules, notes []Note) []string {
	var b bytes.Buffer
	writeTables(&b, r, notes)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}
