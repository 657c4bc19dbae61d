package definition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits of one file. They stop entity bombs long before anything is copied.
const (
	maxFile   = 1 << 20 // bytes
	maxValues = 100_000 // values after every alias is written out
	maxDepth  = 100     // levels

	// generatedTimes is how much larger a file may be that a program writes: rules for the columns of thousands of tables.
	generatedTimes = 16
)

// source is one YAML file with the positions of everything in it. It is read with the parser that compose-go uses, so
// that there is one opinion on what a file says.
type source struct {
	path  string // absolute
	name  string // what messages call it
	lines []string
	docs  []*yaml.Node // the root of each document

	generated bool // a program writes it, and a person goes on from there
}

// readSource reads a file; what is wrong with it as YAML goes to r, and ok is false.
func readSource(path, name string, r *report) (s *source, ok bool) {
	s = &source{path: path, name: name}
	return s, s.read(r)
}

// read reads the file and parses it.
func (s *source) read(r *report) bool {
	f, err := os.Open(s.path)
	if err != nil {
		r.fault(s.whole(), "the file can't be read: "+cause(err), "")
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, int64(s.times()*maxFile+1)))
	if err != nil {
		r.fault(s.whole(), "the file can't be read: "+cause(err), "")
		return false
	}
	return s.parse(b, r)
}

// times is by how much the limits of the file are wider than those of one that is written by hand.
func (s *source) times() int {
	if s.generated {
		return generatedTimes
	}
	return 1
}

// cause is an error of the file system without the path, which the message names already.
func cause(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (s *source) parse(b []byte, r *report) bool {
	if most := s.times() * maxFile; len(b) > most {
		r.fault(s.whole(), fmt.Sprintf("the file is larger than %d bytes", most), "a definition is written by hand; move what is generated elsewhere")
		return false
	}
	s.lines = strings.Split(strings.TrimPrefix(string(b), "\ufeff"), "\n")
	d := yaml.NewDecoder(bytes.NewReader(b))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.syntax(err, b, r)
			return false
		}
		if len(doc.Content) > 0 {
			s.docs = append(s.docs, doc.Content[0])
		}
	}
	c := checker{source: s, report: r, sizes: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	for _, root := range s.docs {
		c.size(root, 1)
	}
	if most := s.times() * maxValues; c.total > most {
		r.fault(s.whole(), fmt.Sprintf("its aliases write out to more than %d values", most), "write what they stand for")
		c.broken = true
	}
	return !c.broken
}

var (
	syntaxLine   = regexp.MustCompile(`line (\d+)(?:, column (\d+))?`)
	syntaxOffset = regexp.MustCompile(`offset (\d+): (.*)`)
)

// syntax tells where a file stops being YAML. The parser's text has the position inside it.
func (s *source) syntax(err error, b []byte, r *report) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := s.whole()
	if m := syntaxOffset.FindStringSubmatch(msg); m != nil {
		n, _ := strconv.Atoi(m[1])
		before := b[:min(n, len(b))]
		at.line = 1 + bytes.Count(before, []byte("\n"))
		at.column = len(before) - bytes.LastIndexByte(before, '\n')
		r.fault(at, "this is not text in UTF-8: "+m[2], "save the file as UTF-8")
		return
	}
	if m := syntaxLine.FindStringSubmatch(msg); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		at.column, _ = strconv.Atoi(m[2])
	}
	// The parser may name the line of the construct that it was in; the tab is on that line or the next.
	for _, n := range []int{at.line, at.line + 1} {
		line := s.text(n)
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 {
			r.fault(place{s, n, i + 1}, "a tab indents this line", "YAML indents with spaces only")
			return
		}
	}
	if i := strings.LastIndex(msg, ": "); i >= 0 {
		msg = msg[i+2:]
	}
	r.fault(at, "this is not YAML: "+msg, "")
}

// checker walks a file once before anything else does.
type checker struct {
	*source
	report *report
	sizes  map[*yaml.Node]int  // of a node with its aliases written out
	open   map[*yaml.Node]bool // the nodes that the walk is inside of
	total  int
	broken bool
}

// size is how many values a node is; it finds keys that stand twice, keys that are no text, aliases that hold themselves
// and nesting without end. An alias counts as what it stands for, each time, without being walked again.
func (c *checker) size(n *yaml.Node, depth int) int {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.open[n] {
		c.bad(n, "this value holds itself through an alias", "write out what is meant")
		return 1
	}
	if size, done := c.sizes[n]; done {
		return c.add(size)
	}
	if depth > maxDepth {
		c.bad(n, fmt.Sprintf("this is nested deeper than %d levels", maxDepth), "")
		return 1
	}
	c.open[n] = true
	before := c.total
	c.add(1)
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	for _, child := range n.Content {
		c.size(child, depth+1)
	}
	delete(c.open, n)
	c.sizes[n] = c.total - before
	return c.sizes[n]
}

// add counts n values and never overflows.
func (c *checker) add(n int) int {
	c.total = min(c.total+n, 2*generatedTimes*maxValues)
	return n
}

func (c *checker) keys(n *yaml.Node) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			c.bad(k, "a key has to be text", "")
			continue
		}
		if line, twice := first[k.Value]; twice {
			c.bad(k, fmt.Sprintf("the key %s stands here a second time, first on line %d", quote(k.Value), line), "keep one of them")
			continue
		}
		first[k.Value] = k.Line
	}
}

func (c *checker) bad(n *yaml.Node, what, instead string) {
	c.broken = true
	c.report.fault(place{c.source, n.Line, n.Column}, what, instead)
}

// text is a line of the file, "" when there is none.
func (s *source) text(line int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	return s.lines[line-1]
}

func (s *source) whole() place { return place{src: s} }
