package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"greenroom/internal/api"
	"greenroom/internal/daemon"
	"greenroom/internal/environment/addresstest"
)

// TestMain makes this test binary three programs beside the tests: greenroom itself, with the race detector in it, since
// it finds the program for its daemon, edge and supervisors by its own path; and two that stand in for curl and psql,
// which a fresh machine need not have.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"greenroom": func() { leave(greenroom()) },
		"ask":       func() { end(ask(os.Args[1:])) },
		"sql":       func() { end(query(os.Args[1:])) },
	})
}

// greenroom is the program with addresses of its script's own. Supervisors don't inherit these, and give none out.
func greenroom() int {
	first, _ := strconv.Atoi(os.Getenv(addresstest.Variable))
	return run(daemon.Program{Version: version, FirstAddress: first})
}

// quick keeps a program with the race detector in it from sleeping for a second before it ends.
const quick = "atexit_sleep_ms=0"

// leave ends a program. One in which no race was found needs no more of the race detector, which would sleep first wherever
// quick was not inherited, as checks and supervisors inherit nothing.
func leave(code int) {
	if races() == 0 {
		syscall.Exit(code)
	}
	os.Exit(code) // which tells of them
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		leave(1)
	}
	leave(0)
}

// ask prints the answer to a GET: ask URL [WANT], or ask ENVIRONMENT PATH in a repository. An answer that is no success,
// or does not hold WANT, is an error.
func ask(args []string) error {
	want := ""
	if !strings.HasPrefix(args[0], "http") {
		address, err := addressOf(args[0])
		if err != nil {
			return err
		}
		args = []string{address + args[1]}
	} else if len(args) > 1 {
		want = args[1]
	}
	client := http.Client{Timeout: time.Minute}
	answer, err := client.Get(args[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Print(string(body))
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("GET %s: %s", args[0], answer.Status)
	case !strings.Contains(string(body), want):
		return fmt.Errorf("GET %s: the answer has no %q", args[0], want)
	}
	return nil
}

// addressOf is where an environment of the app in this folder answers, as its users are told.
func addressOf(environment string) (string, error) {
	out, err := exec.Command("greenroom", "status", "--output", "json").Output()
	if err != nil {
		return "", err
	}
	var v api.StatusView
	if err := json.Unmarshal(out, &v); err != nil {
		return "", err
	}
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			if e.Name == environment {
				return e.Address, nil
			}
		}
	}
	return "", fmt.Errorf("status knows no %s", environment)
}

// query runs a statement: sql ADDRESS STATEMENT. The address is that of PostgreSQL, or the path of an SQLite file.
func query(args []string) (err error) {
	driver := "sqlite"
	if strings.HasPrefix(args[0], "postgres") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, args[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := db.QueryContext(ctx, args[1])
	if err != nil {
		return err
	}
	for rows.Next() {
		var value any
		if err := rows.Scan(&value); err != nil {
			return err
		}
		fmt.Println(value)
	}
	return rows.Err()
}
