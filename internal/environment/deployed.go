package environment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/artifact"
	"greenroom/internal/driver"
	"greenroom/internal/human"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// An app that its team deploys itself is one deployment in an environment. What is known of it is what the team's commands
// tell: nothing here assumes that a release is live because a command was run, or that it isn't because one failed.

// deployService is what the deployment is called where services have their names.
const deployService = "deploy"

// statusEvery is how often the status command is asked once a release is live.
const statusEvery = 30 * time.Second

// becomeLive is how long the status command may say no after a deploy command has ended, beside two times its own time: what
// that began may go on.
const becomeLive = 10 * time.Second

// Deployed says whether the team deploys the app here itself.
func (e *Environment) Deployed() bool { return e.Settings.URL != "" }

// Deploying is what a deploy is for.
type Deploying struct {
	Key      string         // tells it from others of the same release here; the same after a kill
	Previous release.Digest // what was live before, "" for nothing
	Back     bool           // by the rollback command, where the release has one
	Again    bool           // one that failed is done again; else it is told how it ended
}

// Live is what is known of a release that was deployed.
type Live struct {
	Found string        `json:"found,omitempty"` // the release that the status command names; "" where it names none
	Took  time.Duration `json:"took"`
}

// String tells it as progress.
func (l Live) String() string {
	if l.Found == "" {
		return "its status command says that it is live, and names no release"
	}
	return "its status command names it as live"
}

// Deploy runs a release's deploy command, or its rollback command, and returns when its status command says that it is
// live. One that is under way already, since an earlier control plane began it, is waited for. When ctx ends, the command
// goes on: EndDeploy ends it.
func (e *Environment) Deploy(ctx context.Context, r release.Release, o Deploying, say func(string)) (Live, error) {
	began := e.world.Now()
	id := e.deployID(r.Digest(), o.Key)
	st, err := e.world.Driver.Status(ctx, id)
	there := err == nil && !st.Lost && (!o.Again || st.Phase == driver.Starting || st.Phase == driver.Healthy)
	switch {
	case err != nil && !errors.Is(err, driver.ErrNotFound):
		return Live{}, err
	case there && st.Phase == driver.Starting:
		say("the command is under way already: waiting for it")
	case !there:
		if err := e.startDeploy(ctx, r, id, o); err != nil {
			return Live{}, err
		}
	}
	st, err = e.world.Driver.Wait(ctx, id)
	if ctx.Err() != nil {
		return Live{}, ctx.Err()
	}
	if err != nil {
		return Live{}, e.notLive(r, st, err)
	}
	live := Live{Found: st.Found, Took: e.world.Now().Sub(began)}
	say(live.String())
	return live, e.forgetDeploys(ctx, func(other driver.Status) bool { return other.ID == id })
}

// DeployTime is the most that Deploy may take.
func DeployTime(d app.Deploy, back bool) time.Duration {
	command := d.Run
	if back && d.Rollback != nil {
		command = *d.Rollback
	}
	return command.Timeout + turnTime(d)
}

// StopTime is the most that TakeAway may take.
func StopTime(d app.Deploy) time.Duration {
	if d.Stop == nil {
		return turnTime(d)
	}
	return d.Stop.Timeout + turnTime(d)
}

// turnTime is how long the status command may go on to say what was so before.
func turnTime(d app.Deploy) time.Duration { return 2*d.Status.Timeout + becomeLive }

func (e *Environment) deployID(d release.Digest, key string) string {
	return fmt.Sprintf("%s.%s.%s.%s.%s", e.App, e.Name, deployService, d.Short(), key)
}

// startDeploy starts a deploy. From now on nobody believes what was said of the releases before it. What a deploy printed
// that failed is kept on the way back, and until the next one.
func (e *Environment) startDeploy(ctx context.Context, r release.Release, id string, o Deploying) error {
	kept := func(other driver.Status) bool {
		return other.Phase == driver.Exited && (other.ID == id || o.Back && !other.Lost) // what one that was lost began may go on
	}
	if err := e.forgetDeploys(ctx, kept); err != nil {
		return err
	}
	command := &r.Contents.Deploy.Run
	if o.Back && r.Contents.Deploy.Rollback != nil {
		command = r.Contents.Deploy.Rollback
	}
	spec, err := e.deploySpec(ctx, r, id, o.Previous)
	if err != nil {
		return err
	}
	spec.Command, spec.Deploy.Timeout = proc.Shell(command.Run), command.Timeout
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// To its end: one that is only on its way when the run turns round would begin to deploy beside the way back.
	_, err = e.world.Deploys.Start(context.WithoutCancel(ctx), spec)
	return err
}

