package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3/lock"

	"greenroom/internal/data"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

// migrateFiles makes a folder of golang-migrate's, one file a statement or several.
func migrateFiles(t testing.TB, up ...string) []layout.Migration {
	t.Helper()
	files := fstest.MapFS{}
	for i, sql := range up {
		files[fmt.Sprintf("%d_step.up.sql", i+1)] = file(sql)
	}
	return readFolder(t, files, layout.Migrate)
}

func migrateOptions(all []layout.Migration) data.RunOptions {
	return data.RunOptions{Migrator: "greenroom migrate test", Tool: layout.Migrate, Migrations: all, Pause: time.Millisecond}
}

// locked is somebody's open transaction that holds a table.
func locked(t testing.TB, d *Database, statement string) (conn *pgx.Conn) {
	t.Helper()
	config, err := pgx.ParseConfig(d.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["application_name"] = "a clerk"
	conn, err = pgx.ConnectConfig(bounded(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, s := range []string{"BEGIN", statement} {
		if _, err := conn.Exec(bounded(t), s); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// TestMigrationBehindAnIdleTransaction: it stops within its lock time-out, names who is in the way, and harms nobody. Whoever
// stands behind it gets through between two tries.
func TestMigrationBehindAnIdleTransaction(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE orders (id int)", "INSERT INTO orders VALUES (1)")
	locked(t, d, "SELECT * FROM orders WHERE id = 4711")
	o := migrateOptions(migrateFiles(t, "CREATE TABLE first (id int)", "ALTER TABLE orders ADD note text"))
	o.LockTimeout, o.Retries = time.Second, 3

	// A reader that comes while the migration waits stands behind it; that it is answered before the migration is over shows
	// that everybody passes between two tries.
	behind := make(chan error, 1)
	var once sync.Once
	var seen []migration.Blocker
	o.Blockers = func(b []migration.Blocker) []int {
		seen = b
		once.Do(func() {
			go func() {
				_, err := db.ExecContext(bounded(t), "SELECT * FROM orders")
				behind <- err
			}()
		})
		return nil
	}
	passed := false
	w := &listens{told: func(data.Told) {
		select {
		case err := <-behind:
			passed = err == nil
		default:
		}
	}}
	o.Watch = w
	o.Pause = 100 * time.Millisecond
	ran, err := d.Run(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if !passed {
		t.Error("who stood behind the migration did not get through before it gave up")
	}
	if !slices.Equal(ran.Done, []string{"1_step.up.sql"}) || ran.File != "2_step.up.sql" || ran.Line != 1 || ran.Partial {
		t.Errorf("it says %+v", ran)
	}
	mustContain(t, ran.Failed, "lock timeout", "tried 4 times", "a clerk", "idle in transaction", "SELECT * FROM orders WHERE id =")
	if strings.Contains(ran.Failed, "4711") {
		t.Errorf("a literal is told: %s", ran.Failed)
	}
	if len(seen) != 1 || seen[0].Table != "orders" {
		t.Errorf("in the way: %+v", seen)
	}
	if len(w.all) != 5 || w.all[4].Retries != 3 || w.all[4].Error == "" {
		t.Errorf("told of: %+v", w.all)
	}
	if s := mustApplied(t, d, layout.Migrate); s.Highest() != "1" || s.Applied[0].Failed {
		t.Errorf("it stands at %+v", s)
	}
}

// listens is a witness that passes on what it is told.
type listens struct {
	all  []data.Told
	told func(data.Told)
	held func(ask func(context.Context, string) (string, error))
}

func (l *listens) Told(t data.Told) {
	l.all = append(l.all, t)
	if l.told != nil {
		l.told(t)
	}
}
func (l *listens) Held(_ context.Context, ask func(context.Context, string) (string, error)) error {
	if l.held != nil {
		l.held(ask)
	}
	return nil
}
func (*listens) End(context.Context) (migration.Observation, error) {
	return migration.Observation{}, nil
}

// TestWitnessSeesWhatIsHeld: whoever watches asks in the migration's own transaction, right before its commit.
func TestWitnessSeesWhatIsHeld(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id int)")
	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	var held, none string
	o.Watch = &listens{held: func(ask func(context.Context, string) (string, error)) {
		var err1, err2 error
		held, err1 = ask(bounded(t), "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'orders'::regclass")
		none, err2 = ask(bounded(t), "SELECT NULL::text")
		if err := errors.Join(err1, err2); err != nil {
			t.Error(err)
		}
	}}
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" || held != "AccessExclusiveLock" || none != "" {
		t.Errorf("%v, %+v, it saw %q and %q", err, ran, held, none)
	}
}

func TestMigrationEndsBlockersWhenTold(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id int)")
	clerk := locked(t, d, "LOCK TABLE orders IN SHARE MODE")
	other := locked(t, d, "SELECT 1")
	o := migrateOptions(migrateFiles(t, "ALTER TABLE orders ADD note text"))
	o.LockTimeout, o.Retries = 10*time.Second, 5
	otherPID := int(other.PgConn().PID())
	o.Blockers = func(b []migration.Blocker) []int {
		return []int{b[0].PID, otherPID} // one of them is in nobody's way
	}
	told := fates(&o)
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" {
		t.Fatalf("%v, %+v", err, ran)
	}
	if err := clerk.Ping(bounded(t)); err == nil {
		t.Error("who stood in the way is still there")
	}
	if err := other.Ping(bounded(t)); err != nil {
		t.Error("somebody was ended who stood in nobody's way")
	}
	wantFate(t, *told, clerk, data.FateEnded, "")
}

func TestMigrationGetsItsLockAtLast(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE orders (id int)")
	clerk := locked(t, d, "LOCK TABLE orders")
	o := migrateOptions(migrateFiles(t, "CREATE TABLE made (id int); ALTER TABLE orders ADD note text"))
	o.LockTimeout, o.Retries = 100*time.Millisecond, 1000
	o.Watch = &listens{told: func(s data.Told) {
		if s.Retries == 2 && s.Error != "" {
			if _, err := clerk.Exec(bounded(t), "COMMIT"); err != nil {
				t.Error(err)
			}
		}
	}}
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" || len(ran.Done) != 1 {
		t.Fatalf("%v, %+v", err, ran)
	}
}

// TestMigrationIsCancelled: the statement ends at the server, and nothing of it stays.
func TestMigrationIsCancelled(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	ctx, cancel := context.WithCancel(bounded(t))
	o := migrateOptions(migrateFiles(t, "CREATE TABLE first (id int)", "CREATE TABLE second (id int);\nSELECT pg_sleep(600)"))
	go func() {
		eventually(t, "it sleeps", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep' AND datname = current_database()", o.Migrator) == 1
		})
		cancel()
	}()
	ran, err := d.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || !slices.Equal(ran.Done, []string{"1_step.up.sql"}) || ran.Line != 2 || ran.Partial {
		t.Errorf("%v, %+v", err, ran)
	}
	if n := query[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle' AND datname = current_database()", o.Migrator); n != 0 {
		t.Error("something of it goes on in the server")
	}
	if query[bool](t, db, "SELECT to_regclass('second') IS NOT NULL") {
		t.Error("something of it stays")
	}
	if s := mustApplied(t, d, layout.Migrate); s.Highest() != "1" {
		t.Errorf("it stands at %+v", s)
	}
}

