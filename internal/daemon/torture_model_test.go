package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// The model: what FAULTS.md's invariants say about a history. It is pure, so that a history can be judged again, and it
// knows nothing of how Greenroom works. TestTortureObjects shows that it objects to each thing that must not be.

// judge says what of a history can't be.
func judge(events []event) (wrong []string) {
	p := read(events)
	for _, rule := range []struct {
		name  string
		holds func(*past) []string
	}{
		{"I1 one live release", (*past).oneLive},
		{"I1 I2 I4 I15 what stands at the end of a round", (*past).allStands},
		{"I3 runs end and say why", (*past).runsEnd},
		{"I4 a half-migrated schema blocks", (*past).halfMigratedBlocks},
		{"I5 no request fails but for a kill", (*past).requestsServed},
		{"I5 a kill is felt for a moment", (*past).killsHeal},
		{"I5 I12 what was acknowledged is there once", (*past).writesOnce},
		{"I7 the gate fails closed", (*past).gateClosed},
		{"I10 the log tells everything", (*past).audited},
		{"I12 what was answered stays", (*past).answersStay},
		{"I14 proven by journeys", (*past).proven},
		{"nothing changes its outcome but what disturbs it", (*past).outcomes},
		{"nothing is stuck", (*past).nothingStuck},
	} {
		for i, w := range rule.holds(p) {
			if i == 5 {
				wrong = append(wrong, rule.name+": and more")
				break
			}
			wrong = append(wrong, rule.name+": "+w)
		}
	}
	return wrong
}

// window is a time in which something is excused.
type window struct {
	from, to time.Time
	what     string
}

func (w window) meets(from, to time.Time) bool { return !w.to.Before(from) && !w.from.After(to) }

// past is a history, read.
type past struct {
	events   []event
	versions map[release.Digest]made
	runs     []ran // in the order in which they were made
	known    map[string]ran
	felt     map[string][]window // by customers, by environment
	shaken   map[string][]window // what may make a run of the environment end otherwise
	end      time.Time
}

// The slack after a kill was last felt: connections that are kept may still end in what was killed.
const (
	slack         = 1500 * time.Millisecond
	slackDatabase = 5 * time.Second // the app keeps connections, and finds out one by one that they are dead
	slackRun      = 5 * time.Second
	forEver       = 1000 * time.Hour
)

func read(events []event) *past {
	p := &past{events: events, versions: map[release.Digest]made{}, known: map[string]ran{}, felt: map[string][]window{}, shaken: map[string][]window{}}
	for _, e := range events {
		switch {
		case e.Release != nil:
			p.versions[e.Release.Digest] = *e.Release
		case e.Run != nil:
			p.known[e.Run.ID] = *e.Run
		case e.Observed != nil:
			p.end = e.At
		}
	}
	p.runs = slices.SortedFunc(maps.Values(p.known), func(a, b ran) int { return a.Created.Compare(b.Created) })
	p.readKills()
	p.readBroken()
	return p
}

// environments are those that customers use.
func environments() []string { return []string{inProduction, inStaging} }

// customersFeel says whether the death of such a part can be felt by customers at all.
func (k killed) customersFeel() bool {
	switch k.Part {
	case controlPlane, failpoint, migrator, journeyPart:
		return false
	}
	return true
}

// readKills finds how long each kill may be felt.
func (p *past) readKills() {
	healed := p.heals()
	for _, e := range p.events {
		if e.Killed == nil || e.Killed.Part == controlPlane || e.Killed.Part == failpoint {
			continue
		}
		k := *e.Killed
		what := fmt.Sprintf("kill %d, of the %s", k.Number, k.Part)
		for _, env := range append(environments(), onStage) {
			if k.Environment != "" && k.Environment != env {
				continue
			}
			to := e.At // nobody uses the stage, or what is killed is no service
			if k.customersFeel() && env != onStage {
				to = e.At.Add(forEver)
				if at, is := healed[feeling{k.Number, env}]; is {
					to = at
				}
				after := slack
				if k.Part == database {
					after = slackDatabase
				}
				p.felt[env] = append(p.felt[env], window{e.At, to.Add(after), what})
			}
			p.shaken[env] = append(p.shaken[env], window{e.At, to.Add(slackRun), what})
		}
	}
}

