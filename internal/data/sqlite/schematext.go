package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"greenroom/internal/mask"
	"greenroom/internal/sqltext"
)

// A table has to be made before its rows are copied, and only then it is known which of the texts in its statement stood
// among the values of masked columns. So it is made with all texts masked that could be such, and gets its final statement
// once the rows are there: what may be left of the first one in the file's free space says nothing.

// drafts are the statements to begin with. A table that computes columns begins with the texts that it has: 'unixepoch' in
// another spelling computes nothing. What is left of them is then overwritten where SQLite frees it.
func (w *snapshotWriter) drafts() {
	w.statement = map[string]string{}
	known := w.source.names()
	computing := map[string]bool{}
	for _, t := range w.source.tables {
		computing[t.name] = slices.ContainsFunc(t.columns, func(c column) bool { return c.generated })
	}
	for _, e := range w.source.entries {
		draft, _ := w.text(e, known, func(string) bool { return true })
		if plainer, _ := w.text(e, known, nil); e.kind == "table" && plainer != draft {
			if computing[e.name] {
				draft, w.secure = plainer, true
			} else {
				w.unchecked = true
			}
		}
		w.statement[e.id()] = draft
	}
}

// finals are the statements with what is known now, and how many texts in them are not the source's.
func (w *snapshotWriter) finals() {
	known := w.source.names()
	for _, e := range w.source.entries {
		final, n := w.text(e, known, w.sieve.Seen)
		w.snapshot.Literals += n
		w.statement[e.id()] = final
	}
}

func (e entry) id() string { return e.kind + " " + e.name }

// text is a statement without comments, with its texts masked. The arguments of a virtual table are its settings.
func (w *snapshotWriter) text(e entry, known map[string]bool, seen func(string) bool) (string, int) {
	if moduleOf(e.sql) != "" {
		return withoutComments(e.sql), 0
	}
	out, n := mask.MaskSQL([]byte(plain(e.sql, known)), mask.SQLite, w.options.Key, seen)
	text, more := maskBytes(string(out), seen)
	return strings.TrimSpace(text), n + more
}

func withoutComments(statement string) string {
	return sqltext.Rewrite(statement, sqltext.SQLite, func(t sqltext.Token) string {
		if t.Kind == sqltext.Comment {
			return ""
		}
		return t.Text
	})
}

// maskBytes replaces bytes in a statement (x'4a6f65') with zeros, where they were seen or are a text that looks personal.
func maskBytes(statement string, seen func(string) bool) (masked string, n int) {
	masked = sqltext.Rewrite(statement, sqltext.SQLite, func(t sqltext.Token) string {
		digits := strings.ToLower(t.Inside())
		raw, err := hex.DecodeString(digits)
		if t.Kind != sqltext.Bits || err != nil {
			return t.Text
		}
		personal := seen != nil && (seen(`\x`+digits) || utf8.Valid(raw) && seen(string(raw)))
		if !personal && utf8.Valid(raw) {
			_, personal = mask.Detect(string(raw))
		}
		if !personal {
			return t.Text
		}
		n++
		return t.Opening() + strings.Repeat("0", len(digits)) + "'"
	})
	return masked, n
}

// settle gives the tables their final statements, and computes anew what was computed by the first ones.
func (w *snapshotWriter) settle(ctx context.Context, to *sql.Conn) error {
	drafts := w.statement
	w.statement = map[string]string{}
	w.finals()
	var changed []*table
	if err := run(ctx, to, "PRAGMA writable_schema = on"); err != nil {
		return err
	}
	for _, e := range w.source.entries {
		if e.kind != "table" || drafts[e.id()] == w.statement[e.id()] {
			continue
		}
		if _, err := to.ExecContext(ctx, "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", w.statement[e.id()], e.name); err != nil {
			return err
		}
		changed = append(changed, w.source.byName()[e.name])
	}
	if err := run(ctx, to, "PRAGMA writable_schema = reset", "PRAGMA ignore_check_constraints = on"); err != nil {
		return err
	}
	for _, t := range changed {
		if t != nil && slices.ContainsFunc(t.columns, func(c column) bool { return c.generated }) {
			name := quote(t.stored()[0].name)
			if err := run(ctx, to, "UPDATE "+quote(t.name)+" SET "+name+" = "+name); err != nil {
				return err
			}
		}
	}
	return run(ctx, to, "PRAGMA ignore_check_constraints = off")
}

// texts are what the sieve looks out for.
func (s *structure) texts() (all []string) {
	known := s.names()
	for _, e := range s.entries {
		e.sql = plain(e.sql, known)
		for _, l := range e.literals() {
			all = append(all, l.Text)
		}
		for t := range sqltext.Tokens(e.sql, sqltext.SQLite) {
			if t.Kind != sqltext.Bits {
				continue
			}
			digits := strings.ToLower(t.Inside())
			all = append(all, `\x`+digits)
			if raw, err := hex.DecodeString(digits); err == nil {
				all = append(all, string(raw))
			}
		}
	}
	return all
}
