package daemon

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// event is one line of a torture's history: exactly one of its pointers is set. The model sees nothing else.
type event struct {
	At       time.Time         `json:"at"`
	Round    *round            `json:"round,omitempty"`
	Release  *made             `json:"release,omitempty"`
	Request  *request          `json:"request,omitempty"`
	Command  *asked            `json:"command,omitempty"`
	Killed   *killed           `json:"killed,omitempty"`
	Healed   *healed           `json:"healed,omitempty"`
	Broken   *broken           `json:"broken,omitempty"`
	Run      *ran              `json:"run,omitempty"`
	Audit    *api.HistoryEntry `json:"audit,omitempty"`
	Journey  *witness          `json:"journey,omitempty"`
	Recorded *recorded         `json:"recorded,omitempty"`
	Observed *observed         `json:"observed,omitempty"`
	Stuck    string            `json:"stuck,omitempty"` // what did not end in time
}

// made is a release that was built, by its own name for itself.
type made struct {
	Digest  release.Digest `json:"digest"`
	Version string         `json:"version"`
}

// request is what a customer asked for. At is when they had their answer, or knew that there is none.
type request struct {
	Environment string    `json:"environment"`
	Sent        time.Time `json:"sent"`
	Write       string    `json:"write,omitempty"` // the id that was to be recorded
	Failed      string    `json:"failed,omitempty"`
}

// asked is a command and the answer to it. At is when it was answered.
type asked struct {
	Environment string         `json:"environment"`
	Verb        string         `json:"verb"` // or "cancel", "build", "probe" of a gate that has to say no
	Release     release.Digest `json:"release,omitempty"`
	Sent        time.Time      `json:"sent"`
	Run         string         `json:"run,omitempty"`  // that was begun
	Lost        bool           `json:"lost,omitempty"` // the control plane died before it answered
	Code        problem.Code   `json:"code,omitempty"` // of a refusal
	Said        string         `json:"said,omitempty"`
	Hint        string         `json:"hint,omitempty"`
}

// killed is a process that got SIGKILL.
type killed struct {
	Number      int    `json:"number"`
	Part        part   `json:"part"`
	Environment string `json:"environment,omitempty"` // "" for what all have in common
	What        string `json:"what"`
	Round       int    `json:"round"`
}

// healed says that the environment answers as if the kill had not been.
type healed struct {
	Kill        int    `json:"kill"`
	Environment string `json:"environment"`
}

// broken says that a release misbehaves from now on, or no more.
type broken struct {
	Environment string `json:"environment"`
	How         string `json:"how"`
	Over        bool   `json:"over,omitempty"`
}

// ran is a run that has ended, or that the control plane does not know.
type ran struct {
	ID          string           `json:"id"`
	Missing     bool             `json:"missing,omitempty"`
	Kind        plan.Kind        `json:"kind,omitempty"`
	Environment string           `json:"environment,omitempty"`
	Release     release.Digest   `json:"release,omitempty"`
	From        release.Digest   `json:"from,omitempty"`
	Created     time.Time        `json:"created,omitzero"`
	Ended       time.Time        `json:"ended,omitzero"`
	Outcome     plan.Outcome     `json:"outcome,omitempty"`
	Verdict     evidence.Verdict `json:"verdict,omitempty"`
	Reason      string           `json:"reason,omitempty"`
	Hint        string           `json:"hint,omitempty"`
	Cancelled   bool             `json:"cancelled,omitempty"`
	Journal     []journalled     `json:"journal,omitempty"`
}

type journalled struct {
	Step  string     `json:"step,omitempty"`
	State plan.State `json:"state"`
	At    time.Time  `json:"at"`
	Error string     `json:"error,omitempty"`
}

// witness is a journey that the app itself saw: nobody has to believe Greenroom that it was made. At is its beginning.
type witness struct {
	Environment string `json:"environment"`
	Version     string `json:"version"` // of the release that answered it
}

// recorded is how often the app has each id that customers wrote in a round.
type recorded struct {
	Environment string         `json:"environment"`
	Prefix      string         `json:"prefix"`
	Counts      map[string]int `json:"counts"`
}

// observed is how everything stands once nobody asks for anything any more.
type observed struct {
	Round        int                 `json:"round"`
	Waited       time.Duration       `json:"waited"` // until it stood so
	Unfinished   []string            `json:"unfinished,omitempty"`
	Environments map[string]standing `json:"environments"`
	Strangers    []string            `json:"strangers,omitempty"` // processes and routes of nobody
	Ports        []string            `json:"ports,omitempty"`     // promised to releases that are live nowhere
	TwoWorkers   bool                `json:"two_workers,omitempty"`
	Used         map[string]used     `json:"used"` // by the part that uses it
	Disk         map[string]int64    `json:"disk"` // in bytes, by folder
}

// standing is how one environment stands, as each of those who take part has it.
type standing struct {
	State       api.EnvironmentState `json:"state"`
	Live        release.Digest       `json:"live,omitempty"` // as the store has it
	SchemaState gate.SchemaState     `json:"schema_state,omitempty"`
	Schema      string               `json:"schema,omitempty"` // as recorded
	Read        string               `json:"read,omitempty"`   // as the database has it; "" when it does not run
	Healthy     map[string]int       `json:"healthy,omitempty"`
	Wanted      map[string]int       `json:"wanted,omitempty"`
	Others      []string             `json:"others,omitempty"` // replicas of releases that are not live
	Routes      []string             `json:"routes,omitempty"` // what is wrong with them
}

// used are the most that one process of a part has.
type used struct {
	Processes   int   `json:"processes"`
	Descriptors int   `json:"descriptors"`
	Memory      int64 `json:"memory"` // resident bytes
}

// history is a torture's events, in the order in which they were noted.
type history struct {
	mu     sync.Mutex
	events []event
}

func (h *history) note(e event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *history) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[:len(h.events):len(h.events)]
}

// write keeps the history as JSON, an event a line.
func (h *history) write(t testing.TB, file string) {
	t.Helper()
	f, err := os.Create(file)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for _, e := range h.all() {
		must(t, lines.Encode(e))
	}
	must(t, w.Flush())
}
