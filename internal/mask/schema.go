package mask

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"greenroom/internal/sqltext"
)

// Dialect is whose SQL a text is.
type Dialect = sqltext.Dialect

// The dialects that are masked.
const (
	PostgreSQL = sqltext.PostgreSQL
	SQLite     = sqltext.SQLite
)

// Quoted is a text in SQL.
type Quoted struct {
	Text     string // without quotes and escapes
	Body     bool   // it stands in a function's body
	Compared bool   // it is compared with data: in a CHECK, an enumeration, or behind LIKE or ~
}

// Literals are the texts in SQL, in their order. Bodies of functions are gone through in turn, and so are texts in them
// that stand in dollars; comments and names are none.
func Literals(sql string, d Dialect) (found []Quoted) {
	w := sqlWalk{dialect: d, literal: func(text string, at Quoted) (string, bool) {
		at.Text = text
		found = append(found, at)
		return text, false
	}}
	w.rewrite(sql, false, 0)
	return found
}

// MaskSchema is SQL that makes a schema of PostgreSQL's, without what it says of people: see MaskSQL.
func MaskSchema(sql []byte, k Key, seen func(text string) bool) (out []byte, masked int) {
	return MaskSQL(sql, PostgreSQL, k, seen)
}

// MaskSQL takes all comments out of SQL, and replaces what looks personal in its texts, or where seen says that the
// whole text stood among the values of a masked column. What replaces it has the same shape, and masked is how many texts
// it was. All else is as it was. seen may be nil, and is asked about texts of six bytes at least.
//
// A text that is compared with data (in a CHECK, an enumeration, behind LIKE or ~) is replaced only where it surely is an
// address, an account or a number of a person's; a code as 'paid' never is. Where one is replaced there, the data that
// it is compared with is not what it was: then loading the copy fails on the check, or on a value that is no label, and
// that is right. Nothing got out, and a person has to mend the schema, which should hold no such text. A body in a
// language that is not SQL or PL/pgSQL is no SQL: in it the same is replaced wherever it stands, and comments stay.
func MaskSQL(sql []byte, d Dialect, k Key, seen func(text string) bool) (out []byte, masked int) {
	w := newWorker(k, nil)
	m := &literalMask{seen: seen, bytes: w.masker(Rule{Use: "bytes"}), looks: &looksMask{
		text: w.masker(Rule{Use: "text"}), email: w.masker(Rule{Use: "email"}), url: w.masker(Rule{Use: "url"}),
	}, others: map[string]masker{}}
	for what, use := range map[string]string{"a bank account": "iban", "a card's number": "card", "a phone number": "phone", "a network address": "ip", "a secret": "token"} {
		m.others[what] = w.masker(Rule{Use: use})
	}
	walk := sqlWalk{dialect: d, masks: true, literal: func(text string, at Quoted) (string, bool) {
		out, changed := m.literal(text, at)
		if changed {
			masked++
		}
		return out, changed
	}}
	return []byte(walk.rewrite(string(sql), false, 0)), masked
}

// literalMask judges texts, and replaces what is personal in them.
type literalMask struct {
	seen   func(string) bool
	looks  *looksMask
	bytes  masker
	others map[string]masker // by what a detector says
}

// seenLeast is from how many bytes on a text is one that somebody's data could be known by.
const seenLeast = 6

func (m *literalMask) literal(text string, at Quoted) (string, bool) {
	if len(text) >= seenLeast && m.seen != nil && (!at.Compared || !isCode(text)) && m.seen(text) {
		return string(m.looks.mask(nil, []byte(text))), true
	}
	if body, ok := strings.CutPrefix(text, `\x`); ok {
		if raw, err := hex.DecodeString(body); err == nil && utf8.Valid(raw) {
			if _, struck := Detect(string(raw)); struck {
				return string(m.bytes.mask(nil, []byte(text))), true
			}
		}
	}
	return m.spans(text, at.Compared)
}

// spans replaces the parts of a text that detectors strike at.
func (m *literalMask) spans(text string, sureOnly bool) (string, bool) {
	out, changed := []byte(text), false
	for _, d := range detectors {
		if sureOnly && !d.sure {
			continue
		}
		for from := 0; from < len(out); {
			begin, end, ok := d.find(out[from:])
			if !ok {
				break
			}
			begin, end = begin+from, end+from
			var by masker = m.looks
			if other := m.others[d.what]; other != nil {
				by = other
			}
			part := by.mask(nil, out[begin:end])
			changed = changed || string(part) != string(out[begin:end])
			out = slices.Concat(out[:begin], part, out[end:])
			from = begin + len(part)
		}
	}
	return string(out), changed
}

// isCode says whether a text is one word such as programs use.
func isCode(text string) bool {
	return len(text) <= 32 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-") == ""
}

// sqlWalk goes through SQL and writes it anew.
type sqlWalk struct {
	dialect Dialect
	masks   bool
	literal func(text string, at Quoted) (string, bool)
}

// bodiesDeep is how deep bodies are gone into that stand in one another.
const bodiesDeep = 16

func (w *sqlWalk) rewrite(sql string, body bool, depth int) string {
	if depth > bodiesDeep {
		text, _ := w.literal(sql, Quoted{Body: true})
		return text
	}
	var b strings.Builder
	var tokens []sqltext.Token
	for t := range sqltext.Tokens(sql, w.dialect) {
		if tokens = append(tokens, t); t.Text == ";" {
			w.statement(&b, statementOf(tokens, body), depth)
			tokens = tokens[:0]
		}
	}
	w.statement(&b, statementOf(tokens, body), depth)
	return b.String()
}

