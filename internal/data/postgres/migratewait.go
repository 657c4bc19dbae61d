package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// waits looks from another connection, as the administrator, at who stands in the way of a migrator's session, and tells of it.
// What it can't see it leaves out: no migration fails because of it.
type waits struct {
	d     *Database
	o     data.RunOptions
	pid   int32
	role  string // the migrator's
	every time.Duration
	grace time.Duration // how long those are waited for at the end that were asked to end

	asked   []migration.Blocker // to end, and not seen to be gone; like refused the loop's alone
	refused []migration.Blocker // whom the server does not end for us

	mu    sync.Mutex
	sql   string // what runs; "" is nothing
	since time.Time
	last  []migration.Blocker // who was seen in the way of what runs, or ran last
	told  time.Time
}

func newWaits(d *Database, o data.RunOptions, s *session) *waits {
	every := 100 * time.Millisecond
	if o.LockTimeout > 0 {
		// There have to be some looks within the lock time-out, or nobody is named.
		every = max(5*time.Millisecond, min(every, o.LockTimeout/8))
	}
	return &waits{d: d, o: o, pid: int32(s.pid()), role: s.user, every: every, grace: endTimeout}
}

// begin looks until stop is called, which waits for the last look.
func (w *waits) begin(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.loop(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (w *waits) loop(ctx context.Context) {
	defer w.settle(ctx)
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		// A connection that is lost is made again.
		err := w.d.with(ctx, w.d.name, func(conn *pgx.Conn) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				if err := w.reap(ctx, conn); err != nil {
					return err
				}
				if err := w.look(ctx, conn); err != nil {
					return err
				}
			}
		})
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// look asks only while something runs.
func (w *waits) look(ctx context.Context, conn *pgx.Conn) error {
	sql, since := w.running()
	if sql == "" || time.Since(since) < w.every/2 {
		return nil
	}
	blockers, err := w.inTheWay(ctx, conn)
	if err != nil {
		return err
	}
	behind, err := w.standBehind(ctx, conn)
	if err != nil {
		return err
	}
	if now, at := w.running(); now != sql || at != since {
		return nil // it is over, and what was seen may be of the next
	}
	w.tell(migration.Moment{SQL: sql, Since: time.Since(since), Waits: len(blockers) > 0, Behind: behind, Blocker: blockers})
	if len(blockers) > 0 { // none is also what is seen once the server has given up, and before that is known here
		w.mu.Lock()
		w.last = blockers
		w.mu.Unlock()
	}
	return w.remove(ctx, conn, blockers)
}

// standBehind counts who waits for the migrator, when somebody is to be told: the server looks through all locks for it.
func (w *waits) standBehind(ctx context.Context, conn *pgx.Conn) (n int, err error) {
	if !w.due() {
		return 0, nil
	}
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> $1 AND $1 = ANY (pg_blocking_pids(pid))`, w.pid).Scan(&n)
	return n, err
}

// inTheWay are those whom what runs waits for, and where the caller may end some of them, whom not.
func (w *waits) inTheWay(ctx context.Context, conn *pgx.Conn) ([]migration.Blocker, error) {
	rows, err := conn.Query(ctx, holdersQuery+` WHERE a.pid = ANY (pg_blocking_pids($1))`, w.pid)
	if err != nil {
		return nil, err
	}
	blockers, err := collectBlockers(rows)
	if err != nil || w.o.Blockers == nil || len(blockers) == 0 {
		return blockers, err
	}
	return blockers, w.spare(ctx, conn, blockers)
}

func (w *waits) running() (string, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sql, w.since
}

// runs says that a statement began.
func (w *waits) runs(sql string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sql, w.since, w.last = cutTextTo(sql, 200), time.Now(), nil
}

func (w *waits) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sql = ""
}

// seen are those who were seen in the way last.
func (w *waits) seen() []migration.Blocker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// behind tells of a wait for another migrator.
func (w *waits) behind(holders []migration.Blocker) {
	w.mu.Lock()
	if len(w.last) == 0 && w.since.IsZero() {
		w.since = time.Now()
	}
	since := w.since
	w.last = holders
	w.mu.Unlock()
	w.tell(migration.Moment{SQL: "wait for another migrator", Since: time.Since(since), Waits: true, Blocker: holders})
}

// due says whether it is time to tell: four times a second at most.
func (w *waits) due() bool { return w.o.Progress != nil && time.Since(w.told) >= 250*time.Millisecond }

// tell is called by one goroutine at a time.
func (w *waits) tell(m migration.Moment) {
	if !w.due() {
		return
	}
	w.told = time.Now()
	w.o.Progress(m)
}

// holdersQuery gives sessions, and the table that the session $1 waits for.
const holdersQuery = `SELECT a.pid, a.backend_start, coalesce(a.application_name, ''), coalesce(a.usename, ''), coalesce(a.state, a.backend_type, ''),
	coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start)), 0)::float8, coalesce(a.query, ''),
	coalesce((SELECT l.relation::regclass::text FROM pg_locks l WHERE l.pid = $1 AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1), '')
	FROM pg_stat_activity a`

func collectBlockers(rows pgx.Rows) ([]migration.Blocker, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b migration.Blocker, err error) {
		var pid int32
		var born *time.Time
		var name, user, query string
		var since float64
		err = row.Scan(&pid, &born, &name, &user, &b.State, &since, &query, &b.Table)
		b.PID, b.Born, b.Who, b.Since = int(pid), *cmp.Or(born, &time.Time{}), user, time.Duration(since*float64(time.Second))
		if name != "" {
			b.Who = name + " as " + user
		}
		b.Query = migration.Literals(cutText(query))
		return b, err
	})
}

// jitter keeps two who wait for one another from coming back at the same time.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2))
}
