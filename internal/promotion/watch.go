package promotion

import (
	"context"
	"time"

	"greenroom/internal/edge"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/run"
	"greenroom/internal/store"
)

const (
	// lookEvery is how often the counts are read while a release is watched.
	lookEvery = 100 * time.Millisecond
	// enough is how many answers it takes to judge a release by them.
	enough = 20
	// unlucky is how many failed answers it takes at least: one alone may be anything.
	unlucky = 3
)

// counts are the answers of one release on one route.
type counts struct{ requests, failed uint64 }

func (c counts) minus(o counts) counts { return counts{c.requests - o.requests, c.failed - o.failed} }

func (c counts) share() float64 {
	if c.requests == 0 {
		return 0
	}
	return float64(c.failed) / float64(c.requests)
}

// bad says whether these answers are worse than what is accepted and, where another release answers at the same time,
// worse than that one's: what fails for both is not the new one's fault.
func (c counts) bad(limit float64, old counts) bool {
	if c.requests < enough || c.failed < unlucky || c.share() <= limit {
		return false
	}
	return old.requests < enough || c.share() > old.share()
}

// Observed is what watching a release found.
type Observed struct {
	Requests uint64 `json:"requests"`
	Failed   uint64 `json:"failed"`
	Judged   bool   `json:"judged"` // there was enough traffic to judge by
}

func (p *Promotions) watch(ctx context.Context, t *run.Task, sc *scene) (any, error) {
	return p.observe(ctx, t, sc, sc.env.Settings.Rollout.Watch)
}

// observe watches the new release's answers and replicas for this long. It ends early with a problem when they are bad.
func (p *Promotions) observe(ctx context.Context, t *run.Task, sc *scene, long time.Duration) (Observed, error) {
	w := &watcher{p: p, sc: sc}
	if err := w.begin(ctx); err != nil {
		return Observed{}, err
	}
	end := time.NewTimer(long)
	defer end.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Observed{}, ctx.Err()
		case <-tick.C:
			if err := w.look(ctx); err != nil {
				return Observed{}, err
			}
		case <-end.C:
			if err := w.look(ctx); err != nil {
				return Observed{}, err
			}
			return w.conclude(t), nil
		}
	}
}

// watcher compares counts with those of the beginning.
type watcher struct {
	p                *Promotions
	sc               *scene
	instance         string
	newBase, oldBase counts
	now              counts
	restarts         int
}

func (w *watcher) begin(ctx context.Context) error {
	s, err := w.p.World.Edge.Stats(ctx)
	if err != nil {
		return err
	}
	w.rebase(s)
	w.restarts, err = w.countRestarts(ctx)
	return err
}

func (w *watcher) rebase(s edge.Stats) {
	w.instance = s.Instance
	w.newBase, w.oldBase = w.count(s, w.sc.New.Digest()), w.count(s, w.sc.Old.Digest())
	w.now = counts{}
}

func (w *watcher) count(s edge.Stats, d release.Digest) counts {
	for _, p := range s.Pools {
		if p.Route == w.sc.env.RouteName() && p.Release == string(d) {
			return counts{p.Requests, p.Failed()}
		}
	}
	return counts{}
}

// look judges what is there so far.
func (w *watcher) look(ctx context.Context) error {
	s, err := w.p.World.Edge.Stats(ctx)
	if err != nil {
		if problem.From(err).Code == problem.Unavailable && ctx.Err() == nil {
			return nil // the edge is being replaced; its counts begin again
		}
		return err
	}
	if s.Instance != w.instance {
		w.rebase(s)
	}
	w.now = w.count(s, w.sc.New.Digest()).minus(w.newBase)
	limit := w.sc.env.Settings.Rollout.MaxErrors
	if old := w.count(s, w.sc.Old.Digest()).minus(w.oldBase); w.now.bad(limit, old) {
		return problem.New(problem.Fail, "%d of %d answers of %s failed (%.1f%%, accepted are %.1f%%)",
			w.now.failed, w.now.requests, w.sc.New.Digest().Short(), 100*w.now.share(), 100*limit).
			WithHint("greenroom logs --environment %s --release %s", w.sc.env.Name, w.sc.New.Digest().Short())
	}
	restarts, err := w.countRestarts(ctx)
	if err == nil && restarts > w.restarts {
		err = problem.New(problem.Fail, "a replica of %s ended and was started again while it was watched", w.sc.New.Digest().Short()).
			WithHint("greenroom logs --environment %s --release %s", w.sc.env.Name, w.sc.New.Digest().Short())
	}
	return err
}

func (w *watcher) countRestarts(ctx context.Context) (int, error) {
	health, err := w.sc.env.Health(ctx, w.sc.New)
	n := 0
	for _, h := range health {
		if selectedService(w.sc.New, h.Service) {
			n += h.Restarts
		}
	}
	return n, err
}

func selectedService(r release.Release, name string) bool {
	for _, s := range selected(r.Contents, anyOrder) {
		if s == name {
			return true
		}
	}
	return false
}

func (w *watcher) conclude(t *run.Task) Observed {
	o := Observed{Requests: w.now.requests, Failed: w.now.failed, Judged: w.now.requests >= enough}
	if o.Judged {
		t.Progress("%d answers, %d failed", o.Requests, o.Failed)
	} else {
		t.Progress("too little traffic to judge by (%d answers): it goes on by time alone", o.Requests)
	}
	return o
}

// previous is what was live before, once the plan's release is live: the newest first, at most ten.
func previous(record store.Environment, p plan.Plan) []release.Digest {
	if record.Live == "" {
		return record.Previous
	}
	out := []release.Digest{}
	if p.Kind == plan.Promotion {
		out = append(out, record.Live)
	}
	for _, d := range record.Previous {
		if d != p.Release && len(out) < 10 {
			out = append(out, d)
		}
	}
	return out
}

func short(fingerprint string) string {
	if fingerprint == "" {
		return "none"
	}
	return release.Digest(fingerprint).Short()
}