func (w *sqlWalk) statement(b *strings.Builder, s statement, depth int) {
	text := false // what stood before
	for i, t := range s.tokens {
		switch {
		case t.Kind != sqltext.Comment || !w.masks:
			b.WriteString(w.token(s, i, depth))
		case text && strings.HasPrefix(t.Text, "/*"):
			b.WriteString("/**/") // with nothing but an end of a line between them two texts would be one
		default:
			b.WriteByte(' ')
		}
		if !t.Blank() {
			text = t.IsText()
		}
	}
}

// statement is the tokens up to a semicolon, and what of them says how its texts are to be read.
type statement struct {
	tokens   []sqltext.Token
	body     bool
	routine  bool // it makes a function or a procedure, or is a DO
	do       bool
	foreign  bool // whose body is in another language
	compared []bool
}

func statementOf(tokens []sqltext.Token, body bool) statement {
	s := statement{tokens: tokens, body: body, compared: make([]bool, len(tokens))}
	var words []string
	enum, check, language := false, int32(-1), ""
	last := ""
	for i, t := range tokens {
		word := ""
		switch t.Kind {
		case sqltext.Space, sqltext.Comment:
			s.compared[i] = check >= 0 || enum
			continue
		case sqltext.Word:
			word = strings.ToUpper(t.Text)
			words = append(words, word)
			if last == "LANGUAGE" {
				language = word
			}
			enum = enum || word == "ENUM" && slices.Contains(words, "TYPE")
		case sqltext.String:
			if last == "LANGUAGE" {
				language = strings.ToUpper(strings.Trim(t.Text, "'"))
			}
		case sqltext.Sign:
			word = t.Text
			switch t.Text {
			case "(":
				if last == "CHECK" && check < 0 {
					check = t.Depth
				}
			case ")":
				if t.Depth == check {
					check = -1
				}
			}
		}
		s.compared[i] = check >= 0 || enum || last == "LIKE" || last == "ILIKE" || last == "~" || last == "*" || last == "TO"
		last = word
	}
	if len(words) > 0 {
		head := words[:min(len(words), 4)]
		s.do = words[0] == "DO"
		s.routine = s.do || words[0] == "CREATE" && (slices.Contains(head, "FUNCTION") || slices.Contains(head, "PROCEDURE"))
	}
	s.foreign = s.routine && language != "" && language != "SQL" && language != "PLPGSQL"
	return s
}

func (w *sqlWalk) token(s statement, i, depth int) string {
	t := s.tokens[i].Joined() // a comment may stand between its pieces
	at := Quoted{Body: s.body, Compared: s.compared[i]}
	switch t.Kind {
	case sqltext.Name:
		if w.dialect == SQLite && strings.HasPrefix(t.Text, `"`) { // which takes names that are none for texts
			return w.nameOrText(t, at)
		}
	case sqltext.String, sqltext.Escape, sqltext.Unicode, sqltext.Dollar:
		if t.Open {
			text, _ := w.literal(t.Inside(), at)
			return t.Opening() + text
		}
		if isRegistered(s.tokens[i+1:]) {
			break
		}
		mark := s.escapeMark(i)
		value := t.ValueBy(mark)
		if s.isBody(i) {
			if inner := w.inner(s, value, depth); inner != value {
				return t.With(inner, mark)
			}
			break
		}
		if text, changed := w.literal(value, at); changed {
			return t.With(text, mark)
		}
	}
	return t.Text
}

func (w *sqlWalk) inner(s statement, value string, depth int) string {
	if s.foreign {
		text, _ := w.literal(value, Quoted{Body: true})
		return text
	}
	return w.rewrite(value, true, depth+1)
}

// isBody says whether a text is code: of a routine behind AS or DO, or in dollars within a body.
func (s statement) isBody(i int) bool {
	if s.tokens[i].Kind == sqltext.Dollar && s.body {
		return true
	}
	if !s.routine {
		return false
	}
	for j := i - 1; j >= 0; j-- {
		switch t := s.tokens[j]; t.Kind {
		case sqltext.Space, sqltext.Comment:
		case sqltext.Word:
			word := strings.ToUpper(t.Text)
			return word == "AS" || s.do
		default:
			return false
		}
	}
	return false
}

// nameOrText masks what stands in double quotes in SQLite, where that is sure to be no name.
func (w *sqlWalk) nameOrText(t sqltext.Token, at Quoted) string {
	value := t.Value()
	if t.Open || !surely(value) {
		return t.Text
	}
	at.Compared = true
	text, changed := w.literal(value, at)
	if !changed {
		return t.Text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// surely says whether one of the detectors strikes that are never wrong about a word of a program.
func surely(text string) bool {
	return slices.ContainsFunc(detectors, func(d detector) bool {
		_, _, ok := d.find([]byte(text))
		return d.sure && ok
	})
}

// isRegistered says whether a text is the name of something in the database: 'customers_id_seq'::regclass.
func isRegistered(behind []sqltext.Token) bool {
	if len(behind) < 3 || behind[0].Text != ":" || behind[1].Text != ":" {
		return false
	}
	return strings.HasPrefix(strings.ToLower(behind[2].Text), "reg")
}

// escapeMark is what escapes in U&'…': the backslash, or what stands behind UESCAPE.
func (s statement) escapeMark(i int) byte {
	if s.tokens[i].Kind != sqltext.Unicode {
		return '\\'
	}
	uescape := false
	for _, t := range s.tokens[i+1:] {
		switch {
		case t.Kind == sqltext.Space || t.Kind == sqltext.Comment:
		case !uescape && strings.EqualFold(t.Text, "UESCAPE"):
			uescape = true
		case uescape && len(t.Text) == 3:
			return t.Text[1]
		default:
			return '\\'
		}
	}
	return '\\'
}
