package store

import (
	"context"
	"encoding/json"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// App is an app that is known here, with the policy in force.
type App struct {
	Name       string
	Repository string // absolute folder
	Policy     app.Policy
	Digest     string    // of the policy
	Registered time.Time // when the policy came into force
}

const selectApp = `SELECT name, repository, policy, policy_digest, registered FROM apps `

// App finds an app by name.
func (r Reader) App(ctx context.Context, name string) (App, error) {
	a, found, err := first(ctx, r, scanApp, selectApp+`WHERE name = ?`, name)
	if err == nil && !found {
		err = problem.New(problem.NotFound, "there is no app %q here", name).
			WithHint("greenroom up, in the repository of %s", name)
	}
	return a, err
}

// Apps lists all apps by name.
func (r Reader) Apps(ctx context.Context) ([]App, error) {
	return collect(ctx, r, scanApp, selectApp+`ORDER BY name`)
}

// PutApp makes an app known, or gives it another policy. The policy's digest and the time are the store's to say.
func (t *Tx) PutApp(ctx context.Context, a App) error {
	policy, err := json.Marshal(a.Policy)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO apps (name, repository, policy, policy_digest, registered) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET repository = excluded.repository, policy = excluded.policy,
		policy_digest = excluded.policy_digest, registered = excluded.registered`,
		a.Name, a.Repository, string(policy), a.Policy.Digest(), nanos(t.now))
	return err
}

func scanApp(row row) (a App, err error) {
	var policy string
	var registered int64
	if err := row.Scan(&a.Name, &a.Repository, &policy, &a.Digest, &registered); err != nil {
		return App{}, err
	}
	a.Registered = moment(registered)
	if err := json.Unmarshal([]byte(policy), &a.Policy); err != nil {
		return App{}, err
	}
	a.Digest = a.Policy.Digest() // not the column's, which may be that of another policy
	return a, nil
}
