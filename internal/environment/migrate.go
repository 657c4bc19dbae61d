package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/data"
	"greenroom/internal/human"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Migration is what a migration did to the schema, and what was seen of it.
type Migration struct {
	Before   string        `json:"before"` // fingerprint
	After    string        `json:"after"`
	Took     time.Duration `json:"took"`
	Output   string        `json:"output"`             // its end
	Ended    int           `json:"ended,omitempty"`    // sessions that the migrator left behind and that were ended
	Attempts int           `json:"attempts,omitempty"` // more than one where a lock was not to be had at first
	Failed   string        `json:"failed,omitempty"`
	// Seen is what was observed from beside it; nil where nobody looked, or the engine can't be watched.
	Seen *migration.Observation `json:"seen,omitempty"`
}

// Migrating is how a migration is carried out. The zero value lets it run as it likes, and looks at nothing.
type Migrating struct {
	Watch bool   // observe it
	Load  string // what uses the database meanwhile, for the observation
	// Back is the release to go back to: the way down, in place of the migration; see HasWayDown.
	Back *release.Release
	// LockTimeout is how long it may wait for a lock, and hold up everybody who comes after it, before it lets them pass and
	// is tried again, up to Retries times; 0 is as long as it takes.
	LockTimeout time.Duration
	Retries     int
	Statement   time.Duration // how long one statement may take, where Greenroom runs them itself; 0 is as long as it takes
	Limit       time.Duration // how long all of it may take; 0 is the release's own time-out
	// EndBlockers says that sessions in its way are ended; each is told to Ending first, which may be nil, and lives on where
	// that fails. What came of it is told to Fate, also where the migration was cancelled meanwhile.
	EndBlockers bool
	Ending      func(context.Context, migration.Blocker) error
	Fate        func(context.Context, migration.Blocker, data.Fate, string) error
	Tell        func(string) // what goes on; may be nil
}

// Migrate runs a release's migration. One that fails is told in Migration.Failed, with the schema as it is then; the
// error is for what kept it from being tried or from being looked at afterwards.
func (e *Environment) Migrate(ctx context.Context, r release.Release, run string, how Migrating) (Migration, error) {
	if r.Contents.Migrations == nil {
		return Migration{}, nil
	}
	db, err := e.Database(ctx, r)
	if err != nil {
		return Migration{}, err
	}
	before, err := e.Fingerprint(ctx, r)
	if err != nil {
		return Migration{}, err
	}
	m := &migrator{Environment: e, Migrating: how, release: r, db: db, name: migratorName(run), whose: e.whose(r, db, run)}
	if m.Limit == 0 {
		m.Limit = r.Contents.Migrations.Timeout
	}
	out := Migration{Before: before}
	if err := m.watch(ctx); err != nil {
		return out, err
	}
	started := time.Now()
	err = m.attempts(ctx, &out)
	out.Took = time.Since(started)
	// Whatever happened to the migrator, what it left running in the server goes on and may still commit (FAULTS.md,
	// fact 3), so it is ended before the schema is read; also when a person interrupted it.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	ended, after, settled := m.concluded(late, err == nil && out.Failed == "")
	out.Ended, out.After = out.Ended+ended, after
	return out, errors.Join(err, settled, m.seen(late, &out))
}

// concluded reads the schema once nothing changes it any more. A replica that migrated as it started, and is healthy now, has
// ended with that, and what it does from now on is the app's.
func (m *migrator) concluded(ctx context.Context, worked bool) (ended int, schema string, err error) {
	if worked && m.startsItself() {
		schema, err = m.Fingerprint(ctx, m.release)
		return 0, schema, err
	}
	return m.settle(ctx, m.release, m.whose)
}

