package mask

import (
	"bytes"
	"maps"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonMask masks the scalars of a JSON text and leaves its structure and its blanks as they are. What a path names, and
// all below it, has the path's rule; the longest path wins, and a name before *. What no path names is masked by its
// looks. A text that is no JSON is masked as text as a whole.
type jsonMask struct {
	root   *jsonNode
	none   jsonRule // of what no path names
	number masker   // of numbers whose rule is for texts
	looks  *looksMask
	text   masker
	active []*jsonNode // the nodes that lead here, those of all levels one behind the other
	buffer []byte      // of a string without its escapes
	masked []byte
}

// jsonNode is a step of the paths.
type jsonNode struct {
	members map[string]*jsonNode
	any     *jsonNode
	element *jsonNode
	rule    *jsonRule
}

// jsonRule is what becomes of a value.
type jsonRule struct {
	strings masker // nil: they stay
	numbers masker
	keep    bool
	replace bool // by null, or by the constant
	value   []byte
}

// jsonDeep is how deep JSON may be; PostgreSQL's own limit is lower.
const jsonDeep = 10000

func newJSONMask(w *worker, r Rule) *jsonMask {
	looks := &looksMask{
		text: w.masker(Rule{Use: "text"}), email: w.masker(Rule{Use: "email"}), url: w.masker(Rule{Use: "url"}),
	}
	m := &jsonMask{root: &jsonNode{}, looks: looks, text: looks.text, number: w.masker(Rule{Use: "number"})}
	m.none = jsonRule{strings: looks, numbers: m.number}
	for _, text := range slices.Sorted(maps.Keys(r.Paths)) {
		p, err := parsePath(text)
		if err != nil {
			panic("mask: a rule that was not checked: " + err.Error())
		}
		m.root.at(p).rule = m.rule(w, r.Paths[text])
	}
	return m
}

func (m *jsonMask) rule(w *worker, r Rule) *jsonRule {
	switch r.Use {
	case "keep":
		return &jsonRule{keep: true}
	case "null":
		return &jsonRule{replace: true}
	case "constant":
		return &jsonRule{replace: true, value: []byte(r.Value)}
	}
	rule := &jsonRule{strings: w.masker(r), numbers: m.number}
	if r.Use == "number" || r.Use == "date" || r.Use == "card" || r.Use == "phone" {
		rule.numbers = rule.strings
	}
	return rule
}

func (n *jsonNode) at(p path) *jsonNode {
	for _, step := range p {
		var next **jsonNode
		switch {
		case step.element:
			next = &n.element
		case step.any:
			next = &n.any
		default:
			if n.members[step.name] == nil {
				if n.members == nil {
					n.members = map[string]*jsonNode{}
				}
				n.members[step.name] = &jsonNode{}
			}
			n = n.members[step.name]
			continue
		}
		if *next == nil {
			*next = &jsonNode{}
		}
		n = *next
	}
	return n
}

func (m *jsonMask) mask(dst, value []byte) []byte {
	begin := len(dst)
	m.active = append(m.active[:0], m.root)
	s := jsonScan{m: m, in: value, out: dst}
	s.blanks()
	if s.value(0, 1, &m.none, 0) {
		if s.blanks(); s.at == len(s.in) {
			return s.out
		}
	}
	return m.text.mask(s.out[:begin], value)
}

// jsonScan is one pass over a text.
type jsonScan struct {
	m   *jsonMask
	in  []byte
	at  int
	out []byte
}

func (s *jsonScan) blanks() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
			s.out = append(s.out, s.in[s.at])
			s.at++
		default:
			return
		}
	}
}

// next takes a character over.
func (s *jsonScan) next(c byte) bool {
	if s.at < len(s.in) && s.in[s.at] == c {
		s.out = append(s.out, c)
		s.at++
		return true
	}
	return false
}

