package probe

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSchedule: however late one looks, each tick is sent or missed, and none twice; and the next is never more than a period
// away.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Unix(1_000_000, 0)
		s := schedule{begin: begin, every: time.Duration(rapid.IntRange(1, 1000).Draw(t, "every")) * time.Millisecond}
		now, sent, missed := begin, int64(0), int64(0)
		for range rapid.IntRange(1, 50).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "late")) * time.Millisecond)
			send, m, wait := s.due(now)
			if send {
				sent++
			}
			missed += m
			if wait <= 0 || wait > s.every || m < 0 || m > 0 && !send {
				t.Fatalf("send %v, missed %d, wait %s of %s", send, m, wait, s.every)
			}
		}
		if ticks := int64(now.Sub(begin)/s.every) + 1; sent+missed != ticks {
			t.Fatalf("%d sent and %d missed of %d", sent, missed, ticks)
		}
	})
}

// TestAdd: every answer is counted once, and the times of failures are the earliest and the latest, in whatever order the
// answers come.
func TestAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p evidence.Probed
		var first, last time.Time
		n := rapid.IntRange(0, 40).Draw(t, "n")
		for range n {
			a := answer{sent: time.Unix(int64(rapid.IntRange(1, 100).Draw(t, "at")), 0), took: time.Duration(rapid.IntRange(0, 3000).Draw(t, "took")) * time.Millisecond}
			if rapid.Bool().Draw(t, "failed") {
				a.why = fmt.Sprint("failed at ", a.sent.Unix())
				if first.IsZero() || a.sent.Before(first) {
					first = a.sent
				}
				if a.sent.After(last) {
					last = a.sent
				}
			}
			add(&p, a)
		}
		if p.Asked != int64(n) || p.Well+p.Failed != p.Asked || p.Late > p.Well || !p.FirstFailure.Equal(first) || !p.LastFailure.Equal(last) {
			t.Fatalf("%+v, want failures from %s to %s", p, first, last)
		}
		if p.Failed > 0 && p.Failure != fmt.Sprint("failed at ", first.Unix()) {
			t.Fatalf("the first failure is %q", p.Failure)
		}
	})
}

// await waits for what a prober, or a look of one, saw.
func await(t *testing.T, p interface{ Seen() evidence.Probed }, likes func(evidence.Probed) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !likes(p.Seen()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about: %+v", p.Seen())
		}
	}
}

func TestProber(t *testing.T) {
	var asked atomic.Int64
	hang := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/well", func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/missing", http.NotFound)
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	mux.HandleFunc("/breaks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(hang)
	gone := httptest.NewServer(nil)
	gone.Close()
	for path, why := range map[string]string{
		"/well": "", "/elsewhere": "", "/endless": "", "/bad": "it answered 502", "/missing": "it answered 404", "/hang": "no answer in time",
		"/breaks": "the answer broke off: unexpected EOF", "gone": "connection refused",
	} {
		t.Run(strings.TrimPrefix(path, "/"), func(t *testing.T) {
			address, probe := server.URL+"/", app.Probe{Path: path, Rate: 50, Timeout: time.Minute}
			switch path {
			case "gone":
				address, probe.Path = gone.URL, "/"
			case "/hang":
				probe.Timeout = 100 * time.Millisecond
			}
			p := Start(address, probe, time.Now, false)
			await(t, p, func(s evidence.Probed) bool { return s.Asked >= 5 })
			seen := p.Stop()
			wrong := seen.Failed != 0
			if why != "" {
				wrong = seen.Failed != seen.Asked || !strings.HasSuffix(seen.Failure, why) || seen.FirstFailure.IsZero() || seen.LastFailure.Before(seen.FirstFailure)
			}
			if wrong || seen.Well+seen.Failed != seen.Asked || !seen.Ended.After(seen.Began) {
				t.Errorf("%+v, want failures of %q", seen, why)
			}
		})
	}
}

// A server that never answers fills what may be under way, and what is not sent then is missed, not sent later.
func TestProberIsBounded(t *testing.T) {
	var open, most atomic.Int64
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := open.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		open.Add(-1)
	}))
	defer server.Close()
	p := Start(server.URL, app.Probe{Path: "/", Rate: app.MaxProbeRate, Timeout: 30 * time.Second}, time.Now, false)
	await(t, p, func(s evidence.Probed) bool { return s.Missed >= 5 })
	close(hang)
	seen := p.Stop()
	if most.Load() > int64(underWay(app.MaxProbeRate, 30*time.Second)) || seen.Missed < 5 {
		t.Errorf("%d under way at once, %+v", most.Load(), seen)
	}
}