// migrator carries one migration out.
type migrator struct {
	*Environment
	Migrating
	release release.Release
	db      data.Database // nil for an app without one
	name    string        // its application name in the server
	whose   data.Whose    // its sessions
	looking data.Watch    // nil: nobody looks
	cleared []session     // sessions in its way that are being ended; only the engine's one look at a time comes here

	mu      sync.Mutex
	waiting time.Time // since when it was seen to wait for a lock; zero while it does not
	blocked string    // who was in its way
	ended   bool      // it was ended because it waited too long
	seenAt  time.Time // when it was last seen at work
	giveUp  func()    // ends the wait for a replica that migrates as it starts; nil while none does
	told    string

	ending sync.WaitGroup // it is being ended
}

// watch begins to look. A replica that migrates as it starts is looked at in any case: how long it is waited for depends on it.
func (m *migrator) watch(ctx context.Context) error {
	w, ok := m.db.(data.Watcher)
	if !ok || !m.Watch && !m.startsItself() {
		return nil
	}
	var err error
	m.looking, err = w.Watch(ctx, data.WatchOptions{Migrator: m.name, Clients: m.whose.Clients, Load: m.Load, Progress: func(now migration.Moment) { m.moment(ctx, now) }})
	return err
}

// seen ends the observation and keeps what it saw.
func (m *migrator) seen(ctx context.Context, out *Migration) error {
	if m.looking == nil {
		return nil
	}
	o, err := m.looking.End(ctx)
	if !m.Watch {
		return nil
	}
	if m.Stage {
		if err == nil {
			out.Seen = &o
		}
		return err
	}
	if err != nil { // what was migrated is no less so
		m.world.Log.Warn("a migration could not be watched to its end", "environment", m.RouteName(), "error", err)
		return nil
	}
	o = o.WithoutValues().Bounded()
	out.Seen = &o
	return nil
}

// quoted is what a database or a migrator said, as it may be told: what is said of a lasting database may show its values,
// and what becomes of a run is kept, signed and sent about.
func (m *migrator) quoted(said string) string {
	if m.Stage {
		return said
	}
	return migration.Said(said)
}

// moment tells what goes on, and ends a migrator that waits for a lock longer than it may: while it waits, nobody who
// comes after it gets through. A migrator that honours lock_timeout has given up by then. Greenroom's own does, and tells by
// itself: it knows which of its waits nobody stands behind, and which may be long for that reason.
func (m *migrator) moment(ctx context.Context, now migration.Moment) {
	if m.runsItself() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended || m.startsItself() && m.giveUp == nil { // it is dying, or healthy and the app's
		return
	}
	m.seenAt = time.Now()
	m.tellMoment(now)
	if !now.Waits {
		m.waiting = time.Time{}
		return
	}
	// Nothing is told between two attempts of a migrator that tries again by itself, so a wait is no older than its statement.
	if began := time.Now().Add(-now.Since); m.waiting.IsZero() || began.After(m.waiting) {
		m.waiting = time.Now()
	}
	m.blocked = migration.Blockers(now.Blocker)
	if m.LockTimeout == 0 || time.Since(m.waiting) < m.LockTimeout {
		return
	}
	m.ended = true
	m.ending.Go(func() { m.letPass(ctx) }) // not in the observer's way
}

// tellMoment says what is worth a line: another statement, or that it waits for somebody.
func (m *migrator) tellMoment(now migration.Moment) {
	text := firstLine(now.SQL)
	if !m.Stage {
		text = firstLine(migration.Literals(now.SQL))
	}
	what := text
	if now.Waits { // how long they have been there is another thing each time, and no news
		text, what = "waits for a lock: "+migration.Blockers(now.Blocker), "waits"
		for _, b := range now.Blocker {
			what += fmt.Sprintf(" %d", b.PID)
		}
	}
	if now.Waits && m.LockTimeout > 0 && m.runsItself() {
		text += fmt.Sprintf("; within %s it lets everybody else pass and is tried again", human.Duration(m.LockTimeout))
	}
	if m.Tell == nil || what == m.told || what == "" {
		return
	}
	m.told = what
	m.Tell(text)
}

