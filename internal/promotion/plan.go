// Package promotion makes a release live in an environment: it plans the steps, and carries them out, each so that
// doing it twice is doing it once and taking it back leaves what was there before.
package promotion

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/release"
)

// The actions of a promotion's steps. A step's comment tells what taking it back does.
const (
	ActionPrepare   = "promotion.prepare"   // unpack and verify. Back: nothing
	ActionGate      = "promotion.gate"      // ask again what was asked before. Back: nothing
	ActionGateAgain = "promotion.again"     // ask whether what let it in still counts. Back: nothing
	ActionBackup    = "promotion.backup"    // copy the database. Back: nothing, the copy is kept
	ActionWayBack   = "promotion.way-back"  // note what is there. Back: prove the old release by its journeys, remember the new one as bad
	ActionPause     = "promotion.pause"     // hold requests, or show the maintenance page. Back: let them through
	ActionStopOld   = "promotion.stop-old"  // stop the old release's services. Back: start them and wait for their health
	ActionMigrate   = "promotion.migrate"   // change the schema. Back: restore the backup where nothing was written since, else keep
	ActionSeed      = "promotion.seed"      // fill a fresh database outside production. Back: nothing
	ActionStay      = "promotion.stay"      // have what did not change run for the new release too. Back: nothing, it goes on for the old one
	ActionStart     = "promotion.start"     // start the new release's services, wait for health. Back: stop them
	ActionCandidate = "promotion.candidate" // production journeys on the new release before it has traffic. Back: nothing
	ActionShare     = "promotion.share"     // give the new release its share of traffic and watch it. Back: all to the old one
	ActionLive      = "promotion.live"      // record what is live. Back: record the old one
	ActionResume    = "promotion.resume"    // let held requests through. Back: hold them again
	ActionVerify    = "promotion.verify"    // production journeys on the environment's address. Back: nothing
	ActionDrain     = "promotion.drain"     // wait until the old release has no request under way. Back: nothing
	ActionWatch     = "promotion.watch"     // count the new release's answers. Back: nothing
	ActionRetire    = "promotion.retire"    // stop what the old release still runs. Back: start it again
	ActionRestore   = "promotion.restore"   // make the database what a copy holds. Back: what it was before
	ActionRestart   = "promotion.restart"   // start what was stopped, on the data that is there now. Back: stop it
	ActionDeploy    = "promotion.deploy"    // run the team's own deploy command, and ask its status command. Back: make the old release live by its commands
	ActionProbe     = "promotion.probe"     // ask at the environment's address, at a rate. Back: nothing
	ActionMeasure   = "promotion.measure"   // read what it did to the users. Always done, last
)

// Facts are what a plan is made from: all that was read before anything is done.
type Facts struct {
	Kind        plan.Kind // Promotion or Rollback
	App         string
	Environment app.Environment
	Production  bool   // the environment is the one that all others are compared with
	Policy      string // digest of the policy in force
	New, Old    release.Digest
	NewContents app.Contents
	OldContents app.Contents // zero where Old is empty
	// Stays are services that run and did not change, and outlive releases as long as they don't (app.Contents.Lasting).
	Stays []string
	// Downtime is set where the old release can't live on the new schema and the definition accepts downtime: how long
	// the rehearsal's migration and start took together.
	Downtime *time.Duration
	Because  string
	Glass    *plan.Glass
	Copy     *RestoreArgs // a restore: of what
}

// ShareArgs are the arguments of ActionShare.
type ShareArgs struct {
	Percent int           `json:"percent"`
	Watch   time.Duration `json:"watch"` // zero for the last share: ActionWatch follows
}

// PauseArgs are the arguments of ActionPause and ActionResume.
type PauseArgs struct {
	Maintenance bool          `json:"maintenance"`        // show the page; else requests wait
	Expected    time.Duration `json:"expected,omitempty"` // how long it will take, as rehearsed
}

