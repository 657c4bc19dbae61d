package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// crowd sends customers to a shop until that many requests have come in, and returns the summary.
func crowd(t *testing.T, most, requests int, shop http.HandlerFunc) Report {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	came := make(chan struct{}, 10_000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		shop(w, r)
	}))
	defer s.Close()
	go func() {
		for range requests {
			<-came
		}
		stop()
	}()
	var out bytes.Buffer
	if err := NewCrowd(s.URL, 500, most).Run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	var last Report
	for lines := json.NewDecoder(&out); ; {
		switch err := lines.Decode(&last); err {
		case nil:
			continue
		case io.EOF:
			return last
		default:
			t.Fatal(err)
		}
	}
}

func TestCustomersCallAnErrorAnError(t *testing.T) {
	r := crowd(t, 10_000, 20, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if !r.Summary || r.Requests < 20 || r.Failed != r.Requests || r.Failures["GET /: 500 Internal Server Error"] != r.Failed {
		t.Errorf("a shop that is down gives %+v", r)
	}
}

func TestCustomersLookAtWhatTheyGet(t *testing.T) {
	r := crowd(t, 10_000, 20, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("Welcome!")) })
	if r.Failed != r.Requests || r.Failures["GET /: wrong content"] != r.Failed {
		t.Errorf("a shop that sells nothing gives %+v", r)
	}
}

func TestCustomersDoNotWaitForOneAnother(t *testing.T) {
	enough := make(chan struct{})
	var inside atomic.Int32
	r := crowd(t, 1000, 30, func(http.ResponseWriter, *http.Request) { // the 30th lets all go: they were all inside at once
		if inside.Add(1) == 30 {
			close(enough)
		}
		<-enough
	})
	if r.Requests < 30 {
		t.Errorf("a slow shop gives %+v", r)
	}
}

func TestCustomersAreBounded(t *testing.T) {
	c := NewCrowd("http://shop.example", 1000, 1)
	c.inside <- struct{}{} // the one whom there is room for
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.arrive(ctx)
	}()
	for c.tally.Summary(time.Now()).Failed < 3 {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-ended
	if r := c.tally.Summary(time.Now()); r.Requests != r.Failed {
		t.Errorf("with the shop full there were %+v", r)
	}
}