func TestMigrationsTimeIsUp(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	var ran data.Ran
	var err error
	for patience := time.Second; ran.Line != 2 && patience < 2*time.Minute; patience *= 3 { // a busy machine may not come so far
		ctx, stop := context.WithTimeout(context.Background(), patience)
		ran, err = d.Run(ctx, migrateOptions(migrateFiles(t, "CREATE TABLE made (id int);\nSELECT pg_sleep(600)")))
		stop()
	}
	if p := problem.From(err); p == nil || p.Code != problem.Fail || !strings.Contains(ran.Failed, "taken back") || ran.Line != 2 {
		t.Errorf("%v, %+v", err, ran)
	}
	if s := mustApplied(t, d, layout.Migrate); len(s.Applied) != 0 {
		t.Errorf("it stands at %+v", s)
	}
}

func TestStatementTakesTooLong(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	o := migrateOptions(migrateFiles(t, "SELECT 1;\n\nSELECT pg_sleep(600)"))
	o.Statement = time.Second // enough for the first on a busy machine
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Line != 3 || !strings.Contains(ran.Failed, "statement timeout") || strings.Contains(ran.Failed, "in the way") {
		t.Errorf("%v, %+v", err, ran)
	}
}

// TestFilesDoNotLiftTheTimeouts: what pg_dump writes begins with switching all time-outs off, and with an empty search path.
func TestFilesDoNotLiftTheTimeouts(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	dumped := "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.dumped (id int);\n"
	o := migrateOptions(migrateFiles(t, dumped, "CREATE TABLE next (id int)", "SET lock_timeout = '1ms';\nSELECT 1/(current_setting('lock_timeout') = '1ms')::int", strings.Replace(dumped, ".dumped", ".again", 1)+"SELECT pg_sleep(600)"))
	o.LockTimeout, o.Statement = 5*time.Second, 2*time.Second
	ran, err := d.Run(bounded(t), o)
	if err != nil || len(ran.Done) != 3 || ran.Line != 3 || !strings.Contains(ran.Failed, "statement timeout") {
		t.Errorf("%v, %+v", err, ran)
	}
}

