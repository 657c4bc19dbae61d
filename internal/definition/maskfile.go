package definition

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// MaskName is what the file with a mask's rules is called unless somebody says otherwise.
const MaskName = "mask.yaml"

// ParseMask reads rules by themselves; name is what messages call their file. The error is a *Faults when something is
// wrong.
func ParseMask(content []byte, name string) (mask.Rules, error) {
	rules, _, err := parseRules(content, name)
	return rules, err
}

// maskRules are the rules in the file that greenroom.yaml names at a path.
func (d *document) maskRules(file string, path []string) mask.Rules {
	if !d.isText(path) { // the schema tells
		return mask.Rules{}
	}
	if what := escapes(file); what != "" {
		d.report.fault(d.at(path...), what, "name a file of the repository, as "+MaskName)
		return mask.Rules{}
	}
	full := filepath.Join(d.dir, filepath.FromSlash(file))
	// Opening what is no file, such as a pipe, could wait for ever.
	if info, err := os.Stat(full); err != nil || !info.Mode().IsRegular() {
		d.report.fault(d.at(path...), quote(clip(file))+" is no file of the repository", "`greenroom mask init` writes it")
		return mask.Rules{}
	}
	return readMask(full, filepath.ToSlash(filepath.Clean(file)), d.report)
}

// readMask reads rules as mask.Format describes them, and reports all that is wrong with them.
func readMask(full, name string, r *report) mask.Rules {
	src := &source{path: full, name: name, generated: true}
	if !src.read(r) {
		return mask.Rules{}
	}
	return readRules(src, r)
}

func readRules(src *source, r *report) mask.Rules {
	out := mask.Rules{Tables: map[string]mask.TableRules{}}
	f := maskFile{source: src, report: r}
	const least = "`greenroom mask init` writes one; the least is `tables: {}`"
	switch {
	case len(src.docs) == 0:
		f.report.fault(src.whole(), "the file is empty", least)
		return out
	case len(src.docs) > 1:
		f.fault(src.docs[1], "a second document begins here", "rules are one document: remove the line `---` before it")
		return out
	case src.docs[0].Kind != yaml.MappingNode:
		f.fault(src.docs[0], "the file is no mapping of keys", least)
		return out
	}
	root := src.docs[0]
	if _, tables := step(root, "tables"); tables == nil {
		f.report.fault(src.whole(), "`tables` is missing", "write the tables below it; "+least)
	}
	for _, key := range keysOf(root) {
		k, v := step(root, key)
		if key != "tables" {
			f.fault(k, quote(clip(key))+" is no key of "+src.name, "tables stand below `tables`")
			continue
		}
		f.tables(k, v, out.Tables)
	}
	return out
}

// maskFile is a file of rules with its positions.
type maskFile struct {
	*source
	report *report
	depth  int // how many rules the one that is read stands in
}

// deepest is how many rules a rule may stand in. Aliases of aliases would be read for ever.
const deepest = 8

func (f maskFile) fault(n *yaml.Node, what, instead string) {
	f.report.fault(place{f.source, n.Line, n.Column}, what, instead)
}

func (f maskFile) tables(key, value *yaml.Node, into map[string]mask.TableRules) {
	value = target(value)
	if value.Kind != yaml.MappingNode {
		f.fault(key, "`tables` is "+kindName(value)+" and has to be a mapping", "write each table with its columns, or `tables: {}` for none")
		return
	}
	for _, name := range keysOf(value) {
		k, v := step(value, name)
		if strings.TrimSpace(name) == "" {
			f.fault(k, "a table has no name", "write the name that it has in the database")
			continue
		}
		into[name] = f.table(name, k, target(v))
	}
}

// rowsNone is what stands in the place of a table's columns when it is copied empty.
const rowsNone = "none"

func (f maskFile) table(name string, key, value *yaml.Node) mask.TableRules {
	const forms = "write a rule for each column, or `none` for a table that is copied empty"
	var t mask.TableRules
	switch {
	case value.Kind == yaml.ScalarNode && value.ShortTag() != "!!null" && value.Value == rowsNone:
		t.Rows = rowsNone
		return t
	case value.Kind == yaml.ScalarNode && value.Value == "":
		f.fault(key, "nothing is said of the table "+quote(clip(name)), forms)
		return t
	case value.Kind == yaml.ScalarNode:
		f.fault(value, quote(clip(value.Value))+" is nothing that a whole table can be", forms)
		return t
	case value.Kind != yaml.MappingNode:
		f.fault(key, "the table "+quote(clip(name))+" is "+kindName(value), forms)
		return t
	}
	t.Columns = map[string]mask.Rule{}
	for _, column := range keysOf(value) {
		k, v := step(value, column)
		if strings.TrimSpace(column) == "" {
			f.fault(k, "a column has no name", "write the name that it has in the database")
			continue
		}
		if r, ok := f.rule(quote(clip(column)), k, target(v)); ok {
			t.Columns[column] = r
		}
	}
	return t
}

