package edge

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/problem"
)

func TestHistogramIsRightToOneSixteenth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		got := upper(bucketOf(d))
		if got < d.Truncate(time.Microsecond) || got > d+d/16+time.Microsecond {
			t.Fatalf("%s is told as %s", d, got)
		}
	})
	if bucketOf(1000*time.Hour) != hBuckets-1 || bucketOf(-1) != 0 {
		t.Error("what is out of range is not kept in range")
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	if q := h.quantiles(0.5, 0.99); q[0] != 0 || q[1] != 0 {
		t.Errorf("of nothing: %v", q)
	}
	for i := range 1000 {
		h.record(time.Duration(i) * time.Millisecond)
	}
	q := h.quantiles(0.5, 0.99)
	if q[0] < 490*time.Millisecond || q[0] > 535*time.Millisecond || q[1] < 980*time.Millisecond || q[1] > 1060*time.Millisecond {
		t.Errorf("%v", q)
	}
}

func TestMark(t *testing.T) {
	t0 := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return t0.Add(d) }
	good := func(head time.Duration) ending { return ending{status: 200, head: head} }
	const ms, s = time.Millisecond, time.Second
	tests := []struct {
		name string
		do   func(k *mark)
		want Measurement
	}{
		{name: "nothing at all is one long gap", do: func(*mark) {}, want: Measurement{LongestGap: 10 * s}},
		{
			name: "the gap is between good answers only",
			do: func(k *mark) {
				k.record(at(1*s), good(ms))
				k.record(at(2*s), ending{status: 502, gateway: true, head: 5 * ms})
				k.record(at(3*s), ending{cut: true, status: 200})
				k.record(at(4*s), ending{gone: true})
				k.record(at(7*s), good(ms))
				k.record(at(9*s), ending{status: 404})
			},
			want: Measurement{Requests: 6, Failed: 2, Gone: 1, LongestGap: 6 * s, SlowestSecond: Second{At: at(2 * s), Requests: 1, Failed: 1, Slowest: 5 * ms}},
		},
		{
			name: "without failures the slowest second has the slowest request",
			do: func(k *mark) {
				for i := range 100 {
					k.record(at(time.Duration(i)*100*ms), good(time.Duration(i%37)*ms))
				}
			},
			want: Measurement{Requests: 100, LongestGap: 100 * ms, SlowestSecond: Second{At: at(3 * s), Requests: 10, Slowest: 36 * ms}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &mark{name: "m", started: t0, lastGood: t0}
			tt.do(k)
			tt.want.Name, tt.want.Started, tt.want.Until = "m", t0, at(10*s)
			if d := cmp.Diff(tt.want, k.read(at(10*s))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMarksOverTheSocket(t *testing.T) {
	e := start(t, Options{})
	if p := problem.From(e.Mark(t.Context(), "no/such", "m")); p == nil || p.Code != problem.NotFound {
		t.Errorf("no such route: %+v", p)
	}
	e.swap(e.route(all("r", backendOf(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "bad") {
			w.WriteHeader(500)
		}
	}))))
	c := client(t)
	for range 2 { // setting it again goes on with it
		if err := e.Mark(t.Context(), "shop/production", "m"); err != nil {
			t.Fatal(err)
		}
		get(t, c, e.url("/bad"))
		get(t, c, e.url("/good"))
	}
	m, err := e.Unmark(t.Context(), "shop/production", "m")
	if err != nil || m.Requests != 4 || m.Failed != 2 || m.SlowestSecond.Failed == 0 || m.LongestGap <= 0 || m.Instance == "" {
		t.Errorf("%+v %v", m, err)
	}
	_, err = e.Measure(t.Context(), "shop/production", "m")
	if p := problem.From(err); p == nil || p.Code != problem.NotFound {
		t.Errorf("after its end: %+v", p)
	}
	s := e.stats("r")
	if s.Requests != 4 || s.Answers.OK != 2 || s.Answers.ServerError != 2 || s.Gateway != (Gateway{}) || s.P99 == 0 || !s.Live {
		t.Errorf("counted %+v", s)
	}
}

// Whoever waits for zero is woken, however closely it crosses with the last request.
func TestDrainMissesNoWake(t *testing.T) {
	for range 2000 {
		var c counts
		c.enter()
		var both sync.WaitGroup
		both.Go(c.leave)
		zero, done := c.whenZero()
		select {
		case <-zero:
		case <-time.After(time.Minute):
			t.Fatal("never woken")
		}
		done()
		both.Wait()
	}
}