// runsItself says whether Greenroom runs the statements itself, which tries again by itself as well.
func (m *migrator) runsItself() bool { return m.release.Contents.Migrations.Dir != "" }

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// pause is how long a migration that did not get its lock lets everybody else pass: 1, 2, 4, … up to 10 seconds.
func pause(attempt int) time.Duration {
	return min(time.Second<<(attempt-1), 10*time.Second)
}

// passing is how long all attempts together may wait for a lock and let everybody else pass. It is no work, so what limits
// that does not count it. The engine's pauses are up to a quarter longer than these.
func (m *migrator) passing() (d time.Duration) {
	if m.LockTimeout == 0 {
		return 0
	}
	for attempt := 1; attempt <= m.Retries; attempt++ {
		d += m.LockTimeout + pause(attempt)*5/4
	}
	return d
}

// attempts runs the migration until it works, fails for another reason than a lock, or has been tried often enough. One
// that left the schema changed is never tried again by itself.
func (m *migrator) attempts(ctx context.Context, out *Migration) error {
	for attempt := 1; ; attempt++ {
		m.mu.Lock()
		m.ended, m.waiting, m.seenAt, m.blocked = false, time.Time{}, time.Time{}, ""
		m.mu.Unlock()
		failed, output, err := m.once(ctx)
		out.Failed, out.Output = failed, output
		if attempt > 1 {
			out.Attempts = attempt
		}
		if err != nil || failed == "" || m.runsItself() { // which was tried again inside
			return err
		}
		who, locked := m.lockFailure(output + failed)
		if !locked {
			return nil
		}
		out.Failed = fmt.Sprintf("it did not get its lock within %s: %s", human.Duration(m.LockTimeout), who)
		if attempt > m.Retries {
			return nil
		}
		if unchanged, err := m.unchanged(ctx, out); err != nil || !unchanged {
			return err
		}
		m.say("attempt %d: %s; everybody else passes, then it is tried again", attempt, out.Failed)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause(attempt)):
		}
	}
}

func (m *migrator) say(format string, args ...any) {
	if m.Tell != nil {
		m.Tell(fmt.Sprintf(format, args...))
	}
}

// lockFailure tells whether an attempt failed for want of a lock, and who was in its way.
func (m *migrator) lockFailure(said string) (who string, locked bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who = m.blocked
	if who == "" {
		who = "who was in its way was not seen"
	}
	// SQLSTATE 55P03, in the words of a server that speaks English; Greenroom's own servers do.
	said = strings.ToLower(said)
	return who, m.ended || m.LockTimeout > 0 && (strings.Contains(said, "lock timeout") || strings.Contains(said, "55p03"))
}

// unchanged ends what the attempt left behind and says whether the schema is what it was.
func (m *migrator) unchanged(ctx context.Context, out *Migration) (bool, error) {
	ended, now, err := m.settle(ctx, m.release, m.whose)
	out.Ended += ended
	return now == out.Before, err
}

// once is one attempt. failed says why it did not work.
func (m *migrator) once(ctx context.Context) (failed, output string, err error) {
	what := m.release.Contents.Migrations
	switch {
	case m.runsItself():
		return m.ourselves(ctx)
	case m.Back != nil:
		return m.run(ctx, what.Down)
	case what.AtStart != "":
		failed, err = m.atStart(ctx)
		return failed, "", err
	default:
		return m.run(ctx, what.Run)
	}
}

// run runs a command of the team's.
func (m *migrator) run(ctx context.Context, line string) (failed, output string, err error) {
	failed, output, err = m.command(ctx, m.release, line, m.variablesOf(), m.Limit)
	return failed, m.quoted(output), err
}

// pgOptions is the variable with options for the server; the last one counts of those that stand there twice.
const pgOptions = "PGOPTIONS"

