package definition

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// found is where a path of keys leads in a file.
type found struct {
	key, value *yaml.Node // key is nil for items of lists
	depth      int        // how many keys of the path were there
}

// find follows a path as far as it goes, in the last document that has most of it. Items of lists are named by their
// index, or by a text that they are or start with ("KEY" finds "KEY=value").
func (s *source) find(path ...string) found {
	var best found
	for i := len(s.docs) - 1; i >= 0; i-- {
		f := found{value: s.docs[i]}
		for _, name := range path {
			key, value := step(f.value, name)
			if value == nil {
				break
			}
			f = found{key, value, f.depth + 1}
		}
		if best.value == nil || f.depth > best.depth {
			best = f
		}
	}
	return best
}

func step(n *yaml.Node, name string) (key, value *yaml.Node) {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
		return stepMerged(n, name)
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
		for _, item := range n.Content {
			if word := target(item); word.Kind == yaml.ScalarNode && (word.Value == name || strings.HasPrefix(word.Value, name+"=")) {
				return nil, item
			}
		}
	}
	return nil, nil
}

// stepMerged looks into what a mapping takes over with <<.
func stepMerged(n *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := target(n.Content[i+1])
		list := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			list = from.Content
		}
		for _, m := range list {
			if k, v := step(m, name); v != nil {
				return k, v
			}
		}
	}
	return nil, nil
}

// target is the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// at is the position of what a path leads to, or of the last key of it that is there: the value where it is a scalar,
// else its key.
func (s *source) at(path ...string) place { return s.placeOf(s.find(path...), false) }

// atKey is the position of the key that a path leads to.
func (s *source) atKey(path ...string) place { return s.placeOf(s.find(path...), true) }

func (s *source) placeOf(f found, key bool) place {
	n := f.value
	switch {
	case n == nil:
		return s.whole()
	case f.key != nil && (key || n.Kind != yaml.ScalarNode || n.Line == 0 || (n.Value == "" && n.Style == 0)):
		n = f.key
	}
	return place{s, n.Line, n.Column}
}

// keys are the keys of the mapping that a path leads to, in the order of the file, own before merged ones.
func (s *source) keys(path ...string) []string {
	f := s.find(path...)
	if f.value == nil || f.depth < len(path) {
		return nil
	}
	return keysOf(f.value)
}

func keysOf(n *yaml.Node) []string {
	var own, merged []string
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			own = append(own, n.Content[i].Value)
			continue
		}
		from := target(n.Content[i+1])
		list := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			list = from.Content
		}
		for _, m := range list {
			merged = append(merged, keysOf(m)...)
		}
	}
	return append(own, merged...)
}

// plain is a node as JSON knows values. Dates stay text. What carries !reset or !override is Compose's affair and
// left out, since it need not have the form that its key asks for.
func plain(n *yaml.Node) any {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, name := range keysOf(n) {
			if _, v := step(n, name); !strings.HasPrefix(v.Tag, "!reset") {
				m[name] = plain(v)
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = plain(c)
		}
		return list
	default:
		return scalar(n)
	}
}

func scalar(n *yaml.Node) any {
	var v any
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!int", "!!float", "!!bool":
		if n.Decode(&v) == nil {
			return v
		}
	}
	return n.Value
}
