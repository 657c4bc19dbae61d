package edge

import "time"

// Stats is what the edge has counted since Started. When Instance differs from an earlier answer's, all counts began
// again at zero.
type Stats struct {
	Instance string    `json:"instance"`
	Started  time.Time `json:"started"`
	Version  uint64    `json:"version"` // of the table that is in force
	// Predecessor is true while the edge that this one took over from still ends requests of its own.
	Predecessor  bool           `json:"predecessor,omitempty"`
	Connections  int64          `json:"connections"`            // of clients, open now
	Unbound      []string       `json:"unbound,omitempty"`      // addresses of the table that something else holds since the start; tried again
	Entrances    []string       `json:"entrances,omitempty"`    // such as "https [::]:443"
	Certificates []Certificate  `json:"certificates,omitempty"` // sorted by host; where no entrance speaks TLS there are none
	Pools        []PoolStats    `json:"pools"`                  // sorted by route and release
	Backends     []BackendStats `json:"backends"`               // sorted by network and address
}

// PoolStats counts what one release answered on one route. The release "" stands for what the edge answered without
// asking any: the maintenance page, no back end, held too long.
type PoolStats struct {
	Route    string  `json:"route"`
	Release  string  `json:"release"`
	Live     bool    `json:"live"`     // it is in the table that is in force
	Requests uint64  `json:"requests"` // ended ones; tcp: connections
	Answers  Answers `json:"answers"`
	Gateway  Gateway `json:"gateway"` // answers made by the edge in the release's place; also counted in Answers
	Cut      uint64  `json:"cut"`     // answers that the release broke off in the middle
	Gone     uint64  `json:"gone"`    // clients that went away before the end of their answer
	InFlight int64   `json:"in_flight"`
	// P50 and P99 are the time from a request's arrival to the head of its answer, right to about 6 %.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// Failed counts the requests that did not get a good answer through the release's or the edge's fault.
func (p PoolStats) Failed() uint64 { return p.Answers.ServerError + p.Cut }

// Answers by class of status.
type Answers struct {
	Info        uint64 `json:"1xx"` // upgraded connections
	OK          uint64 `json:"2xx"`
	Redirect    uint64 `json:"3xx"`
	ClientError uint64 `json:"4xx"`
	ServerError uint64 `json:"5xx"`
}

// Gateway counts the errors that the edge told.
type Gateway struct {
	Bad         uint64 `json:"502"` // no back end could be reached, or its answer was none
	Unavailable uint64 `json:"503"` // there was no back end to ask
	Timeout     uint64 `json:"504"` // the back end took too long
}

// BackendStats is what the edge thinks of a back end.
type BackendStats struct {
	Network  string `json:"network"`
	Address  string `json:"address"`
	Healthy  bool   `json:"healthy"`
	Reason   string `json:"reason,omitempty"` // why it is not
	InFlight int64  `json:"in_flight"`
}

// Measurement is the proof of a switch: what users of a route saw since the mark was set.
type Measurement struct {
	Route    string    `json:"route"`
	Name     string    `json:"name"`
	Instance string    `json:"instance"` // of the edge that measured
	Started  time.Time `json:"started"`
	Until    time.Time `json:"until"`
	Requests uint64    `json:"requests"`
	Failed   uint64    `json:"failed"` // answered 5xx by release or edge, or broken off by the release
	Gone     uint64    `json:"gone"`   // clients that went away themselves
	// LongestGap is the longest time between two good answers (below 500 and whole), the mark's start and its reading
	// counting as ends: without any good answer it is the whole time.
	LongestGap    time.Duration `json:"longest_gap"`
	SlowestSecond Second        `json:"slowest_second"` // the one with most failures, among equals the slowest request
}

// Second is one second of a measurement.
type Second struct {
	At       time.Time     `json:"at"`
	Requests uint64        `json:"requests"`
	Failed   uint64        `json:"failed"`
	Slowest  time.Duration `json:"slowest"` // longest time to the head of an answer
}

// Drained is how waiting for a release's last requests ended. The zero value is: nothing is left.
type Drained struct {
	Left   int64 `json:"left"`   // requests still under way when the time was over
	Closed int   `json:"closed"` // upgraded and tcp connections that were closed because the time was over
	// Predecessor is true when the edge that this one took over from still ends requests, which may be the release's.
	Predecessor bool `json:"predecessor,omitempty"`
}
