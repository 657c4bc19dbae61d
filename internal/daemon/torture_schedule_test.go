package daemon

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// What the torture does follows from its seed alone: a round can be made again without those before it. Only the times at
// which the machine gets to things differ from one run to the next.

// round is what people ask for at the same time, and what is killed meanwhile.
type round struct {
	Number     int       `json:"number"`
	Build      bool      `json:"build,omitempty"` // a new release for production comes first
	Shape      int       `json:"shape"`           // of that release, an index of shapes
	Production []command `json:"production"`
	Staging    []command `json:"staging"`
	Kills      []kill    `json:"kills"`
}

// command is what a person asks for.
type command struct {
	Verb   string        `json:"verb"`
	Pick   int           `json:"pick,omitempty"`   // which of the releases, modulo their number
	Break  string        `json:"break,omitempty"`  // how the release behaves badly, see testdata/app
	Cancel time.Duration `json:"cancel,omitempty"` // after which they change their mind; 0 for never
}

// The verbs. A rehearsal happens on the stage, for production.
const (
	verbPromote  = "promote"
	verbRollback = "rollback"
	verbRehearse = "rehearse"
	verbStop     = "down and up"
)

// kill is what dies at once.
type kill struct {
	After   time.Duration `json:"after"` // since the one before
	Victims []victim      `json:"victims"`
}

// victim is one process that gets SIGKILL.
type victim struct {
	Part  part          `json:"part"`
	Pick  int           `json:"pick,omitempty"`  // which of them, modulo their number
	Pause time.Duration `json:"pause,omitempty"` // until the control plane is started again
	Point int           `json:"point,omitempty"` // index of points, where it dies at a point of a step
}

// part is what a process is to Greenroom.
type part string

// The parts.
const (
	controlPlane part = "control plane"
	failpoint    part = "control plane at a failpoint" // Pick says which of those that come
	edgePart     part = "edge"
	supervisor   part = "supervisor"
	replicaPart  part = "replica"
	database     part = "database"
	migrator     part = "migrator" // and not its session in the server
	journeyPart  part = "journey"
)

// weights are how often each part dies, of 100.
var weights = []struct {
	part   part
	weight int
}{
	{controlPlane, 33}, {failpoint, 17}, {migrator, 12}, {edgePart, 8}, {replicaPart, 10}, {supervisor, 8}, {database, 8}, {journeyPart, 4},
}

// mostDeaths bounds how often the control plane dies in a round: a step that is interrupted plan.Attempts times is given
// up, as it should be.
const mostDeaths = 4

// roundOf is a round of a seed.
func roundOf(seed uint64, number int) round {
	d := dice{rand.New(rand.NewPCG(seed, uint64(number)))}
	r := round{Number: number, Build: d.chance(15), Shape: d.IntN(len(shapes))}
	r.Production = d.production()
	for range 1 + d.IntN(2) {
		r.Staging = append(r.Staging, d.staging())
	}
	deaths := 0
	for range 5 + d.IntN(4) {
		k := kill{After: d.between(20*time.Millisecond, 900*time.Millisecond)}
		for range 1 + d.oneIn(6) {
			v := d.victim()
			if v.Part == controlPlane || v.Part == failpoint {
				if deaths++; deaths > mostDeaths || len(k.Victims) > 0 && v.Part == failpoint {
					continue
				}
			}
			k.Victims = append(k.Victims, v)
		}
		r.Kills = append(r.Kills, k)
	}
	return r
}

type dice struct{ *rand.Rand }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

// oneIn is 1 once in n times, else 0.
func (d dice) oneIn(n int) int {
	if d.IntN(n) == 0 {
		return 1
	}
	return 0
}

func (d dice) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.Int64N(int64(most-least)))
}

// production is what people do there: mostly by the book, sometimes past it, which the gate has to notice.
func (d dice) production() []command {
	promote := command{Verb: verbPromote, Pick: d.IntN(1000), Break: d.fault()}
	if d.chance(15) {
		promote.Cancel = d.between(100*time.Millisecond, 3*time.Second)
	}
	switch n := d.IntN(100); {
	case n < 60:
		return []command{{Verb: verbRehearse, Pick: promote.Pick}, promote}
	case n < 75:
		return []command{promote} // unrehearsed, or rehearsed for what production was
	case n < 85:
		return []command{{Verb: verbRehearse, Pick: promote.Pick, Cancel: promote.Cancel}, {Verb: verbRollback}}
	default:
		return []command{{Verb: verbRollback}}
	}
}

func (d dice) staging() command {
	c := command{Verb: verbPromote, Pick: d.IntN(1000), Break: d.fault()}
	switch n := d.IntN(100); {
	case n < 60:
		if d.chance(20) {
			c.Cancel = d.between(100*time.Millisecond, 2*time.Second)
		}
		return c
	case n < 80:
		return command{Verb: verbRollback}
	default:
		return command{Verb: verbStop}
	}
}

// fault is how a release behaves badly; most don't.
func (d dice) fault() string {
	faults := []string{"sick", "fail-journey", "fail", "die"}
	if n := d.IntN(14); n < len(faults) {
		return faults[n]
	}
	return ""
}

func (d dice) victim() victim {
	v := victim{Pick: d.IntN(1000), Pause: d.between(0, 600*time.Millisecond), Point: d.IntN(len(points))}
	n := d.IntN(100)
	for _, w := range weights {
		if n -= w.weight; n < 0 {
			v.Part = w.part
			break
		}
	}
	return v
}

// TestTortureIsReplayable: a seed is a schedule, and another seed another one.
func TestTortureIsReplayable(t *testing.T) {
	killed := map[part]int{}
	for n := range 200 {
		a, b := roundOf(7, n), roundOf(7, n)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("round %d is %+v, and then %+v", n, a, b)
		}
		if reflect.DeepEqual(a, roundOf(8, n)) {
			t.Errorf("round %d is the same for another seed", n)
		}
		deaths := 0
		for _, k := range a.Kills {
			for _, v := range k.Victims {
				killed[v.Part]++
				if v.Part == controlPlane || v.Part == failpoint {
					deaths++
				}
			}
		}
		if deaths > mostDeaths {
			t.Errorf("in round %d the control plane dies %d times", n, deaths)
		}
	}
	sum := 0
	for _, w := range weights {
		sum += w.weight
		if killed[w.part] == 0 {
			t.Errorf("no %s is ever killed", w.part)
		}
	}
	if sum != 100 {
		t.Errorf("the weights add up to %d", sum)
	}
}
