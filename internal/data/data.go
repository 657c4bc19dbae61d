// Package data is the contract of what Greenroom does with an app's database. One package per engine implements it, and
// one suite (datatest) runs against all of them.
package data

import (
	"context"
	"time"
)

// Database is one database of an app.
type Database interface {
	// URL is what services and checks get as DATABASE_URL.
	URL() string
	// Ping returns when the database answers, or with the reason why not.
	Ping(ctx context.Context) error
	// Fingerprint identifies the schema: tables, columns, types, defaults, constraints, indexes, views, functions,
	// triggers, sequences, enums; never data, never the tables' order. Equal schemas have equal fingerprints.
	Fingerprint(ctx context.Context) (string, error)
	// Backup writes a raw copy to file, whole or not at all, and verifies that it can be read back.
	Backup(ctx context.Context, file string) (Backup, error)
	// Restore makes the database exactly what the backup holds. A restore that was interrupted can be done again.
	Restore(ctx context.Context, file string) error
	// EndMigrator ends whatever a migrator that carried this application name left running in the server (FAULTS.md,
	// fact 3) and returns how many sessions that were. The schema may have changed until it returns.
	EndMigrator(ctx context.Context, name string) (int, error)
}

// Describer is a database whose schema can be told as text.
type Describer interface {
	// Describe is the schema as text, one thing a line, sorted, with what belongs to it indented below; Fingerprint is its
	// SHA-256.
	Describe(ctx context.Context) (string, error)
}

// Backup is a raw copy of a database; production's never leaves production.
type Backup struct {
	File   string        `json:"file"`
	Size   int64         `json:"size"` // bytes
	SHA256 string        `json:"sha256"`
	Took   time.Duration `json:"took"`
}