// rule reads a rule at a node: of a column, of a path in JSON, or of an array's elements. subject and key are what it is of.
func (f maskFile) rule(subject string, key, n *yaml.Node) (mask.Rule, bool) {
	const forms = "write a use, as email, or one use with what it takes, as {date: 30d}"
	var r mask.Rule
	var err error
	at := n
	switch {
	case f.depth > deepest:
		f.fault(key, fmt.Sprintf("rules stand more than %d deep in one another", deepest), "write a rule for the values themselves")
		return r, false
	case n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0:
		f.fault(key, subject+" has no rule", forms)
		return r, false
	case n.Kind == yaml.ScalarNode:
		if !f.knownUses(n) {
			return r, false
		}
		r, err = mask.ParseRule(n.Value)
	case n.Kind == yaml.MappingNode && len(keysOf(n)) == 1:
		use := keysOf(n)[0]
		k, v := step(n, use)
		if v = target(v); !f.knownUse(k, use) || !f.inside(use, k, v) {
			return r, false
		}
		if at = v; v.Line == 0 || v.Value == "" {
			at = k
		}
		r, err = mask.RuleOf(use, arguments(v))
	default:
		f.fault(cmp.Or(key, n), subject+" has "+kindName(n)+" as its rule", forms)
		return r, false
	}
	if err != nil {
		p := problem.From(err)
		f.fault(at, clipTo(p.Message, 300), p.Hint)
		return r, false
	}
	return r, true
}

// inside reads the rules inside a rule first, so that each of them is told at its own place.
func (f maskFile) inside(use string, key, v *yaml.Node) bool {
	f.depth++
	switch {
	case use == "array":
		if of, inner := step(v, "of"); inner != nil && len(keysOf(v)) == 1 {
			key, v = of, target(inner)
		}
		_, ok := f.rule("the array", key, v)
		return ok
	case use == "json" && v.Kind == yaml.MappingNode:
		if _, inner := step(v, "paths"); inner != nil && len(keysOf(v)) == 1 && target(inner).Kind == yaml.MappingNode {
			v = target(inner)
		}
		return f.paths(v)
	}
	return true
}

// paths reads the rules of a JSON column, each with its path.
func (f maskFile) paths(v *yaml.Node) bool {
	all := true
	for _, path := range keysOf(v) {
		k, of := step(v, path)
		_, ok := f.rule(quote(clip(path)), k, target(of))
		args := any("text")
		if ok {
			args = arguments(of)
		}
		if _, err := mask.RuleOf("json", map[string]any{path: args}); err != nil {
			f.fault(k, clipTo(problem.From(err).Message, 300), "")
			ok = false
		}
		all = all && ok
	}
	return all
}

// knownUses reports the first word of a scalar that is no use: its own, or that of an array's elements.
func (f maskFile) knownUses(n *yaml.Node) bool {
	for text := n.Value; ; {
		use, rest, _ := strings.Cut(text, " ")
		if !f.knownUse(n, use) {
			return false
		}
		if text = strings.TrimSpace(rest); use != "array" || text == "" {
			return true
		}
	}
}

// knownUse reports a word that is no use.
func (f maskFile) knownUse(n *yaml.Node, use string) bool {
	if _, ok := mask.UseOf(use); ok {
		return true
	}
	var names []string
	for _, u := range mask.Uses {
		names = append(names, u.Name)
	}
	instead := unless(use, names)
	switch {
	case use == "use" || use == "rule":
		instead = "write the use itself, as email, or with what it takes, as {date: 30d}"
	case use == rowsNone:
		instead = "`none` is for a whole table; a column that is to be empty is `null`"
	case !strings.HasPrefix(instead, "did you mean"):
		instead = "the uses are " + strings.Join(names, ", ")
	}
	f.fault(n, quote(clip(use))+" is no use", instead)
	return false
}

// arguments are a node as mask.RuleOf takes them. Scalars keep their text, so that 010 stays 010.
func arguments(n *yaml.Node) any {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, name := range keysOf(n) {
			_, v := step(n, name)
			m[name] = arguments(v)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = arguments(c)
		}
		return list
	}
	if n.ShortTag() == "!!null" {
		return nil
	}
	return n.Value
}

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 0:
		return "an empty mapping"
	case n.Kind == yaml.MappingNode:
		return fmt.Sprintf("a mapping of %d keys", len(keysOf(n)))
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	return "a single value"
}
