package daemon

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

// side is one side of a comparison: facts by section and name, and what the environment declares about them.
type side struct {
	environment bool
	facts       map[string]map[string]string
	declared    map[string]declaration // by "section/name"
}

type declaration struct {
	because string
	until   time.Time
}

// sections are the kinds of facts, in the order in which they are shown.
var sections = []string{"release", "services", "configuration", "secrets", "migrations", "checks"}

// Diff is api.Backend's.
func (d *Daemon) Diff(ctx context.Context, name, a, b string) (api.DiffView, error) {
	known, err := d.world.Store.App(ctx, name)
	if err != nil {
		return api.DiffView{}, err
	}
	left, err := d.side(ctx, known, a)
	if err != nil {
		return api.DiffView{}, err
	}
	right, err := d.side(ctx, known, b)
	if err != nil {
		return api.DiffView{}, err
	}
	v := api.DiffView{A: a, B: b}
	for _, section := range sections {
		s := api.DiffSection{Name: section}
		for _, fact := range factNames(left.facts[section], right.facts[section]) {
			s.Facts = append(s.Facts, compare(left, right, section, fact))
		}
		if len(s.Facts) > 0 {
			v.Sections = append(v.Sections, s)
		}
	}
	return v, nil
}

func compare(a, b side, section, name string) api.DiffFact {
	f := api.DiffFact{Name: name, A: a.facts[section][name], B: b.facts[section][name]}
	reason, declared := a.declared[section+"/"+name]
	if !declared {
		reason, declared = b.declared[section+"/"+name]
	}
	switch {
	case f.A == f.B:
		f.State = api.DiffSame
	case !a.environment || !b.environment || section == "release":
		f.State = api.DiffChanged
	case declared:
		f.State, f.Because, f.Until = api.DiffDeclared, reason.because, reason.until
	default:
		f.State = api.DiffUndeclared
	}
	f.A, f.B = withoutPassword(f.A), withoutPassword(f.B)
	return f
}

// password is one in an address, such as a database's that somebody wrote into the compose file.
var password = regexp.MustCompile(`(://[^\s:/?#@]*:)[^\s/?#@]+@`)

func withoutPassword(fact string) string { return password.ReplaceAllString(fact, "$1***@") }

func factNames(a, b map[string]string) []string {
	var all []string
	for name := range a {
		all = append(all, name)
	}
	for name := range b {
		if _, both := a[name]; !both {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// side reads an environment with its live release, or a release as production would run it.
func (d *Daemon) side(ctx context.Context, a store.App, name string) (side, error) {
	s := side{facts: map[string]map[string]string{}, declared: map[string]declaration{}}
	for _, section := range sections {
		s.facts[section] = map[string]string{}
	}
	env, ok := a.Policy.Environment(name)
	if !ok {
		b, err := d.world.Store.Resolve(ctx, a.Name, name)
		if err != nil {
			return s, err
		}
		r, err := d.world.Release(ctx, b.Release)
		s.release(r, app.Environment{})
		return s, err
	}
	s.environment = true
	record, err := d.world.Store.Environment(ctx, a.Name, name)
	if err != nil {
		return s, err
	}
	if record.Live == "" {
		return s, problem.New(problem.NotFound, "%s has no release yet: there is nothing to compare", name).
			WithHint("greenroom promote latest %s", name)
	}
	r, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return s, err
	}
	s.release(r, env)
	secrets, err := d.world.Store.Secrets(ctx, a.Name, name)
	for _, sec := range secrets {
		s.facts["secrets"][sec.Name] = "set"
	}
	return s, err
}

// release adds the facts of a release as an environment runs it.
func (s side) release(r release.Release, e app.Environment) {
	s.facts["release"]["id"] = r.Digest().Short()
	for _, svc := range r.Contents.Services {
		s.facts["services"][svc.Name+".replicas"] = fmt.Sprint(e.Scale.Of(svc.Replicas))
		s.facts["services"][svc.Name+".command"] = strings.Join(svc.Command, " ")
		if svc.Image != "" {
			s.facts["services"][svc.Name+".image"] = svc.Image
		}
		if a, ok := r.Files["service/"+svc.Name]; ok {
			s.facts["services"][svc.Name+".files"] = a.Digest.Short()
		}
		if e.Scale != (app.Scale{}) {
			s.declared["services/"+svc.Name+".replicas"] = declaration{e.Scale.Because, e.Scale.Until}
		}
		s.configuration(svc, e)
	}
	if d := r.Contents.Deploy; d != nil {
		s.deploy(r, *d, e)
	}
	if m := r.Contents.Migrations; m != nil {
		s.facts["migrations"]["run"] = m.Run + m.AtStart
	}
	for _, c := range r.Contents.Checks {
		s.facts["checks"][c.Name] = c.Run
	}
	for _, df := range e.Differences {
		s.declared[df.Fact] = declaration{df.Because, df.Until}
	}
}

// deploy adds the facts of a team's own deploy, as those of a service of that name.
func (s side) deploy(r release.Release, d app.Deploy, e app.Environment) {
	s.facts["services"]["deploy.command"], s.facts["services"]["deploy.status"] = d.Run.Run, d.Status.Run
	if d.Rollback != nil {
		s.facts["services"]["deploy.rollback"] = d.Rollback.Run
	}
	if d.Stop != nil {
		s.facts["services"]["deploy.stop"] = d.Stop.Run
	}
	for service, image := range d.Images {
		s.facts["services"][service+".image"] = image
	}
	if a, ok := r.Files[artifact.Deploy]; ok {
		s.facts["services"]["deploy.files"] = a.Digest.Short()
	}
	s.configuration(app.Service{Name: "deploy", Env: d.Env}, e)
}

// configuration adds a service's variables, and the environment's own, which every service gets.
func (s side) configuration(svc app.Service, e app.Environment) {
	for name, value := range svc.Env {
		s.facts["configuration"][svc.Name+"."+name] = value
	}
	for name, c := range e.Config {
		if svc.Released() {
			s.facts["configuration"][svc.Name+"."+name] = c.Value
			s.declared["configuration/"+svc.Name+"."+name] = declaration{because: c.Because}
		}
	}
}
