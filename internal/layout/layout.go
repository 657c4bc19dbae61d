// Package layout reads folders of migrations as goose, golang-migrate and Flyway lay them out, and says where a database
// stands in them. It is pure: files come as an fs.FS, what the tool's version table holds comes from an engine.
//
// The tools' own version tables are read and written as the tools do it, so that a team can go back to its tool any day.
package layout

import (
	"time"

	"greenroom/internal/sqltext"
)

// Tool is whose layout it is.
type Tool string

// The tools.
const (
	Goose   Tool = "goose"          // 00001_name.sql with -- +goose Up and Down
	Migrate Tool = "golang-migrate" // 1_name.up.sql and 1_name.down.sql
	Flyway  Tool = "flyway"         // V1__name.sql, U1__name.sql, R__name.sql
)

// Dialect is whose SQL it is, by the names that package app has for engines.
type Dialect = sqltext.Dialect

// The dialects that migrations are written in.
const (
	Postgres = sqltext.PostgreSQL
	SQLite   = sqltext.SQLite
)

// Migration is one migration of a folder.
type Migration struct {
	Version      string      `json:"version"` // as the tool writes it; "" for a repeatable one of Flyway's
	Name         string      `json:"name"`
	File         string      `json:"file"`             // path in the folder
	Before       string      `json:"before,omitempty"` // version of the one before it in the folder; "" for the first
	Up           []Statement `json:"up"`
	Down         []Statement `json:"down,omitempty"` // nil: there is no way down
	DownFile     string      `json:"down_file,omitempty"`
	NoTx         bool        `json:"no_tx,omitempty"`      // its statements run outside a transaction
	DownNoTx     bool        `json:"down_no_tx,omitempty"` // the same of the way down
	Checksum     string      `json:"checksum"`             // as the tool computes it, where it does; else SHA-256 in hex
	Repeating    bool        `json:"repeating,omitempty"`
	DownChecksum string      `json:"down_checksum,omitempty"` // as Checksum, of DownFile; Flyway's only
}

// OutsideTx says whether the statements of that direction run outside a transaction.
func (m Migration) OutsideTx(down bool) bool {
	if down {
		return m.DownNoTx
	}
	return m.NoTx
}

// Statement is one statement of a file, or what the tool sends as one.
type Statement struct {
	SQL  string `json:"sql"`
	Line int    `json:"line"` // of its first word in the file
}

// Applied is a row of a version table.
type Applied struct {
	Version  string    `json:"version"`
	Name     string    `json:"name,omitempty"`
	Checksum string    `json:"checksum,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Failed   bool      `json:"failed,omitempty"` // dirty, as golang-migrate calls it; success false in Flyway's
	// Baseline says that the database began at this version (Flyway): all up to it counts as applied.
	Baseline bool `json:"baseline,omitempty"`
}

// State is what a database's version table says, in the order in which it was written. golang-migrate's table holds one
// version, and all up to it counts as applied.
type State struct {
	Tool    Tool      `json:"tool"`
	Table   string    `json:"table"`   // its name
	Missing bool      `json:"missing"` // there is none
	Applied []Applied `json:"applied,omitempty"`
}
