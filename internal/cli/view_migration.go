package cli

import (
	"fmt"
	"strings"

	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/term"
)

// Bounds of what is shown of a migration; the page for a browser has more, and --output json has all.
const (
	maxFindings    = 6
	maxAdvice      = 3
	maxAdviceLines = 8
	maxTables      = 8
	maxLost        = 5
	labelWidth     = 12 // of what stands in front of a line, in cells
)

// migrationPart is what a migration did, below the line of its check: in a line or two where all is well and full is not
// asked for, else with everything that explains the verdict.
func migrationPart(s term.Screen, r evidence.Result, full bool) string {
	m := r.Migration
	if m == nil {
		return ""
	}
	p := &part{screen: s}
	if full = full || r.Verdict != evidence.Pass; !full {
		for _, f := range m.Findings[:min(1, len(m.Findings))] {
			p.say("", term.Clean(f.Text))
		}
		p.losses("gone", m.Lost) // the budget gives it up, and a person still wants to see it
		if m.Back != nil {
			p.losses("back loses", m.Back.Lost)
		}
		p.production(m.Forecast)
		return p.String()
	}
	p.findings(m.Findings)
	p.WriteString(timeline(s, *m))
	p.advice(m)
	p.tables(m.Observation)
	p.losses("gone", m.Lost)
	p.losses("changed", m.Changed)
	p.back(m.Back)
	p.production(m.Forecast)
	p.say("ran on", ranOn(*m))
	return p.String()
}

// part is lines below a check's, each with what it is about in front.
type part struct {
	strings.Builder
	screen term.Screen
}

// partIndent stands in front of what is below a check's line.
const partIndent = "      "

// say writes text behind a label; what does not fit goes on below. Nothing is no line.
func (p *part) say(label, text string) {
	if text == "" {
		return
	}
	indent := partIndent
	if label != "" {
		indent += strings.Repeat(" ", labelWidth)
	}
	for i, l := range wrap(text, cells(p.screen)-len(indent)) {
		if i == 0 && label != "" {
			fmt.Fprintf(&p.Builder, "%s%s%s\n", partIndent, p.screen.Paint(term.Dim, term.Pad(label, labelWidth)), l)
			continue
		}
		p.WriteString(indent + l + "\n")
	}
}

func (p *part) findings(list []migration.Finding) {
	for i, f := range list {
		if i == maxFindings {
			p.say("", "and "+count(len(list)-i, "more", "more"))
			break
		}
		v := evidence.Verdict(f.Verdict)
		for j, l := range wrap(term.Clean(f.Text), cells(p.screen)-len(partIndent)-2) {
			mark := " "
			if j == 0 {
				mark = p.screen.Mark(markOf(v))
			}
			fmt.Fprintf(&p.Builder, "%s%s %s\n", partIndent, mark, l)
		}
	}
}

// advice shows the safer way, as it would be typed.
func (p *part) advice(m *migration.Report) {
	for i, a := range m.Advice {
		if i == maxAdvice {
			p.say("safer", "and "+count(len(m.Advice)-i, "more", "more")+", in --html and --output json")
			break
		}
		why := term.Clean(a.Why)
		if a.Statement >= 0 {
			why = fmt.Sprintf("statement %d: %s", a.Statement+1, why)
		}
		p.say("safer", why)
		bar := partIndent + strings.Repeat(" ", labelWidth) + p.screen.Paint(term.Green, "|") + " "
		p.WriteString(term.Indent(bar, firstLines(term.CleanBlock(a.Instead), maxAdviceLines)))
	}
}

func (p *part) tables(o migration.Observation) {
	for i, t := range o.Tables {
		if i == maxTables {
			p.say(" ", "and "+count(len(o.Tables)-i, "more", "more"))
			break
		}
		label := ""
		if i == 0 {
			label = "tables"
		}
		p.labelled(label, tableWords(t))
	}
	peak := migration.Peak(o)
	if peak <= 0 {
		return
	}
	text := migration.Bytes(peak) + " more at its peak"
	if o.WAL > 0 {
		text += ", with " + migration.Bytes(o.WAL) + " of write-ahead log"
	}
	p.say("disk", text)
}

// labelled is say for a line of a list, where only the first has a label.
func (p *part) labelled(label, text string) {
	if label == "" {
		label = " "
	}
	p.say(label, text)
}

// tableWords is what became of a table, in one line.
func tableWords(t migration.Table) string {
	before, after := t.BytesBefore+t.IndexBefore, t.BytesAfter+t.IndexAfter
	name := term.Clean(t.Name)
	switch {
	case t.Made:
		return name + " made"
	case t.Dropped:
		return name + " dropped, " + migration.Bytes(before)
	}
	var words []string
	if t.Rewritten {
		words = append(words, "rewritten")
	}
	if after != before {
		words = append(words, migration.Bytes(before)+" → "+migration.Bytes(after))
	} else {
		words = append(words, "as large as before")
	}
	if t.Rows >= 0 {
		words = append(words, migration.Thousands(t.Rows)+" rows")
	}
	return name + " " + strings.Join(words, ", ")
}

func (p *part) losses(label string, list []migration.Loss) {
	for i, l := range list {
		if i == maxLost {
			p.say(" ", "and "+count(len(list)-i, "more", "more"))
			return
		}
		p.labelled(label, lossWords(l))
		label = ""
	}
}

func lossWords(l migration.Loss) string {
	name := l.Table
	if l.Column != "" {
		name += "." + l.Column
	}
	return term.Clean(name) + ": " + term.Clean(l.Text)
}

// back is what a rollback would mean.
func (p *part) back(b *migration.Back) {
	if b == nil {
		return
	}
	text := p.screen.Mark(term.Pass) + " " + term.Clean(b.How)
	if !b.Possible {
		text = p.screen.Mark(term.Fail) + " one can't go back: the old release's journeys don't pass (" + term.Clean(b.How) + ")"
	}
	if b.Until != "" {
		text += ", " + term.Clean(b.Until)
	}
	p.say("way back", text)
	p.losses("it loses", b.Lost)
}

// production is what production will see, and what it then saw.
func (p *part) production(f *migration.Forecast) {
	if f == nil {
		return
	}
	text := migration.Human(f.Low) + " to " + migration.Human(f.High)
	if f.Low == f.High {
		text = "about " + migration.Human(f.High)
	}
	if f.BlockedReads+f.BlockedWrites > 0 {
		text += fmt.Sprintf(", reads stand still for %s at most and writes for %s", migration.Human(f.BlockedReads), migration.Human(f.BlockedWrites))
	}
	if f.Disk > 0 {
		text += ", " + migration.Bytes(f.Disk) + " more of the disk at its peak"
	}
	if f.Why != "" {
		text += ": " + term.Clean(f.Why)
	}
	p.say("production", text)
	if f.Actual > 0 {
		p.say(" ", "it then took "+migration.Human(f.Actual))
	}
}

// ranOn says what all this was measured on.
func ranOn(m migration.Report) string {
	o := m.Observation
	text := term.Clean(m.Data)
	if text == "" {
		text = "the stage's database"
	}
	if o.Load == "" {
		return text + "; nothing else used it meanwhile"
	}
	return text + ", while " + term.Clean(o.Load) + " used it"
}