// value masks the value that begins here. The nodes active[from:to] lead to it; above is the rule of what it stands in.
func (s *jsonScan) value(from, to int, above *jsonRule, depth int) bool {
	if s.at >= len(s.in) || depth > jsonDeep {
		return false
	}
	rule := above
	for _, n := range s.m.active[from:to] {
		if n.rule != nil {
			rule = n.rule
			break
		}
	}
	begin := len(s.out)
	start := s.at
	ok := false
	switch c := s.in[s.at]; c {
	case '{':
		ok = s.object(from, to, rule, depth)
	case '[':
		ok = s.array(from, to, rule, depth)
	case '"':
		ok = s.text(rule)
	case 't', 'f', 'n':
		ok = s.word("true") || s.word("false") || s.word("null")
	default:
		ok = s.digits(rule)
	}
	if ok && rule.replace && rule != above && !bytes.Equal(s.in[start:s.at], []byte("null")) {
		s.out = rule.instead(s.out[:begin], s.in[start])
	}
	return ok
}

// instead appends what a replacing rule puts in the place of a value that begins with first: a constant has the type of
// what it replaces, where it can have it.
func (r *jsonRule) instead(dst []byte, first byte) []byte {
	switch {
	case r.value == nil:
		return append(dst, "null"...)
	case first == '-' || first >= '0' && first <= '9':
		if isJSONNumber(r.value) {
			return append(dst, r.value...)
		}
	case first == 't' || first == 'f':
		if v := string(r.value); v == "true" || v == "false" {
			return append(dst, v...)
		}
	}
	return appendJSONString(dst, r.value)
}

func (s *jsonScan) object(from, to int, rule *jsonRule, depth int) bool {
	s.next('{')
	s.blanks()
	if s.next('}') {
		return true
	}
	for {
		end := len(s.m.active)
		if !s.key(from, to) {
			return false
		}
		s.blanks()
		if !s.next(':') {
			return false
		}
		s.blanks()
		if !s.value(end, len(s.m.active), rule, depth+1) {
			return false
		}
		s.m.active = s.m.active[:end]
		s.blanks()
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
		s.blanks()
	}
}

// string reads a string, as it stands there and without escapes.
func (s *jsonScan) string() (raw, text []byte, ok bool) {
	if raw, ok = s.quoted(); ok {
		text, ok = s.plain(raw)
	}
	return raw, text, ok
}

// key takes a member's name over, and makes the nodes active that it leads to.
func (s *jsonScan) key(from, to int) bool {
	raw, name, ok := s.string()
	if !ok {
		return false
	}
	for _, n := range s.m.active[from:to] {
		if next := n.members[string(name)]; next != nil {
			s.m.active = append(s.m.active, next)
		}
	}
	for _, n := range s.m.active[from:to] {
		if n.any != nil {
			s.m.active = append(s.m.active, n.any)
		}
	}
	if !personalKey(name) {
		s.out = append(append(append(s.out, '"'), raw...), '"')
		return true
	}
	s.m.masked = s.m.looks.mask(s.m.masked[:0], name)
	s.out = appendJSONString(s.out, s.m.masked)
	return true
}

func (s *jsonScan) array(from, to int, rule *jsonRule, depth int) bool {
	s.next('[')
	s.blanks()
	if s.next(']') {
		return true
	}
	end := len(s.m.active)
	for _, n := range s.m.active[from:to] {
		if n.element != nil {
			s.m.active = append(s.m.active, n.element)
		}
	}
	last := len(s.m.active)
	for {
		if !s.value(end, last, rule, depth+1) {
			return false
		}
		s.blanks()
		if s.next(']') {
			s.m.active = s.m.active[:end]
			return true
		}
		if !s.next(',') {
			return false
		}
		s.blanks()
	}
}

func (s *jsonScan) word(word string) bool {
	if !bytes.HasPrefix(s.in[s.at:], []byte(word)) {
		return false
	}
	s.out = append(s.out, word...)
	s.at += len(word)
	return true
}