// ServicesArgs are the arguments of ActionStay, ActionStart and ActionStopOld.
type ServicesArgs struct {
	Services []string `json:"services"`
}

// Make is the plan for these facts.
func Make(f Facts) plan.Plan {
	p := plan.Plan{
		Format: plan.Format, Kind: f.Kind, App: f.App, Environment: f.Environment.Name,
		Release: f.New, From: f.Old, Policy: f.Policy, Because: f.Because, Glass: f.Glass,
	}
	b := builder{Facts: f, plan: &p}
	b.step("prepare", ActionPrepare, false, "unpack release %s and check it against its digest", f.New.Short())
	if f.Kind == plan.Restore {
		b.restored()
		b.step("measure", ActionMeasure, false, "measure what the people who use it saw").Always = true
		return p
	}
	if f.Kind == plan.Promotion {
		b.step("gate", ActionGate, false, "ask %s's gate", f.Environment.Name)
	}
	switch {
	case f.NewContents.Deploy != nil:
		b.deployed()
	case f.Old == "":
		b.first()
	case f.Downtime != nil:
		b.withDowntime()
	case b.publicStopsFirst():
		b.stopFirst()
	default:
		b.startFirst()
	}
	measures := "measure what the people who use it saw"
	if f.NewContents.Deploy != nil {
		measures = "say what the probes saw"
	}
	b.step("measure", ActionMeasure, false, "%s", measures)
	p.Steps[len(p.Steps)-1].Always = true
	return p
}

// builder adds steps to a plan.
type builder struct {
	Facts
	plan *plan.Plan
}

func (b *builder) step(name, action string, changes bool, says string, args ...any) *plan.Step {
	b.plan.Steps = append(b.plan.Steps, plan.Step{Name: name, Action: action, Changes: changes, Says: fmt.Sprintf(says, args...)})
	return &b.plan.Steps[len(b.plan.Steps)-1]
}

// with gives the step its arguments.
func with(s *plan.Step, args any) {
	raw, err := json.Marshal(args)
	if err != nil { // only plain structs of this package
		panic(fmt.Sprintf("promotion: arguments of %s: %v", s.Name, err))
	}
	s.Args = raw
}

// first makes a release live where there was none.
func (b *builder) first() {
	b.wayBack()
	b.migrate()
	if m := b.NewContents.Migrations; !b.Production && m != nil && m.Seed != "" {
		b.step("seed", ActionSeed, false, "fill the fresh database: %s", m.Seed)
	}
	b.start("start", b.services(anyOrder))
	b.candidate()
	b.askAgain("gate-again")
	b.share(100)
	b.live()
	b.verify()
	b.watch()
}

// startFirst switches with both releases running side by side.
func (b *builder) startFirst() {
	b.backup()
	b.wayBack()
	if b.migratesAlone() {
		b.stopWorkers()
	}
	b.migrate()
	b.stay()
	b.start("start", append(b.ahead(), b.services(app.StartFirst)...))
	b.candidate()
	b.askAgain("gate-again")
	for _, percent := range b.Environment.Rollout.Steps {
		if percent < 100 {
			b.share(percent)
		}
	}
	b.swapWorkers()
	b.share(100)
	b.live()
	b.verify()
	b.drain()
	b.watch()
	b.retire()
}

// swapWorkers exchanges what must not run twice and answers nobody: the old one ends before the new one starts.
func (b *builder) swapWorkers() {
	if !b.migratesAlone() {
		b.stopWorkers()
	}
	b.start("start-workers", without(b.changed(b.services(app.StopFirst)), b.ahead()))
}

