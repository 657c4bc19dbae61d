// Package migration judges what a migration did to the people who use a database: what was seen of it, what that means,
// and what it would mean at production's size. It is pure: engines observe, loops act.
package migration

import "time"

// Observation is what was seen of a migration from beside it. All offsets are since Started.
type Observation struct {
	Engine     string        `json:"engine"` // postgres, sqlite
	Started    time.Time     `json:"started"`
	Took       time.Duration `json:"took"`
	Statements []Statement   `json:"statements,omitempty"` // in their order
	Locks      []Lock        `json:"locks,omitempty"`      // sorted by From; only those that can stand in somebody's way
	Waits      []Wait        `json:"waits,omitempty"`      // sorted by From: who was seen to wait behind the migration
	Tables     []Table       `json:"tables,omitempty"`     // sorted by name; those that it touched, and what it made or dropped
	Grown      int64         `json:"grown,omitempty"`      // bytes of disk that tables took at their peak which are left out of Tables
	WAL        int64         `json:"wal"`                  // bytes of write-ahead log, the whole server's: everybody's who wrote meanwhile
	Samples    int           `json:"samples"`              // how often was looked
	Gap        time.Duration `json:"gap"`                  // the longest time between two looks: shorter things may not have been seen
	Exact      bool          `json:"exact"`                // locks were also read definitively before each commit, so none is missing
	Guessed    bool          `json:"guessed,omitempty"`    // its sessions did not carry the name, and were known by the locks that they took
	Prepared   time.Duration `json:"prepared,omitempty"`   // how long, at most, a prepared transaction kept locks that no session has any more
	Load       string        `json:"load,omitempty"`       // what used the database meanwhile: "journeys of 3f2a91c0"; "" is nothing
	Omitted    int           `json:"omitted,omitempty"`    // entries that were left out above, beyond the bound on their number
}

// Statement is one statement of the migration, as the server had it.
type Statement struct {
	SQL     string        `json:"sql"`               // cut off at 2 KiB
	File    string        `json:"file,omitempty"`    // where it is from, where that is known
	From    time.Duration `json:"from"`              // offset
	Took    time.Duration `json:"took"`              // waiting for locks included
	Waited  time.Duration `json:"waited,omitempty"`  // for locks
	Error   string        `json:"error,omitempty"`   // what the server said
	Retries int           `json:"retries,omitempty"` // after a lock time-out
}

// Lock is one table's lock that the migration held, or waited for.
type Lock struct {
	Table     string        `json:"table"`
	Mode      string        `json:"mode"`             // as PostgreSQL calls it without "Lock": AccessExclusive, ShareRowExclusive, …
	Asked     time.Duration `json:"asked"`            // from when on it was waited for; equal to From where it was free
	From      time.Duration `json:"from"`             // from when on it was held; equal to Until where it never was
	Until     time.Duration `json:"until"`            // until when
	Statement int           `json:"statement"`        // index into Statements of the one that took it; -1 where that was not seen
	Early     time.Duration `json:"early,omitempty"`  // it may have been asked for by so much earlier: nobody looked
	Late      time.Duration `json:"late,omitempty"`   // it may have been there for so much longer
	Unsure    bool          `json:"unsure,omitempty"` // nobody saw whether it was in anybody's way
	Made      bool          `json:"made,omitempty"`   // the table is the migration's own, made while it was watched: who is live does not know it
}

// Wait is a session of somebody else's that stood behind the migration.
type Wait struct {
	Query     string        `json:"query"` // cut off at 2 KiB, literals taken out
	Who       string        `json:"who"`   // the application name
	Table     string        `json:"table"`
	Write     bool          `json:"write"` // else it reads
	From      time.Duration `json:"from"`
	Until     time.Duration `json:"until"`
	Statement int           `json:"statement"` // index of the one it stood behind; -1
}

// Table is what became of a table.
type Table struct {
	Name        string `json:"name"`
	Made        bool   `json:"made,omitempty"`
	Dropped     bool   `json:"dropped,omitempty"`
	Rewritten   bool   `json:"rewritten,omitempty"` // its file is another one than before
	Rows        int64  `json:"rows"`                // after it; before it where it was dropped; -1 unknown
	BytesBefore int64  `json:"bytes_before"`        // without indexes
	BytesAfter  int64  `json:"bytes_after"`
	IndexBefore int64  `json:"index_before"`
	IndexAfter  int64  `json:"index_after"`
}

// Budget is what a migration may do to production. Zero means the default; see Default.
type Budget struct {
	BlockedReads  time.Duration `json:"blocked_reads,omitempty"`  // the longest that reads of a table may stand still
	BlockedWrites time.Duration `json:"blocked_writes,omitempty"` // the longest that writes to a table may
	Duration      time.Duration `json:"duration,omitempty"`       // the whole migration; 0 is no limit
	Growth        int64         `json:"growth,omitempty"`         // bytes of disk, write-ahead log included; 0 is no limit
	RowsLost      int64         `json:"rows_lost,omitempty"`      // rows that may be gone; see Report.Lost. -1 is any number
}

