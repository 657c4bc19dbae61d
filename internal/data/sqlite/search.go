package sqlite

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// search looks in the finished file for values that the mask changed: as they are, with a UTF-16 database without the zeros
// between letters, and as hexadecimal digits, as which the sieve knows bytes.
func (w *snapshotWriter) search(ctx context.Context) (err error) {
	w.innocent()
	f, err := os.Open(w.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, digits, wide := w.sieve.Searcher(), w.sieve.Searcher(), w.sieve.Searcher()
	encoder := hex.NewEncoder(digits)
	part := make([]byte, 1<<20)
	for {
		n, err := f.Read(part)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, _ = plain.Write(part[:n]) // a searcher never fails
		_, _ = encoder.Write(part[:n])
		if strings.HasPrefix(w.source.encoding, "UTF-16") {
			_, _ = wide.Write(bytes.ReplaceAll(part[:n], []byte{0}, nil))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	w.snapshot.Canaries = w.sieve.Canaries()
	for _, s := range []*mask.Searcher{plain, digits, wide} {
		if hits := s.Hits(); len(hits) > 0 {
			return problem.New(problem.Fail, "a value of %s was found in the masked copy of %s, which was thrown away", hits[0].From, w.database.file).
				WithHint("look for what else holds values of that column, as another column that is kept; its rule has to mask them too")
		}
	}
	return nil
}

// innocent tells the sieve what stands in the schema by right: names, and codes that its checks compare with.
func (w *snapshotWriter) innocent() {
	if len(w.source.tables) == 0 {
		return
	}
	t, _ := w.masks.proper.Table(w.source.tables[0].name)
	t.Watch(w.sieve)
	for _, statement := range w.statement {
		for _, p := range pieces(statement) {
			if text := literalText(p); text != "" {
				t.Kept([]byte(text))
			}
			t.Kept([]byte(bareName(p)))
		}
	}
}
