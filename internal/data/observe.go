package data

import (
	"context"
	"net/netip"
	"time"

	"greenroom/internal/layout"
	"greenroom/internal/migration"
)

// Watcher is a database whose migrations can be watched from beside them.
type Watcher interface {
	// Watch begins to look, at the sessions that carry the migrator's application name and at whoever waits behind them.
	// It returns once the first look is taken, so that nothing of a migration that starts then is missed.
	Watch(ctx context.Context, o WatchOptions) (Watch, error)
}

// WatchOptions say what is watched.
type WatchOptions struct {
	Migrator string                 // application name of the migrator's sessions
	Clients  Clients                // who is at the other end of a session that has another name; nil where nobody can tell
	Every    time.Duration          // between two looks; 0 is 5 ms
	Load     string                 // see migration.Observation.Load
	Progress func(migration.Moment) // what is going on right now, at most four times a second; may be nil
}

// End is who is at the other end of a database's session.
type End int

// The ends.
const (
	EndUnknown  End = iota // it can't be told, or not yet
	EndMigrator            // the migrator
	EndOther               // somebody else who is there
	EndGone                // nobody: it was a process on this machine, and its socket is closed, as two looks in a row say
)

// Clients says who is at the other end of sessions, by the addresses that the server sees; what is EndOther once stays so as
// long as the session is there. It answers for each, may be asked by any goroutine, and 200 times a second.
type Clients func(ctx context.Context, addresses []netip.AddrPort) []End

// Whose are the sessions of a migrator: those that carry its application name, and those at whose other end it is, or was.
type Whose struct {
	Name    string
	Clients Clients // may be nil
}

// Sessions is a database in a server, which goes on with what a client asked for when the client is gone.
type Sessions interface {
	// EndSessions is Database.EndMigrator for a migrator that may carry another name. One that nobody is at the other end of
	// any more is ended where it holds or wants a lock as only changes of the schema take.
	EndSessions(ctx context.Context, w Whose) (int, error)
	// CancelWaiting cancels the statements with which a migrator waits for a lock right now, so that whoever stands behind it
	// gets through, and returns how many those were.
	CancelWaiting(ctx context.Context, w Whose) (int, error)
}

// Watch is a migration being watched.
type Watch interface {
	// End looks a last time and tells what was seen. It has to be called, and outlives the context of Watch. What was seen is
	// told also with an error, which says that the last look could not be taken: the tables are as far as they were known.
	End(ctx context.Context) (migration.Observation, error)
}

// Witness is a Watch that takes a migrator of ours for its word, so that nothing is missed between two looks. Both methods
// may be called by any goroutine until End.
type Witness interface {
	Watch
	// Told takes a statement's own story, once it has ended.
	Told(t Told)
	// Held reads what the migrator's session holds, right before its commit: ask runs a query in that very transaction and
	// returns its one value. Everything that was Told before and is in the transaction is thereby complete. A statement
	// that runs outside a transaction has no such moment, and makes the observation one that is not exact.
	Held(ctx context.Context, ask func(ctx context.Context, query string) (string, error)) error
}

// Told is a statement as its migrator saw it.
type Told struct {
	SQL     string
	File    string
	Began   time.Time
	Ended   time.Time
	Error   string // what the database said
	Retries int    // after a lock time-out
	NoTx    bool   // it ran outside a transaction, so that nobody can say what it held
}

// Migrator is a database that migrations in a known layout are run on by Greenroom itself.
type Migrator interface {
	// Applied reads the tool's version table.
	Applied(ctx context.Context, tool layout.Tool) (layout.State, error)
	// Run runs migrations one after the other, each in a transaction of its own where it allows that, and records each in
	// the tool's version table in that transaction. Two at once wait for one another. What the database said to a
	// statement that failed is in Ran.Failed; the error is for what kept it from being tried.
	Run(ctx context.Context, o RunOptions) (Ran, error)
}

// RunOptions say what is run.
type RunOptions struct {
	Migrator    string // application name
	Tool        layout.Tool
	Migrations  []layout.Migration // in the order in which they run
	Down        bool               // their way down; the order is the caller's
	LockTimeout time.Duration      // how long a statement waits for a lock before it is tried again; 0 is as long as it takes
	Retries     int                // how often a migration is tried again after a lock time-out
	Pause       time.Duration      // before the first retry; then twice as long each time, up to ten times that
	Statement   time.Duration      // how long a statement may take; 0 is as long as it takes
	// Blockers is called when a statement waits, with who stands in its way; it returns the sessions to end, usually none.
	// Of these only those are ended that hold what is waited for, and that are not spared.
	Blockers func(b []migration.Blocker) (end []int)
	// Ended is called with what came of each session that was to be ended, once that is known and before Run returns, never
	// at the same time as Blockers; why says more, and is "" for one that ended. May be nil.
	Ended    func(b migration.Blocker, fate Fate, why string)
	Progress func(migration.Moment)
	// Commit is called before each commit on the migrator's own session, through which query reads what is definitively
	// held; Watch and Run are connected by it.
	Watch Watch
}

// Fate is what came of a session that was to be ended.
type Fate int

// The fates.
const (
	FateUnknown Fate = iota // it was asked to end, or may have been, and nobody saw what came of it
	FateEnded               // it was asked to end, and is gone
	FateSpared              // it was not ended: it had gone by itself, or stands in nobody's way any more, or the server refuses
)

// Ran is what a run did.
type Ran struct {
	Done   []string `json:"done"` // files that were run and recorded
	Failed string   `json:"failed,omitempty"`
	File   string   `json:"file,omitempty"` // that failed, and the line of the statement in it
	Line   int      `json:"line,omitempty"`
	SQL    string   `json:"sql,omitempty"`
	// Partial says that something of the file that failed stays: it ran outside a transaction.
	Partial bool `json:"partial,omitempty"`
	// Notes are what else was done or is left to do: an unusable index that an attempt left and that was dropped.
	Notes []string `json:"notes,omitempty"`
}

// Comparer is a database whose content can be counted and compared.
type Comparer interface {
	// Census counts every table and sums up every column, in one moment.
	Census(ctx context.Context) (migration.Census, error)
	// Ask runs a query of the team's that reads only, and returns its first row's first value as text; "" for no row. So that
	// a row is never taken for none, a value that is null is Null, and an empty text is Empty.
	Ask(ctx context.Context, query string) (string, error)
}

// What Ask returns for values that have no text.
const (
	Null  = "null"
	Empty = "''"
)
