package definition

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/app"
)

// What a rollout does unless it is told otherwise: the whole traffic at once, watched for a minute in production and for
// some seconds elsewhere, taken back when one answer in a hundred fails. Steps are for those who ask for them, since they
// only help where there is traffic.
const (
	defaultWatch     = time.Minute
	defaultLook      = 5 * time.Second // watch, in all environments but production: nobody is there to be counted
	defaultMaxErrors = 0.01
	defaultDrain     = 30 * time.Second
)

// takenNames are what no environment can be called, because evidence says of it where it was found.
var takenNames = map[string]string{
	app.StageName: "the stage on which rehearsals happen",
	app.TrialName: "the stage on which snapshots are tried",
	app.BuildName: "the place where releases are built",
}

// builtInChecks are the checks that every rehearsal makes by itself. A gate's except may name them.
var builtInChecks = []string{"migration", "old-on-new", "rollback"}

// reservedChecks will be built in later.
var reservedChecks = []string{"config", "flags", "parity", "vulnerabilities"}

// policy is the part that judges, read from the file alone.
func (d *document) policy() app.Policy {
	p := app.Policy{App: d.keys.App}
	for _, name := range d.names("environments") {
		keys := d.keys.Environments[name]
		if keys == nil {
			keys = &environmentKeys{}
		}
		if what, instead := badName(name); what != "" {
			d.report.fault(d.atKey("environments", name), what, instead)
		} else if taken, ok := takenNames[name]; ok {
			d.report.fault(d.atKey("environments", name), "`"+name+"` is the name of "+taken, "give the environment another name")
		}
		p.Environments = append(p.Environments, d.environment(name, keys))
	}
	if len(p.Environments) == 0 {
		if _, given := d.given("environments"); given {
			d.report.fault(d.at("environments"), "there is no environment", "name at least one, or leave the key out for staging and production")
		}
		after := ""
		for _, name := range d.environmentNames() {
			p.Environments = append(p.Environments, app.Environment{Name: name, After: after, Rollout: defaultRollout()})
			after = name
		}
	}
	d.looks(p)
	d.order(p)
	d.last(p)
	d.reasons(p)
	d.sources(p)
	p.Migrating = d.migrating()
	p.Gates = d.gates(p)
	p.Roles = d.roles()
	p.Keys = d.trusted()
	return p
}

// environmentNames are those of the file, or of an app that names none.
func (d *document) environmentNames() []string {
	if names := d.names("environments"); len(names) > 0 {
		return names
	}
	return []string{"staging", "production"}
}

// looks gives every environment but production the shorter watch, where the file gives none.
func (d *document) looks(p app.Policy) {
	production, _ := p.Production()
	for i := range p.Environments {
		e := &p.Environments[i]
		if _, given := d.given("environments", e.Name, "rollout", "watch"); !given && e.Name != production.Name {
			e.Rollout.Watch = defaultLook
		}
	}
}

func defaultRollout() app.Rollout {
	return app.Rollout{Steps: []int{100}, Watch: defaultWatch, MaxErrors: defaultMaxErrors, Drain: defaultDrain}
}

func (d *document) environment(name string, k *environmentKeys) app.Environment {
	path := []string{"environments", name}
	e := app.Environment{Name: name, After: k.After, Rollout: defaultRollout()}
	if k.Scale != nil && k.Scale.To != "" {
		e.Scale = d.scale(*k.Scale, path)
	}
	for _, variable := range d.names(append(path, "config")...) {
		c, read := k.Config[variable]
		if !read {
			continue
		}
		if !variableForm.MatchString(variable) {
			d.report.fault(d.atKey(append(path, "config", variable)...), quote(clip(variable))+" can't be a variable's name", "letters, digits and _, no digit first")
			continue
		}
		if e.Config == nil {
			e.Config = map[string]app.Config{}
		}
		e.Config[variable] = app.Config{Value: string(c.Value), Because: c.Because}
	}
	for i, x := range k.Differences {
		at := append(slices.Clone(path), "differences", fmt.Sprint(i))
		e.Differences = append(e.Differences, app.Difference{Fact: x.Fact, Because: x.Because, Until: d.day(x.Until, append(at, "until"))})
		d.said(x.Because, append(at, "because"))
	}
	for _, h := range k.Hosts {
		if what := badHost(h); what != "" {
			d.report.fault(d.at(append(path, "hosts", h)...), what, "write a name alone, as shop.example.com")
		}
		e.Hosts = append(e.Hosts, h)
	}
	if k.Rollout != nil {
		e.Rollout = d.rollout(*k.Rollout, append(path, "rollout"))
	}
	e.Accept = d.accept(k.Accept, append(path, "accept"))
	if k.Data != nil {
		e.Data = d.data(*k.Data, append(path, "data"))
	}
	if d.keys.Driver == driverCommand {
		e.URL, e.Probe = d.address(k.URL, path), d.probe(k.Probe, append(path, "probe"))
	}
	return e
}

