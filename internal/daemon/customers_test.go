package daemon

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// customers use the app without a pause: a request every pace, in turn one that reads and one that writes an id of its
// own, over kept-alive connections.
type customers struct {
	address string
	pace    time.Duration                                 // between two requests
	each    func(sent time.Time, write string, err error) // nil, or told of every request
	http    *http.Client
	stop    chan struct{}
	stopped sync.WaitGroup

	mu  sync.Mutex
	now *batch
	n   int
}

// batch is what the customers did in some time.
type batch struct {
	prefix  string
	flying  sync.WaitGroup
	mu      sync.Mutex
	sent    int
	acked   []string // ids of the writes that were acknowledged
	failed  []string
	answers map[string]int // good answers by release
}

// pace is the time between two requests: 25 a second in each house, of which several are open at once. A second of them costs a
// tenth of a processor's, with the edge's part, the app's and PostgreSQL's.
const pace = 40 * time.Millisecond

// customersOf begins; they leave with the test.
func (h *house) customersOf(address string) *customers { return h.customersEvery(address, pace, nil) }

// customersEvery are customersOf at another pace. each is told of every request once it has its answer, or none.
func (h *house) customersEvery(address string, pace time.Duration, each func(time.Time, string, error)) *customers {
	c := &customers{address: address, pace: pace, each: each, stop: make(chan struct{}), http: &http.Client{
		Timeout: 45 * time.Second, // longer than the edge lets a request wait
		// A connection that was opened in advance and not used is closed by whoever served it, after 10 s here. A client
		// that takes it up at that instant can't know whether its request was read.
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second},
	}}
	c.next()
	c.stopped.Go(c.come)
	h.Cleanup(c.leave)
	return c
}

func (c *customers) leave() {
	close(c.stop)
	c.stopped.Wait()
	c.next().flying.Wait()
	c.http.CloseIdleConnections()
}

// next begins a batch and returns the one before.
func (c *customers) next() *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now
	c.n++
	c.now = &batch{prefix: fmt.Sprintf("b%d-", c.n), answers: map[string]int{}}
	return was
}

func (c *customers) come() {
	tick := time.NewTicker(c.pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		case <-tick.C:
			c.mu.Lock()
			b := c.now
			b.flying.Go(func() { c.request(b, i) })
			c.mu.Unlock()
		}
	}
}

func (c *customers) request(b *batch, i int) {
	method, path, id := http.MethodGet, "/", ""
	if i%2 == 0 {
		id = fmt.Sprintf("%s%d", b.prefix, i)
		method, path = http.MethodPost, "/write?id="+id
	}
	req, err := http.NewRequest(method, c.address+path, nil)
	if err != nil {
		panic(err) // the address is the edge's own word
	}
	sent := time.Now()
	body, err := readAll(c.http.Do(req))
	if c.each != nil {
		c.each(sent, id, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent++
	switch {
	case err != nil:
		b.failed = append(b.failed, fmt.Sprintf("%s %s: %v", method, path, err))
	case id != "":
		b.acked = append(b.acked, id)
		fallthrough
	default:
		b.answers[body]++
	}
}

// served is how many requests of the batch have their answer.
func (c *customers) served() int {
	c.mu.Lock()
	b := c.now
	c.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

// cut ends a batch and returns it once each of its requests has its answer.
func (c *customers) cut() *batch {
	b := c.next()
	b.flying.Wait()
	return b
}

// wantFlawless fails the test when a request of the batch failed, when a write that was acknowledged is not recorded, or
// when one is recorded twice.
func (c *customers) wantFlawless(t testing.TB, b *batch) {
	t.Helper()
	if b.sent == 0 {
		t.Fatal("there was no request")
	}
	if len(b.failed) > 0 {
		t.Fatalf("%d of %d requests failed, the first: %s", len(b.failed), b.sent, b.failed[0])
	}
	c.wantRecorded(t, b)
}

// wantRecorded is wantFlawless without a word about failures.
func (c *customers) wantRecorded(t testing.TB, b *batch) {
	t.Helper()
	recorded := c.recorded(t, b.prefix)
	for _, id := range b.acked {
		if recorded[id] == 0 {
			t.Fatalf("%s was acknowledged and is not recorded", id)
		}
	}
	for id, n := range recorded {
		if n != 1 {
			t.Fatalf("%s is recorded %d times", id, n)
		}
	}
}

// recorded tells how often each id with the prefix is recorded.
func (c *customers) recorded(t testing.TB, prefix string) map[string]int {
	t.Helper()
	body, err := readAll(c.http.Get(c.address + "/recorded?prefix=" + prefix))
	must(t, err)
	counts := map[string]int{}
	for line := range strings.Lines(body) {
		var id string
		var n int
		if _, err := fmt.Sscan(line, &id, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		counts[id] = n
	}
	return counts
}

// wantAnswered fails the test when one of the next requests fails.
func (c *customers) wantAnswered(t testing.TB, requests int) {
	t.Helper()
	for c.served() < requests {
		time.Sleep(pace)
	}
	c.wantFlawless(t, c.cut())
}

// readAll is the body of an answer with status 200.
func readAll(res *http.Response, err error) (string, error) {
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
