// Package layout reads folders of migrations as goose, golang-migrate and Flyway lay them out, and says where a database
// stands in them. It is pure: files come as an fs.FS, what the tool's version table holds comes from an engine.
//
// The tools' own version tables are read and written as the tools do it, so that a team can go back to its tool any day.
package layout

import "time"

// Tool is whose layout it is.
type Tool string

// The tools.
const (
	Goose   Tool = "goose"          // 00001_name.sql with -- +goose Up and Down
	Migrate Tool = "golang-migrate" // 1_name.up.sql and 1_name.down.sql
	Flyway  Tool = "flyway"         // V1__name.sql, U1__name.sql, R__name.sql
)

// Migration is one migration of a folder.
type Migration struct {
	Version   string      `json:"version"` // as the tool writes it; "" for a repeatable one of Flyway's
	Name      string      `json:"name"`
	File      string      `json:"file"` // path in the folder
	Up        []Statement `json:"up"`
	Down      []Statement `json:"down,omitempty"` // nil: there is no way down
	DownFile  string      `json:"down_file,omitempty"`
	NoTx      bool        `json:"no_tx,omitempty"` // its statements run outside a transaction
	Checksum  string      `json:"checksum"`        // as the tool computes it, where it does; else SHA-256 in hex
	Repeating bool        `json:"repeating,omitempty"`
}

// Statement is one statement of a file.
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
}

// State is what a database's version table says.
type State struct {
	Table   string    `json:"table"`   // its name
	Missing bool      `json:"missing"` // there is none
	Applied []Applied `json:"applied,omitempty"`
}