// variablesOf are what a migrator of the team's gets beside the service's variables, so that its sessions are known in the
// server. libpq, and what reads its variables, passes the options on to the server.
func (m *migrator) variablesOf() map[string]string {
	v := map[string]string{appName: m.name}
	if m.LockTimeout > 0 {
		v[pgOptions] = fmt.Sprintf("-c lock_timeout=%d", max(1, m.LockTimeout.Milliseconds()))
	}
	return v
}

// ourselves runs the migrations of a folder in a known layout.
func (m *migrator) ourselves(ctx context.Context) (failed, output string, err error) {
	runs, ok := m.db.(data.Migrator)
	if !ok {
		return "", "", problem.New(problem.Invalid, "migrations of %s are a folder, and its database can't be migrated from one", m.App)
	}
	files, state, err := m.Layout(ctx, m.release)
	if err != nil {
		return "", "", err
	}
	o := data.RunOptions{
		Migrator: m.name, Tool: m.release.Contents.Migrations.Tool, LockTimeout: m.LockTimeout, Retries: m.Retries, Pause: time.Second,
		Statement: m.Statement, Watch: m.looking, Progress: func(now migration.Moment) { m.mu.Lock(); defer m.mu.Unlock(); m.tellMoment(now) },
		Migrations: layout.Pending(files, state),
	}
	if m.Back != nil {
		o.Down = true
		if o.Migrations, err = m.wayDown(ctx, files, state); err != nil {
			return "", "", err
		}
	}
	if m.EndBlockers {
		o.Blockers = func(all []migration.Blocker) []int { return m.toEnd(ctx, all) }
		o.Ended = func(b migration.Blocker, fate data.Fate, why string) { m.cameOf(ctx, b, fate, why) }
	}
	limited, cancel := context.WithTimeout(ctx, m.Limit+m.passing())
	defer cancel()
	ran, err := runs.Run(limited, o)
	output = strings.Join(ran.Done, "\n")
	switch {
	case ctx.Err() != nil:
		return "", output, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it did not end within %s", human.Duration(m.Limit)), output, nil
	case err != nil:
		return "", output, err
	case ran.Failed != "":
		return fmt.Sprintf("%s:%d: %s", ran.File, ran.Line, m.quoted(ran.Failed)), output, nil
	}
	return "", output, nil
}

// session is one of the server's. A pid alone may be another's later.
type session struct {
	pid  int
	born int64 // Unix time in microseconds
}

func sessionOf(b migration.Blocker) session { return session{b.PID, b.Born.UnixMicro()} }

// toEnd are the sessions in the way that are ended, each of which is told of once.
func (m *migrator) toEnd(ctx context.Context, all []migration.Blocker) (end []int) {
	for _, b := range all {
		if b.Spared != "" {
			continue
		}
		who := sessionOf(b)
		if !slices.Contains(m.cleared, who) {
			if m.Ending != nil {
				if err := m.Ending(ctx, b); err != nil {
					m.world.Log.Warn("a session in a migration's way is not ended, since that could not be recorded", "environment", m.RouteName(), "error", err)
					continue
				}
			}
			m.cleared = append(m.cleared, who)
			m.say("ends a session in its way: %s", migration.Blockers([]migration.Blocker{b}))
		}
		end = append(end, b.PID)
	}
	return end
}

// cameOf tells what came of a session that was to be ended. One that was not may be in the way again, and is told of again then.
func (m *migrator) cameOf(ctx context.Context, b migration.Blocker, fate data.Fate, why string) {
	m.cleared = slices.DeleteFunc(m.cleared, func(s session) bool { return s == sessionOf(b) })
	if fate != data.FateEnded {
		m.say("session %d of %s: %s", b.PID, b.Who, m.quoted(why))
	}
	if m.Fate == nil {
		return
	}
	if err := m.Fate(context.WithoutCancel(ctx), b, fate, m.quoted(why)); err != nil {
		m.world.Log.Warn("what came of a session in a migration's way could not be recorded", "environment", m.RouteName(), "error", err)
	}
}

