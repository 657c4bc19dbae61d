package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"greenroom/internal/mask"
	"greenroom/internal/problem"
)

// search looks in every file that was written for values that a mask changed. One that is found is told by the column that
// it is of and by where it was found, never itself.
func (t *taking) search(ctx context.Context) error {
	if t.sieve.Canaries() == 0 {
		return nil
	}
	files := t.folder.Files()
	names := make(chan string, len(files))
	for _, f := range files {
		names <- f.Name
	}
	close(names)
	g := newGroup(ctx)
	for range t.o.Jobs {
		g.run(func(ctx context.Context) error {
			for name := range names {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := t.searchFile(name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.wait()
}

func (t *taking) searchFile(name string) (err error) {
	f, err := t.folder.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = f
	if strings.HasSuffix(name, ".zst") {
		z, err := decompressor(f)
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	hits, err := t.sieve.Search(&stoppable{ctx: t.meter.ctx, from: r})
	if err != nil || len(hits) == 0 {
		return err
	}
	return t.found(hits[0], t.where(name))
}

// stoppable is a reader that ends with a context.
type stoppable struct {
	ctx  context.Context
	from io.Reader
}

func (r *stoppable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

func (t *taking) found(hit mask.Hit, where string) error {
	return problem.New(problem.Fail, "a value of %s, which the mask changes, stands unmasked in %s", hit.From, where).
		WithHint("mask what stands there too; nothing was kept of this snapshot")
}

// where tells of a file what is in it.
func (t *taking) where(file string) string {
	switch file {
	case beforeFile, afterFile:
		return "the schema"
	case catalogFile:
		return "a name in the schema"
	}
	for _, table := range t.catalog.Tables {
		for _, h := range table.Heaps {
			for _, f := range h.Files {
				if f.Name == file {
					return "the table " + table.Rule + kept(table)
				}
			}
		}
	}
	return file
}

// kept names the columns of a table that go over as they are: one of them has it.
func kept(t catalogTable) string {
	var names []string
	for _, c := range t.Columns {
		if !c.Masked {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (kept there: " + strings.Join(names, ", ") + ")"
}

// searchManifest is search for what tells of the snapshot.
func (t *taking) searchManifest(s any) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	hits, err := t.sieve.Search(strings.NewReader(string(text)))
	if err != nil || len(hits) == 0 {
		return err
	}
	return t.found(hits[0], "the manifest")
}
