// Package redact takes secrets out of what is printed.
package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
)

// MinLength is the length in bytes from which a value is taken out of output. A shorter one stands in any text by chance:
// hiding it would spoil the text and, by where it is spoilt, tell the value.
const MinLength = 4

// minPart is the length in bytes from which a part of a value is taken out.
const minPart = 8

// Redactor takes secrets out of what is printed: the values as they are, their single lines, and their forms in URLs,
// JSON and base64, there also where the value stands inside a longer text, as a password does in basic authentication.
// It never changes after it was made, so any number of streams can use it.
type Redactor struct {
	forms map[[MinLength]byte][]string // by their first bytes
	heads [1 << 13]byte                // which pairs of first bytes there are, one bit each: nearly all text ends here
	mask  []byte
}

// passwordsIn are those of the values that are addresses: a program may print the one without the other.
func passwordsIn(values []string) (found []string) {
	for _, v := range values {
		if u, err := url.Parse(v); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok {
				found = append(found, p)
			}
		}
	}
	return found
}

// New makes a redactor of these values. Those shorter than MinLength are left alone.
func New(values ...string) *Redactor {
	r := &Redactor{forms: map[[MinLength]byte][]string{}}
	all := map[string]bool{}
	for _, v := range append(slices.Clone(values), passwordsIn(values)...) {
		if len(v) < MinLength {
			continue
		}
		for _, form := range formsOf(v) {
			all[form] = true
		}
	}
	var used [256]bool
	for form := range all {
		head := [MinLength]byte([]byte(form[:MinLength]))
		r.forms[head] = append(r.forms[head], form)
		pair := int(form[0])<<8 | int(form[1])
		r.heads[pair>>3] |= 1 << (pair & 7)
		for i := range len(form) {
			used[form[i]] = true
		}
	}
	r.mask = bytes.Repeat([]byte{maskByte(&used)}, 3)
	return r
}

// maskByte is a byte that no form holds, so that masks never become part of a form with what stands beside them. A
// value in an environment can't hold a zero byte: that is the last resort.
func maskByte(used *[256]bool) byte {
	for _, c := range []byte("*#~%.-_=+") {
		if !used[c] {
			return c
		}
	}
	for c := byte(0xff); c > 0; c-- {
		if !used[c] {
			return c
		}
	}
	return 0
}

// formsOf lists what a value looks like in output.
func formsOf(value string) []string {
	forms := []string{
		value,
		url.QueryEscape(value), url.PathEscape(value), url.UserPassword("", value).String()[1:],
		base64.RawStdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
	}
	for _, escaped := range forms[1:4] {
		forms = append(forms, lowerEscapes(escaped))
	}
	forms = append(forms, jsonForms(value)...)
	parts := base64Parts(value)
	for line := range strings.Lines(value) {
		parts = append(parts, strings.TrimRight(line, "\r\n"))
	}
	for _, part := range parts {
		if len(part) >= minPart {
			forms = append(forms, part)
		}
	}
	return forms
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// jsonForms is the value inside a JSON string, with and without the escapes that are there for HTML's sake.
func jsonForms(value string) (forms []string) {
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(value) == nil {
			forms = append(forms, b.String()[1:b.Len()-2]) // without the quotes and the line's end
		}
	}
	return forms
}

// base64Parts is what of the value's base64 stays the same whatever stands before and behind it. Three bytes make four
// characters, so there are three ways for it to begin; the characters at its ends that it shares with its neighbours are
// left out.
func base64Parts(value string) (parts []string) {
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), value...))
			first := (before*8 + 5) / 6           // the first character whose 6 bits are all the value's
			last := (before + len(value)) * 8 / 6 // the character behind the last such
			if first < last {
				parts = append(parts, text[first:last])
			}
		}
	}
	return parts
}

// String is s without the secrets.
func (r *Redactor) String(s string) string {
	var b strings.Builder
	w := r.Writer(&b)
	_, _ = io.WriteString(w, s) // a Builder takes everything
	_ = w.Close()
	return b.String()
}

// Reader is from without the secrets. What may be the beginning of one is held back until it is clear, or from ends.
func (r *Redactor) Reader(from io.Reader) io.Reader {
	if len(r.forms) == 0 {
		return from
	}
	rd := &reader{from: from}
	rd.through = r.Writer(&rd.clear)
	return rd
}

// Writer hands on to w what is written to it, without the secrets, also where a secret comes in pieces. What may be the
// beginning of one is held back until it is clear; Close hands on the rest, and does not close w. A Writer belongs to one
// goroutine at a time.
func (r *Redactor) Writer(w io.Writer) io.WriteCloser { return &writer{r: r, to: w} }