// ahead are those of what must not run twice that start with the others, because these wait for them: a job, and what the old
// release has not, so that there is none to be stopped before.
func (b *builder) ahead() []string {
	waited := map[string]bool{}
	var wait func(app.Service)
	wait = func(s app.Service) {
		for _, d := range s.DependsOn {
			if on, ok := b.NewContents.Service(d.Service); ok && !waited[on.Name] {
				waited[on.Name] = true
				wait(on)
			}
		}
	}
	for _, s := range b.NewContents.Services {
		if s.Released() && s.Order == app.StartFirst {
			wait(s)
		}
	}
	var names []string
	for _, name := range b.services(app.StopFirst) {
		s, _ := b.NewContents.Service(name)
		_, old := b.OldContents.Service(name)
		if waited[name] && (s.Job || !old) {
			names = append(names, name)
		}
	}
	return names
}

func (b *builder) stopWorkers() {
	b.stopOld("stop-workers", b.changed(b.oldServices(app.StopFirst)))
}

// migratesAlone says whether what migrates as it starts must not run twice: then the old one ends before.
func (b *builder) migratesAlone() bool {
	m := b.NewContents.Migrations
	if b.Kind == plan.Rollback || m == nil {
		return false
	}
	s, ok := b.NewContents.Service(m.AtStart)
	return ok && s.Order == app.StopFirst
}

// stopFirst switches a public service that must not run twice: requests wait at the edge meanwhile.
func (b *builder) stopFirst() {
	b.backup()
	b.wayBack()
	b.askAgain("gate-hold") // the backup may have taken an hour, and now people begin to wait
	with(b.step("hold", ActionPause, true, "let requests wait at the edge"), PauseArgs{})
	b.exchange()
	with(b.step("resume", ActionResume, true, "let the waiting requests through"), PauseArgs{})
	b.verify()
	b.watch()
	b.retire()
}

// withDowntime switches where the old release can't live on the new schema. The backup is taken when nothing is written
// any more, so that it can be restored without a loss until the page is gone.
func (b *builder) withDowntime() {
	b.wayBack()
	pause := PauseArgs{Maintenance: true, Expected: *b.Downtime}
	with(b.step("maintenance", ActionPause, true, "show the maintenance page, for about %s", human.Duration(*b.Downtime)), pause)
	b.drain()
	b.stopOld("stop-old", b.oldServices(anyOrder))
	b.backup()
	b.migrate()
	b.start("start", b.services(anyOrder))
	b.candidate()
	b.askAgain("gate-again")
	b.share(100)
	b.live()
	with(b.step("open", ActionResume, true, "take the maintenance page away"), pause)
	b.verify()
	b.watch()
	b.retire()
}

// exchange stops the old release, migrates, and starts the new one.
func (b *builder) exchange() {
	b.drain()
	b.stopOld("stop-old", b.changed(b.oldServices(anyOrder)))
	b.migrate()
	b.stay()
	b.start("start", b.changed(b.services(anyOrder)))
	b.candidate()
	b.askAgain("gate-again")
	b.share(100)
	b.live()
}

// askAgain comes before anybody is sent to the new release: a backup and a migration may lie between the gate's yes and that.
func (b *builder) askAgain(name string) {
	if b.Kind == plan.Promotion {
		b.step(name, ActionGateAgain, false, "ask %s's gate whether what let %s in still counts", b.Environment.Name, b.New.Short())
	}
}

func (b *builder) backup() {
	if b.NewContents.Database != nil {
		b.step("backup", ActionBackup, false, "back up the database")
	}
}

func (b *builder) wayBack() {
	b.step("way-back", ActionWayBack, true, "note what is live, to be able to go back")
}

func (b *builder) migrate() {
	m := b.NewContents.Migrations
	if b.Kind == plan.Rollback || m == nil {
		return
	}
	what := m.Run
	switch {
	case m.AtStart != "":
		what = "one replica of " + m.AtStart + ", which migrates when it starts"
	case m.Dir != "":
		what = "what is new in " + m.Dir
	}
	b.step("migrate", ActionMigrate, true, "migrate the database: %s", what)
}

func (b *builder) start(name string, services []string) {
	if len(services) == 0 {
		return
	}
	with(b.step(name, ActionStart, true, "start %s", b.counted(services)), ServicesArgs{Services: services})
}

