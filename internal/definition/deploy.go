package definition

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/app"
)

// ownDeploy reads the contents of an app that its team deploys itself: commands, checks, and the images that its Compose
// files name, where it has any.
func (d *document) ownDeploy(ctx context.Context, a *app.App, o Options) {
	a.Contents.Deploy = d.deploy()
	a.Contents.Deploy.Images, a.Contents.Deploy.Names = d.composeImages(ctx, o)
	a.Contents.Services = []app.Service{}
	built := app.Build{Context: ".", Run: a.Contents.Deploy.Build, Files: a.Contents.Deploy.Files}
	a.Contents.Checks = d.checks([]app.Service{{Build: &built}})
	d.keysOfTheEdge()
	d.addressed(a.Policy)
	for _, e := range a.Policy.Environments {
		for _, variable := range sortedKeys(e.Config) {
			if _, has := a.Contents.Deploy.Env[variable]; !has {
				d.report.notice(d.atKey("environments", e.Name, "config", variable), "`deploy.env` has no variable "+variable+" for production", "")
			}
		}
	}
}

// deploy reads the commands.
func (d *document) deploy() *app.Deploy {
	out := &app.Deploy{}
	_, deploys := d.given("deploy")
	_, tells := d.given("status")
	switch {
	case !deploys && !tells:
		d.report.fault(d.at("driver"), "nothing says how the app is deployed, and whether a release is live",
			"write `deploy: {run: ./deploy.sh}` and `status: {run: ./status.sh}`, which exits with 0 where GREENROOM_RELEASE is live")
	case !deploys:
		d.report.fault(d.at("driver"), "nothing says how the app is deployed", "write `deploy: {run: ./deploy.sh}`")
	case !tells:
		d.report.fault(d.at("driver"), "nothing says whether a release is live: that a deploy command exits with 0 does not",
			"write `status: {run: ./status.sh}`, which exits with 0 where GREENROOM_RELEASE is live")
	}
	if k := d.keys.Deploy; k != nil {
		out.Run = d.commandOf(commandKey{k.Run, k.Timeout}, "deploy", app.DeployTimeout)
		out.Build = k.Build
		d.command(k.Build, []string{"deploy", "build"})
		out.Files = d.deployFiles(k.Files)
		out.Env, out.Secrets = d.deployEnv(k.Env), d.deploySecrets(*k)
	}
	if k := d.keys.Status; k != nil {
		out.Status = d.commandOf(*k, "status", app.StatusTimeout)
	}
	for name, k := range map[string]*commandKey{"rollback": d.keys.Rollback, "stop": d.keys.Stop} {
		if k == nil {
			continue
		}
		c := d.commandOf(*k, name, app.DeployTimeout)
		if name == "stop" {
			out.Stop = &c
		} else {
			out.Rollback = &c
		}
	}
	return out
}

// commandOf is one command of the file, under that key.
func (d *document) commandOf(k commandKey, key string, standard time.Duration) app.Command {
	d.command(k.Run, []string{key})
	d.command(k.Run, []string{key, "run"})
	c := app.Command{Run: k.Run, Timeout: d.duration(k.Timeout, standard, []string{key, "timeout"})}
	if k.Timeout != "" && c.Timeout == 0 {
		d.report.fault(d.at(key, "timeout"), "a command that has no time can't work", "write how long it may take, as 10m")
	}
	if program, _, _ := strings.Cut(k.Run, " "); strings.HasPrefix(program, "./") && escapes(program) == "" && !d.exists(program) &&
		(d.keys.Deploy == nil || d.keys.Deploy.Build == "") {
		d.report.notice(d.at(key, "run"), quote(clip(program))+" is not in the repository", "the command can't be run without it")
	}
	return c
}

