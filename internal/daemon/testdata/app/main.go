// The app that the daemon's tests promote: one program, and releases of it that differ by the files VERSION, TABLE
// and migrate.sql. How it behaves can be changed while it runs, by files in the folder CONTROL (see told), so that a test
// makes a release sick, slow or stubborn in the instant that it needs.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

func main() {
	commands := map[string]func() error{"serve": serve, "work": work, "migrate": migrate, "journey": journey, "try": try, "cache": cache}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "app serve|work|migrate|journey|try|cache")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// version is the release's own name for itself. Services run in the release's files, checks in a folder with them.
var version = sync.OnceValue(func() string { return line("VERSION") })

// table is where this release keeps what is written.
var table = sync.OnceValue(func() string { return line("TABLE") })

func line(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// told is what the test wants of this release now: the contents of CONTROL/<what>-<version>, "" for nothing.
func told(what string) string {
	b, err := os.ReadFile(filepath.Join(os.Getenv("CONTROL"), what+"-"+version()))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// report leaves a word for the test.
func report(what, text string) {
	_ = os.WriteFile(filepath.Join(os.Getenv("CONTROL"), what), []byte(text), 0o600)
}

// database is the SQLite file of SQLITE_PATH, or the PostgreSQL of DATABASE_URL.
func database() (*sql.DB, error) {
	if path := os.Getenv("SQLITE_PATH"); path != "" {
		return sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	}
	u, err := url.Parse(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, errors.New("DATABASE_URL is no URL") // the cause would show its password
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("DATABASE_URL is none of PostgreSQL's") // the cause would show its password
	}
	config.LookupFunc = lookup
	return stdlib.OpenDB(*config), nil
}

// migrate runs migrate.sql in one transaction, or where its first line is "-- apart" statement by statement.
func migrate() error {
	fmt.Println("migrating with", os.Getenv("API_KEY"))
	if told("lazy") == os.Getenv("GREENROOM_ENVIRONMENT") && told("lazy") != "" {
		return nil
	}
	db, err := database()
	if err != nil {
		return err
	}
	defer db.Close()
	script, err := os.ReadFile("migrate.sql")
	if err != nil {
		return err
	}
	if rest, apart := strings.CutPrefix(string(script), "-- apart\n"); apart {
		for _, statement := range strings.Split(rest, ";\n") {
			if _, err := db.Exec(statement); err != nil {
				return err
			}
		}
	} else if err := transaction(db, string(script)); err != nil {
		return err
	}
	if code, err := strconv.Atoi(told("migrate-exit")); err == nil {
		os.Exit(code)
	}
	return nil
}

func transaction(db *sql.DB, script string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	for _, statement := range strings.Split(script, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.Exec(statement); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// work holds a lock that only one worker can have, and tells when it can't have it: then two of them run.
func work() error {
	db, err := database()
	if err != nil {
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	for range 100 { // the server may take a moment to notice that the one before is dead
		var mine bool
		if err := conn.QueryRowContext(context.Background(), "SELECT pg_try_advisory_lock(42)").Scan(&mine); err != nil {
			return err
		}
		if mine {
			fmt.Println("working")
			waitForEnd()
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	report("two-workers", version())
	return errors.New("another worker works")
}

// journey does what a user does: it writes, and finds it again.
func journey() error {
	address := os.Getenv("APP_URL")
	fmt.Println("trying", address, "over", os.Getenv("DATABASE_URL"))
	if at := told("fail-journey"); at == address || at == "everywhere" {
		return errors.New("the customer can't buy")
	}
	id := fmt.Sprintf("journey-%d", time.Now().UnixNano())
	if _, err := get(http.Post(address+"/write?id="+id, "", nil)); err != nil {
		return err
	}
	found, err := get(http.Get(address + "/recorded?prefix=" + id))
	if err == nil && found != id+" 1\n" {
		err = fmt.Errorf("%s was written, and found is %q", id, found)
	}
	return err
}

func get(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, b)
	}
	return string(b), err
}
