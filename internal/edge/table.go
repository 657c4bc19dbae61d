package edge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"time"

	"greenroom/internal/problem"
)

// Format is the version of the tables that this edge reads and writes.
const Format = 1

// Protocol is what a route's listeners speak.
type Protocol string

// The protocols.
const (
	HTTP Protocol = "http"
	TCP  Protocol = "tcp" // bytes are relayed as they come; a connection keeps its back end
)

// Table is everything that the edge does, swapped whole. It is a value: a table that was handed over is never changed.
type Table struct {
	Format  int      `json:"format"`
	Version uint64   `json:"version"`         // given by the edge: one more than the table it replaced
	Front   []string `json:"front,omitempty"` // shared addresses; a request there finds its route by its host
	Routes  []Route  `json:"routes"`
}

// Route leads requests to the releases of one environment, stage, candidate or service.
type Route struct {
	Name     string   `json:"name"`             // unique, such as shop/production or shop/production/api@3f2a
	Listen   []string `json:"listen,omitempty"` // its own addresses, IP:PORT; any host is accepted there
	Inside   *Inside  `json:"inside,omitempty"` // its own addresses in a network namespace
	Hosts    []string `json:"hosts,omitempty"`  // names by which it is found on the Front addresses; http only
	Protocol Protocol `json:"protocol"`
	// Pools share the traffic by weight, in this order. The order counts: where shares are sticky, the first pool has
	// the buckets from 0 up, so who is in a growing first (or last) pool stays there.
	Pools  []Pool `json:"pools,omitempty"`
	Sticky bool   `json:"sticky,omitempty"` // while more than one pool has weight, a browser stays with its pool (cookie)
	// Internal routes are called by services of the app: their forwarding and identity headers are passed on. On all
	// other routes they are taken off, because anybody can forge them.
	Internal bool `json:"internal,omitempty"`
	// Hold makes requests wait up to this long for a table that gives the route back ends, while it has none.
	Hold        time.Duration `json:"hold,omitempty"`
	Maintenance *Maintenance  `json:"maintenance,omitempty"` // when set, every request is answered by this page
	Timeouts    Timeouts      `json:"timeouts,omitzero"`
}

// Inside is where a route listens in a network namespace. The addresses there are the namespace's own: they may be those
// of somebody else outside, or in another.
type Inside struct {
	Broker string   `json:"broker"` // path of the socket of the namespace's broker, see package netns
	Listen []string `json:"listen"` // IP:PORT; any host is accepted there
}

// Pool is one release's share of a route.
type Pool struct {
	Release  string    `json:"release"` // unique in its route
	Weight   int       `json:"weight"`  // percent of the route's new requests; the weights of a route add up to 100, or all are 0
	Backends []Backend `json:"backends,omitempty"`
	Health   *Health   `json:"health,omitempty"` // nil: back ends are judged by failing dials alone
}

// Backend is one replica, dialled by network (tcp or unix) and address.
type Backend struct {
	ID      string `json:"id"`
	Network string `json:"network"`
	Address string `json:"address"`
	Broker  string `json:"broker,omitempty"` // path of the socket of the network namespace's broker in which the address, a tcp one, is
}

// Health is how the edge asks back ends whether they are well. 2xx and 3xx are.
type Health struct {
	Path     string        `json:"path"`
	Interval time.Duration `json:"interval,omitempty"` // 0 is 2 s
	Timeout  time.Duration `json:"timeout,omitempty"`  // 0 is 2 s
}

// Maintenance is the page that the edge answers with status 503 while there is no release to answer.
type Maintenance struct {
	Message    string        `json:"message"`
	RetryAfter time.Duration `json:"retry_after,omitempty"` // told to clients, rounded up to seconds; 0: from Until, or not told
	Until      time.Time     `json:"until,omitzero"`        // when it is expected to be over, shown to people
}

// Timeouts bound what a back end may take. Zero values are the defaults.
type Timeouts struct {
	Dial     time.Duration `json:"dial,omitempty"`     // to connect; 2 s
	Response time.Duration `json:"response,omitempty"` // from the whole request to the head of the answer; 60 s
	Idle     time.Duration `json:"idle,omitempty"`     // without a byte in an answer, an upgraded or a tcp connection; 10 min, tcp none
}

func (t Timeouts) withDefaults(p Protocol) Timeouts {
	t.Dial = cmp.Or(t.Dial, 2*time.Second)
	t.Response = cmp.Or(t.Response, time.Minute)
	if p == HTTP {
		t.Idle = cmp.Or(t.Idle, 10*time.Minute)
	}
	return t
}

// maxTable bounds a table in bytes of JSON, far above what any machine's routes need.
const maxTable = 16 << 20

// Decode reads a table as JSON and validates it. Unknown keys, a newer format and anything behind the table are
// problems: a table that is half understood would send users to the wrong place.
func Decode(b []byte) (Table, error) {
	if len(b) > maxTable {
		return Table{}, problem.New(problem.Invalid, "the route table is larger than %d bytes", maxTable)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err == nil && head.Format > Format {
		return Table{}, problem.New(problem.Invalid, "the route table has format %d and this edge knows up to %d", head.Format, Format).
			WithHint("run the edge of the newer Greenroom that wrote it")
	}
	var t Table
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Table{}, problem.New(problem.Invalid, "the route table is not readable: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Table{}, problem.New(problem.Invalid, "the route table is not readable: there is something behind its end")
	}
	return t, t.Validate()
}

// Encode is the table as JSON that Decode reads.
func (t Table) Encode() ([]byte, error) { return json.MarshalIndent(t, "", " ") }