type feeling struct {
	kill int
	env  string
}

func (p *past) heals() map[feeling]time.Time {
	healed := map[feeling]time.Time{}
	for _, e := range p.events {
		if e.Healed != nil {
			healed[feeling{e.Healed.Kill, e.Healed.Environment}] = e.At
		}
	}
	return healed
}

// readBroken finds when releases misbehaved, and environments were stopped.
func (p *past) readBroken() {
	for i, e := range p.events {
		if e.Broken == nil || e.Broken.Over {
			continue
		}
		w := window{e.At, e.At.Add(forEver), e.Broken.How}
		for _, o := range p.events[i:] {
			if o.Broken != nil && o.Broken.Over && o.Broken.Environment == e.Broken.Environment && o.Broken.How == e.Broken.How {
				w.to = o.At
				break
			}
		}
		env := e.Broken.Environment
		p.shaken[env] = append(p.shaken[env], w)
		switch e.Broken.How {
		case "sick", "fail-journey": // found before anybody is sent there, or by nobody but the journey
		default:
			w.to = w.to.Add(slack)
			p.felt[env] = append(p.felt[env], w)
		}
	}
}

func during(all []window, from, to time.Time) bool {
	return slices.ContainsFunc(all, func(w window) bool { return w.meets(from, to) })
}