// HasWayDown says whether a release brings a way to take back what its migration did to the schema of the one before.
func (e *Environment) HasWayDown(ctx context.Context, r, before release.Release) (bool, error) {
	what := r.Contents.Migrations
	if what == nil || what.Dir == "" {
		return what != nil && what.Down != "", nil
	}
	files, err := e.layoutFiles(ctx, r)
	if err != nil {
		return false, err
	}
	added, err := e.added(ctx, files, before)
	return len(added) > 0 && !slices.ContainsFunc(added, func(f layout.Migration) bool { return f.Down == nil }), err
}

// added are the migrations of a folder that the release before does not have.
func (e *Environment) added(ctx context.Context, files []layout.Migration, before release.Release) ([]layout.Migration, error) {
	had := map[string]bool{}
	if m := before.Contents.Migrations; m != nil && m.Dir != "" {
		old, err := e.layoutFiles(ctx, before)
		if err != nil {
			return nil, err
		}
		for _, f := range old {
			had[f.File] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(files), func(f layout.Migration) bool { return had[f.File] }), nil
}

// wayDown are the migrations to take back, the newest first: those that are applied and that the release to go back to
// does not have.
func (m *migrator) wayDown(ctx context.Context, files []layout.Migration, state layout.State) ([]layout.Migration, error) {
	added, err := m.added(ctx, files, *m.Back)
	if err != nil {
		return nil, err
	}
	applied := map[string]bool{}
	for _, a := range state.Applied {
		applied[a.Version] = true
	}
	added = slices.DeleteFunc(added, func(f layout.Migration) bool { return !applied[f.Version] })
	slices.Reverse(added)
	return added, nil
}

// Layout reads the folder of a release's migrations, and what the database says of them.
func (e *Environment) Layout(ctx context.Context, r release.Release) ([]layout.Migration, layout.State, error) {
	db, err := e.Database(ctx, r)
	if err != nil {
		return nil, layout.State{}, err
	}
	runs, ok := db.(data.Migrator)
	if !ok {
		return nil, layout.State{}, problem.New(problem.Invalid, "%s has no database that migrations in a folder could be run on", e.RouteName())
	}
	files, err := e.layoutFiles(ctx, r)
	if err != nil {
		return nil, layout.State{}, err
	}
	state, err := runs.Applied(ctx, r.Contents.Migrations.Tool)
	return files, state, err
}

func (e *Environment) layoutFiles(ctx context.Context, r release.Release) ([]layout.Migration, error) {
	m := r.Contents.Migrations
	dir, err := e.Files(ctx, r, m.Service)
	if err != nil {
		return nil, err
	}
	return layout.Read(os.DirFS(filepath.Join(dir, m.Dir)), m.Tool, dialect(r.Contents.Database))
}

func dialect(db *app.Database) layout.Dialect {
	if db != nil && db.Engine == app.SQLite {
		return layout.SQLite
	}
	return layout.Postgres
}

// Settle ends what a killed migrator of this run left behind and reads the schema. A replica that migrates as it starts and is
// still there is none.
func (e *Environment) Settle(ctx context.Context, r release.Release, run string) (schema string, err error) {
	db, err := e.Database(ctx, r)
	if err != nil {
		return "", err
	}
	_, schema, err = e.settle(ctx, r, e.whose(r, db, run))
	return schema, err
}

func (e *Environment) settle(ctx context.Context, r release.Release, w data.Whose) (ended int, schema string, err error) {
	db, err := e.Database(ctx, r)
	if err != nil || db == nil {
		return 0, "", err
	}
	if r.Contents.Migrations.AtStart != "" {
		ended, err = e.endStart(ctx, r, w)
	} else {
		ended, err = db.EndMigrator(ctx, w.Name)
	}
	if err != nil {
		return ended, "", err
	}
	schema, err = db.Fingerprint(ctx)
	return ended, schema, err
}

func migratorName(run string) string { return "greenroom-" + run }
