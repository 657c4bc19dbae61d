package redact

import (
	"bytes"
	"io"
)

// reader is what is read through a writer.
type reader struct {
	from    io.Reader
	through io.WriteCloser // into clear
	clear   bytes.Buffer
	err     error // of from, for good
}

// Read is io.Reader's.
func (r *reader) Read(p []byte) (int, error) {
	for r.clear.Len() == 0 && r.err == nil {
		var n int
		n, r.err = r.from.Read(p)
		_, _ = r.through.Write(p[:n]) // a Buffer takes everything
		if r.err != nil {
			_ = r.through.Close()
		}
	}
	if r.clear.Len() == 0 {
		return 0, r.err
	}
	return r.clear.Read(p)
}

// writer is one stream through a Redactor.
//
// A byte is hidden when any form that stands in the input covers it; bytes that are hidden in a row become one mask. So
// of two secrets that overlap nothing is left over.
type writer struct {
	r       *Redactor
	to      io.Writer
	held    []byte // not decided yet: a form may begin at its first byte
	cover   int    // how many bytes from there on are hidden already
	masking bool   // the last byte was hidden, its mask is out
	out     []byte // scratch
	err     error  // of to, for good
}

// Write takes all of p, or fails as the writer behind failed.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.held = append(w.held, p...)
	w.pass(false)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close hands on what was held back.
func (w *writer) Close() error {
	if w.err == nil {
		w.pass(true)
	}
	return w.err
}

// pass decides as many of the held bytes as can be decided, and writes them at once.
func (w *writer) pass(final bool) {
	w.out = w.out[:0]
	b := w.held
	for len(b) > 0 {
		next := w.r.next(b)
		w.emit(b[:next])
		b = b[next:]
		n, open := w.r.match(b)
		if open && !final {
			break
		}
		w.cover = max(w.cover, n)
		n = min(1, len(b))
		w.emit(b[:n])
		b = b[n:]
	}
	w.held = w.held[:copy(w.held, b)]
	if len(w.out) > 0 {
		_, w.err = w.to.Write(w.out)
	}
}

// emit hides of the bytes those that are covered, and shows the others.
func (w *writer) emit(b []byte) {
	if n := min(w.cover, len(b)); n > 0 {
		if !w.masking {
			w.out = append(w.out, w.r.mask...)
		}
		w.masking = true
		w.cover -= n
		b = b[n:]
	}
	if len(b) > 0 {
		w.out = append(w.out, b...)
		w.masking = false
	}
}

// next is the first place in b where a form may begin: its first two bytes are there, or b ends after the first. It is
// len(b) where there is none.
func (r *Redactor) next(b []byte) int {
	if len(r.forms) == 0 {
		return len(b)
	}
	for i := range len(b) - 1 {
		pair := int(b[i])<<8 | int(b[i+1])
		if r.heads[pair>>3]&(1<<(pair&7)) != 0 {
			return i
		}
	}
	return len(b) - 1
}

// match is the length of the longest form that b begins with, 0 for none. open says that b ends before a form that it
// may turn out to begin with, a longer one perhaps.
func (r *Redactor) match(b []byte) (length int, open bool) {
	if len(b) < MinLength {
		return 0, len(b) > 0 && r.begins(b)
	}
	for _, form := range r.forms[[MinLength]byte(b)] {
		switch {
		case len(form) <= len(b):
			if string(b[:len(form)]) == form {
				length = max(length, len(form))
			}
		case form[:len(b)] == string(b):
			open = true
		}
	}
	return length, open
}

// begins says whether some form begins with b, which is shorter than any.
func (r *Redactor) begins(b []byte) bool {
	for head := range r.forms {
		if string(head[:len(b)]) == string(b) {
			return true
		}
	}
	return false
}
