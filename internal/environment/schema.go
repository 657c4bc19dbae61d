package environment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/release"
)

// Fingerprint is that of the database's schema, "" for an app without one. The schema itself is kept beside, under its
// fingerprint, so that a later one can be compared with it thing by thing.
func (e *Environment) Fingerprint(ctx context.Context, r release.Release) (string, error) {
	db, err := e.Database(ctx, r)
	if err != nil || db == nil {
		return "", err
	}
	if err := db.Ping(ctx); err != nil {
		return "", err
	}
	d, ok := db.(data.Describer)
	if !ok {
		return db.Fingerprint(ctx)
	}
	text, err := d.Describe(ctx)
	if err != nil {
		return "", err
	}
	return e.keepSchema(text)
}

func (e *Environment) keepSchema(text string) (fingerprint string, err error) {
	sum := sha256.Sum256([]byte(text))
	fingerprint = hex.EncodeToString(sum[:])
	if e.Stage {
		return fingerprint, nil
	}
	file := e.schemaFile(fingerprint)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fingerprint, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return fingerprint, atomicfile.Write(file, []byte(text), 0o600)
}

func (e *Environment) schemaFile(fingerprint string) string {
	return filepath.Join(e.Folder(), "schemas", fingerprint)
}

// SchemaChanges are the things in which a schema that was recorded and one that is there now differ, each in a line that
// begins with + for what is there now and - for what was; nil where either is not known any more.
func (e *Environment) SchemaChanges(recorded, now string) []string {
	was, is := e.schemaEntries(recorded), e.schemaEntries(now)
	if was == nil || is == nil {
		return nil
	}
	var changes []string
	for _, entry := range is {
		if _, there := slices.BinarySearch(was, entry); !there {
			changes = append(changes, "+ "+entry)
		}
	}
	for _, entry := range was {
		if _, there := slices.BinarySearch(is, entry); !there {
			changes = append(changes, "- "+entry)
		}
	}
	return changes
}

// schemaEntries are the entries of a schema, sorted, each with its first line alone: a function's body says too much.
func (e *Environment) schemaEntries(fingerprint string) []string {
	if len(fingerprint) != sha256.Size*2 || !filepath.IsLocal(fingerprint) {
		return nil
	}
	text, err := os.ReadFile(e.schemaFile(fingerprint))
	if err != nil {
		return nil
	}
	var entries []string
	for _, entry := range strings.Split(strings.ReplaceAll(string(text), "\n    ", "\r"), "\n") {
		if entry != "" {
			entries = append(entries, entry)
		}
	}
	for i, entry := range entries {
		if first, rest, more := strings.Cut(entry, "\r"); more {
			sum := sha256.Sum256([]byte(rest))
			entries[i] = first + " … " + hex.EncodeToString(sum[:4]) // which body it is
		}
	}
	slices.Sort(entries)
	return entries
}
