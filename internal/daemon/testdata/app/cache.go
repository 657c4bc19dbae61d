package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
)

// cache keeps one number, in memory alone, and knows whether it finds the others by their names.
func cache() error {
	var n atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", answer(func(*http.Request) (string, error) { return fmt.Sprint(n.Add(1)), nil }))
	mux.HandleFunc("GET /web", answer(func(*http.Request) (string, error) { return get(http.Get("http://web:8080/up")) }))
	mux.HandleFunc("GET /kind", answer(func(*http.Request) (string, error) { return cmp.Or(os.Getenv("KIND"), "none"), nil }))
	mux.HandleFunc("GET /up", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: cmp.Or(os.Getenv("LISTEN"), "127.0.0.1") + ":" + os.Getenv("PORT"), Handler: mux}
	go func() {
		waitForEnd()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// fromCache asks the cache; nothing where the app has none.
func fromCache(path string) (string, error) {
	at := os.Getenv("CACHE")
	if at == "" {
		return "", nil
	}
	return get(neighbours.Get(at + path))
}
