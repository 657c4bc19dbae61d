package definition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"greenroom/internal/problem"
)

// Fault is one thing that is wrong in a file of the definition.
type Fault struct {
	File    string // relative to the repository, with slashes
	Line    int    // from 1; 0: the file as a whole
	Column  int    // from 1, in characters; 0: the line as a whole
	What    string // what is wrong
	Instead string // what would be right; may be empty
	Source  string // the line as it stands in the file; may be empty

	fix fix
}

// fix is what `greenroom init` makes of a fault: keys for a service's x-greenroom, or a line to put in the fault's place.
type fix struct {
	service string
	own     []string // keys of x-greenroom with their values
	command bool     // own is a placeholder for the command that a look at the repository may find
	line    string
}

// String is the fault on one line: greenroom.yaml:12:5: what is wrong; what would be right.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
		if f.Column > 0 {
			fmt.Fprintf(&b, ":%d", f.Column)
		}
	}
	b.WriteString(": " + f.What)
	if f.Instead != "" {
		b.WriteString("; " + f.Instead)
	}
	return b.String()
}

// maxExcerpt is how much of a line an excerpt shows, in characters. Of a longer one it shows what is around the column.
const maxExcerpt = 100

// excerpt is the line of the file with a mark below the column, or nothing.
func (f Fault) excerpt() string {
	line := strings.ReplaceAll(strings.TrimRight(f.Source, " \t\r"), "\t", " ")
	if line == "" || !utf8.ValidString(line) {
		return ""
	}
	r, column := []rune(line), f.Column
	if column > maxExcerpt-20 && column <= len(r) {
		cut := column - maxExcerpt/2
		r, column = append([]rune("…"), r[cut:]...), column-cut+1
	}
	if len(r) > maxExcerpt {
		r = append(r[:maxExcerpt:maxExcerpt], '…')
	}
	out := fmt.Sprintf("\n%5d | %s", f.Line, string(r))
	if column > 0 {
		out += fmt.Sprintf("\n      | %s^", strings.Repeat(" ", column-1))
	}
	return out
}

// Faults is the error of a definition that can't be used: everything that is wrong in its files, in their order. Its
// problem code is Invalid.
type Faults struct {
	List []Fault // never empty
}

// Error tells every fault on a line of its own, with the line of the file below it.
func (f *Faults) Error() string {
	parts := make([]string, len(f.List))
	for i, x := range f.List {
		parts[i] = x.String() + x.excerpt()
	}
	return strings.Join(parts, "\n")
}

// Unwrap gives the faults as a problem, so that a command ends with the exit code for a wrong definition.
func (f *Faults) Unwrap() error {
	return problem.New(problem.Invalid, "%s", f.Error()).
		WithHint("correct the file and run the command again; `greenroom schema` prints what may stand in greenroom.yaml, `greenroom schema mask.yaml` in mask.yaml")
}

// Notice is something in a file that a person should know and that stops nothing, such as an attribute of Compose that
// the process driver does not honour.
type Notice Fault

// String is the notice on one line, as a fault's.
func (n Notice) String() string { return Fault(n).String() }

// place is a position in a source.
type place struct {
	src          *source
	line, column int
}

// report collects faults and notices.
type report struct {
	faults  []Fault
	notices []Fault
}

func (r *report) fault(at place, what, instead string) { r.faultFix(at, what, instead, fix{}) }

func (r *report) faultFix(at place, what, instead string, f fix) {
	r.faults = append(r.faults, at.fault(what, instead, f))
}

func (r *report) notice(at place, what, instead string) {
	r.notices = append(r.notices, at.fault(what, instead, fix{}))
}

func (p place) fault(what, instead string, x fix) Fault {
	f := Fault{Line: p.line, Column: p.column, What: what, Instead: instead, fix: x}
	if p.src != nil {
		f.File, f.Source = p.src.name, p.src.text(p.line)
	}
	return f
}

// failed says whether there is a fault.
func (r *report) failed() bool { return len(r.faults) > 0 }

// err is the faults as an error, sorted and without doubles; nil when there are none.
func (r *report) err() error {
	if !r.failed() {
		return nil
	}
	return &Faults{List: arrange(r.faults)}
}

// noticed is the notices, sorted and without doubles.
func (r *report) noticed() []Notice {
	var out []Notice
	for _, n := range arrange(r.notices) {
		out = append(out, Notice(n))
	}
	return out
}

// arrange sorts by file, line and column: greenroom.yaml first. Of several at one place the first found stays, because
// the rule that knows the subject speaks before the schema.
func arrange(list []Fault) []Fault {
	order := func(a, b Fault) int {
		return cmp.Or(
			-cmp.Compare(b2i(a.File == FileName), b2i(b.File == FileName)),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}
	out := slices.DeleteFunc(slices.Clone(list), func(a Fault) bool {
		return a.Line == 0 && slices.ContainsFunc(list, func(b Fault) bool { return b.Line > 0 && b.File == a.File && b.What == a.What })
	})
	slices.SortStableFunc(out, order)
	return slices.CompactFunc(out, func(a, b Fault) bool {
		return order(a, b) == 0 && (a.Column > 0 || a.What == b.What)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
