package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Census counts the environment's data; nil where there is no database, or one that can't be counted.
func (e *Environment) Census(ctx context.Context, r release.Release) (*migration.Census, error) {
	c, err := e.comparer(ctx, r)
	if err != nil || c == nil {
		return nil, err
	}
	census, err := c.Census(ctx)
	return &census, err
}

// censusFile holds a census for a later step, beside the data that it is of.
func (e *Environment) censusFile() string { return filepath.Join(e.Folder(), "census.json") }

// KeepCensus keeps a census as long as the environment's folder is there, in place of the one that was kept before.
func (e *Environment) KeepCensus(c migration.Census) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.Folder(), 0o711); err != nil {
		return err
	}
	return atomicfile.Write(e.censusFile(), raw, 0o600)
}

// KeptCensus is the census that was kept; nil for none.
func (e *Environment) KeptCensus() (*migration.Census, error) {
	raw, err := os.ReadFile(e.censusFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c migration.Census
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("the census of %s: %w", e.RouteName(), err)
	}
	return &c, nil
}

// Invariants asks the queries that a release says must find nothing, and tells by name what they found; "" is nothing. A
// query that can't be asked is told as what it found: it does not hold.
func (e *Environment) Invariants(ctx context.Context, r release.Release) (map[string]string, error) {
	m := r.Contents.Migrations
	if m == nil || len(m.Invariants) == 0 {
		return nil, nil
	}
	c, err := e.comparer(ctx, r)
	if err != nil || c == nil {
		return nil, err
	}
	found := map[string]string{}
	for name, query := range m.Invariants {
		answer, err := c.Ask(ctx, query)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			answer = "it can't be asked: " + problem.From(err).Message
		} else if answer != "" {
			answer = "it finds " + answer
		}
		found[name] = answer
	}
	return found, nil
}

func (e *Environment) comparer(ctx context.Context, r release.Release) (data.Comparer, error) {
	db, err := e.Database(ctx, r)
	if err != nil {
		return nil, err
	}
	c, _ := db.(data.Comparer)
	return c, nil
}
