package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/api"
	"greenroom/internal/artifact"
	"greenroom/internal/data/postgres"
	"greenroom/internal/gate"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// The people of a torture. They go on asking when nobody answers, for the control plane comes back; they never wait for
// it longer than endless. Everything here runs beside the test, so nothing ends it: what is wrong is noted.

// ask dials the control plane until it is there, asks it once, and notes what was asked and answered.
func (x *torture) ask(c asked, f func(ctx context.Context, c *api.Client) (run string, err error)) asked {
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	c.Sent = time.Now()
	client, err := x.dial(ctx)
	if err == nil {
		c.Run, err = f(ctx, client)
		client.Close()
	}
	switch p := problem.From(err); {
	case err == nil:
	case errors.Is(err, api.ErrLost), errors.Is(err, api.ErrNotRunning), strings.Contains(p.Message, "answer could not be read"):
		c.Lost, c.Said = true, p.Message
	default:
		c.Code, c.Said, c.Hint = p.Code, p.Message, p.Hint
	}
	if ctx.Err() != nil {
		x.history.note(event{Stuck: c.Verb + " " + c.Environment})
	}
	x.history.note(event{Command: &c})
	return c
}

// dial returns once the control plane is there.
func (x *torture) dial(ctx context.Context) (*api.Client, error) {
	for {
		c, err := api.Dial(ctx, x.home.Socket(), "test")
		if err == nil || ctx.Err() != nil || problem.From(err).Code != problem.Unavailable {
			return c, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// imports hands a release over, until it was taken.
func (x *torture) imports(b *artifact.Built) {
	version := x.versions[b.Release.Digest()]
	for range 20 {
		a := x.ask(asked{Verb: "build", Release: b.Release.Digest()}, func(ctx context.Context, c *api.Client) (string, error) {
			layout, w := io.Pipe()
			go func() { w.CloseWithError(b.Export(ctx, w)) }()
			defer layout.Close()
			_, err := c.Import(ctx, api.ReleaseInfo{App: appUnderTest, Digest: b.Release.Digest(), Ref: version, By: "test", BuiltAt: time.Now()}, layout)
			return "", err
		})
		if !a.Lost {
			break
		}
	}
	_ = b.Close() // in a temporary folder
}

// commands are what a person asks for, one after the other.
func (x *torture) commands(env string, all []command) {
	for _, c := range all {
		x.command(env, c)
	}
}

// command does what a person asks for and returns when it is over.
func (x *torture) command(env string, c command) {
	switch c.Verb {
	case verbStop:
		x.switchTo(env, "down")
		x.switchTo(env, "up")
		return
	case verbRehearse:
		x.run(env, c, api.RunRequest{Kind: plan.Rehearsal, App: appUnderTest, Release: x.pick(inProduction, c)})
		return
	}
	r := api.RunRequest{Kind: plan.Rollback, App: appUnderTest, Environment: env, Because: "a torture"}
	if c.Verb == verbPromote {
		r.Kind, r.Release = plan.Promotion, x.pick(env, c)
	}
	defer x.misbehave(env, r.Release, c.Break)()
	x.run(env, c, r)
}

func (x *torture) pick(env string, c command) string {
	pool := x.releases[env]
	return string(pool[c.Pick%len(pool)].Release.Digest())
}

// run starts a run and returns when it has ended.
func (x *torture) run(env string, c command, r api.RunRequest) {
	a := x.ask(asked{Environment: env, Verb: c.Verb, Release: release.Digest(r.Release)}, func(ctx context.Context, client *api.Client) (string, error) {
		run, err := client.Start(ctx, r)
		return run.ID, err
	})
	at := env
	if r.Kind == plan.Rehearsal {
		at = onStage
	}
	if a.Lost {
		a.Run = x.unfinished(at) // it may have been begun all the same
	}
	if a.Run == "" {
		return
	}
	if c.Cancel > 0 {
		time.Sleep(c.Cancel)
		x.ask(asked{Environment: env, Verb: "cancel"}, func(ctx context.Context, client *api.Client) (string, error) {
			return a.Run, client.Cancel(ctx, a.Run)
		})
	}
	x.awaitEnd(a.Run)
}

// onStage is where rehearsals happen.
const onStage = "rehearsal"

// unfinished is the run that is under way in an environment, "" for none.
func (x *torture) unfinished(env string) (run string) {
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	for ctx.Err() == nil {
		client, err := x.dial(ctx)
		if err != nil {
			break
		}
		v, err := client.Status(ctx, appUnderTest)
		client.Close()
		if err != nil || len(v.Apps) == 0 {
			continue
		}
		for _, r := range v.Apps[0].Runs {
			if r.Environment == env {
				return r.ID
			}
		}
		return ""
	}
	return ""
}

// awaitEnd returns when the run has ended, or is not known.
func (x *torture) awaitEnd(run string) {
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	for ctx.Err() == nil {
		client, err := x.dial(ctx)
		if err != nil {
			break
		}
		v, err := client.Run(ctx, run)
		client.Close()
		if err != nil && problem.From(err).Code == problem.NotFound {
			x.history.note(event{Run: &ran{ID: run, Missing: true}})
			return
		}
		if err == nil && v.Outcome != "" {
			if v.Outcome == plan.NeedsOperator {
				x.history.note(event{Broken: &broken{Environment: v.Plan.Environment, How: "it needs an operator"}})
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	x.history.note(event{Stuck: "the run " + run})
}

// switchTo stops or starts an environment, until that was done.
func (x *torture) switchTo(env, verb string) {
	for range 100 {
		a := x.ask(asked{Environment: env, Verb: verb}, func(ctx context.Context, c *api.Client) (string, error) {
			call := c.Up
			if verb == "down" {
				x.history.note(event{Broken: &broken{Environment: env, How: "down"}})
				call = c.Down
			}
			events, err := call(ctx, api.EnvironmentsRequest{App: appUnderTest, Environments: []string{env}})
			if err == nil {
				_, err = drain(events)
			}
			return "", err
		})
		if a.Lost || a.Code == problem.Unavailable { // the edge may be dead for a moment
			time.Sleep(200 * time.Millisecond)
			continue
		}
		if verb == "up" {
			x.history.note(event{Broken: &broken{Environment: env, How: "down", Over: true}})
		}
		return
	}
}

// misbehave has a release behave badly until it is told to stop that.
func (x *torture) misbehave(env, of string, how string) (stop func()) {
	if how == "" || of == "" {
		return func() {}
	}
	version, value := x.versions[release.Digest(of)], "the pudding is off"
	if how == "fail-journey" {
		value = x.address[env]
	}
	x.history.note(event{Broken: &broken{Environment: env, How: how}})
	x.tell(how, version, value)
	return func() {
		x.tell(how, version, "")
		x.history.note(event{Broken: &broken{Environment: env, How: how, Over: true}})
	}
}

// operate is what an operator does about a half-migrated database: they see that nobody can promote on it as it is, bring
// it back to the schema that was proven last, and go forward from there.
func (x *torture) operate(env string) {
	recorded, state, err := x.schemaOf(env)
	if err != nil || state != string(gate.SchemaHalfMigrated) {
		return
	}
	for _, b := range x.releases[env] {
		x.ask(asked{Environment: env, Verb: "probe", Release: b.Release.Digest()}, func(ctx context.Context, c *api.Client) (string, error) {
			v, err := c.Explain(ctx, appUnderTest, string(b.Release.Digest()), env)
			if err == nil && !v.Decision.Allowed {
				err = problem.New(problem.Blocked, "%s", v.Decision.Missing()[0].Reason)
			}
			return "", err
		})
	}
	x.switchTo(env, "up")
	if err := x.reshape(env, recorded); err != nil {
		x.history.note(event{Stuck: fmt.Sprintf("the repair of %s: %v", env, err)})
	}
	for pick := range x.releases[env] { // one of them is not live
		if env == inProduction {
			x.command(env, command{Verb: verbRehearse, Pick: pick})
		}
		x.command(env, command{Verb: verbPromote, Pick: pick})
		if _, state, err := x.schemaOf(env); err == nil && state == string(gate.SchemaProven) {
			break
		}
	}
	x.history.note(event{Broken: &broken{Environment: env, How: "it needs an operator", Over: true}})
}

// reshape tries one shape after the other until the database has the schema of that fingerprint.
func (x *torture) reshape(env, want string) error {
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	url, err := x.databaseOf(env)
	if err != nil {
		return err
	}
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // what was changed is committed
	for _, shape := range shapes {
		if _, err := conn.Exec(ctx, shape.migrate); err != nil {
			return err
		}
		if now, err := db.Fingerprint(ctx); err != nil || now == want {
			return err
		}
	}
	return fmt.Errorf("no shape has the schema %s", want)
}
