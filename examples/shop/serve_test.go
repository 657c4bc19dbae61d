package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, finish := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-finish
	})
	ctx, stop := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan error, 1)
	go func() { ended <- serveOn(ctx, l, slow, slog.New(slog.DiscardHandler)) }()
	go func() {
		res, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()

	<-arrived
	stop()
	for { // until nobody new is let in
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(finish)
	if err := <-answered; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