func TestFailureNamesItsLine(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE people (id int PRIMARY KEY)")
	ran, err := d.Run(bounded(t), migrateOptions(migrateFiles(t, "-- first\nSELECT 'ü';\n/* a\n*/ SELECT 1,\n  2,\n  nothing\nFROM people;\n")))
	if err != nil || ran.File != "1_step.up.sql" || ran.Line != 6 || !strings.HasPrefix(ran.SQL, "SELECT 1,") {
		t.Errorf("%v, %+v", err, ran)
	}
	mustContain(t, ran.Failed, `column "nothing" does not exist`, "42703")
	ran, err = d.Run(bounded(t), migrateOptions(migrateFiles(t, "INSERT INTO people VALUES (1);\nINSERT INTO people VALUES (1)")))
	if err != nil || ran.Line != 2 {
		t.Errorf("%v, %+v", err, ran)
	}
	mustContain(t, ran.Failed, "duplicate key", "detail: Key (id)=(1) already exists.")
	// A constraint that is looked at in the end fails the commit itself.
	ran, err = d.Run(bounded(t), migrateOptions(migrateFiles(t, "CREATE TABLE late (id int REFERENCES people DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO late VALUES (7)")))
	if err != nil || ran.File != "1_step.up.sql" || !strings.Contains(ran.Failed, "foreign key") || len(ran.Done) != 0 {
		t.Errorf("%v, %+v", err, ran)
	}
	if s := mustApplied(t, d, layout.Migrate); len(s.Applied) != 0 {
		t.Errorf("it stands at %+v", s)
	}
}