// deploySpec is all that the driver needs, but for a command: without one it only asks whether the release is live.
func (e *Environment) deploySpec(ctx context.Context, r release.Release, id string, previous release.Digest) (driver.Spec, error) {
	d := r.Contents.Deploy
	v, err := e.variables(ctx, r)
	if err != nil {
		return driver.Spec{}, err
	}
	dir, err := e.deployFiles(ctx, r)
	if err != nil {
		return driver.Spec{}, err
	}
	as := app.Service{Env: d.Env, Secrets: d.Secrets}
	env := v.of(as)
	// Last, so that no configuration has a command deploy what nobody asked for, or elsewhere.
	env["GREENROOM_RELEASE"], env["GREENROOM_ENVIRONMENT"] = r.Digest().Short(), e.Name
	env["GREENROOM_APP"], env["GREENROOM_URL"] = e.App, e.Settings.URL
	env["GREENROOM_PREVIOUS_RELEASE"] = previous.Short()
	for service, image := range d.Images {
		env[app.ImageVariable(service)] = image
	}
	spec := driver.Spec{
		ID: id, App: e.App, Environment: e.Name, Service: deployService, Release: string(r.Digest()), Dir: dir, Env: env,
		Secrets: v.secretsOf(as), User: v.resident.Name,
		Health: app.Health{Command: proc.Shell(d.Status.Run), Interval: statusEvery, Timeout: d.Status.Timeout, Start: turnTime(*d)},
		Deploy: &driver.Deploy{},
	}
	if spec.Deploy.Secrets, err = e.secretsFingerprint(ctx); err != nil {
		return driver.Spec{}, err
	}
	if d.Stop != nil {
		spec.Deploy.Stop, spec.Deploy.StopTimeout = proc.Shell(d.Stop.Run), d.Stop.Timeout
	}
	return spec, nil
}

// deployFiles unpacks the files that a release's commands run in, read-only, and checks them against the release.
func (e *Environment) deployFiles(ctx context.Context, r release.Release) (string, error) {
	if _, ok := r.Files[artifact.Deploy]; !ok {
		return "", problem.New(problem.Invalid, "release %s has no files for its deploy command", r.Digest().Short())
	}
	dir := filepath.Join(e.world.Home.Files(), r.Digest().Short(), artifact.Deploy)
	return dir, e.unpack(ctx, r, artifact.Deploy, dir)
}

// notLive tells why a release that was deployed is not live.
func (e *Environment) notLive(r release.Release, st driver.Status, err error) error {
	p := problem.From(err)
	if p == nil || p.Code != problem.Fail {
		return err
	}
	why := st.Reason
	if st.Phase != driver.Exited {
		why = "the deploy command ended with exit code 0, but " + why
	}
	if _, printed, ok := strings.Cut(p.Message, "\nit printed last:"); ok {
		why += "\nit printed last:" + printed
	}
	return problem.New(problem.Fail, "%s in %s: %s", r.Digest().Short(), e.Name, why).
		WithHint("greenroom logs --environment %s", e.Name)
}

// EndDeploy ends a deploy of a release that is under way, with its whole process group, and forgets it. What it has done
// until then stays done.
func (e *Environment) EndDeploy(ctx context.Context, r release.Release, key string) error {
	id := e.deployID(r.Digest(), key)
	st, err := e.world.Driver.Status(ctx, id)
	if errors.Is(err, driver.ErrNotFound) || err == nil && st.Phase == driver.Exited && !st.Lost { // what it printed is still wanted
		return nil
	}
	return errors.Join(err, e.world.Deploys.Forget(ctx, id))
}

// forgetDeploys forgets all that is known of deploys here but what is kept. What they deployed stays.
func (e *Environment) forgetDeploys(ctx context.Context, kept func(driver.Status) bool) error {
	all, err := e.deploys(ctx, driver.Filter{})
	for _, st := range all {
		if !kept(st) {
			err = errors.Join(err, e.world.Deploys.Forget(ctx, st.ID))
		}
	}
	return err
}

