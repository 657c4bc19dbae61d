package layout

import (
	"errors"
	"path"
	"strconv"
	"strings"
)

// goose reads what pressly/goose v3 does: files of the folder itself that are named NUMBER_name.sql. Others are none of its.
func (r *reader) goose() (all []Migration) {
	seen := map[string]string{}
	for _, name := range r.top() {
		version, ok := gooseVersion(name)
		if !ok || !r.once(seen, version, name) {
			continue
		}
		if path.Ext(name) == ".go" {
			r.fault(name, errors.New("a migration in Go runs in the program that it is compiled into; say how that is called with migrations: {run: …}"))
			continue
		}
		text, err := r.unmarked(name)
		if err != nil {
			r.fault(name, err)
			continue
		}
		m, err := gooseFile(text, r.dialect)
		if err != nil {
			r.fault(name, err)
		}
		_, m.Name, _ = strings.Cut(strings.TrimSuffix(name, ".sql"), "_")
		m.Version, m.File, m.Checksum = version, name, sum(text)
		if m.Down != nil {
			m.DownFile, m.DownNoTx = name, m.NoTx
		}
		all = append(all, m)
	}
	return all
}

// gooseVersion is the number that a file's name begins with, as goose reads and writes it.
func gooseVersion(name string) (string, bool) {
	if ext := path.Ext(name); ext != ".sql" && ext != ".go" || strings.HasSuffix(name, "_test.go") {
		return "", false
	}
	number, _, ok := strings.Cut(name, "_")
	n, err := strconv.ParseInt(number, 10, 64)
	return strconv.FormatInt(n, 10), ok && err == nil && n > 0
}

// gooseParser is goose's parser, which goes by lines: a statement ends with the line whose last word ends with a semicolon,
// unless it stands in StatementBegin and StatementEnd. It keeps both ways at once where goose reads a file twice.
type gooseParser struct {
	m     Migration
	to    *[]Statement // Up or Down; nil before the first of them
	block bool         // inside StatementBegin
	text  strings.Builder
	first int // line of the text's beginning
	line  int
}

func gooseFile(file string, d Dialect) (Migration, error) {
	p := gooseParser{}
	for line := range strings.Lines(file) {
		p.line++
		if err := p.take(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")); err != nil {
			return p.m, err
		}
	}
	switch {
	case p.to == nil:
		return p.m, faulty(1, "it has no line -- +goose Up")
	case p.block:
		return p.m, faulty(p.first, "-- +goose StatementEnd is missing")
	}
	if err := p.unfinished(); err != nil {
		return p.m, err
	}
	return p.m, gooseCheck(p.m, d)
}

func (p *gooseParser) take(line string) error {
	trimmed := strings.TrimSpace(line)
	if strings.HasPrefix(trimmed, "--") && strings.Contains(line, "+goose") {
		return p.annotation(line)
	}
	// Between statements goose drops comments of this kind and empty lines, and keeps lines of blanks.
	if p.text.Len() == 0 && (line == "" || strings.HasPrefix(trimmed, "--")) {
		return nil
	}
	if p.to == nil {
		if trimmed == "" {
			return nil
		}
		return faulty(p.line, "it has to begin with -- +goose Up")
	}
	if strings.TrimSpace(p.text.String()) == "" {
		p.first = p.line
	}
	p.text.WriteString(line + "\n")
	if !p.block && endsStatement(line) {
		p.store()
	}
	return nil
}

func (p *gooseParser) annotation(line string) error {
	if line[0] == ' ' || line[0] == '\t' {
		return faulty(p.line, "goose allows no blanks in front of -- +goose")
	}
	name := strings.TrimSpace(strings.Replace(strings.ReplaceAll(line, "--", ""), "+goose", "", 1))
	switch strings.ToUpper(name) {
	case "UP":
		if p.to != nil {
			return faulty(p.line, "-- +goose Up stands here for the second time")
		}
		p.m.Up, p.to = []Statement{}, &p.m.Up
	case "DOWN":
		if p.to != &p.m.Up || p.block {
			return faulty(p.line, "-- +goose Down has to come once, and after -- +goose Up")
		}
		if err := p.unfinished(); err != nil {
			return err
		}
		p.text.Reset()
		p.m.Down, p.to = []Statement{}, &p.m.Down
	case "STATEMENTBEGIN":
		if p.to == nil || p.block {
			return faulty(p.line, "-- +goose StatementBegin can't stand here")
		}
		p.block = true
		if strings.TrimSpace(p.text.String()) == "" {
			p.first = p.line
		}
	case "STATEMENTEND":
		if !p.block {
			return faulty(p.line, "-- +goose StatementEnd has no StatementBegin")
		}
		if strings.TrimSpace(p.text.String()) == "" {
			// goose would swallow the next line.
			return faulty(p.line, "there is no statement between StatementBegin and StatementEnd")
		}
		p.store()
		p.block = false
	case "NO TRANSACTION":
		p.m.NoTx = true
	case "ENVSUB ON":
		return faulty(p.line, "variables of the environment are not put into migrations (ENVSUB): what runs has to be what was rehearsed")
	case "ENVSUB OFF":
	default:
		return faulty(p.line, "%q is no annotation of goose's", name)
	}
	return nil
}

func (p *gooseParser) store() {
	*p.to = append(*p.to, Statement{SQL: strings.TrimSpace(p.text.String()), Line: p.first})
	p.text.Reset()
}

func (p *gooseParser) unfinished() error {
	if strings.TrimSpace(p.text.String()) == "" {
		return nil
	}
	return faulty(p.first, "the statement that begins here doesn't end with a semicolon at the end of a line")
}

// endsStatement says whether the last word before a comment ends with a semicolon.
func endsStatement(line string) bool {
	last := ""
	for _, w := range strings.Fields(line) {
		if strings.HasPrefix(w, "--") {
			break
		}
		last = w
	}
	return strings.HasSuffix(last, ";")
}

// gooseCheck refuses, and sets the lines right: a statement that begins with a comment is where its first word is.
func gooseCheck(m Migration, d Dialect) error {
	for _, way := range [][]Statement{m.Up, m.Down} {
		for i, s := range way {
			parts, err := Split(s.SQL, d)
			if f := (*fault)(nil); errors.As(err, &f) {
				return &fault{line: s.Line + f.line - 1, text: f.text}
			}
			for j := range parts {
				parts[j].Line += s.Line - 1
			}
			if len(parts) > 0 {
				way[i].Line = parts[0].Line
			}
			if err := gooseAllowed(parts, m.NoTx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func gooseAllowed(parts []Statement, noTx bool, d Dialect) error {
	if !noTx {
		return inside(parts, d, "put -- +goose NO TRANSACTION at the top of the file")
	}
	for _, p := range parts {
		if what := alone(p.SQL, d); what != "" && len(parts) > 1 {
			return faulty(p.Line, "%s can't be sent together with other statements; end the line behind each of them", what)
		}
	}
	return nil
}