// Moment is what goes on right now in a migration that is watched.
type Moment struct {
	SQL     string        `json:"sql"`               // the statement, cut off at 200 bytes
	Since   time.Duration `json:"since"`             // how long it has run
	Waits   bool          `json:"waits"`             // for a lock
	Behind  int           `json:"behind"`            // sessions that stand behind it
	Blocker []Blocker     `json:"blocker,omitempty"` // in whose way it is not, but who is in its
}

// Blocker is a session that a migration waits for.
type Blocker struct {
	PID   int           `json:"pid"`
	Born  time.Time     `json:"-"`     // when the session began, since a PID may be another's later; zero where it isn't known
	Who   string        `json:"who"`   // application name and user
	State string        `json:"state"` // active, idle in transaction, …
	Since time.Duration `json:"since"` // how long its transaction is open
	Query string        `json:"query"` // its last one, literals taken out
	Table string        `json:"table"`
	// Spared says why it is not ended where others in the way are; "" where it may be, and where nobody is.
	Spared string `json:"spared,omitempty"`
}

// Census is how many rows a database has, and a checksum of each column that does not depend on the rows' order.
type Census struct {
	Tables  []Count  `json:"tables"`            // sorted by name
	Orphans []Orphan `json:"orphans,omitempty"` // rows whose foreign key leads nowhere
}

// Count is a table in a census.
type Count struct {
	Name    string        `json:"name"`
	Rows    int64         `json:"rows"`
	Columns []ColumnCount `json:"columns"` // sorted by name
}

// ColumnCount is a column in a census.
type ColumnCount struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Nulls int64  `json:"nulls"`
	Sum   string `json:"sum"` // over the values' texts
}

// Orphan is a foreign key, declared or not yet validated, whose rows miss what they refer to.
type Orphan struct {
	Table, Column, Refers string
	Rows                  int64
}

// Report is everything that is known of a release's migration after a rehearsal: what an engineer pastes into the pull
// request.
type Report struct {
	Observation Observation `json:"observation"`
	Budget      Budget      `json:"budget"`
	Findings    []Finding   `json:"findings,omitempty"` // the worst first
	Advice      []Advice    `json:"advice,omitempty"`
	Lost        []Loss      `json:"lost,omitempty"`     // rows and values that were there before and are not now
	Changed     []Loss      `json:"changed,omitempty"`  // values that are others than before, in columns that stayed
	Back        *Back       `json:"back,omitempty"`     // the way back; nil where it was not tried
	Forecast    *Forecast   `json:"forecast,omitempty"` // what production will see; nil where its sizes are not known
	Data        string      `json:"data"`               // what it ran on: "a masked copy of production of 2026-11-26, 1.2 GB", "the seed"
}

// Finding is one sentence of the verdict.
type Finding struct {
	Verdict string        `json:"verdict"` // pass, fail or inconclusive, as evidence.Verdict
	Text    string        `json:"text"`    // "writes to orders would have stood still for 9.4 s, and 1 s is allowed"
	Table   string        `json:"table,omitempty"`
	Took    time.Duration `json:"took,omitempty"`
	Budget  time.Duration `json:"budget,omitempty"`
	// Statement is the index of the one that it is about; -1 for none.
	Statement int `json:"statement"`
}

// Advice is a safer way to write a statement.
type Advice struct {
	Statement int    `json:"statement"` // index; -1 for the migration as a whole
	Why       string `json:"why"`
	Instead   string `json:"instead"` // statements, or a sentence
}

// Loss is what is gone, or not what it was, of a table or of one of its columns.
type Loss struct {
	Table  string `json:"table"`
	Column string `json:"column,omitempty"` // "" is the whole table
	Rows   int64  `json:"rows"`             // how many
	Text   string `json:"text"`             // "12 of 40 rows are gone", "the column phone is gone, with 38 values"
}

// Back is what a rollback would mean after the new release was used.
type Back struct {
	Possible bool   `json:"possible"` // the old release's journeys passed
	How      string `json:"how"`      // "the old release lives on the new schema", "down", "restore"
	Until    string `json:"until"`    // the point of no return, in words
	Lost     []Loss `json:"lost,omitempty"`
	Up       bool   `json:"up"` // after the way back the migration worked again
}

// Forecast is how long it will take in production, and how long it will stand in the way, from the sizes of both.
type Forecast struct {
	Low           time.Duration `json:"low"`
	High          time.Duration `json:"high"`
	BlockedReads  time.Duration `json:"blocked_reads"` // the most
	BlockedWrites time.Duration `json:"blocked_writes"`
	Disk          int64         `json:"disk"` // bytes that it takes at its peak
	Why           string        `json:"why"`  // "orders has 3,000,000 rows there and 300,000 here"
	// Sized is when production had the sizes that it is told from; zero is when the migration was watched.
	Sized time.Time `json:"sized,omitzero"`
	// Actual is what then happened in production; 0 until it was promoted.
	Actual time.Duration `json:"actual,omitempty"`
}