func (d *document) scale(k scaleKey, path []string) app.Scale {
	at := append(slices.Clone(path), "scale")
	var s app.Scale
	var what, instead string
	s.Replicas, s.Num, s.Den, what, instead = scale(k.To)
	s.Because = k.Because
	if what != "" {
		d.report.fault(d.at(d.deepest(append(at, "to"))...), what, instead)
	}
	s.Until = d.day(k.Until, append(at, "until"))
	return s
}

// deepest is as much of a path as the file has.
func (d *document) deepest(path []string) []string { return path[:d.find(path...).depth] }

func (d *document) rollout(k rolloutKeys, path []string) app.Rollout {
	r := defaultRollout()
	r.Downtime = k.Downtime == "accept"
	if len(k.Steps) > 0 {
		r.Steps = d.steps(k.Steps, path)
	}
	r.Watch = d.duration(k.Watch, defaultWatch, append(path, "watch"))
	r.Drain = d.duration(k.Drain, defaultDrain, append(path, "drain"))
	if k.MaxErrors == "" {
		return r
	}
	p, what, instead := percent(k.MaxErrors)
	if what == "" && p == 0 {
		what, instead = "no error at all takes every rollout back sooner or later", "write a share above 0%, as `0.5%`"
	}
	if what != "" {
		d.report.fault(d.at(append(path, "max_errors")...), what, instead)
	}
	r.MaxErrors = p / 100
	return r
}

func (d *document) steps(list []text, path []string) []int {
	var steps []int
	before := 0.0
	for i, s := range list {
		at := d.at(append(path, "steps", fmt.Sprint(i))...)
		p, what, instead := percent(s)
		switch {
		case what != "":
			d.report.fault(at, what, instead)
		case p != float64(int(p)) || p < 1:
			d.report.fault(at, quote(string(s))+" is no step", "steps are whole percents from 1% to 100%")
		case p <= before:
			d.report.fault(at, fmt.Sprintf("the step %s does not rise above %g%%", quote(string(s)), before), "steps rise, as [10%, 50%, 100%]")
		case i == len(list)-1 && p != 100:
			d.report.fault(at, "the last step is "+quote(string(s)), "the last step is 100%")
		}
		before = max(before, p)
		steps = append(steps, int(p))
	}
	return steps
}

// order checks that environments come after one another without a circle.
func (d *document) order(p app.Policy) {
	names := make([]string, len(p.Environments))
	for i, e := range p.Environments {
		names[i] = e.Name
	}
	for _, e := range p.Environments {
		at := d.at("environments", e.Name, "after")
		if e.After == "" {
			continue
		}
		if _, known := p.Environment(e.After); !known {
			d.report.fault(at, quote(clip(e.After))+" is no environment", unless(e.After, names))
			continue
		}
		circle := []string{e.Name}
		for next := e; next.After != "" && len(circle) <= len(names); {
			next, _ = p.Environment(next.After)
			circle = append(circle, next.Name)
			if next.Name == e.Name {
				d.report.fault(at, "environments come after one another in a circle: "+strings.Join(circle, " after "), "one of them has to come first")
				break
			}
		}
	}
}

// last demands that one can tell which environment is production: the only one that no other comes after, or the one of that
// name.
func (d *document) last(p app.Policy) {
	if _, named := p.Environment("production"); named {
		return
	}
	var last []string
	for _, e := range p.Environments {
		if !slices.ContainsFunc(p.Environments, func(f app.Environment) bool { return f.After == e.Name }) {
			last = append(last, e.Name)
		}
	}
	if len(last) > 1 {
		d.report.fault(d.atKey("environments"), "one can't tell which environment is production: nothing comes after "+quoteAll(last)+", and none of them has that name",
			"call it `production`, or let it come `after:` the others")
	}
}

