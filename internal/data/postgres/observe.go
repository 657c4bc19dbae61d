package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

var (
	_ data.Watcher = (*Database)(nil)
	_ data.Witness = (*watch)(nil)
)

const (
	lookEvery = 5 * time.Millisecond
	// lookSeldom is how far apart looks are where each takes long: what lasts 20 ms is to be seen.
	lookSeldom = 15 * time.Millisecond
	// lookShare is how many times as long as a look is the pause around it.
	lookShare = 8
	// calm is how long nothing has begun or ended when a third of the looks will do: what looks take, the migration lacks.
	calm = 100 * time.Millisecond
	// lookAgain is the pause before a lost connection is tried again.
	lookAgain = 50 * time.Millisecond
	// momentEvery is how often is told what goes on.
	momentEvery = 250 * time.Millisecond
)

// Watch looks at the migrator's sessions and at whoever stands behind them every 5 ms, or 15 ms while nothing changes,
// through a connection of its own, as the administrator. The sessions are those with the migrator's application name, those
// at whose other end it is, and what works in parallel for them. A tool that takes a name of its own, where nobody can tell
// who is at the other end, is known by what it does: a session that was not there at the start and takes a lock as only
// changes of the schema do; the observation then says that it guessed. An
// administrator who may not read other users' statistics (pg_read_all_stats) sees the locks, and no statements. The
// write-ahead log is counted for the whole server: on a stage nobody but the migration and its load write there.
//
// A connection that is lost is made again, and the time in which nobody looked is the observation's gap.
func (d *Database) Watch(ctx context.Context, o data.WatchOptions) (data.Watch, error) {
	w := &watch{database: d, options: o, stop: make(chan struct{}), ended: make(chan struct{})}
	if w.options.Every <= 0 {
		w.options.Every = lookEvery
	}
	if err := w.begin(ctx); err != nil {
		return nil, problem.New(problem.Unavailable, "the migration of %s can't be watched: %w", d.name, err)
	}
	w.moments = newMoments(o.Progress)
	go w.run(context.WithoutCancel(ctx))
	return w, nil
}

type watch struct {
	database *Database
	options  data.WatchOptions
	moments  *moments
	stop     chan struct{}
	ended    chan struct{}
	once     sync.Once

	mu         sync.Mutex // guards what is below
	track      *track
	newer      *time.Time // see looker
	localStart time.Time  // this machine's clock when track began
	lastLook   time.Time  // the same
	samples    int
	gap        time.Duration

	looker *looker // run's own, as what is below; nil while there is no connection
	calm   bool    // nothing has begun or ended for a while
	after  *catalogue
	failed error // of the last look
}

func (w *watch) begin(ctx context.Context) (err error) {
	if w.looker, err = w.database.newLooker(ctx, w.options.Migrator); err != nil {
		return err
	}
	if w.options.Clients, err = alike(ctx, w.looker.conn, w.options.Clients); err != nil {
		w.looker.close()
		return err
	}
	before, err := w.looker.catalogue(ctx)
	if err == nil {
		var first look
		asked := time.Now()
		if first, err = w.looker.look(ctx, nil, true); err == nil {
			w.lastLook = time.Now()
			w.localStart = asked.Add(w.lastLook.Sub(asked) / 2)
			if w.options.Clients != nil {
				w.newer = &first.at
				w.looker.newer = w.newer
			}
			w.track = newTrack(w.options.Migrator, first, before, w.who(ctx))
			w.track.least, w.track.most = asked.Sub(w.localStart), w.lastLook.Sub(w.localStart)
			w.samples = 1
			return nil
		}
	}
	w.looker.close()
	return err
}

// who asks who is at the other ends of sessions; nil where nobody can tell.
func (w *watch) who(ctx context.Context) func([]netip.AddrPort) []data.End {
	if w.options.Clients == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return func(addresses []netip.AddrPort) []data.End { return w.options.Clients(ctx, addresses) }
}

// run looks until it is told to stop, and then once more.
func (w *watch) run(ctx context.Context) {
	defer close(w.ended)
	timer := time.NewTimer(w.options.Every)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			w.finish(ctx)
			return
		case <-timer.C:
			timer.Reset(w.turn(ctx))
		}
	}
}

// turn looks once and returns how long to wait until the next time.
func (w *watch) turn(ctx context.Context) time.Duration {
	began := time.Now()
	if err := w.lookOnce(ctx); err != nil {
		w.failed = err
		return lookAgain
	}
	w.failed = nil
	took := time.Since(began)
	every := w.options.Every
	if w.calm {
		every *= 3
	}
	return max(every, min(lookShare*took, lookSeldom)) - min(took, every/2)
}

