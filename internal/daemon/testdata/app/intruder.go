package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The app as an intruder: what a test has it try, it tries as itself, from inside of its environment.

// run runs a line of shell and answers with what it printed; the error is how it ended.
func run(r *http.Request) (string, error) {
	line, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(r.Context(), "/bin/sh", "-c", string(line)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

// try does what a shell can't: trace a process, connect to a socket or an address, send a datagram that is a word, look a
// name up, log in to a database.
func try() error {
	if len(os.Args) != 4 {
		return errors.New("app try trace|socket|tcp|udp|name|database WHAT")
	}
	return tryOne(os.Args[2], os.Args[3], "")
}

// tries is try for an image that has no shell.
func tries(r *http.Request) (string, error) {
	return "", tryOne(r.FormValue("how"), r.FormValue("what"), r.FormValue("word"))
}

func tryOne(how, what, word string) error {
	switch how {
	case "trace":
		return trace(what)
	case "socket", "tcp", "udp":
		conn, err := net.DialTimeout(map[string]string{"socket": "unix", "tcp": "tcp", "udp": "udp"}[how], what, 3*time.Second)
		if err == nil && word != "" {
			_, err = conn.Write([]byte(word))
		}
		if err != nil {
			return err
		}
		return conn.Close()
	case "name":
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, err := net.DefaultResolver.LookupHost(ctx, what)
		return err
	case "database":
		db, err := sql.Open("pgx", what)
		if err != nil {
			return err
		}
		return errors.Join(db.PingContext(context.Background()), db.Close())
	default:
		return errors.New("it can't try " + how)
	}
}

func trace(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // a tracer is a thread
	if err := syscall.PtraceAttach(n); err != nil {
		return err
	}
	if _, err := syscall.Wait4(n, nil, 0, nil); err != nil {
		return err
	}
	return syscall.PtraceDetach(n)
}