// reasons demands a reason for each difference of the environment that production comes after, because what is rehearsed
// there stands for production.
func (d *document) reasons(p app.Policy) {
	production, ok := p.Production()
	if !ok {
		return
	}
	for _, key := range []string{"scale", "config", "differences"} {
		if at, given := d.given("environments", production.Name, key); given {
			d.report.fault(at, production.Name+" can't differ from itself", "production is what the Compose files say: change it there")
		}
	}
	e, ok := p.Environment(production.After)
	if !ok || e.Name == production.Name {
		return
	}
	path := []string{"environments", e.Name}
	because := fmt.Sprintf(", and %s comes after %s", production.Name, e.Name)
	if s := e.Scale; s != (app.Scale{}) && strings.TrimSpace(s.Because) == "" {
		to := fmt.Sprint(s.Replicas)
		if s.Den > 0 {
			to = fmt.Sprintf("%d/%d", s.Num, s.Den)
		}
		d.report.fault(d.at(append(path, "scale")...), "the scale differs from production's without a reason"+because,
			"write "+quote(fmt.Sprintf(`scale: {to: %s, because: "…"}`, to)))
	}
	for _, variable := range d.names(append(path, "config")...) {
		if c, ok := e.Config[variable]; ok && strings.TrimSpace(c.Because) == "" {
			d.report.fault(d.at(append(path, "config", variable)...), variable+" differs from production's without a reason"+because,
				"write "+quote(fmt.Sprintf(`%s: {value: …, because: "…"}`, variable)))
		}
	}
}

func (d *document) gates(p app.Policy) map[string]app.Gate {
	var names []string
	for _, e := range p.Environments {
		names = append(names, e.Name)
	}
	checks := append(slices.Clone(builtInChecks), d.names("checks")...)
	var gates map[string]app.Gate
	for _, name := range d.names("gates") {
		path := []string{"gates", name}
		e, known := p.Environment(name)
		if !known {
			d.report.fault(d.atKey(path...), quote(clip(name))+" is no environment", unless(name, names))
			continue
		}
		k := d.keys.Gates[name]
		if k == nil {
			k = &gateKeys{}
		}
		g := app.Gate{Soak: d.duration(k.Soak, 0, append(path, "soak"))}
		if g.Soak > 0 && e.After == "" {
			d.report.fault(d.at(append(path, "soak")...), name+" comes after no environment in which a release could soak", "remove it, or add `after:` to the environment")
		}
		g.Except = d.except(k.Except, checks, append(path, "except"))
		if gates == nil {
			gates = map[string]app.Gate{}
		}
		gates[name] = g
	}
	return gates
}

// unknownCheck tells of an exception for what is no check here. It may be one that production's release still has, and that is
// to go: then the exception is right. What looks like a slip of the pen is a fault.
func (d *document) unknownCheck(check string, checks, at []string) {
	what, instead := quote(clip(check))+" is no check", unless(check, checks)
	if strings.HasPrefix(instead, "did you mean") {
		d.report.fault(d.atKey(at...), what, instead)
		return
	}
	d.report.notice(d.atKey(at...), what+" of this definition", "it excepts one that production's release still has")
}

func (d *document) except(keys map[string]exceptKeys, checks, path []string) map[string]app.Except {
	var out map[string]app.Except
	for _, check := range d.names(path...) {
		at := append(slices.Clone(path), check)
		if !slices.Contains(checks, check) {
			d.unknownCheck(check, checks, at)
		}
		k, read := keys[check]
		if !read {
			continue
		}
		d.said(k.Because, append(at, "because"))
		if out == nil {
			out = map[string]app.Except{}
		}
		out[check] = app.Except{Because: k.Because, Until: d.day(k.Until, append(at, "until"))}
	}
	return out
}

// checkPolicy holds the policy against the services: variables that differ somewhere and that no service has. services is
// nil when Compose could not be read.
func (d *document) checkPolicy(p app.Policy, services []app.Service) {
	for _, e := range p.Environments {
		for _, variable := range sortedKeys(e.Config) {
			has := slices.ContainsFunc(services, func(s app.Service) bool { _, ok := s.Env[variable]; return ok })
			if len(services) > 0 && !has {
				d.report.notice(d.atKey("environments", e.Name, "config", variable), "no service has the variable "+variable+" in production", "")
			}
		}
	}
}