func TestRuns(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	r := &Runs{Now: time.Now}
	defer r.Close()
	probe := app.Probe{Path: "/", Rate: 50, Timeout: time.Second}
	first := r.Begin("r1", server.URL, probe, false)
	if again := r.Begin("r1", server.URL, probe, true); again != first {
		t.Error("a run has two probers")
	}
	await(t, first, func(s evidence.Probed) bool { return s.Asked > 0 })
	if seen, ok := r.End("r1"); !ok || seen.Asked == 0 || seen.Interrupted {
		t.Errorf("%+v, %v", seen, ok)
	}
	if seen, ok := r.End("r1"); ok {
		t.Errorf("after its end: %+v", seen)
	}
	r.Begin("r2", server.URL, probe, true)
	if seen, ok := r.End("r2"); !ok || !seen.Interrupted {
		t.Errorf("%+v, %v", seen, ok)
	}
	r.Begin("r3", server.URL, probe, true)
	r.Drop("r3")
	r.Drop("r3")
	if seen, ok := r.End("r3"); ok {
		t.Errorf("after it was dropped: %+v", seen)
	}
	r.Begin("r4", server.URL, probe, true) // Close ends it
}

// A look waits for an answer, of what is well or until time is up, and a cache is asked to ask.
func TestAnswered(t *testing.T) {
	var sick atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() || r.Header.Get("Cache-Control") != "no-cache" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	p := Start(server.URL, app.Probe{Path: "/", Rate: 50, Timeout: time.Minute}, time.Now, false)
	defer p.Stop()
	if !p.Look().Answered(t.Context(), time.Minute) {
		t.Errorf("it does not answer: %+v", p.Seen())
	}
	sick.Store(true)
	await(t, p, func(s evidence.Probed) bool { return s.Failed > 0 }) // the next question is asked of one that is sick
	if l := p.Look(); l.Answered(t.Context(), 200*time.Millisecond) {
		t.Errorf("it answers: %+v", l.Seen())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if p.Look().Answered(ended, time.Minute) {
		t.Error("it answers nobody")
	}
}

// holding is a server that answers with status, but for those questions that are received from held: they are answered with
// what is sent there.
func holding(t *testing.T, status int) (address string, held <-chan chan<- int) {
	questions := make(chan chan<- int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := make(chan int)
		select {
		case questions <- answer:
			select {
			case status := <-answer:
				w.WriteHeader(status)
			case <-r.Context().Done():
			}
		default: // nobody wants one now
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, questions
}

// What was asked before a look counts for nothing in it, well or not, though it is answered last.
func TestLookBegins(t *testing.T) {
	for what, c := range map[string]struct{ before, since int }{
		"bad before":  {http.StatusServiceUnavailable, http.StatusOK},
		"well before": {http.StatusOK, http.StatusServiceUnavailable},
	} {
		t.Run(what, func(t *testing.T) {
			address, held := holding(t, c.since)
			p := Start(address, app.Probe{Path: "/", Rate: 50, Timeout: 2 * time.Minute}, time.Now, true)
			defer p.Stop()
			before := <-held
			l := p.Look()
			await(t, l, func(s evidence.Probed) bool { return s.Asked > 0 })
			before <- c.before
			await(t, p, func(s evidence.Probed) bool { return s.Well > 0 && s.Failed > 0 })
			if seen := l.Seen(); seen.Well > 0 && seen.Failed > 0 || seen.Interrupted || seen.Began.Before(p.Seen().Began) {
				t.Errorf("%+v: that is not of what was asked since", seen)
			}
		})
	}
}

// The end of a look waits for the answers to what was asked in it, and what is asked from then on is not in it.
func TestLookEnds(t *testing.T) {
	address, held := holding(t, http.StatusOK)
	p := Start(address, app.Probe{Path: "/", Rate: 50, Timeout: 2 * time.Minute}, time.Now, false)
	defer p.Stop()
	within := <-held // p.whole began before the first question was sent
	ended := make(chan evidence.Probed)
	go func() { ended <- p.whole.End() }()
	for over := false; !over; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		over = len(p.looks) == 0
		p.mu.Unlock()
	}
	select {
	case seen := <-ended:
		within <- http.StatusServiceUnavailable
		t.Fatalf("%+v, and a question is under way", seen)
	default:
	}
	within <- http.StatusServiceUnavailable
	seen := <-ended
	await(t, p.Look(), func(s evidence.Probed) bool { return s.Asked > 0 })
	if again := p.Seen(); seen.Failed != 1 || again.Asked != seen.Asked {
		t.Errorf("it ended with %+v, and then has %+v", seen, again)
	}
}
