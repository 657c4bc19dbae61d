package sqltext

import (
	"iter"
	"strings"
)

// Statement is a statement of a script.
type Statement struct {
	Text string // from its first token to its last that is not blank, without the semicolon
	At   int    // where it begins, in bytes
}

// Statements cuts a script at the semicolons that end a statement, and leaves out statements in which nothing is. No statement
// ends within parentheses, as a rule of several statements has them, in BEGIN ATOMIC … END, which is the body of a function
// that is SQL and no text, or in a trigger of SQLite's. A comment that never ends is part of a statement, so that it isn't
// passed over.
func Statements(script string, d Dialect) iter.Seq[Statement] {
	return func(yield func(Statement) bool) {
		from, to := -1, 0
		e := ending{lite: d == SQLite}
		for t := range Tokens(script, d) {
			switch {
			case t.Blank() && !t.Open:
				continue
			case t.Text == ";" && t.Depth == 0 && e.now():
				if from >= 0 && !yield(Statement{script[from:to], from}) {
					return
				}
				from, e = -1, ending{lite: e.lite}
				continue
			}
			e.token(t)
			if to = t.End(); from < 0 {
				from = t.At
			}
		}
		if from >= 0 {
			yield(Statement{script[from:to], from})
		}
	}
}

// ending knows whether a semicolon would end the statement that it saw the tokens of.
type ending struct {
	lite         bool
	head         [4]string // the first words
	words        int
	creates      bool   // the first of them is CREATE
	blocks       int    // BEGIN ATOMIC and CASE that are open
	before, last string // the last two tokens
}

func (e *ending) token(t Token) {
	if t.Kind == Word {
		if e.words < len(e.head) {
			e.head[e.words] = t.Text
			e.creates = is(e.head[0], "CREATE")
		}
		e.words++
		if e.creates && !e.lite {
			e.block(t.Text)
		}
	}
	e.before, e.last = e.last, t.Text
}

// block keeps count of what a body in SQL has inside: a CASE ends with END as well.
func (e *ending) block(word string) {
	switch {
	case is(word, "ATOMIC") && is(e.last, "BEGIN"), e.blocks > 0 && is(word, "CASE"):
		e.blocks++
	case e.blocks > 0 && is(word, "END"):
		e.blocks--
	}
}

// now says whether a semicolon that comes now ends the statement. A trigger of SQLite's ends with ; END ; and nothing else.
func (e *ending) now() bool {
	if e.lite && e.trigger() {
		return e.before == ";" && is(e.last, "END")
	}
	return e.blocks == 0
}

// trigger says whether the statement is [EXPLAIN] CREATE [TEMP] TRIGGER.
func (e *ending) trigger() bool {
	words := e.head[:]
	if is(words[0], "EXPLAIN") {
		words = words[1:]
	}
	if !is(words[0], "CREATE") {
		return false
	}
	if is(words[1], "TEMP") || is(words[1], "TEMPORARY") {
		words = words[1:]
	}
	return len(words) > 1 && is(words[1], "TRIGGER")
}

// is folds the case of ASCII alone: a long ſ is no s to a database.
func is(text, word string) bool { return len(text) == len(word) && strings.EqualFold(text, word) }