// TestTwoMigratorsOfAnyKind: whoever holds a tool's own lock keeps Greenroom out, and is named.
func TestTwoMigratorsOfAnyKind(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	connection := func() *sql.Conn {
		conn, err := db.Conn(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		t.Fatal(err)
	}
	gooseConn, flywayConn := connection(), connection()
	withURL, err := database.Open(strings.Replace(d.URL(), "postgres://", "pgx5://", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer withURL.Close() //nolint:errcheck // it is gone with the test
	withConnection, err := migratepgx.WithInstance(open(t, d.URL()), &migratepgx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	flyway := func(f string) func() error {
		return func() error {
			// 0x466C79776179 and the hash of "public"."flyway_schema_history" as Java has it.
			_, err := flywayConn.ExecContext(bounded(t), "SELECT "+f+"(77433833903597)")
			return err
		}
	}
	for name, tool := range map[string][2]func() error{
		"goose":                              {func() error { return locker.SessionLock(bounded(t), gooseConn) }, func() error { return locker.SessionUnlock(bounded(t), gooseConn) }},
		"golang-migrate called with a URL":   {withURL.Lock, withURL.Unlock},
		"golang-migrate with its connection": {withConnection.Lock, withConnection.Unlock},
		"flyway":                             {flyway("pg_advisory_lock"), flyway("pg_advisory_unlock")},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tool[0](); err != nil {
				t.Fatal(err)
			}
			o := migrateOptions(migrateFiles(t, "SELECT 1"))
			told := make(chan migration.Moment, 100)
			o.Progress = func(m migration.Moment) {
				select {
				case told <- m:
				default:
				}
			}
			over := make(chan data.Ran, 1)
			go func() {
				ran, err := d.Run(bounded(t), o)
				if err != nil {
					t.Error(err)
				}
				over <- ran
			}()
			select {
			case m := <-told:
				if !m.Waits || len(m.Blocker) != 1 || m.Blocker[0].Who == "" {
					t.Errorf("it tells %+v", m)
				}
			case <-over:
				t.Error("it did not wait")
			}
			if err := tool[1](); err != nil {
				t.Fatal(err)
			}
			if ran := <-over; ran.Failed != "" {
				t.Errorf("it says %+v", ran)
			}
		})
	}
}

// TestToolsWaitForGreenroom: while a migration of ours runs, the tools can't get their locks.
func TestToolsWaitForGreenroom(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	o := migrateOptions(migrateFiles(t, "SELECT 1"))
	o.Watch = &listens{told: func(data.Told) {
		for _, key := range []string{"4097083626", "77433833903597"} {
			if query[bool](t, db, "SELECT pg_try_advisory_lock("+key+")") {
				t.Errorf("the lock %s can be had", key)
			}
		}
		// golang-migrate waits as long as it takes: it is enough that it waits.
		ctx, cancel := context.WithCancel(bounded(t))
		defer cancel()
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			_, _ = db.ExecContext(ctx, "SELECT pg_advisory_lock("+fmt.Sprint(migrateLock("/"+d.name, "public", "schema_migrations"))+")")
		}()
		eventually(t, "it waits for the lock", func() bool {
			return query[int](t, db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND "+here) == 1
		})
		cancel()
		<-waits
	}}
	ran, err := d.Run(bounded(t), o)
	if err != nil || ran.Failed != "" {
		t.Errorf("%v, %+v", err, ran)
	}
}

func TestMigrationsBelongToTheRole(t *testing.T) {
	t.Parallel()
	r := shared.get(t)
	a := Account{Role: unique(), Password: "x", Database: unique()} // no superuser
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, d.URL())
	execute(t, db, "CREATE SCHEMA own", "ALTER ROLE "+quote(a.Role)+" SET search_path = own, public")
	ran, err := d.Run(bounded(t), migrateOptions(migrateFiles(t, "CREATE TABLE mine (id int)")))
	if err != nil || ran.Failed != "" {
		t.Fatalf("%v, %+v", err, ran)
	}
	for _, table := range []string{"mine", "schema_migrations"} {
		if owner := query[string](t, db, "SELECT tableowner FROM pg_tables WHERE schemaname = 'own' AND tablename = $1", table); owner != a.Role {
			t.Errorf("%s belongs to %s", table, owner)
		}
	}
	if s := mustApplied(t, d, layout.Migrate); s.Highest() != "1" {
		t.Errorf("it stands at %+v", s)
	}
}

// TestSomebodyElsesVersionTable has the name of golang-migrate's and is Rails': nothing is written to it.
func TestSomebodyElsesVersionTable(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)", "INSERT INTO schema_migrations VALUES ('20240102030405')")
	_, applied := d.Applied(bounded(t), layout.Migrate)
	_, ran := d.Run(bounded(t), migrateOptions(migrateFiles(t, "CREATE TABLE made (id int)")))
	for _, err := range []error{applied, ran} {
		if p := problem.From(err); p == nil || p.Code != problem.Fail || !strings.Contains(p.Message, "dirty") {
			t.Errorf("it is answered with %v", err)
		}
	}
	if n := query[int](t, db, "SELECT count(*) FROM schema_migrations WHERE version = '20240102030405' AND to_regclass('made') IS NULL"); n != 1 {
		t.Error("it was changed")
	}
}