// excused is the share of the time in which a request may fail, by environment.
func (p *past) excused() map[string]float64 {
	share := map[string]float64{}
	all := p.end.Sub(p.events[0].At)
	for env, windows := range p.felt {
		var sum time.Duration
		until := p.events[0].At
		for _, w := range slices.SortedFunc(slices.Values(windows), func(a, b window) int { return a.from.Compare(b.from) }) {
			from, to := later(w.from, until), w.to
			if to.After(p.end) {
				to = p.end
			}
			sum += max(0, to.Sub(from))
			until = later(until, to)
		}
		share[env] = float64(sum) / float64(all)
	}
	return share
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// oneLive follows what is live from run to run, and asks that each began from it and that it is what was observed.
func (p *past) oneLive() (wrong []string) {
	live := map[string]release.Digest{}
	next := 0
	follow := func(until time.Time) {
		for ; next < len(p.runs) && p.runs[next].Created.Before(until); next++ {
			r := p.runs[next]
			if r.Kind == plan.Rehearsal {
				continue
			}
			if r.From != live[r.Environment] {
				wrong = append(wrong, fmt.Sprintf("%s of %s began from %s, and %s was live", r.ID, r.Environment, r.From.Short(), live[r.Environment].Short()))
			}
			live[r.Environment] = r.From
			if r.Outcome == plan.Succeeded {
				live[r.Environment] = r.Release
			}
		}
	}
	for _, e := range p.events {
		if e.Observed == nil {
			continue
		}
		follow(e.At)
		for env, s := range e.Observed.Environments {
			if s.Live != live[env] {
				wrong = append(wrong, fmt.Sprintf("after round %d %s is live in %s, and should be %s", e.Observed.Round, s.Live.Short(), env, live[env].Short()))
			}
		}
	}
	return wrong
}

func (p *past) allStands() (wrong []string) {
	for _, e := range p.events {
		if e.Observed != nil {
			for _, w := range e.Observed.wrong() {
				wrong = append(wrong, fmt.Sprintf("after round %d (waited for %s): %s", e.Observed.Round, e.Observed.Waited.Round(time.Second), w))
			}
		}
	}
	return wrong
}

// wrong is what can't be at a time at which nobody does anything.
func (o observed) wrong() (wrong []string) {
	for _, r := range o.Unfinished {
		wrong = append(wrong, "is under way: "+r)
	}
	wrong = append(append(wrong, o.Strangers...), o.Ports...)
	for _, env := range slices.Sorted(maps.Keys(o.Environments)) {
		for _, w := range o.Environments[env].wrong() {
			wrong = append(wrong, env+": "+w)
		}
	}
	if o.TwoWorkers {
		wrong = append(wrong, "two workers ran at once")
	}
	return append(wrong, o.unbounded()...)
}

func (s standing) wrong() (wrong []string) {
	if s.State != api.EnvironmentUp {
		wrong = append(wrong, "it is told to be "+string(s.State))
	}
	if !maps.Equal(s.Healthy, s.Wanted) {
		wrong = append(wrong, fmt.Sprintf("healthy are %v, want %v", s.Healthy, s.Wanted))
	}
	for _, id := range s.Others {
		wrong = append(wrong, id+" runs, and is not live")
	}
	wrong = append(wrong, s.Routes...)
	switch {
	case s.SchemaState != gate.SchemaProven:
		wrong = append(wrong, "the schema is told to be "+string(s.SchemaState))
	case s.Read != s.Schema || s.Read == "":
		wrong = append(wrong, fmt.Sprintf("the schema is recorded as %.8s, and read is %.8s", s.Schema, s.Read))
	}
	return wrong
}

// The bounds of I15. They do not depend on how long a torture goes on.
const (
	mostDescriptors = 200
	mostMemory      = 128 << 20
)

// mostDisk are the bounds of folders in bytes: between commands nobody has a working folder.
var mostDisk = map[string]int64{"runs": 0, "uploads": 0, "replicas": 64 << 20, "edge": 32 << 20, "log": 32 << 20, "store": 64 << 20}

func (o observed) unbounded() (wrong []string) {
	for _, name := range slices.Sorted(maps.Keys(o.Used)) {
		u := o.Used[name]
		if (name == "daemon" || name == "edge") && u.Processes != 1 {
			wrong = append(wrong, fmt.Sprintf("there are %d processes: %s", u.Processes, name))
		}
		if name != "postgres" && (u.Descriptors > mostDescriptors || u.Memory > mostMemory) {
			wrong = append(wrong, fmt.Sprintf("a %s has %d descriptors and %d MiB", name, u.Descriptors, u.Memory>>20))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Disk)) {
		if most, bounded := mostDisk[name]; bounded && o.Disk[name] > most {
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes, at most %d", name, o.Disk[name], most))
		}
	}
	return wrong
}

// runsEnd asks that each run has an outcome, and says why where that is not what was wanted. A person is needed only where
// a migration was left half.
func (p *past) runsEnd() (wrong []string) {
	for _, r := range p.runs {
		switch r.Outcome {
		case plan.Succeeded:
			continue
		case plan.RolledBack, plan.Stopped, plan.NeedsOperator:
		default:
			wrong = append(wrong, fmt.Sprintf("%s has the outcome %q", r.ID, r.Outcome))
			continue
		}
		if r.Reason == "" {
			wrong = append(wrong, r.ID+" says no reason")
		}
		if r.Outcome != plan.NeedsOperator {
			continue
		}
		if r.Hint == "" {
			wrong = append(wrong, r.ID+" needs an operator and says no next command")
		}
		if !strings.Contains(r.Reason, "half-migrated") {
			wrong = append(wrong, fmt.Sprintf("%s needs an operator: %s", r.ID, r.Reason))
		}
	}
	return wrong
}

// halfMigratedBlocks asks that nobody is let onto a half-migrated schema. The one release that may is the one whose migration
// was interrupted, where the schema turns out to be what it makes: going on with it is how that is finished.
func (p *past) halfMigratedBlocks() (wrong []string) {
	for _, e := range p.events {
		if c := e.Command; c != nil && c.Verb == "probe" && !c.Lost && c.Code != problem.Blocked && p.interrupted(c.Environment, e.At) != c.Release {
			wrong = append(wrong, fmt.Sprintf("%s of %s is asked about while it is half-migrated, and the answer is %q %s", c.Release.Short(), c.Environment, c.Code, c.Said))
		}
	}
	return wrong
}

// interrupted is the release whose migration last left an environment to an operator.
func (p *past) interrupted(environment string, before time.Time) (d release.Digest) {
	for _, r := range p.runs {
		if r.Environment == environment && r.Outcome == plan.NeedsOperator && r.Ended.Before(before) {
			d = r.Release
		}
	}
	return d
}

func (p *past) requestsServed() (wrong []string) {
	for _, e := range p.events {
		if r := e.Request; r != nil && r.Failed != "" && !during(p.felt[r.Environment], r.Sent, e.At) {
			wrong = append(wrong, fmt.Sprintf("a request (%s) to %s of %s, answered %s, failed and nothing excuses it: %s",
				r.Write, r.Environment, clock(r.Sent), clock(e.At), r.Failed))
		}
	}
	return wrong
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// feltAtMost bounds how long customers feel a kill, when nothing else comes in between.
const feltAtMost = 30 * time.Second

// killsHeal asks that nothing is felt of a kill after a while.
func (p *past) killsHeal() (wrong []string) {
	healed := p.heals()
	for _, e := range p.events {
		if e.Killed == nil || !e.Killed.customersFeel() || e.At.After(p.end) {
			continue
		}
		for _, env := range environments() {
			if e.Killed.Environment != "" && e.Killed.Environment != env {
				continue
			}
			at, is := healed[feeling{e.Killed.Number, env}]
			if last := p.lastDisturbance(env, e.At, at); !is || at.Sub(last) > feltAtMost {
				wrong = append(wrong, fmt.Sprintf("kill %d, of the %s (%s) at %s, is felt in %s until %s", e.Killed.Number, e.Killed.Part, e.Killed.What, clock(e.At), env, clock(at)))
			}
		}
	}
	return wrong
}

// lastDisturbance is the last time before at, and not before from, at which something new could be felt, or began to heal.
func (p *past) lastDisturbance(env string, from, at time.Time) time.Time {
	last := from
	for _, w := range p.felt[env] {
		for _, t := range []time.Time{w.from, w.to} {
			if t.After(last) && t.Before(at) {
				last = t
			}
		}
	}
	return last
}

func (p *past) writesOnce() (wrong []string) {
	type write struct{ env, id string }
	acked, tried := map[write]bool{}, map[write]bool{}
	for _, e := range p.events {
		if r := e.Request; r != nil && r.Write != "" {
			tried[write{r.Environment, r.Write}] = true
			acked[write{r.Environment, r.Write}] = r.Failed == ""
		}
	}
	for _, e := range p.events {
		if e.Recorded == nil {
			continue
		}
		for id, n := range e.Recorded.Counts {
			if n != 1 || !tried[write{e.Recorded.Environment, id}] {
				wrong = append(wrong, fmt.Sprintf("%s is recorded %d times in %s", id, n, e.Recorded.Environment))
			}
		}
		for w, ok := range acked {
			if ok && w.env == e.Recorded.Environment && strings.HasPrefix(w.id, e.Recorded.Prefix) && e.Recorded.Counts[w.id] == 0 {
				wrong = append(wrong, fmt.Sprintf("%s was acknowledged in %s and is not recorded", w.id, w.env))
			}
		}
	}
	return wrong
}

// gateClosed asks for a rehearsal that was passed, of this release against what was live, before each promotion to
// production; and that what is refused is refused by a gate, not by a bug.
func (p *past) gateClosed() (wrong []string) {
	for i, r := range p.runs {
		if r.Kind != plan.Promotion || r.Environment != inProduction {
			continue
		}
		if !slices.ContainsFunc(p.runs[:i], func(o ran) bool {
			return o.Kind == plan.Rehearsal && o.Release == r.Release && o.From == r.From && o.Outcome == plan.Succeeded &&
				o.Verdict == evidence.Pass && !o.Ended.After(r.Created)
		}) {
			wrong = append(wrong, fmt.Sprintf("%s promotes %s over %s, which was not rehearsed", r.ID, r.Release.Short(), r.From.Short()))
		}
	}
	for _, e := range p.events {
		if c := e.Command; c != nil && c.Code == problem.Internal {
			wrong = append(wrong, fmt.Sprintf("%s of %s is answered with a bug: %s", c.Verb, c.Environment, c.Said))
		}
	}
	return wrong
}

// audited asks for the beginning and the end of each run in the log, for what each made live, and for each stop.
func (p *past) audited() (wrong []string) {
	told := map[string]int{}
	var seq int64
	for _, e := range p.events {
		a := e.Audit
		if a == nil {
			continue
		}
		if a.Seq <= seq {
			wrong = append(wrong, fmt.Sprintf("entry %d comes after entry %d", a.Seq, seq))
		}
		seq = a.Seq
		told[a.Run+" "+strings.TrimSpace(a.Action+" "+string(a.Outcome))]++
		if a.Run == "" {
			told[a.Action+" "+a.Environment+" "+string(a.Release)]++
		}
	}
	once := func(what string) {
		if told[what] != 1 {
			wrong = append(wrong, fmt.Sprintf("the log tells %d times: %s", told[what], what))
		}
	}
	for _, r := range p.runs {
		if r.Missing || r.Outcome == "" {
			continue
		}
		once(fmt.Sprintf("%s %s running", r.ID, r.Kind))
		once(fmt.Sprintf("%s %s %s", r.ID, r.Kind, r.Outcome))
		if r.Outcome == plan.Succeeded && r.Kind != plan.Rehearsal {
			once(r.ID + " live")
		}
	}
	return append(wrong, p.stopsAudited(told)...)
}

func (p *past) stopsAudited(told map[string]int) (wrong []string) {
	stops := map[string]int{}
	for _, e := range p.events {
		c := e.Command
		switch {
		case c == nil || c.Lost || c.Code != "" || e.At.After(p.end):
		case c.Verb == "down":
			stops[c.Environment]++
		case c.Verb == "build" && told["build  "+string(c.Release)] == 0:
			wrong = append(wrong, "the log does not tell of the build of "+c.Release.Short())
		}
	}
	for env, n := range stops {
		if told["down "+env+" "] != n {
			wrong = append(wrong, fmt.Sprintf("%s was stopped %d times, and the log tells of %d", env, n, told["down "+env+" "]))
		}
	}
	return wrong
}

// answersStay asks that each run that was answered is known.
func (p *past) answersStay() (wrong []string) {
	for _, e := range p.events {
		if c := e.Command; c != nil && c.Run != "" && !e.At.After(p.end) {
			if r, known := p.known[c.Run]; !known || r.Missing {
				wrong = append(wrong, fmt.Sprintf("%s of %s was answered with %s, which nobody knows", c.Verb, c.Environment, c.Run))
			}
		}
	}
	return wrong
}

// proven asks the app itself: who is told to have been proven was tried by a journey in that time.
func (p *past) proven() (wrong []string) {
	journeys := map[witness][]time.Time{}
	for _, e := range p.events {
		if e.Journey != nil {
			journeys[*e.Journey] = append(journeys[*e.Journey], e.At)
		}
	}
	for _, r := range p.runs {
		if r.Kind == plan.Rehearsal {
			continue
		}
		from, of := r.Created, r.Release
		switch {
		case r.Outcome == plan.RolledBack && r.From != "":
			of = r.From
			for _, j := range slices.Backward(r.Journal) {
				if j.State == plan.Undoing && j.Step == "way-back" {
					from = j.At // the first time that it was begun
				}
			}
			if from.Equal(r.Created) {
				wrong = append(wrong, r.ID+" is rolled back, and its way back was not gone")
			}
		case r.Outcome != plan.Succeeded:
			continue
		}
		w := witness{r.Environment, p.versions[of].Version}
		if !slices.ContainsFunc(journeys[w], func(at time.Time) bool { return !at.Before(from) && !at.After(r.Ended) }) {
			wrong = append(wrong, fmt.Sprintf("%s is %s, and %s made no journey between %s and %s", r.ID, r.Outcome, w.Version, clock(from), clock(r.Ended)))
		}
	}
	return wrong
}

// outcomes asks that whatever nobody disturbed succeeded: the control plane's own deaths change nothing.
func (p *past) outcomes() (wrong []string) {
	for _, r := range p.runs {
		well := r.Outcome == plan.Succeeded && (r.Kind != plan.Rehearsal || r.Verdict == evidence.Pass)
		if well || r.Cancelled || r.Missing || during(p.shaken[r.Environment], r.Created, r.Ended) {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s, a %s of %s from %s to %s, is %s %s, and nothing disturbed it: %s",
			r.ID, r.Kind, r.Environment, clock(r.Created), clock(r.Ended), r.Outcome, r.Verdict, r.Reason))
	}
	return wrong
}

func (p *past) nothingStuck() (wrong []string) {
	for _, e := range p.events {
		if e.Stuck != "" {
			wrong = append(wrong, e.Stuck+" did not end within "+endless.String())
		}
	}
	return wrong
}