func (w *watch) lookOnce(ctx context.Context) (err error) {
	if w.looker == nil {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		if w.looker, err = w.database.newLooker(ctx, w.options.Migrator); err != nil {
			return err
		}
		w.looker.newer = w.newer
	}
	w.mu.Lock()
	pids := w.track.pids()
	w.mu.Unlock()
	asked := time.Now()
	l, err := w.looker.look(ctx, pids, false)
	answered := time.Now()
	if err != nil {
		w.looker.close()
		w.looker = nil
		return err
	}
	w.mu.Lock()
	now := time.Now()
	w.track.set(asked.Sub(w.localStart), answered.Sub(w.localStart), l.at)
	w.track.take(l)
	w.calm = w.track.last-w.track.changed > calm
	w.samples++
	w.gap = max(w.gap, now.Sub(w.lastLook), w.track.blindUntil-w.track.blindFrom)
	w.lastLook = now
	moment, due := w.moment(l, now)
	w.mu.Unlock()
	if due {
		w.tell(ctx, moment)
	}
	return nil
}

// finish takes the last look, at the sessions and at what there is.
func (w *watch) finish(ctx context.Context) {
	if w.failed = w.lookOnce(ctx); w.failed != nil {
		w.failed = w.lookOnce(ctx) // the connection may just have been lost
	}
	if w.failed == nil {
		var after catalogue
		if after, w.failed = w.looker.catalogue(ctx); w.failed == nil {
			w.after = &after
		}
	}
	if w.looker != nil {
		w.looker.close()
	}
	w.moments.end()
}

// End looks a last time and tells what was seen. A server that does not answer any more is Unavailable, with what was seen
// until then.
func (w *watch) End(ctx context.Context) (migration.Observation, error) {
	w.once.Do(func() { close(w.stop) })
	select {
	case <-w.ended:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var after *catalogue
	err := ctx.Err()
	select {
	case <-w.ended:
		after, err = w.after, w.failed
	default:
	}
	if err != nil {
		w.gap = max(w.gap, now.Sub(w.lastLook))
		err = problem.New(problem.Unavailable, "the database %s could not be looked at when its migration had ended: %w", w.database.name, err)
	}
	o := w.track.observation(after, w.localStart)
	o.Started, o.Took, o.Load = w.localStart.UTC(), now.Sub(w.localStart), w.options.Load
	o.Samples, o.Gap = w.samples, w.gap
	return o, err
}

// Told takes a statement's own story.
func (w *watch) Told(t data.Told) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.track.told = append(w.track.told, t)
	w.track.tellings++
	if t.NoTx {
		w.track.noTx = true
	} else {
		w.track.open++
	}
}

// heldMark is how a look at its own locks is known among the migrator's statements.
const heldMark = "/* what is held */"

// heldQuery has what a transaction holds, as its own session sees it: also on tables that nobody else can see yet.
const heldQuery = heldMark + ` SELECT json_build_object('pid', pg_backend_pid(),
	'at', clock_timestamp(), 'xact', now(), 'born', (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())),
	'locks', (SELECT coalesce(json_agg(json_build_object('relation', relation::bigint, 'mode', mode)), '[]') FROM pg_lock_status()
		WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock')
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))::text`

type heldAnswer struct {
	PID   int32     `json:"pid"`
	At    time.Time `json:"at"`
	Xact  time.Time `json:"xact"`
	Born  time.Time `json:"born"`
	Locks []struct {
		Relation uint32 `json:"relation"`
		Mode     string `json:"mode"`
	} `json:"locks"`
}

// Held reads what the migrator's session holds right before its commit.
func (w *watch) Held(ctx context.Context, ask func(ctx context.Context, query string) (string, error)) error {
	asked := time.Now()
	text, err := ask(ctx, heldQuery)
	answered := time.Now()
	if err != nil {
		return fmt.Errorf("read the locks of a migration: %w", err)
	}
	var a heldAnswer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("read the locks of a migration: %w", err)
	}
	s := seenSession{pid: a.PID, client: true, app: w.options.Migrator, born: a.Born, xact: a.Xact}
	for _, l := range a.Locks {
		if l.Relation >= firstUsersOID {
			s.locks = append(s.locks, seenLock{relation: l.Relation, mode: l.Mode, granted: true})
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.track.set(asked.Sub(w.localStart), answered.Sub(w.localStart), a.At)
	w.track.takeHeld(s, a.At)
	return nil
}
