package mask

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Note says why a column has its rule, for the comment behind it.
type Note struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // "" for the table itself
	Use    string `json:"use"`
	Why    string `json:"why"` // one line
	// Judged says that somebody ought to look: what the column holds could not be told from its name and type.
	Judged bool `json:"judge,omitempty"`
}

// formatHead stands above every file.
const formatHead = `# What becomes of each column of production's data on its way out. A column that stands nowhere here stops the copy.
# "greenroom mask check" says what is missing; what the uses do stands in docs/mask-production-data.md.
`

// Format writes rules as mask.yaml: sorted by table, the columns in alphabetical order, with the notes behind them.
// Reading what it wrote gives the same rules. This is the document's form:
//
//	tables:
//	  customers:
//	    born: date 30d                      # a scalar is a use, and behind it what it takes: ParseRule reads it
//	    email: email
//	    id: keep
//	    note: {constant: "see file: 7"}     # a mapping of one use to what it takes: RuleOf reads it
//	    plan: constant free
//	    profile: {json: {$.email: email, "$.items[*].note": text, $.weight: number 40..120}}
//	    tags: array text
//	  billing.invoices:                     # outside the default schema
//	    total: number
//	  sessions: none                        # a table's scalar can only be none: it is copied empty (TableRules.Rows)
//
// Names are quoted where YAML would read them as something else. The word null as a rule is the use of that name, also
// where YAML reads it as nothing.
func Format(r Rules, notes []Note) []byte {
	var b bytes.Buffer
	b.WriteString(formatHead)
	writeTables(&b, r, notes)
	return b.Bytes()
}

func writeTables(b *bytes.Buffer, r Rules, notes []Note) {
	why := map[[2]string]Note{}
	for _, n := range notes {
		why[[2]string{n.Table, n.Column}] = n
	}
	if len(r.Tables) == 0 {
		b.WriteString("tables: {}\n")
		return
	}
	b.WriteString("tables:\n")
	for _, table := range slices.Sorted(maps.Keys(r.Tables)) {
		rules := r.Tables[table]
		line := "  " + yamlName(table) + ":"
		switch {
		case rules.Rows != "":
			line += " " + rules.Rows
		case len(rules.Columns) == 0:
			line += " {}"
		}
		writeLine(b, line, why[[2]string{table, ""}])
		if rules.Rows != "" {
			continue
		}
		for _, column := range slices.Sorted(maps.Keys(rules.Columns)) {
			writeLine(b, ColumnLine(column, rules.Columns[column]), why[[2]string{table, column}])
		}
	}
}

// ColumnLine is the line of a column in mask.yaml, indented as it stands there.
func ColumnLine(column string, r Rule) string { return "    " + yamlName(column) + ": " + r.String() }

// commentColumn is where comments begin, where the line leaves room.
const commentColumn = 40

func writeLine(b *bytes.Buffer, line string, n Note) {
	b.WriteString(line)
	if n.Why != "" {
		pad := max(1, commentColumn-len([]rune(line)))
		b.WriteString(strings.Repeat(" ", pad) + "# " + strings.Join(strings.Fields(n.Why), " "))
		if n.Judged {
			b.WriteString("; please judge")
		}
	}
	b.WriteByte('\n')
}

// String is the rule as it stands in mask.yaml: a scalar where it can be one.
func (r Rule) String() string {
	if text, ok := r.scalar(); ok {
		return yamlRule(text)
	}
	return r.flow()
}

// scalar is the rule as ParseRule reads it, where it can be written so.
func (r Rule) scalar() (string, bool) {
	switch {
	case r.Use == "constant":
		plain := r.Value != "" && strings.TrimSpace(r.Value) == r.Value && yamlPlain("constant "+r.Value)
		return "constant " + r.Value, plain
	case r.Low != "" || r.High != "":
		return r.Use + " " + r.Low + rangeMark + r.High, true
	case r.Shift != "":
		return r.Use + " " + r.Shift, true
	case r.Of != nil:
		text, ok := r.Of.scalar()
		return r.Use + " " + text, ok
	}
	return r.Use, len(r.Paths) == 0
}

// flow is the rule as a mapping on one line.
func (r Rule) flow() string {
	switch {
	case r.Use == "constant":
		return "{constant: " + quote(r.Value) + "}"
	case r.Of != nil:
		return "{" + r.Use + ": " + r.Of.String() + "}"
	}
	var members []string
	for _, p := range slices.Sorted(maps.Keys(r.Paths)) {
		members = append(members, yamlName(p)+": "+r.Paths[p].String())
	}
	return "{" + r.Use + ": {" + strings.Join(members, ", ") + "}}"
}

// yamlRule quotes a scalar that is not plain; null is one that a person writes plain, and readers know.
func yamlRule(text string) string {
	if text == "null" || yamlPlain(text) {
		return text
	}
	return quote(text)
}

func yamlName(name string) string {
	if yamlPlain(name) {
		return name
	}
	return quote(name)
}

// yamlPlain says whether YAML reads the text as this string, in a flow too. What it is not sure of is quoted.
func yamlPlain(text string) bool {
	if text == "" || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-$ /@+") != "" {
		return false
	}
	first := text[0]
	letter := first|0x20 >= 'a' && first|0x20 <= 'z'
	if !letter && first != '_' && first != '$' || text[len(text)-1] == ' ' {
		return false
	}
	switch strings.ToLower(text) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}

// quote writes a double-quoted scalar: YAML reads JSON's.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil { // a string always has a JSON form
		return `""`
	}
	return strings.TrimSpace(b.String())
}