// digits masks a number.
func (s *jsonScan) digits(rule *jsonRule) bool {
	begin := s.at
	for s.at < len(s.in) && bytes.IndexByte([]byte("+-.0123456789eE"), s.in[s.at]) >= 0 {
		s.at++
	}
	text := s.in[begin:s.at]
	if !isJSONNumber(text) {
		return false
	}
	if rule.keep || rule.replace || rule.numbers == nil {
		s.out = append(s.out, text...)
		return true
	}
	start := len(s.out)
	if s.out = rule.numbers.mask(s.out, text); !isJSONNumber(s.out[start:]) {
		s.m.masked = append(s.m.masked[:0], s.out[start:]...)
		s.out = appendJSONString(s.out[:start], s.m.masked)
	}
	return true
}

func isJSONNumber(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("-"))
	n, ok := parseNumber(text)
	whole, fraction, point := bytes.Cut(n.digits, []byte{'.'})
	return ok && n.sign == nil && len(whole) > 0 && (len(whole) == 1 || whole[0] != '0') && (!point || len(fraction) > 0)
}

// text masks a string.
func (s *jsonScan) text(rule *jsonRule) bool {
	raw, text, ok := s.string()
	if !ok {
		return false
	}
	if rule.keep || rule.replace || len(text) == 0 {
		s.out = append(append(append(s.out, '"'), raw...), '"')
		return true
	}
	s.m.masked = rule.strings.mask(roomFor(s.m.masked, text), text)
	s.out = appendJSONString(s.out, s.m.masked)
	return true
}

// quoted passes a string, and gives what stands between its quotes.
func (s *jsonScan) quoted() (raw []byte, ok bool) {
	if s.at >= len(s.in) || s.in[s.at] != '"' {
		return nil, false
	}
	for i := s.at + 1; i < len(s.in); i++ {
		switch c := s.in[i]; {
		case c == '"':
			raw, s.at = s.in[s.at+1:i], i+1
			return raw, true
		case c == '\\':
			i++
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// plain is a string without its escapes. It is good until the next call.
func (s *jsonScan) plain(raw []byte) (text []byte, ok bool) {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw, true
	}
	out := append(slices.Grow(s.m.buffer[:0], len(raw)), raw[:i]...)
	for i < len(raw) {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if i+1 >= len(raw) {
			return nil, false
		}
		if raw[i+1] == 'u' {
			r, n := unicodeEscape(raw[i:])
			if n == 0 {
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			i += n
			continue
		}
		at := bytes.IndexByte([]byte(`"\/bfnrt`), raw[i+1])
		if at < 0 {
			return nil, false
		}
		out = append(out, "\"\\/\b\f\n\r\t"[at])
		i += 2
	}
	s.m.buffer = out
	return out, true
}

// unicodeEscape reads \uXXXX, and the second one of a pair of surrogates.
func unicodeEscape(text []byte) (r rune, n int) {
	first, ok := fourHex(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	if second, ok := fourHex(text[6:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

func fourHex(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(hexDigit(c))
	}
	return r, true
}

func appendJSONString(dst, text []byte) []byte {
	if len(text) > immense { // room at once: growing into it would take it several times
		escaped := 0
		for _, c := range text {
			if c < ' ' || c == '"' || c == '\\' {
				escaped += len(`u000a`)
			}
		}
		dst = slices.Grow(dst, len(text)+escaped+2)
	}
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// looksMask masks a text that nobody gave a rule by what it looks like.
type looksMask struct{ text, email, url masker }

func (m *looksMask) mask(dst, value []byte) []byte {
	switch {
	case isEmail(value):
		return m.email.mask(dst, value)
	case bytes.Contains(value, []byte("://")):
		return m.url.mask(dst, value)
	}
	return m.text.mask(dst, value)
}

// isEmail says whether a text is an e-mail address and nothing else.
func isEmail(text []byte) bool {
	if bytes.Count(text, []byte{'@'}) != 1 {
		return false
	}
	begin, end, ok := address(text)
	return ok && begin == 0 && end == len(text) && bytes.IndexByte(text[bytes.IndexByte(text, '@'):], '.') > 0
}
