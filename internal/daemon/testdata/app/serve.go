package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// serve answers until it is asked to end.
func serve() error {
	if os.Getenv("MIGRATE") == "start" {
		if err := migrate(); err != nil {
			return err
		}
	}
	db, err := database()
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if told("babble") != "" {
		go babble()
	}
	server := &http.Server{Addr: cmp.Or(os.Getenv("LISTEN"), "127.0.0.1") + ":" + os.Getenv("PORT"), Handler: mortal(handler(db))}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println(version(), "serves")
	go func() {
		waitForEnd()
		failed <- server.Shutdown(context.Background())
	}()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-failed
}

// waitForEnd returns when the process is to end, as late as the test wants.
func waitForEnd() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	for range asked {
		if told("stubborn") != "" {
			fmt.Println("no")
			continue
		}
		for told("no-stop") != "" {
			time.Sleep(20 * time.Millisecond)
		}
		return
	}
}

// mortal ends the process at the first request after the test wants it.
func mortal(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if told("die") != "" {
			fmt.Println("out of pudding")
			os.Exit(3)
		}
		h.ServeHTTP(w, r)
	})
}

// babble prints without end: 128 MB as fast as it can, and then so much that others come to their turn.
func babble() {
	for i := 0; ; i++ {
		n, _ := fmt.Println(i, strings.Repeat("and another thing ", 200))
		if i*n > 128<<20 {
			time.Sleep(time.Millisecond)
		}
	}
}

func handler(db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", func(w http.ResponseWriter, _ *http.Request) {
		if why := told("sick"); why != "" {
			fmt.Println("last words:", why)
			http.Error(w, why, http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /{$}", answer(func(r *http.Request) (string, error) {
		if _, err := fromCache("/count"); err != nil {
			return "", err
		}
		return version(), db.PingContext(r.Context())
	}))
	mux.HandleFunc("GET /cache/{what}", answer(func(r *http.Request) (string, error) { return fromCache("/" + r.PathValue("what")) }))
	mux.HandleFunc("POST /write", answer(func(r *http.Request) (string, error) {
		_, err := db.ExecContext(r.Context(), "INSERT INTO "+table()+" (id, release) VALUES ($1, $2)", r.FormValue("id"), version())
		return version(), err
	}))
	mux.HandleFunc("GET /recorded", answer(func(r *http.Request) (string, error) { return recorded(r.Context(), db, r.FormValue("prefix")) }))
	mux.HandleFunc("POST /run", answer(run))
	mux.HandleFunc("POST /try", answer(tries))
	return mux
}

// answer answers with what f gives, or with an error.
func answer(f func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := f(r)
		if err == nil && told("fail") != "" {
			err = errors.New(told("fail"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Release", version())
		_, _ = fmt.Fprint(w, text)
	}
}

// recorded tells how often each id with this prefix was recorded, a line each.
func recorded(ctx context.Context, db *sql.DB, prefix string) (string, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, count(*) FROM "+table()+" WHERE substr(id, 1, length($1)) = $1 GROUP BY id ORDER BY id", prefix)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %d\n", id, n)
	}
	return b.String(), rows.Err()
}