// stay is where everything of the old release is not stopped for the sake of its data.
func (b *builder) stay() {
	if len(b.Stays) == 0 {
		return
	}
	as := "stays as it is"
	if len(b.Stays) > 1 {
		as = "stay as they are"
	}
	with(b.step("stay", ActionStay, false, "%s %s", join(b.Stays), as), ServicesArgs{Services: b.Stays})
}

// changed are those of the services that do not stay as they are.
func (b *builder) changed(services []string) []string { return without(services, b.Stays) }

func without(names, those []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(those, name) })
}

func (b *builder) stopOld(name string, services []string) {
	if len(services) == 0 {
		return
	}
	with(b.step(name, ActionStopOld, true, "stop %s of %s", join(services), b.Old.Short()), ServicesArgs{Services: services})
}

func (b *builder) candidate() {
	if len(ProductionChecks(b.NewContents)) > 0 {
		b.step("candidate", ActionCandidate, false, "try the new release on an address of its own, before anybody is sent there")
	}
}

func (b *builder) share(percent int) {
	args, says := ShareArgs{Percent: percent}, fmt.Sprintf("send %d%% of the traffic to %s", percent, b.New.Short())
	if percent < 100 {
		args.Watch = b.Environment.Rollout.Watch
		says += fmt.Sprintf(" and watch it for %s", human.Duration(args.Watch))
	}
	with(b.step(fmt.Sprintf("share-%d", percent), ActionShare, true, "%s", says), args)
}

func (b *builder) live() {
	b.step("live", ActionLive, true, "record %s as live in %s", b.New.Short(), b.Environment.Name)
}

func (b *builder) verify() {
	if len(ProductionChecks(b.NewContents)) > 0 {
		b.step("verify", ActionVerify, false, "run the production journeys on %s's address", b.Environment.Name)
	}
}

func (b *builder) drain() {
	b.step("drain", ActionDrain, false, "let %s finish the requests that it has, for at most %s", b.Old.Short(), human.Duration(b.Environment.Rollout.Drain))
}

func (b *builder) watch() {
	if b.Environment.Rollout.Watch > 0 {
		b.step("watch", ActionWatch, false, "watch the answers for %s", human.Duration(b.Environment.Rollout.Watch))
	}
}

func (b *builder) retire() {
	b.step("retire", ActionRetire, true, "stop %s", b.Old.Short())
}

// anyOrder selects services of both orders.
const anyOrder app.Order = ""

func (b *builder) services(order app.Order) []string    { return selected(b.NewContents, order) }
func (b *builder) oldServices(order app.Order) []string { return selected(b.OldContents, order) }

// selected are the names of the services that a release brings: a database server outlives releases.
func selected(c app.Contents, order app.Order) []string {
	var names []string
	for _, s := range c.Services {
		if s.Released() && (order == anyOrder || s.Order == order) {
			names = append(names, s.Name)
		}
	}
	return names
}

func (b *builder) publicStopsFirst() bool {
	public, ok := b.NewContents.Public()
	return ok && public.Order == app.StopFirst
}

// counted tells how many replicas of which services: "10 web and 1 payment".
func (b *builder) counted(services []string) string {
	words := make([]string, 0, len(services))
	for _, name := range services {
		s, _ := b.NewContents.Service(name)
		words = append(words, fmt.Sprintf("%d %s", b.Environment.Scale.Of(s.Replicas), name))
	}
	return join(words)
}

func join(words []string) string {
	switch n := len(words); n {
	case 0:
		return "nothing"
	case 1:
		return words[0]
	default:
		out := words[0]
		for _, w := range words[1 : n-1] {
			out += ", " + w
		}
		return out + " and " + words[n-1]
	}
}

// ProductionChecks are the checks that may run in production.
func ProductionChecks(c app.Contents) []app.Check {
	var out []app.Check
	for _, ch := range c.Checks {
		if ch.Production {
			out = append(out, ch)
		}
	}
	return out
}
