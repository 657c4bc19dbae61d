package api

import (
	"time"

	"greenroom/internal/release"
)

// CopyKind is what a copy of a database is for.
type CopyKind string

// The kinds of copy.
const (
	CopySnapshot CopyKind = "snapshot" // masked, made to leave the environment
	CopyBackup   CopyKind = "backup"   // raw, never leaves it
)

// CopyRequest names a copy of an environment's database. ID is empty where one is to be taken.
type CopyRequest struct {
	App         string   `json:"app"`
	Environment string   `json:"environment"`
	Kind        CopyKind `json:"kind"`
	ID          string   `json:"id,omitempty"`
}

// CopyView is a copy as people see it.
type CopyView struct {
	Kind        CopyKind       `json:"kind"`
	ID          string         `json:"id"`
	Environment string         `json:"environment"`
	Taken       time.Time      `json:"taken"`
	Size        int64          `json:"size"` // bytes that it takes
	Path        string         `json:"path"` // where it lies
	Schema      string         `json:"schema,omitempty"`
	SHA256      string         `json:"sha256,omitempty"`     // of a backup's file
	Release     release.Digest `json:"release,omitempty"`    // that was live, of a backup
	Verified    time.Time      `json:"verified,omitzero"`    // when it was last restored and counted; zero: never
	Tables      []CopyTable    `json:"tables,omitempty"`     // of a snapshot
	Undeclared  bool           `json:"undeclared,omitempty"` // a backup of an earlier Greenroom: nothing is known of it but the file
	Damaged     string         `json:"damaged,omitempty"`    // why it can't be used
	// Of a snapshot:
	Brought    time.Time `json:"brought,omitzero"`     // when it came here from another machine; zero: it was taken here
	By         string    `json:"by,omitempty"`         // the key that vouches for it then
	Rules      string    `json:"rules,omitempty"`      // digest of the rules that it was masked by
	ReadBack   time.Time `json:"read_back,omitzero"`   // when every row was last read back besides; zero: it was counted at most
	Pseudonyms string    `json:"pseudonyms,omitempty"` // identifies the key that it was masked with
	Refused    string    `json:"refused,omitempty"`    // why nothing takes it: nobody vouches for it any more, other rules are in force, or a newer Greenroom made it
}

// CopyTable is a table in a snapshot.
type CopyTable struct {
	Name    string           `json:"name"`
	Rows    int64            `json:"rows"`
	Changed map[string]int64 `json:"changed,omitempty"` // values that the mask changed, by column
	Empty   bool             `json:"empty,omitempty"`   // its rows stayed behind, as the mask says
}

// DatabaseState is how the schema of a database stands, in a word.
type DatabaseState string

// The states of a database.
const (
	DatabaseCurrent      DatabaseState = "current"       // as the live release left it
	DatabaseEmpty        DatabaseState = "empty"         // nothing was ever live
	DatabasePending      DatabaseState = "pending"       // migrations of the live release are not applied
	DatabaseAhead        DatabaseState = "ahead"         // migrations are applied that the live release does not know
	DatabaseHalfMigrated DatabaseState = "half-migrated" // neither what it was nor what the migration makes
	DatabaseUnknown      DatabaseState = "unknown"       // another schema than the recorded one, or it could not be read
)

// DatabaseView is what a database is, and what to do.
type DatabaseView struct {
	Environment string         `json:"environment"`
	Engine      string         `json:"engine"` // postgres, sqlite; "" for an app without one
	State       DatabaseState  `json:"state"`
	Says        string         `json:"says"` // in a sentence
	Next        string         `json:"next,omitempty"`
	Release     release.Digest `json:"release,omitempty"` // live
	Version     string         `json:"version,omitempty"` // of the last migration, or what the definition's query says
	Pending     []string       `json:"pending,omitempty"` // files
	Ahead       []string       `json:"ahead,omitempty"`
	Edited      []string       `json:"edited,omitempty"` // applied, and changed since
	Schema      string         `json:"schema"`           // fingerprint as it is
	Recorded    string         `json:"recorded"`         // and as it was left
	// Objects are what makes the schema another one than the recorded, one in a line: "+ table …", "- column …".
	Objects []string `json:"objects,omitempty"`
}
