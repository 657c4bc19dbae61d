package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

func TestOpenRefusesWithoutTellingThePassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "host=x password=hunter22", "mysql://u:hunter22@h/db", "postgres://u:hunter22@h:port/db", "postgres://u:hunter22@h", "postgres://u:hunter22@h:%zz/db",
	} {
		_, err := Open(Config{URL: address})
		if problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
			t.Errorf("%q: %v", address, err)
		} else if strings.Contains(err.Error(), "hunter22") {
			t.Error(err)
		}
	}
}

// TestPasswordIsNoArgument looks at what a program of PostgreSQL's is started with.
func TestPasswordIsNoArgument(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://shop:hunter22@127.0.0.1:5432/shop?sslmode=disable", "postgres://shop@127.0.0.1/shop?password=hunter22"} {
		d, err := Open(Config{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.tool(bounded(t), tool{argv: []string{"/bin/sh", "-c", `echo "$@"; echo $PGPASSWORD`, "sh"}}, "other")
		args, password, _ := strings.Cut(out, "\n")
		if err != nil || strings.Contains(args, "hunter22") || strings.TrimSpace(password) != "hunter22" || !strings.Contains(args, "/other") {
			t.Errorf("%q, %v", out, err)
		}
	}
}

// TestMigratorKilledWhileItsBackendWaits is FAULTS.md's third fact. The migrator dies by kill -9 while its ALTER waits for
// a lock; its backend goes on waiting. Once EndMigrator has returned, the schema must not change any more.
func TestMigratorKilledWhileItsBackendWaits(t *testing.T) {
	t.Parallel()
	r, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE busy (n integer)", "CREATE TABLE other (n integer)")
	before, err := d.Fingerprint(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	idle, err := db.BeginTx(bounded(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Exec("SELECT FROM busy"); err != nil {
		t.Fatal(err)
	}

	const name = "greenroom-migrate-this-name-is-longer-than-the-63-bytes-that-postgresql-keeps"
	migrator, err := proc.Command{
		Argv: []string{r.Programs.path("psql"), "--quiet", "--no-psqlrc", "--dbname=" + d.URL(), "--command=ALTER TABLE other ADD x integer", "--command=ALTER TABLE busy ADD x integer"},
		Env:  []string{"PGAPPNAME=" + name},
		Dir:  "/",
	}.Cmd()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrator.Start(); err != nil {
		t.Fatal(err)
	}
	waiting := func() int {
		return query[int](t, db, `SELECT count(*) FROM pg_stat_activity WHERE application_name = left($1, 63) AND wait_event_type = 'Lock'`, name)
	}
	eventually(t, "the migrator waits for the lock", func() bool { return waiting() == 1 })
	kill(t, migrator)
	if waiting() != 1 {
		t.Fatal("the backend went with its migrator: there is nothing to test")
	}

	ended, err := d.EndMigrator(bounded(t), name)
	if err != nil || ended != 1 {
		t.Errorf("ended %d sessions: %v", ended, err)
	}
	after, err := d.Fingerprint(bounded(t))
	if err != nil || after == before {
		t.Errorf("the statement that was through before should show: %v", err)
	}
	if err := idle.Commit(); err != nil {
		t.Errorf("the app's own session: %v", err)
	}
	if n := query[int](t, db, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'busy'"); n != 1 {
		t.Error("the schema changed after EndMigrator had returned")
	}
	if later, err := d.Fingerprint(bounded(t)); err != nil || later != after {
		t.Errorf("the fingerprint changed after EndMigrator had returned: %v", err)
	}
}

// TestEndMigratorEndsItsOwnOnly has sessions of the same name in two databases, several at once.
func TestEndMigratorEndsItsOwnOnly(t *testing.T) {
	t.Parallel()
	_, _, mine := account(t)
	_, _, others := account(t)
	session := func(d *Database) *sql.DB {
		db := open(t, d.URL()+"&application_name=migrate")
		db.SetMaxIdleConns(3)
		return db
	}
	for _, d := range []*Database{mine, others} {
		db := session(d)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := db.Exec("SELECT pg_sleep(0.2)"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n, err := mine.EndMigrator(bounded(t), "migrate"); n != 3 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	if n, err := mine.EndMigrator(bounded(t), "migrate"); n != 0 || err != nil {
		t.Errorf("then ended %d, %v", n, err)
	}
	if n, err := others.EndMigrator(bounded(t), "migrate"); n != 3 || err != nil {
		t.Errorf("of the others ended %d, %v", n, err)
	}
	if _, err := mine.EndMigrator(bounded(t), ""); problem.From(err) == nil || problem.From(err).Code != problem.Invalid {
		t.Errorf("without a name: %v", err)
	}
}

// TestRestoreKeepsWhatIsNotContent looks at what belongs to the database itself, and restores while an app uses it.
func TestRestoreKeepsWhatIsNotContent(t *testing.T) {
	t.Parallel()
	_, a, d := account(t)
	db := open(t, d.URL())
	name, role := quote(a.Database), quote(a.Role)
	execute(t, db, "CREATE TABLE kept (n integer)", "CREATE ROLE reader_of_it",
		"GRANT CONNECT ON DATABASE "+name+" TO reader_of_it WITH GRANT OPTION", "REVOKE TEMPORARY ON DATABASE "+name+" FROM PUBLIC",
		"ALTER DATABASE "+name+" SET search_path = \"$user\", public, pg_temp", "ALTER DATABASE "+name+" SET work_mem = '5MB'",
		"ALTER ROLE "+role+" IN DATABASE "+name+" SET statement_timeout = '7s'", "ALTER DATABASE "+name+" CONNECTION LIMIT 50")
	t.Cleanup(func() { execute(t, open(t, d.URL()), "DROP OWNED BY reader_of_it", "DROP ROLE reader_of_it") })
	const properties = `SELECT jsonb_build_object('owner', pg_get_userbyid(datdba), 'acl', (SELECT jsonb_agg(a ORDER BY a) FROM unnest(datacl::text[]) a), 'limit', datconnlimit, 'collate', datcollate, 'encoding', encoding,
		'settings', (SELECT jsonb_agg(jsonb_build_array(setrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid))::text
		FROM pg_database d WHERE datname = current_database()`
	before := query[string](t, db, properties)
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "CREATE TABLE extra (n integer)")

	stop := useAll(t, d)
	err := d.Restore(bounded(t), file)
	stop()
	if err != nil {
		t.Fatal(err)
	}
	db = open(t, d.URL())
	if after := query[string](t, db, properties); after != before {
		t.Errorf("was  %s\nis   %s", before, after)
	}
	if n := query[int](t, db, "SELECT count(*) FROM pg_class WHERE relname = 'extra'"); n != 0 {
		t.Error("what came after the backup is still there")
	}
	if n := query[int](t, db, "SELECT count(*) FROM pg_database WHERE datname <> $1 AND datname LIKE $1 || '%'", a.Database); n != 0 {
		t.Errorf("%d databases left beside it", n)
	}
}

// TestRestoreAfterAKill finds what a killed one leaves: a half-filled database that its pg_restore is still connected to,
// and the replaced one that was not dropped any more; of a killed backup a part of a file.
func TestRestoreAfterAKill(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	execute(t, open(t, d.URL()), "CREATE TABLE kept (n integer)")
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	if err := os.WriteFile(filepath.Join(dir, ".backup.partial.tmp-killed"), []byte("PGDMP"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	execute(t, open(t, d.URL()), "DROP TABLE kept")
	err := d.with(bounded(t), d.maintenance(), func(conn *pgx.Conn) error {
		for _, name := range []string{d.beside("restore"), d.beside("replaced")} {
			if err := d.createLike(bounded(t), conn, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.with(bounded(t), d.beside("restore"), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(bounded(t), "CREATE TABLE half (n integer)"); err != nil {
			return err
		}
		return d.Restore(bounded(t), file)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, open(t, d.URL()), "SELECT count(*) FROM pg_class WHERE relname IN ('kept', 'half')"); n != 1 {
		t.Error("the restored database is not what the backup holds")
	}
}

// useAll uses a database as a busy app does: sessions that come back at once when they are ended.
func useAll(t *testing.T, d *Database) (stop func()) {
	db := open(t, d.URL())
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, "INSERT INTO kept SELECT count(*) FROM kept") // fails when it is ended, and goes on
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// TestRestoreIsRefused where the administrator may not, and where somebody else is at it.
func TestRestoreIsRefused(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	blocked := func(t *testing.T, err error, parts ...string) {
		t.Helper()
		if problem.From(err) == nil || problem.From(err).Code != problem.Blocked {
			t.Fatalf("got %v", err)
		}
		mustContain(t, err.Error()+problem.From(err).Hint, parts...)
	}
	t.Run("no right", func(t *testing.T) {
		execute(t, open(t, d.URL()), "CREATE ROLE restricted LOGIN PASSWORD 'x'")
		u, err := url.Parse(d.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("restricted", "x")
		external, err := Open(Config{URL: u.String(), Programs: d.programs})
		if err != nil {
			t.Fatal(err)
		}
		blocked(t, external.Restore(bounded(t), file), "restricted", "CREATEDB")
	})
	t.Run("twice at once", func(t *testing.T) {
		err := d.with(bounded(t), d.maintenance(), func(conn *pgx.Conn) error {
			if err := d.mayRestore(bounded(t), conn); err != nil {
				return err
			}
			blocked(t, d.Restore(bounded(t), file), "being restored already")
			_, err := d.Verify(bounded(t), file) // its trial is a database of its own
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("while a backup is verified", func(t *testing.T) {
		err := d.with(bounded(t), d.maintenance(), func(conn *pgx.Conn) error {
			if err := d.mayVerify(bounded(t), conn); err != nil {
				return err
			}
			_, err := d.Verify(bounded(t), file)
			blocked(t, err, "is being verified already")
			return d.Restore(bounded(t), file)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestExternalURL does everything with nothing but a URL, as for a database that is not ours; its role may create
// databases and is no superuser.
func TestExternalURL(t *testing.T) {
	t.Parallel()
	r := shared.get(t)
	a := Account{Role: "external", Password: "x", Database: strings.Repeat("long", 15)}
	if err := r.EnsureDatabase(bounded(t), a); err != nil {
		t.Fatal(err)
	}
	owned, err := r.Database(a)
	if err != nil {
		t.Fatal(err)
	}
	err = owned.with(bounded(t), "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(bounded(t), "ALTER ROLE external CREATEDB")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{URL: r.accountURL(a), Programs: r.Programs})
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE kept (n integer)", "CREATE EXTENSION pg_trgm", "INSERT INTO kept VALUES (1)")
	before, err := d.Fingerprint(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "DROP EXTENSION pg_trgm", "DROP TABLE kept")
	if err := d.Restore(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	after, err := d.Fingerprint(bounded(t))
	if err != nil || after != before {
		t.Errorf("restored to another schema: %v", err)
	}
}

func TestNamesBesideADatabase(t *testing.T) {
	t.Parallel()
	short, long, other := &Database{name: "shop"}, &Database{name: strings.Repeat("x", 63)}, &Database{name: strings.Repeat("x", 62) + "y"}
	if got := short.beside("restore"); got != "shop_restore" {
		t.Error(got)
	}
	if a, b := long.beside("replaced"), other.beside("replaced"); a == b || len(a) > 63 || !strings.HasSuffix(a, "_replaced") {
		t.Error(a, b)
	}
}

func TestNothingToBackUpWith(t *testing.T) {
	t.Parallel()
	d, err := Open(Config{URL: "postgres://shop@127.0.0.1:1/shop"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Backup(bounded(t), filepath.Join(t.TempDir(), "backup"))
	if p := problem.From(err); p == nil || p.Code != problem.Unavailable || !strings.Contains(p.Hint, "install") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	d, err := Open(Config{URL: "postgres://shop:hunter22@127.0.0.1:1/shop", Programs: programs(t)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, backup := d.Backup(bounded(t), filepath.Join(dir, "backup"))
	for _, err := range []error{d.Ping(bounded(t)), backup} {
		if err == nil || problem.From(err).Code == problem.Internal || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("got %v", err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func BenchmarkFingerprint100Tables(b *testing.B) {
	r := shared.get(b)
	a := Account{Role: "bench", Database: "bench", Superuser: true}
	if err := r.EnsureDatabase(bounded(b), a); err != nil {
		b.Fatal(err)
	}
	d, err := r.Database(a)
	if err != nil {
		b.Fatal(err)
	}
	err = d.with(bounded(b), d.name, func(conn *pgx.Conn) error {
		for i := range 100 {
			_, err := conn.Exec(bounded(b), fmt.Sprintf(`CREATE TABLE IF NOT EXISTS t%[1]d (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT '',
				parent bigint REFERENCES t%[1]d, at timestamptz DEFAULT now(), a integer, b integer, c text, d jsonb, CHECK (a > b));
				CREATE INDEX IF NOT EXISTS t%[1]d_parent ON t%[1]d (parent)`, i))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Fingerprint(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRestoreShowsNoRow restores a backup whose rows the server does not take: a check asks another table, which is not
// there yet. What is told of it has none of the row's values.
func TestRestoreShowsNoRow(t *testing.T) {
	t.Parallel()
	_, _, d := account(t)
	db := open(t, d.URL())
	execute(t, db, "CREATE TABLE z_known (mail text)", "INSERT INTO z_known VALUES ('planted@canary-farm.test')",
		"CREATE FUNCTION known(m text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.z_known WHERE mail = m)'",
		"CREATE TABLE a_people (mail text CHECK (known(mail)))", "INSERT INTO a_people VALUES ('planted@canary-farm.test')",
		"DELETE FROM z_known")
	file := filepath.Join(t.TempDir(), "1.backup")
	if _, err := d.Backup(bounded(t), file); err != nil {
		t.Fatal(err)
	}
	err := d.Restore(bounded(t), file)
	if err == nil || !strings.Contains(err.Error(), "a_people") {
		t.Fatalf("got %v, want a table that does not take its rows", err)
	}
	if strings.Contains(err.Error(), "canary-farm") {
		t.Errorf("a row is shown: %v", err)
	}
}
