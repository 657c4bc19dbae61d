package data

import (
	"context"
	"time"

	"greenroom/internal/mask"
)

// Copier is a database that can be copied masked, and filled from such a copy.
type Copier interface {
	// Shape reads the structure, and not one value.
	Shape(ctx context.Context) (mask.Shape, error)
	// Snapshot writes a copy of one moment into the folder dir, which must not exist: whole, or not at all. Values are
	// masked before they are written anywhere. Whoever writes to the database meanwhile is not held up.
	Snapshot(ctx context.Context, dir string, o SnapshotOptions) (Snapshot, error)
	// Load makes the database exactly what the snapshot in dir holds, counts the rows of every table, has the engine check
	// them against all constraints, compares the schema, and measures the tables for the planner. A load that was
	// interrupted can be done again. A damaged snapshot is refused before anything is changed, one that does not come out
	// as it went in leaves the database as it was: both are Fail.
	Load(ctx context.Context, dir string, o LoadOptions) (Loaded, error)
}

// Resetter is a database that can be made again what it was, in seconds whatever its size.
type Resetter interface {
	// Keep puts a pristine copy beside the database, in the place of an earlier one.
	Keep(ctx context.Context) error
	// Reset makes the database what Keep saw last, ends its sessions, and says how the bytes were copied: "clone", "file
	// copy". Without a pristine copy it is NotFound. One that was interrupted can be done again.
	Reset(ctx context.Context) (how string, err error)
}

// SnapshotOptions say how a snapshot is made, and how much of production's strength it may take.
type SnapshotOptions struct {
	Rules    mask.Rules
	Key      mask.Key
	Jobs     int              // tables, and parts of large ones, that are read at the same time; 0 is 4 at most
	Rate     int64            // bytes a second that are read, all jobs together; 0 is as fast as it goes
	Timeout  time.Duration    // how long the moment may be held; 0 is an hour
	Progress func(Progress)   // called by one goroutine at a time; may be nil
	Now      func() time.Time // nil is time.Now
}

// LoadOptions say how a snapshot is loaded.
type LoadOptions struct {
	Jobs     int
	Progress func(Progress)
	// ReadBack has every table read whole once it is there, and the sum over its rows compared with the snapshot's: for a
	// snapshot that is to be verified. One that is to be used is there sooner without.
	ReadBack bool
}

// Progress is how far a copy is.
type Progress struct {
	Table  string // the one that was worked on last
	Tables int    // finished
	Of     int
	Rows   int64
	Bytes  int64 // of values
}

// Snapshot is a masked copy of a database, as the manifest in its folder says.
type Snapshot struct {
	Format  int           `json:"format"`
	Engine  string        `json:"engine"`  // postgres, sqlite
	Version string        `json:"version"` // of the server or library
	Taken   time.Time     `json:"taken"`   // the moment
	Took    time.Duration `json:"took"`
	Schema  string        `json:"schema"`           // fingerprint of the database it is of
	Masked  string        `json:"masked,omitempty"` // fingerprint of what Load makes; "" where texts in the schema were masked: then Loaded.Schema tells
	Rules   string        `json:"rules"`            // digest of the rules that it was masked by (mask.Rules.Digest)
	Mask    *mask.Rules   `json:"mask,omitempty"`   // these rules; nil in one that an earlier Greenroom took
	// Pseudonyms identifies the key that it was masked with (mask.Key.ID); "" in one that an earlier Greenroom took.
	Pseudonyms string          `json:"pseudonyms,omitempty"`
	Tables     []SnapshotTable `json:"tables"` // sorted by name
	Literals   int             `json:"literals"`
	Files      []SnapshotFile  `json:"files"`            // all but the manifest, sorted by name
	Size       int64           `json:"size"`             // of the folder, bytes
	Source     int64           `json:"source"`           // bytes of the database on disk
	Canaries   int             `json:"canaries"`         // values of changed columns that were searched for in what was written
	Shared     map[string]int  `json:"shared,omitempty"` // masked columns of which values stand in kept columns too: of how many canaries, at least
	Collation  string          `json:"collation,omitempty"`
}

// SnapshotTable is a table in a snapshot.
type SnapshotTable struct {
	Name    string           `json:"name"`
	Rows    int64            `json:"rows"`
	Bytes   int64            `json:"bytes"`             // of values, masked
	Sum     string           `json:"sum"`               // checksum over its rows that does not depend on their order
	Source  int64            `json:"source"`            // bytes on production's disk, indexes included
	Index   int64            `json:"index,omitempty"`   // those of the indexes; 0 in one that an earlier Greenroom took
	Changed map[string]int64 `json:"changed,omitempty"` // values by column that the mask changed
	None    bool             `json:"none,omitempty"`    // its rows stayed behind
}

// SnapshotFile is a file of a snapshot.
type SnapshotFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Loaded is what a load did.
type Loaded struct {
	Rows   int64         `json:"rows"`
	Tables int           `json:"tables"`
	Schema string        `json:"schema"` // fingerprint of what came out
	Took   time.Duration `json:"took"`
}
