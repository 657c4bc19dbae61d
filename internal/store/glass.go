package store

import (
	"context"
	"encoding/json"
	"time"

	"greenroom/internal/gate"
	"greenroom/internal/problem"
)

// Glass is a gate's no that was overridden, and what became of it.
type Glass struct {
	Run         string
	App         string
	Environment string
	By          string
	Because     string
	At          time.Time // given by the store
	Overridden  []gate.Demand
	ReviewedBy  string // "" until somebody else has looked at it
	Review      string // what they found
	Reviewed    time.Time
}

const selectGlass = `SELECT run, app, environment, broken_by, because, at, overridden, reviewed_by, review, reviewed FROM glass `

// BreakGlass records that a run goes past a no. A run does so once: saying it again changes nothing.
func (t *Tx) BreakGlass(ctx context.Context, g Glass) error {
	overridden, err := json.Marshal(g.Overridden)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO glass (run, app, environment, broken_by, because, at, overridden) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, g.Run, g.App, g.Environment, g.By, g.Because, nanos(t.now), string(overridden))
	return err
}

// ReviewGlass closes what breaking the glass left open. Nobody reviews what they did themselves.
func (t *Tx) ReviewGlass(ctx context.Context, run, by, review string) error {
	g, err := t.Glass(ctx, run)
	switch {
	case err != nil:
		return err
	case g.ReviewedBy != "":
		return problem.New(problem.Invalid, "%s was reviewed by %s on %s already: %s", run, g.ReviewedBy, g.Reviewed.Format(time.DateOnly), g.Review).
			WithHint("greenroom history")
	case g.By == by:
		return problem.New(problem.Blocked, "%s broke the glass in %s, so somebody else has to review it", by, run).
			WithHint("ask somebody else who has the right break-glass")
	}
	_, err = t.exec(ctx, `UPDATE glass SET reviewed_by = ?, review = ?, reviewed = ? WHERE run = ?`, by, review, nanos(t.now), run)
	return err
}

// Glass is what was overridden in a run.
func (r Reader) Glass(ctx context.Context, run string) (Glass, error) {
	g, found, err := first(ctx, r, scanGlass, selectGlass+`WHERE run = ?`, run)
	if err == nil && !found {
		err = problem.New(problem.NotFound, "no glass was broken in the run %s", run).WithHint("greenroom history")
	}
	return g, err
}

// OpenGlass lists what nobody has reviewed yet, the oldest first: of an environment, of an app with environment "", or of
// all with app "".
func (r Reader) OpenGlass(ctx context.Context, app, environment string) ([]Glass, error) {
	return collect(ctx, r, scanGlass, selectGlass+`WHERE reviewed = 0 AND (? = '' OR app = ?) AND (? = '' OR environment = ?) ORDER BY at, run`,
		app, app, environment, environment)
}

func scanGlass(row row) (g Glass, err error) {
	var overridden string
	var at, reviewed int64
	if err := row.Scan(&g.Run, &g.App, &g.Environment, &g.By, &g.Because, &at, &overridden, &g.ReviewedBy, &g.Review, &reviewed); err != nil {
		return Glass{}, err
	}
	g.At, g.Reviewed = moment(at), moment(reviewed)
	return g, json.Unmarshal([]byte(overridden), &g.Overridden)
}
