package definition

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// reference is one mention of a variable in a Compose file.
type reference struct {
	name string
	bare bool // without a default or a condition: $NAME or ${NAME}
	at   place
	path string // of the value, for what depends on where it stands
}

var referenceForm = regexp.MustCompile(`\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(\}?)|([A-Za-z_][A-Za-z0-9_]*))`)

// references are all mentions of variables in the values of a file, and the names that a service's environment passes on
// by leaving the value out.
func (s *source) references() []reference {
	var out []reference
	seen := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		if n = target(n); seen[n] {
			return
		}
		seen[n] = true
		at := place{s, n.Line, n.Column}
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				k, v := n.Content[i], n.Content[i+1]
				if strings.HasSuffix(path, ".environment") && target(v).ShortTag() == "!!null" {
					out = append(out, reference{name: k.Value, at: at, path: path})
				}
				walk(v, path+"."+k.Value)
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				if strings.HasSuffix(path, ".environment") && variableForm.MatchString(c.Value) {
					out = append(out, reference{name: c.Value, at: at, path: path})
				}
				walk(c, path)
			}
		case yaml.ScalarNode:
			for _, m := range referenceForm.FindAllStringSubmatch(n.Value, -1) {
				if name := m[1] + m[3]; name != "" {
					out = append(out, reference{name: name, bare: m[3] != "" || m[2] != "", at: at, path: path})
				}
			}
		}
	}
	for _, doc := range s.docs {
		walk(doc, "")
	}
	return out
}

// unset tells of variables that nobody sets: Compose puts nothing in their place, which is seldom meant.
func (p *project) unset() {
	for _, s := range p.allSources() {
		for _, ref := range s.references() {
			if !ref.bare {
				continue
			}
			if _, ok := p.vars.keep(ref.name); ok {
				continue
			}
			instead := "set it, or give a default as ${" + ref.name + ":-…}"
			if strings.Contains(ref.path, ".x-greenroom") || strings.HasSuffix(ref.path, ".command") || strings.HasSuffix(ref.path, ".test") {
				instead = "write $$" + ref.name + " for a variable that the shell is to fill in"
			}
			p.report.notice(ref.at, "the variable "+quote(ref.name)+" is not set, so nothing stands here", instead)
		}
	}
}