func (d *document) deployFiles(names []string) []string {
	files := []string{}
	for i, f := range names {
		what := escapes(f)
		if what == "" && !d.exists(f) && d.keys.Deploy.Build == "" {
			what = quote(clip(f)) + " is not in the repository"
		}
		if what != "" {
			d.report.fault(d.at("deploy", "files", fmt.Sprint(i)), what, "name a file or folder of the repository")
			continue
		}
		files = append(files, path.Clean(filepath.ToSlash(f)))
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func (d *document) deployEnv(values map[string]text) map[string]string {
	var env map[string]string
	for _, name := range d.names("deploy", "env") {
		value, read := values[name]
		if !read || !d.variable(name, d.atKey("deploy", "env", name)) {
			continue
		}
		if env == nil {
			env = map[string]string{}
		}
		env[name] = string(value)
	}
	return env
}

func (d *document) deploySecrets(k deployKey) []string {
	for i, name := range k.Secrets {
		at := d.at("deploy", "secrets", fmt.Sprint(i))
		if !d.variable(name, at) {
			continue
		}
		d.once(k.Secrets, i, at)
		if _, plain := k.Env[name]; plain {
			d.report.fault(at, name+" is a secret, and stands in `deploy.env` too", "keep one of them")
		}
	}
	return sortedUnique(slices.Clone(k.Secrets))
}

// variable says whether a variable can have that name, and reports where it can't.
func (d *document) variable(name string, at place) bool {
	switch {
	case !variableForm.MatchString(name):
		d.report.fault(at, quote(clip(name))+" can't be a variable's name", "letters, digits and _, no digit first")
	case strings.HasPrefix(name, "GREENROOM_"):
		d.report.fault(at, quote(clip(name))+" is a variable of Greenroom's own", "give yours another name")
	default:
		return true
	}
	return false
}

// composeImages are the images of the Compose files that are pinned by a digest, and the names of all services; no names
// where the definition names no file.
func (d *document) composeImages(ctx context.Context, o Options) (images map[string]string, names []string) {
	if _, given := d.given("compose"); !given {
		return nil, nil
	}
	p := readProject(ctx, d.dir, driverDocker, d.composeFiles(), o, d.report)
	if p == nil {
		return nil, nil
	}
	names = []string{}
	for _, s := range p.serviceOrder() {
		names = append(names, s.Name)
		if !app.PinnedImage(s.Image) {
			what := "the image of " + s.Name
			if s.Image != "" && !strings.HasPrefix(s.Image, noImage) {
				what = quote(clip(s.Image))
			}
			d.report.notice(p.at("services", s.Name, "image"), what+" has no digest, so the commands get no "+app.ImageVariable(s.Name),
				"give it to the build: `greenroom build --image "+s.Name+"=NAME@sha256:…`")
			continue
		}
		if images == nil {
			images = map[string]string{}
		}
		images[s.Name] = s.Image
	}
	return images, names
}

// keysOfTheEdge reports the keys that mean nothing where the team deploys by itself.
func (d *document) keysOfTheEdge() {
	refuse := func(what, instead string, keys ...string) {
		if at, given := d.given(keys...); given {
			d.report.fault(at, what, instead)
		}
	}
	refuse("the deploy command migrates the database, and nobody else", "remove it, and let `deploy` do it", "migrations")
	for _, name := range d.names("gates") {
		for _, check := range []string{"migration", "old-on-new"} { // the gate asks for neither
			refuse("Greenroom doesn't know the app's database, so there is no check "+quote(check), "remove it", "gates", name, "except", check)
		}
	}
	for _, name := range d.names("environments") {
		in := func(keys ...string) []string { return append([]string{"environments", name}, keys...) }
		edge := "Greenroom carries no traffic of an app that its team deploys itself"
		refuse(edge+", so it knows no hosts", "remove it", in("hosts")...)
		refuse(edge+", so no part of it can go to a release", "remove it: the deploy command decides who gets the release", in("rollout", "steps")...)
		refuse(edge+", so it can't wait for requests to end", "remove it: the deploy command does so", in("rollout", "drain")...)
		refuse(edge+", so it has no page to show", "remove it", in("rollout", "downtime")...)
		refuse("how many there are is for the deploy command to say", "hand it over: `config: {REPLICAS: 2}`", in("scale")...)
		refuse("Greenroom doesn't know the app's database, so it can't copy it", "remove it", in("data")...)
		refuse("Greenroom runs no container of an app that its team deploys itself", "remove it", in("accept")...)
	}
}

// deployKeysUnused reports the keys that only an app has whose team deploys it itself.
func (d *document) deployKeysUnused(driver string) {
	unused := func(keys ...string) {
		if at, given := d.given(keys...); given {
			d.report.fault(at, fmt.Sprintf("%s is for `driver: command`, and the driver is %s", quote(keys[len(keys)-1]), quote(driver)), "remove it, or write `driver: command`")
		}
	}
	for _, key := range []string{"deploy", "rollback", "status", "stop"} {
		unused(key)
	}
	for _, name := range d.names("environments") {
		unused("environments", name, "url")
		unused("environments", name, "probe")
	}
}

// addressed demands an address of every environment.
func (d *document) addressed(p app.Policy) {
	for _, e := range p.Environments {
		if _, given := d.given("environments", e.Name, "url"); !given {
			at := d.atKey("environments", e.Name)
			d.report.fault(at, "nothing says where "+e.Name+" answers", "write `url:`, as `url: https://shop.example`")
		}
	}
}

func (d *document) address(given string, path []string) string {
	at := append(slices.Clone(path), "url")
	if !d.isText(at) {
		return ""
	}
	u, err := url.Parse(given)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		d.report.fault(d.at(at...), quote(clip(given))+" is no address", "write it with http:// or https://, as https://shop.example")
	case u.User != nil:
		d.report.fault(d.at(at...), "the address holds a name or a password, and everybody may read it here", "write it without")
	case u.RawQuery != "" || u.Fragment != "":
		d.report.fault(d.at(at...), "the address has a query", "write it without: `probe.path` says what is asked")
	}
	return strings.TrimSuffix(given, "/")
}

func (d *document) probe(k *probeKeys, path []string) *app.Probe {
	if k == nil {
		return nil
	}
	p := app.DefaultProbe()
	if d.isText(append(path, "path")) {
		p.Path = k.Path
		if u, err := url.Parse(k.Path); err != nil || !strings.HasPrefix(k.Path, "/") || u.Host != "" || u.Fragment != "" {
			d.report.fault(d.at(append(path, "path")...), quote(clip(k.Path))+" is no path", "write what follows the host, as /healthz")
		}
	}
	if k.Rate != "" {
		rate, err := strconv.Atoi(strings.TrimSuffix(string(k.Rate), "/s"))
		if err != nil || rate < 1 || rate > app.MaxProbeRate {
			d.report.fault(d.at(append(path, "rate")...), quote(clip(string(k.Rate)))+" is no rate", fmt.Sprintf("write questions a second, from 1 to %d", app.MaxProbeRate))
		}
		p.Rate = rate
	}
	p.Timeout = d.duration(k.Timeout, p.Timeout, append(path, "timeout"))
	if p.Timeout < app.MinProbeTimeout || p.Timeout > app.MaxProbeTimeout {
		d.report.fault(d.at(append(path, "timeout")...), "an answer can't take "+quote(clip(string(k.Timeout))), "write from 10ms to 1m")
	}
	return &p
}