func (e *Environment) deploys(ctx context.Context, f driver.Filter) ([]driver.Status, error) {
	f.App, f.Environment = e.App, e.Name
	all, err := e.world.Driver.List(ctx, f)
	return slices.DeleteFunc(all, func(st driver.Status) bool { return !st.Deploy }), err
}

// watchLive makes sure that somebody asks whether a release is live, with the secrets of now, and says who. Nothing is
// deployed.
func (e *Environment) watchLive(ctx context.Context, r release.Release) (id string, err error) {
	all, err := e.deploys(ctx, driver.Filter{Release: string(r.Digest())})
	if err != nil {
		return "", err
	}
	secrets, err := e.secretsFingerprint(ctx)
	if err != nil {
		return "", err
	}
	for _, st := range all {
		switch {
		case st.Phase == driver.Exited:
		case st.Phase == driver.Starting || st.Secrets == secrets:
			return st.ID, nil
		default:
			if err := e.world.Deploys.Forget(ctx, st.ID); err != nil {
				return "", err
			}
		}
	}
	id = e.deployID(r.Digest(), "live")
	spec, err := e.deploySpec(ctx, r, id, "")
	if err != nil {
		return "", err
	}
	_, err = e.world.Deploys.Start(ctx, spec)
	return id, err
}

// askKey tells a question apart from what deploys.
const askKey = "ask"

// AskLive asks now whether a release is live, and says why it isn't, a Fail, or isn't known to be, which is Inconclusive.
// It asks until there is a yes or the time of one answer is over: what the machine has just begun to start may come yet.
func (e *Environment) AskLive(ctx context.Context, r release.Release) (Live, error) {
	return e.askLive(ctx, r, false)
}

// askLive is AskLive, or asks once.
func (e *Environment) askLive(ctx context.Context, r release.Release, once bool) (live Live, err error) {
	began := e.world.Now()
	id := e.deployID(r.Digest(), askKey)
	if err := e.world.Deploys.Forget(ctx, id); err != nil { // one that was interrupted
		return Live{}, err
	}
	spec, err := e.deploySpec(ctx, r, id, "")
	if err != nil {
		return Live{}, err
	}
	spec.Deploy.Stop, spec.Deploy.Once, spec.Health.Start = nil, once, spec.Health.Timeout
	if _, err := e.world.Deploys.Start(ctx, spec); err != nil {
		return Live{}, err
	}
	defer func() { err = errors.Join(err, e.world.Deploys.Forget(context.WithoutCancel(ctx), id)) }()
	st, err := e.world.Driver.Wait(ctx, id)
	p := problem.From(err)
	switch {
	case err == nil:
		return Live{Found: st.Found, Took: e.world.Now().Sub(began)}, nil
	case p == nil || p.Code != problem.Fail:
		return Live{}, err
	}
	if !st.Answered {
		return Live{}, problem.New(problem.Inconclusive, "whether %s is live in %s is not known: its status command gave no answer within %s",
			r.Digest().Short(), e.Name, human.Duration(spec.Health.Timeout)).
			WithHint("see why its status command does not answer; greenroom logs --environment %s", e.Name)
	}
	return Live{}, problem.New(problem.Fail, "%s is not live in %s: %s", r.Digest().Short(), e.Name, st.Reason).
		WithHint("greenroom status; greenroom logs --environment %s", e.Name)
}

// keepDeployed has somebody ask after the live release, and nobody after any other. Nothing is deployed: that an app which
// somebody else runs is not live is told, and mended by whoever runs it.
func (e *Environment) keepDeployed(ctx context.Context, live *release.Release) error {
	err := e.forgetDeploys(ctx, func(st driver.Status) bool {
		return st.Phase == driver.Exited && !st.Lost || live != nil && st.Release == string(live.Digest()) && !st.Lost
	})
	if err != nil || live == nil {
		return err
	}
	_, err = e.watchLive(ctx, *live)
	return err
}

// sayResident makes the system user that a team's commands run as, and names it: before the first deploy an administrator can
// then give it what that reaches for.
func (e *Environment) sayResident(ctx context.Context, say func(string)) error {
	u, err := e.prepare(ctx)
	if err == nil && u != nobody {
		say("its commands run as " + u.Name)
	}
	return err
}

