package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/environment"
	"greenroom/internal/gate"
	"greenroom/internal/human"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/promotion"
	"greenroom/internal/rehearsal"
	"greenroom/internal/store"
)

// planRestore plans to make an environment's data what a copy holds. A backup brings the release back that was live when
// it was taken, because that one can live on it. A snapshot, which is masked, never comes to the environment that it is of.
func (d *Daemon) planRestore(ctx context.Context, a store.App, r api.RunRequest) (plan.Plan, gate.Decision, error) {
	yes := gate.Decision{Allowed: true}
	if r.Copy == nil || knownKind(r.Copy.Kind) != nil {
		return plan.Plan{}, yes, problem.New(problem.Invalid, "a restore needs a snapshot or a backup").WithHint("greenroom backup list")
	}
	c, err := d.copied(ctx, api.CopyRequest{App: r.App, Environment: r.Environment, Kind: r.Copy.Kind, ID: r.Copy.ID})
	if err != nil {
		return plan.Plan{}, yes, err
	}
	to, args := c.live.Digest(), promotion.RestoreArgs{ID: r.Copy.ID}
	if r.Copy.Kind == api.CopySnapshot {
		args.Snapshot, args.From = true, r.Copy.Environment
		if err := d.mayPopulate(ctx, c, args); err != nil {
			return plan.Plan{}, yes, err
		}
	} else {
		backup, err := c.env.BackupOf(r.Copy.ID)
		if err != nil {
			return plan.Plan{}, yes, err
		}
		if backup.Release != "" {
			to = backup.Release
		}
	}
	if to != c.live.Digest() {
		if bad, err := d.world.Store.KnownBad(ctx, a.Name, to); err != nil || bad != nil {
			return plan.Plan{}, yes, errOr(err, problem.New(problem.Blocked, "%s was live when the backup was taken, and is known to be bad", to.Short()).
				WithHint("greenroom history"))
		}
	}
	f, err := d.facts(ctx, a, r, to)
	if err == nil && to != c.live.Digest() {
		err = withinWalls(a.Policy, to, f.NewContents)
	}
	f.Copy = &args
	return promotion.Make(f), yes, err
}

func errOr(err error, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// mayPopulate says whether a snapshot may be put into an environment.
func (d *Daemon) mayPopulate(ctx context.Context, c copied, a promotion.RestoreArgs) error {
	if production, ok := c.policy.Production(); a.From == c.Environment || ok && production.Name == c.Environment {
		return problem.New(problem.Blocked, "a snapshot is masked: it is for other environments than %s", c.Environment).
			WithHint("what %s can be restored from: greenroom backup list", c.Environment)
	}
	from, ok := d.world.Open(c.policy, a.From)
	if !ok {
		return problem.New(problem.NotFound, "%s has no environment %q", c.App, a.From).WithHint("greenroom status")
	}
	if err := accepted(c.env.Name, c.env.Settings.Data); err != nil {
		return err
	}
	_, err := c.env.Choose(ctx, c.policy, from, a.ID)
	return err
}

// accepted says whether production's data, masked, may come to an environment that lasts. Unlike a stage it is in no network
// of its own, and what runs in it has its real secrets, so somebody has to have said in words why that may be.
func accepted(environment string, data *app.Data) error {
	if data != nil && data.NotIsolated != "" {
		return nil
	}
	return problem.New(problem.Blocked, "%s can reach the network, and mail the customers that a mask left recognizable: production's data does not come to it", environment).
		WithHint(`rehearse on a stage, which is isolated; or accept it in greenroom.yaml: environments: {%s: {data: {not_isolated: "why it may be all the same"}}}, then: greenroom apply`, environment)
}

// needs says whether a step makes an environment, or a stage, of that copy.
func needs(s plan.Step, id string) bool {
	var a struct {
		ID string `json:"id"`
	}
	return (s.Action == promotion.ActionRestore || s.Action == rehearsal.ActionData) && json.Unmarshal(s.Args, &a) == nil && a.ID == id
}

// options are the honest ways out where the live schema can carry no earlier release: forward, or back to a backup, with
// what that would lose.
func (d *Daemon) options(ctx context.Context, a store.App, record store.Environment) (string, error) {
	forward := "go forward: greenroom build, with the repair, then rehearse and promote it"
	env, _ := d.world.Open(a.Policy, record.Name)
	backups, err := env.Backups()
	if err != nil {
		return "", err
	}
	for _, b := range backups {
		if b.Damaged != "" || b.Release == "" || b.Release == record.Live {
			continue
		}
		if bad, err := d.world.Store.KnownBad(ctx, a.Name, b.Release); err != nil {
			return "", err
		} else if bad != nil { // it would be refused
			continue
		}
		loss, err := d.loss(ctx, env, record, b)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s; or greenroom backup restore %s --environment %s, which brings %s back and loses %s",
			forward, b.ID, record.Name, b.Release.Short(), loss), nil
	}
	return forward + "; there is no backup from before it of a release that is not known to be bad", nil
}

// ago is how long ago something was, as exactly as one wants to know.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return human.Duration(d.Round(time.Minute))
}

// loss is what a restore would lose, in time and rows.
func (d *Daemon) loss(ctx context.Context, env *environment.Environment, record store.Environment, b environment.Backup) (string, error) {
	text := "everything written since " + b.Taken.UTC().Format("2006-01-02 15:04 UTC") + " (" + ago(d.world.Now().Sub(b.Taken)) + ")"
	live, err := d.world.Release(ctx, record.Live)
	if err != nil {
		return "", err
	}
	since, counted, err := env.Since(ctx, live, b)
	if err != nil || !counted {
		if err != nil {
			d.log.Warn("what was written since a backup could not be counted", "environment", env.RouteName(), "error", err)
		}
		return text + ", how many rows is not known", nil
	}
	tables := make([]string, 0, len(since))
	for table, w := range since {
		tables = append(tables, fmt.Sprintf("%s: %d inserted, %d updated, %d deleted", table, w.Inserted, w.Updated, w.Deleted))
	}
	if len(tables) == 0 {
		return text + ", which is nothing so far", nil
	}
	slices.Sort(tables)
	const most = 5
	if n := len(tables) - most; n > 0 {
		tables = append(tables[:most], fmt.Sprintf("and %d tables more", n))
	}
	return text + ": " + strings.Join(tables, "; "), nil
}
