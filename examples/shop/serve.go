package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serveShop runs the shop until ctx ends.
func serveShop(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	if getenv("PAYMENT_URL") == "" {
		return errors.New("PAYMENT_URL is not set: the address of the payment provider")
	}
	store, err := OpenStore(ctx, getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer store.Close()
	shop := &Shop{store: store, payments: NewPayments(getenv("PAYMENT_URL")), log: log,
		release: cmp.Or(getenv("RELEASE"), getenv("GREENROOM_RELEASE"))}
	return serve(ctx, cmp.Or(getenv("BIND"), "127.0.0.1"), cmp.Or(getenv("PORT"), "8080"), shop.Handler(), log)
}

// serveProvider runs the payment provider's stand-in until ctx ends.
func serveProvider(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	store, err := OpenStore(ctx, getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer store.Close()
	log.Info("this stands in for the payment provider: no money moves here")
	p := &Provider{store: store, log: log}
	return serve(ctx, cmp.Or(getenv("BIND"), "127.0.0.1"), cmp.Or(getenv("PORT"), "9000"), p.Handler(), log)
}

// serve listens and answers requests until ctx ends.
func serve(ctx context.Context, host, port string, h http.Handler, log *slog.Logger) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log.Info("listening", "address", l.Addr().String())
	return serveOn(ctx, l, h, log)
}

// serveOn answers requests until ctx ends, then finishes those under way.
func serveOn(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than a proxy keeps its side: the one who sends closes first
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("finishing the requests under way")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return fmt.Errorf("some requests did not end in time: %w", err)
	}
	return nil
}
