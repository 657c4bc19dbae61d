package definition

import (
	"bytes"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// splice is a change of a text: the bytes from..to become others.
type splice struct {
	from, to int
	text     string
}

func (s splice) apply(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(s.text))
	out = append(out, text[:s.from]...)
	out = append(out, s.text...)
	return append(out, text[s.to:]...)
}

// editor guesses where in a definition's text something goes.
type editor struct {
	doc    *document
	text   []byte
	starts []int  // offsets of the lines; starts[0] is line 1's
	end    string // of a line
}

func newEditor(d *document, text []byte) *editor {
	e := &editor{doc: d, text: text, starts: []int{0}, end: "\n"}
	for i, b := range text {
		if b == '\n' {
			e.starts = append(e.starts, i+1)
		}
	}
	if len(e.starts) > 1 && bytes.HasSuffix(text[:e.starts[1]], []byte("\r\n")) {
		e.end = "\r\n"
	}
	return e
}

// put are the guesses for an entry `name: value` in the mapping that the file has at a key of its top, the best first.
func (e *editor) put(key, name, value string) []splice {
	root, entry := target(e.doc.docs[0]), scalarText(name)+": "+value
	at := e.doc.find(key)
	switch {
	case at.depth == 0 && isFlow(root):
		return []splice{e.intoFlow(root, key+": {"+entry+"}")}
	case at.depth == 0:
		return e.section(root, key, entry)
	case at.value.ShortTag() == "!!null":
		return e.intoNull(at, entry)
	case at.value.Kind != yaml.MappingNode:
		return nil
	}
	if k, v := step(at.value, name); v != nil {
		return e.replace(at.value, k, v, value, e.after(root, at.key))
	}
	if isFlow(at.value) {
		return []splice{e.intoFlow(at.value, entry)}
	}
	return e.intoBlock(at.value, e.after(root, at.key), func(indent string) string { return indent + entry + e.end })
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// section puts a key with its first entry at the end of the text, a line apart; or where it disturbs nothing else.
func (e *editor) section(root *yaml.Node, key, entry string) []splice {
	lines := func(indent string) string { return indent + key + ":" + e.end + indent + "  " + entry + e.end }
	near := e.intoBlock(root, len(e.starts)+1, lines)
	last := len(e.text)
	for line := len(e.starts); line > 0; line-- {
		if s := strings.TrimSpace(string(e.text[e.start(line):e.lineEnd(line)])); s == "..." {
			last = e.start(line)
		} else if s != "" {
			break
		}
	}
	text := e.end + near[1].text
	if last > 0 && e.text[last-1] != '\n' {
		text = e.end + text
	}
	return append([]splice{{last, last, text}}, near...)
}

// intoFlow puts an entry behind the brace that opens a mapping.
func (e *editor) intoFlow(mapping *yaml.Node, entry string) splice {
	if len(mapping.Content) > 0 {
		entry += ", "
	}
	at := e.offset(mapping) + 1
	return splice{at, at, entry}
}

// intoBlock puts lines behind the last line of a mapping, which ends before that line, or else before its first key.
func (e *editor) intoBlock(mapping *yaml.Node, before int, lines func(indent string) string) []splice {
	first := mapping.Content[0]
	indent := strings.Repeat(" ", max(first.Column-1, 0))
	last := e.start(e.trimmed(before))
	text := lines(indent)
	if last > 0 && e.text[last-1] != '\n' {
		text = e.end + text
	}
	top := e.start(first.Line)
	return []splice{{last, last, text}, {top, top, lines(indent)}}
}

// intoNull puts an entry where a key has no value: on a line below it, behind the colon, or in the place of a null.
func (e *editor) intoNull(at found, entry string) []splice {
	null := e.offset(at.value)
	colon := e.colon(at.key)
	below, text := e.start(at.key.Line+1), strings.Repeat(" ", at.key.Column+1)+entry+e.end
	if below > 0 && e.text[below-1] != '\n' {
		text = e.end + text
	}
	return []splice{
		{null, min(null+len(at.value.Value), len(e.text)), "{" + entry + "}"},
		{below, below, text},
		{colon, colon, " {" + entry + "}"},
	}
}

// replace puts another value in the place of an entry's. What stands behind its key as a comment stays there.
func (e *editor) replace(mapping, key, old *yaml.Node, value string, before int) []splice {
	from := e.offset(old)
	if isFlow(old) {
		for to := from + 1; to <= len(e.text); to++ {
			if e.text[to-1] == '}' && e.says(e.text[from:to], old) {
				return []splice{{from, to, value}}
			}
		}
		return nil
	}
	next := e.after(mapping, key)
	if next > len(e.starts) {
		next = before
	}
	colon := e.colon(key)
	if line := e.text[colon:e.lineEnd(key.Line)]; bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
		value += string(line)
	}
	return []splice{
		{colon, max(colon, e.lineEnd(e.trimmed(next)-1)), " " + value},
		{colon, max(colon, e.lineEnd(next-1)), " " + value},
	}
}

// says tells whether a piece of the text is a value by itself, and that one.
func (e *editor) says(piece []byte, value *yaml.Node) bool {
	var n yaml.Node
	return yaml.Unmarshal(piece, &n) == nil && len(n.Content) == 1 && reflect.DeepEqual(plain(n.Content[0]), plain(value))
}

// after is the line of the key that follows another in a mapping, or the line behind the last one.
func (e *editor) after(mapping, key *yaml.Node) int {
	content := target(mapping).Content
	for i := 0; i+2 < len(content); i += 2 {
		if content[i] == key {
			return content[i+2].Line
		}
	}
	return len(e.starts) + 1
}

// trimmed is a line, or the first of the empty lines, comments and ends of the document right before it.
func (e *editor) trimmed(line int) int {
	for line > 1 {
		s := strings.TrimSpace(string(e.text[e.start(line-1):e.lineEnd(line-1)]))
		if s != "" && s != "..." && s[0] != '#' {
			break
		}
		line--
	}
	return line
}

// start is where a line begins, or the text's end.
func (e *editor) start(line int) int {
	if line > len(e.starts) {
		return len(e.text)
	}
	return e.starts[max(line, 1)-1]
}

// lineEnd is where a line ends, before its newline.
func (e *editor) lineEnd(line int) int {
	end := e.start(line + 1)
	return e.start(line) + len(bytes.TrimRight(e.text[e.start(line):end], "\r\n"))
}

// offset is where a node begins. Its column counts characters.
func (e *editor) offset(n *yaml.Node) int {
	line := e.text[e.start(n.Line):e.lineEnd(n.Line)]
	at := 0
	for i := range string(line) {
		if at++; at == n.Column {
			return e.start(n.Line) + i
		}
	}
	return e.lineEnd(n.Line)
}

// colon is the place behind the colon of a key.
func (e *editor) colon(key *yaml.Node) int {
	from := min(e.offset(key)+len(key.Value), len(e.text))
	if i := bytes.IndexByte(e.text[from:], ':'); i >= 0 {
		return from + i + 1
	}
	return len(e.text)
}