// upDeployed returns once the live release says that it is live. One that does not is deployed again: it may have been taken
// away when the environment was stopped.
func (e *Environment) upDeployed(ctx context.Context, live release.Release, say func(string)) error {
	_, err := e.AskLive(ctx, live)
	if err == nil {
		_, err = e.watchLive(ctx, live)
		return err
	}
	if p := problem.From(err); p.Code != problem.Fail && p.Code != problem.Inconclusive {
		return err
	}
	say(live.Digest().Short() + " is not known to be live here: deploying it")
	again := Deploying{Key: "up", Again: true}
	id := e.deployID(live.Digest(), again.Key)
	if st, err := e.world.Driver.Status(ctx, id); err == nil && st.Phase != driver.Starting { // it tells of the time before
		if err := e.world.Deploys.Forget(ctx, id); err != nil {
			return err
		}
	}
	_, err = e.Deploy(ctx, live, again, say)
	return err
}

// TakeDown has the live release's stop command take the app away, where it has one; else it stays, and say is told so. Where
// the environment's data are to go, what has them must not stay: that is a problem.
func (e *Environment) TakeDown(ctx context.Context, live *release.Release, data bool, say func(string)) error {
	if live == nil || live.Contents.Deploy == nil {
		return e.Down(ctx)
	}
	switch stop := live.Contents.Deploy.Stop; {
	case stop != nil:
		say("its stop command, for at most " + human.Duration(stop.Timeout))
		if err := e.TakeAway(ctx, *live); err != nil {
			return err
		}
	case data:
		if err := e.gone(ctx, *live, 0); err != nil {
			return problem.New(problem.From(err).Code, "%w: its data can't go from under it", err).WithHint("%s", problem.From(err).Hint)
		}
	default:
		say("what is deployed stays: the app has no stop command")
	}
	return e.Down(ctx)
}

// StopOwed says whether a release's stop command was not run yet, in an environment that is to be down: who recorded that was
// interrupted before. What still asks after the release is the mark of it; a stop command that failed is not owed any more.
func (e *Environment) StopOwed(ctx context.Context, live release.Release) (bool, error) {
	if live.Contents.Deploy == nil || live.Contents.Deploy.Stop == nil {
		return false, nil
	}
	all, err := e.deploys(ctx, driver.Filter{Release: string(live.Digest())})
	return slices.ContainsFunc(all, func(st driver.Status) bool {
		return st.ID != e.deployID(live.Digest(), askKey) && (st.Phase != driver.Exited || st.Lost)
	}), err
}

// TakeAway has a release's stop command take it away, and returns once its status command says that it is live no more.
func (e *Environment) TakeAway(ctx context.Context, r release.Release) error {
	id, err := e.watchLive(ctx, r)
	if err != nil {
		return err
	}
	if err := e.world.Driver.Stop(ctx, id); err != nil {
		return err
	}
	return e.gone(ctx, r, turnTime(*r.Contents.Deploy))
}

// gone returns once a release's status command says that it is not live any more. It is a problem where it still is, after
// that while.
func (e *Environment) gone(ctx context.Context, r release.Release, patience time.Duration) error {
	for began := time.Now(); ; {
		_, err := e.askLive(ctx, r, true)
		p := problem.From(err)
		switch late := time.Since(began) > patience; {
		case err != nil && p.Code == problem.Fail:
			return nil
		case err != nil && (late || p.Code != problem.Inconclusive):
			return err
		case late:
			return problem.New(problem.Blocked, "%s is still live in %s, as its status command says", r.Digest().Short(), e.Name).
				WithHint("take it away by hand, then this again")
		}
		if err := driver.Sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// deployHealth is how a deployed release stands.
func (e *Environment) deployHealth(ctx context.Context, r release.Release) ([]ServiceHealth, error) {
	all, err := e.deploys(ctx, driver.Filter{Release: string(r.Digest())})
	if err != nil {
		return nil, err
	}
	h := ServiceHealth{Service: deployService, Wanted: 1, Reason: "nobody has asked yet whether it is live"}
	for _, st := range all {
		switch {
		case st.Phase == driver.Healthy:
			return []ServiceHealth{{Service: deployService, Wanted: 1, Healthy: 1}}, nil
		case st.Reason != "":
			h.Reason = st.Reason
		}
	}
	return []ServiceHealth{h}, nil
}
