package migration

import (
	"regexp"
	"strings"
)

// What of a message is a value: of a key or a row that the server shows, of a driver's parameters, or in quotes. What stands
// in double quotes may be a name, and is one where it looks like one; behind a colon it is a value in any case.
var (
	shownKey  = regexp.MustCompile(`\)\s*=\s*\(.*\)`)
	shownRow  = regexp.MustCompile(`(?i)(failing row contains|row contains|values?|parameters?|params|binds?|args|arguments)(["']?\s*[:=]?\s*)[\[({].*`)
	inQuotes  = regexp.MustCompile(`'(?:[^'\n]|'')*'?`)
	afterSign = regexp.MustCompile(`(:\s*|=\s*)"(?:[^"\n]|"")*"?`)
	inDouble  = regexp.MustCompile(`"((?:[^"\n]|"")*)"?`)
	plainName = regexp.MustCompile(`^[\pL_][\pL\pN_$]*(\.[\pL_][\pL\pN_$]*)*$`)
	address   = regexp.MustCompile(`[^\s"'(),;<>=]+@[^\s"'(),;<>=]+`)
	shownPart = regexp.MustCompile(`(?i)((?:^|[\s;,{"'])(?:` + shownLabels + `)["']?\s*:\s*).*`)
)

// shownLabels begin what PostgreSQL shows of values, also in the languages that a server may be set to.
const shownLabels = `detail|where|context|copy|kontext|detalle|contexto|détail|contexte|dettagli|contesto|detalhe|подробности|контекст|szczegóły|kontekst|detalj|ayrıntı|bağlam`

// A value may have lines. Where one that is shown does not end on its line, what follows belongs to it, up to a line that
// begins as only a message does.
var (
	shown     = regexp.MustCompile(shownPart.String() + `|` + shownKey.String() + `|` + shownRow.String() + `|\)\s*=\s*\(`)
	shownEnds = regexp.MustCompile(`\) (?:already exists|is duplicated|is not present in table "[^"]*"|is still referenced from table "[^"]*"|conflicts with existing key .*\))\.?['",;\s]*(?:[;,]|$)`)
	openKey   = regexp.MustCompile(`\)\s*=\s*\(.*`)
	unclosed  = regexp.MustCompile(`[:=]\s*"(?:[^"]|"")*$|[=,(]\s*'(?:[^']|'')*$`)
	message   = regexp.MustCompile(`^(?:psql:|(?:ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|LOG|HINT|DETAIL|CONTEXT|QUERY|STATEMENT|LOCATION|(?:SCHEMA|TABLE|COLUMN|CONSTRAINT|DATATYPE) NAME):)`)
)

// goesOn says whether a value that a line shows may go on in the next one.
func goesOn(line string) bool {
	part := shown.FindString(line)
	return strings.Contains(part, "(") && !shownEnds.MatchString(line) || strings.Count(part, `"`)%2 != 0 || unclosed.MatchString(line)
}

// Said is what a database or a migrator said, without the values that stand in it: it goes where production's values must
// not. What PostgreSQL's details and contexts show is left out, as are texts in quotes that are no names, mail addresses, and
// parameters. A value that stands in a sentence of the migrator's own, as any other word, is not known for one.
func Said(text string) string {
	var lines []string
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		if inside && !message.MatchString(line) {
			continue
		}
		if inside = goesOn(line); inside {
			line = openKey.ReplaceAllString(line, ")=("+leftOut)
		}
		lines = append(lines, saidLine(line))
	}
	return strings.Join(lines, "\n")
}

const leftOut = "…"

func saidLine(line string) string {
	line = shownPart.ReplaceAllString(line, "${1}"+leftOut)
	line = shownKey.ReplaceAllString(line, ")=("+leftOut+")")
	line = shownRow.ReplaceAllString(line, "${1}${2}("+leftOut+")")
	line = afterSign.ReplaceAllString(line, `${1}"`+leftOut+`"`)
	line = inQuotes.ReplaceAllStringFunc(line, func(s string) string { return unlessName(s, '\'') })
	line = inDouble.ReplaceAllStringFunc(line, func(s string) string { return unlessName(s, '"') })
	return address.ReplaceAllString(line, leftOut)
}

func unlessName(s string, quote byte) string {
	if inside := strings.Trim(s, string(quote)); quote == '"' && plainName.MatchString(inside) {
		return s
	}
	return string(quote) + leftOut + string(quote)
}

// WithoutValues is an observation of a database whose values stay where they are. The statements of a file are as they stand
// there: nobody's values are in them but the release's.
func (o Observation) WithoutValues() Observation {
	o.Statements = append([]Statement(nil), o.Statements...)
	for i := range o.Statements {
		s := &o.Statements[i]
		if s.File == "" {
			s.SQL = Literals(s.SQL)
		}
		s.Error = Said(s.Error)
	}
	return o
}
