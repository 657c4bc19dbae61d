package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"greenroom/internal/migration"
)

// moments hands out what goes on, without ever keeping a look waiting: a moment that nobody has taken yet gives way to the
// next one.
type moments struct {
	next  chan migration.Moment
	ended chan struct{}
	last  time.Time
}

// newMoments is nil where nobody wants to know.
func newMoments(tell func(migration.Moment)) *moments {
	if tell == nil {
		return nil
	}
	m := &moments{next: make(chan migration.Moment, 1), ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for moment := range m.next {
			tell(moment)
		}
	}()
	return m
}

func (m *moments) end() {
	if m != nil {
		close(m.next)
		<-m.ended
	}
}

// ongoing is a moment, and who has to be asked about for it.
type ongoing struct {
	migration.Moment
	blockers []int32
	table    string
}

// moment is what goes on in a look, and whether it is time to tell.
func (w *watch) moment(l look, now time.Time) (ongoing, bool) {
	if w.moments == nil || now.Sub(w.moments.last) < momentEvery {
		return ongoing{}, false
	}
	o, busy := w.track.moment(l)
	if busy {
		w.moments.last = now
	}
	return o, busy
}

// moment is what the migrator's sessions are at: one that waits, or else the one that has worked longest.
func (t *track) moment(l look) (o ongoing, busy bool) {
	for _, s := range l.sessions {
		m := t.mine[s.pid]
		if m == nil || m.now == nil || m.now.done || s.leader != 0 {
			continue
		}
		since := m.now.until - m.now.from
		if busy && !s.waits && (o.Waits || since < o.Since) {
			continue
		}
		busy = true
		o = ongoing{Moment: migration.Moment{SQL: cutTextTo(m.now.sql, 200), Since: since, Waits: s.waits}}
		if s.waits {
			relation, _, _ := s.wanted()
			o.table, _ = t.name(relation, t.before)
			o.blockers = s.blockers
		}
	}
	o.Behind = len(t.waiting)
	return o, busy
}

const inTheWayQuery = `SELECT a.pid, a.application_name || CASE WHEN a.application_name = '' THEN '' ELSE ' as ' END || coalesce(a.usename, ''),
	coalesce(a.state, ''), greatest(0, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, clock_timestamp())))::float8, coalesce(a.query, '')
	FROM pg_stat_activity a WHERE a.pid = ANY ($1) ORDER BY a.xact_start, a.pid LIMIT 10`

// tell hands a moment out, with who is in the migration's way.
func (w *watch) tell(ctx context.Context, o ongoing) {
	if len(o.blockers) > 0 {
		o.Blocker = w.looker.blockers(ctx, o)
	}
	select {
	case <-w.moments.next:
	default:
	}
	w.moments.next <- o.Moment
}

// blockers are those in the way. Number 0 is a prepared transaction, which has no session.
func (l *looker) blockers(ctx context.Context, o ongoing) []migration.Blocker {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var out []migration.Blocker
	for _, pid := range o.blockers {
		if pid == 0 {
			out = append(out, migration.Blocker{Who: "a prepared transaction", State: "prepared", Table: o.table})
			break
		}
	}
	rows, err := l.conn.Query(ctx, inTheWayQuery, o.blockers)
	if err != nil {
		return out
	}
	b := migration.Blocker{Table: o.table}
	var since float64
	// What fails here fails again at the next look, and is told there.
	_, _ = pgx.ForEachRow(rows, []any{&b.PID, &b.Who, &b.State, &since, &b.Query}, func() error {
		b.Since = time.Duration(since * float64(time.Second))
		b.Query = cutText(migration.Literals(b.Query))
		out = append(out, b)
		return nil
	})
	return out
}
