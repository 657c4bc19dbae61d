package definition

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// MaskFile is the file of rules that the definition in a repository's folder names, relative to it, or MaskName where it
// names none, which named tells. Where environments name several it is that of the first. Nothing but greenroom.yaml is
// read.
func MaskFile(repository string) (name string, named bool, err error) {
	var r report
	src, ok := readSource(filepath.Join(repository, FileName), FileName, &r)
	if !ok {
		return "", false, r.err()
	}
	for _, environment := range src.keys("environments") {
		f := src.find("environments", environment, "data", "mask")
		if f.depth < 4 {
			continue
		}
		if name, text := plain(f.value).(string); text && escapes(name) == "" {
			return filepath.ToSlash(filepath.Clean(name)), true, nil
		}
	}
	return MaskName, false, nil
}

// AddRules is the text of a file of rules with others added: columns below those of their table, tables below the tables,
// each with the note that it has. Every other byte stays. The error is a *Faults where the text is wrong, and a problem
// Invalid where a rule stands there already, or the text is written too oddly to be edited.
func AddRules(content []byte, name string, add mask.Rules, notes []mask.Note) ([]byte, error) {
	before, _, err := parseRules(content, name)
	if err != nil {
		return nil, err
	}
	want, err := union(before, add)
	if err != nil {
		return nil, err
	}
	text := content
	fresh := mask.Rules{Tables: map[string]mask.TableRules{}}
	for _, table := range slices.Sorted(maps.Keys(add.Tables)) {
		rules := add.Tables[table]
		if _, there := before.Tables[table]; !there {
			fresh.Tables[table] = rules
			continue
		}
		if text, err = addLines(text, name, table, mask.Rules{Tables: map[string]mask.TableRules{table: rules}}, notes); err != nil {
			return nil, err
		}
	}
	if len(fresh.Tables) > 0 {
		if text, err = addLines(text, name, "", fresh, notes); err != nil {
			return nil, err
		}
	}
	if now, _, err := parseRules(text, name); err != nil || !reflect.DeepEqual(now, want) {
		return nil, oddly(name)
	}
	return text, nil
}

func oddly(name string) error {
	return problem.New(problem.Invalid, "%s is written in a form that rules can't be added to", name).
		WithHint("greenroom mask check prints the lines: write them yourself")
}

func parseRules(content []byte, name string) (mask.Rules, *source, error) {
	var r report
	s := &source{name: name, generated: true}
	if !s.parse(content, &r) {
		return mask.Rules{}, nil, r.err()
	}
	rules := readRules(s, &r)
	return rules, s, r.err()
}

// union is both, of which none may say what becomes of the same column.
func union(a, b mask.Rules) (mask.Rules, error) {
	out := mask.Rules{Tables: maps.Clone(a.Tables)}
	for table, rules := range b.Tables {
		before, there := out.Tables[table]
		if !there {
			out.Tables[table] = rules
			continue
		}
		if before.Rows != "" || rules.Rows != "" {
			return out, problem.New(problem.Invalid, "there is a rule for all of %s already", table).WithHint("greenroom mask check")
		}
		columns := maps.Clone(before.Columns)
		for column, rule := range rules.Columns {
			if _, twice := columns[column]; twice {
				return out, problem.New(problem.Invalid, "there is a rule for %s of %s already", column, table).WithHint("greenroom mask check")
			}
			columns[column] = rule
		}
		out.Tables[table] = mask.TableRules{Columns: columns}
	}
	return out, nil
}

// addLines puts the columns of rules below those of a table, or whole tables below the tables.
func addLines(text []byte, name, table string, add mask.Rules, notes []mask.Note) ([]byte, error) {
	_, s, err := parseRules(text, name)
	if err != nil {
		return nil, err
	}
	e := newEditor(&document{source: s}, text)
	root := s.docs[0]
	key, into := step(root, "tables")
	before, depth := e.after(root, key), 2
	if table != "" {
		outer, line := target(into), before
		key, into = step(outer, table)
		if before, depth = e.after(outer, key), 4; before > len(e.starts) {
			before = line
		}
	}
	lines := ruleLines(add, notes, depth)
	switch into = target(into); {
	case into.Kind != yaml.MappingNode:
		return nil, oddly(name)
	case isFlow(into) && len(into.Content) == 0:
		return e.unfold(into, indented(lines, strings.Repeat(" ", key.Column+1), e.end)).apply(text), nil
	case isFlow(into):
		var entries []string
		for _, line := range lines {
			entry, _, _ := strings.Cut(line, " #")
			entries = append(entries, strings.TrimSpace(entry))
		}
		return e.intoFlow(into, strings.Join(entries, ", ")).apply(text), nil
	}
	return e.intoBlock(into, before, func(indent string) string { return indented(lines, indent, e.end) })[0].apply(text), nil
}

// unfold puts lines in the place of an empty mapping in braces. A comment behind it stays behind the key.
func (e *editor) unfold(mapping *yaml.Node, lines string) splice {
	from := e.offset(mapping)
	to := from + bytes.IndexByte(e.text[from:], '}') + 1
	end := to + len(e.text[to:])
	if i := bytes.IndexByte(e.text[to:], '\n'); i >= 0 {
		end = to + i
	}
	behind := strings.TrimRight(string(e.text[to:end]), "\r")
	end = to + len(behind)
	colon := bytes.LastIndexByte(e.text[:from], ':') + 1
	return splice{colon, end, behind + e.end + strings.TrimSuffix(lines, e.end)}
}

// ruleLines are the lines of rules from a depth on, without the indentation that those of that depth have.
func ruleLines(r mask.Rules, notes []mask.Note, depth int) []string {
	var out []string
	for line := range strings.Lines(string(mask.Format(r, notes))) {
		line = strings.TrimRight(line, "\n")
		if rest, deep := strings.CutPrefix(line, strings.Repeat(" ", depth)); deep {
			out = append(out, rest)
		}
	}
	return out
}

func indented(lines []string, indent, end string) string {
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprint(&b, indent, line, end)
	}
	return b.String()
}