func TestUnknownMigrator(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	if _, err := d.Run(bounded(t), data.RunOptions{Tool: layout.Goose}); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
		t.Errorf("a migrator without a name is answered with %v", err)
	}
}

// TestWaitForAnotherMigratorIsBounded, and says who it is.
func TestWaitForAnotherMigratorIsBounded(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	clerk := locked(t, d, "SELECT pg_advisory_lock(4097083626)")
	s, err := d.openSession(bounded(t), migrateOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(bounded(t))
	r := &runner{d: d, session: s, waits: newWaits(d, migrateOptions(nil), s)}
	err = r.lock(bounded(t), time.Second)
	if p := problem.From(err); p == nil || p.Code != problem.Blocked {
		t.Fatalf("it is answered with %v", err)
	}
	mustContain(t, err.Error(), "a clerk", fmt.Sprint(clerk.PgConn().PID()), "1 s")
}

// TestSettingsOfTheURL go before those of the role, also where Greenroom becomes it.
func TestSettingsOfTheURL(t *testing.T) {
	t.Parallel()
	r, a, d := account(t)
	execute(t, open(t, d.URL()), "CREATE SCHEMA elsewhere")
	d, err := Open(Config{URL: r.accountURL(a) + "&search_path=elsewhere", Admin: r.adminURL(a.Database)})
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, d, layout.Migrate, migrateFiles(t, "CREATE TABLE mine (id int)"), false)
	if !query[bool](t, open(t, d.URL()), "SELECT to_regclass('elsewhere.mine') IS NOT NULL AND to_regclass('elsewhere.schema_migrations') IS NOT NULL") {
		t.Error("it is somewhere else")
	}
}

func TestMigrationsStayTheRole(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	for _, sql := range []string{"RESET SESSION AUTHORIZATION", "set session\nauthorization default", "DO $$ BEGIN RESET  SESSION AUTHORIZATION; END $$"} {
		_, err := d.Run(bounded(t), migrateOptions(migrateFiles(t, sql)))
		if p := problem.From(err); p == nil || p.Code != problem.Invalid || !strings.HasPrefix(p.Message, "1_step.up.sql:1:") {
			t.Errorf("%s is answered with %v", sql, err)
		}
	}
	bare := withoutSchema(t, d)
	if _, err := bare.Applied(bounded(t), layout.Goose); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
		t.Errorf("a role without a schema is answered with %v", err)
	}
}

// withoutSchema is the same database with an empty search path.
func withoutSchema(t testing.TB, d *Database) *Database {
	t.Helper()
	o, err := Open(Config{URL: d.URL() + "&search_path=nowhere", Admin: "postgres://" + admin + "@/?host=" + d.admin.Host + "&port=" + fmt.Sprint(d.admin.Port)})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestMigrateAnswersWhenTheRoleCannotComeIn(t *testing.T) {
	t.Parallel()
	r, a, _ := account(t)
	d, err := Open(Config{URL: strings.Replace(r.accountURL(a), r.address(), "127.0.0.1:1", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Applied(bounded(t), layout.Goose); problem.From(err) == nil || problem.From(err).Code != problem.Unavailable {
		t.Errorf("it is answered with %v", err)
	}
}
