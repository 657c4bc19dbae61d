package postgres

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
)

// track makes a story of looks. It is pure: a state machine that takes one look after the other.
//
// Times are the server's, so that what began between two looks has its true beginning. A span that no such time bounds
// begins with the first look that saw it and ends with the last one: it may have been longer, never shorter.
type track struct {
	migrator string
	start    time.Time // the server's clock at the first look
	at       time.Time // and at this one
	last     time.Duration
	// How much later than the server's this machine's clock is, at least and at most: each answer narrows it.
	least, most time.Duration

	// Between these two the server's locks were read for the last time and for the time before. What came or went since
	// that one did so then.
	blindFrom, blindUntil time.Duration

	changed  time.Duration // when something began or ended last
	before   catalogue
	mine     map[int32]*trackedSession
	old      map[int32]time.Time               // sessions that were there before, by when they began
	others   map[int32]time.Time               // sessions of somebody else's, by when they began
	who      func([]netip.AddrPort) []data.End // nil: nobody can tell who is at the other end of a session
	named    bool                              // a session was seen that is certainly the migrator's
	guessed  bool
	made     []*trackedStatement
	locks    []*trackedLock
	waits    []*trackedWait
	waiting  map[waitKey]*trackedWait
	told     []data.Told
	tellings int  // of how many statements was told so far
	held     bool // a transaction's locks were read before its commit
	open     int  // statements that were told of since
	noTx     bool // one was told of that ran outside a transaction
	back     bool // one was told of that may give back what it locked
	omitted  int

	preparedBefore bool          // see look, at the first one
	preparedSince  time.Duration // the first look of those in a row that saw it, and not of the first; negative for none
	prepared       time.Duration // for how long at most
}

// trackedSession is a session of the migrator's.
type trackedSession struct {
	born  time.Time
	now   *trackedStatement
	began time.Time // of now, as the server has it
	xact  time.Time
	locks map[lockKey]*trackedLock
}

func newTracked(born time.Time) *trackedSession {
	return &trackedSession{born: born, locks: map[lockKey]*trackedLock{}}
}

type trackedStatement struct {
	sql         string
	from, until time.Duration
	done        bool
	waited      time.Duration
	failed      bool
	pid         int32
	told        *data.Told
	order       int // the how manieth it was of those that were told of
}

type lockKey struct {
	relation uint32
	mode     string
}

type trackedLock struct {
	lockKey
	asked, from, until time.Duration
	granted, queued    bool
	dated              bool          // the server said since when it is waited for
	early, late        time.Duration // see migration.Lock
	open               bool          // it is still there
	xact               time.Time
	by                 *trackedStatement
	// The session itself told of it first: one took it that was told of after so many, and up to so many. 0 where it did not.
	after, upTo int
}

func newTrack(migrator string, first look, before catalogue, who func([]netip.AddrPort) []data.End) *track {
	t := &track{migrator: migrator, start: first.at, before: before, who: who,
		mine: map[int32]*trackedSession{}, old: map[int32]time.Time{}, others: map[int32]time.Time{}, waiting: map[waitKey]*trackedWait{},
		preparedBefore: first.prepared, preparedSince: -1}
	for _, s := range first.sessions {
		t.old[s.pid] = s.born
	}
	t.take(first)
	return t
}

// take takes the next look.
func (t *track) take(l look) {
	now := max(l.at.Sub(t.start), t.last) // a clock that is set back by little
	t.at = l.at
	t.blindFrom, t.blindUntil = t.last, now+l.took
	t.ask(l.sessions)
	seen := map[int32]bool{}
	for _, s := range l.sessions {
		if t.isMigrator(s) {
			seen[s.pid] = true
			t.session(s, now)
		}
	}
	for pid, w := range t.mine {
		if !seen[pid] {
			w.finish(t.last)
			for k, l := range w.locks {
				l.close(t.last, t.blindUntil)
				delete(w.locks, k)
			}
			delete(t.mine, pid)
		}
	}
	t.waiters(l, now)
	t.prepares(l.prepared, now)
	t.last = now
	t.prune()
}

// prepares follows how long a transaction that was prepared has kept what it locked: no session's locks tell of it.
func (t *track) prepares(is bool, now time.Duration) {
	switch {
	case !is:
		if t.preparedSince >= 0 {
			t.prepared = max(t.prepared, t.blindUntil-t.preparedSince)
		}
		t.preparedSince, t.preparedBefore = -1, false
		return
	case t.preparedBefore:
		return
	case t.preparedSince < 0:
		t.preparedSince = t.last
	}
	t.prepared = max(t.prepared, now-t.preparedSince)
}

// set sets the server's clock, should it have been, by when it was asked for the time and answered: an hour that the clock
// jumps is none that anybody waited, and one that it is set back is no pause.
func (t *track) set(asked, answered time.Duration, at time.Time) {
	const jump = 20 * time.Millisecond
	d := at.Sub(t.start)
	least, most := asked-d, answered-d
	switch {
	case most < t.least-jump || least > t.most+jump:
		mid := (asked + answered) / 2
		t.start = at.Add(-mid)
		t.least, t.most = asked-mid, answered-mid
	case most < t.least || least > t.most: // one of them runs faster
		t.least, t.most = least, most
	default:
		t.least, t.most = max(t.least, least), min(t.most, most)
	}
}

// here is when something happened by the server's clock that happened then by this machine's, and how far that may be wrong.
func (t *track) here(then time.Duration) (at, within time.Duration) {
	return then - (t.least+t.most)/2, (t.most - t.least) / 2
}

// takeHeld takes what a session said that it holds, at a moment between two looks.
func (t *track) takeHeld(s seenSession, at time.Time) {
	now := max(at.Sub(t.start), t.last)
	t.at = at
	t.blindFrom, t.blindUntil = t.last, now
	w := t.mine[s.pid]
	if w == nil || !w.born.Equal(s.born) {
		w = newTracked(s.born)
		t.mine[s.pid] = w
	}
	t.named = true
	if !w.xact.Equal(s.xact) {
		w.finish(t.last) // the statement that looks know of was in another transaction
	}
	before := len(t.locks)
	t.hold(w, s, now)
	for _, l := range t.locks[before:] {
		l.after, l.upTo = t.tellings-t.open, t.tellings
	}
	w.xact = s.xact
	t.held, t.open = true, 0
}

// pids are the migrator's sessions.
func (t *track) pids() []int32 {
	out := make([]int32, 0, len(t.mine))
	for pid := range t.mine {
		out = append(out, pid)
	}
	return out
}

// ask asks who is at the other end of sessions of which that is not known: about a session of somebody else's it is asked
// once.
func (t *track) ask(sessions []seenSession) {
	const most = 10_000
	if len(t.others) > most { // those who are still there are asked about again
		clear(t.others)
	}
	var ends endsOf
	for i, s := range sessions {
		if s.client && s.from.IsValid() && !t.known(s) && s.app != greenroomName && !t.carries(s) {
			ends.ask(s.from, i)
		}
	}
	if t.who == nil || len(ends.addresses) == 0 {
		return
	}
	for i, end := range t.who(ends.addresses) {
		switch s := sessions[ends.sessions[i]]; end {
		case data.EndMigrator:
			t.mine[s.pid] = newTracked(s.born)
			t.named = true
		case data.EndOther:
			t.others[s.pid] = s.born
		}
	}
}

// known says whether it is known whose a session is.
func (t *track) known(s seenSession) bool {
	if w := t.mine[s.pid]; w != nil && w.born.Equal(s.born) {
		return true
	}
	born, is := t.others[s.pid]
	return is && born.Equal(s.born)
}

// carries says whether a session has the migrator's name.
func (t *track) carries(s seenSession) bool {
	return t.migrator != "" && s.app == t.migrator[:min(len(t.migrator), 63)]
}

// isMigrator says whether a session is the migrator's: one of its name or at whose other end it is, a worker of one, or,
// where none of these was seen because the tool takes a name of its own, a new session that takes locks as only changes of
// the schema do.
func (t *track) isMigrator(s seenSession) bool {
	if w := t.mine[s.pid]; w != nil && w.born.Equal(s.born) {
		return true
	}
	if s.leader != 0 && t.mine[s.leader] != nil {
		return true
	}
	if t.carries(s) {
		t.named = true
		return true
	}
	if t.named || t.known(s) || !s.client || s.app == greenroomName {
		return false
	}
	if born, was := t.old[s.pid]; was && born.Equal(s.born) {
		return false
	}
	for _, l := range s.locks {
		if !l.row && l.relation != 0 && changesSchema(l.mode) {
			t.guessed = true
			return true
		}
	}
	return false
}

// greenroomName is the application name of Greenroom's own sessions.
const greenroomName = "greenroom"

// changesSchema says whether a lock is one that no statement of an application takes.
func changesSchema(mode string) bool { return migration.Stronger(mode, "RowExclusive") }

// session takes what one of the migrator's sessions is at.
func (t *track) session(s seenSession, now time.Duration) {
	w := t.mine[s.pid]
	if w == nil || !w.born.Equal(s.born) {
		w = newTracked(s.born)
		t.mine[s.pid] = w
	}
	if s.leader == 0 {
		t.statement(w, s, now)
	} else if leader := t.mine[s.leader]; leader != nil {
		w.now = leader.now
	}
	t.hold(w, s, now)
	w.xact = s.xact
}

// statement follows which statement a session is at. A driver's Parse, Bind and Execute are each a beginning to the server;
// they are one statement when they have the same text in the same transaction, with no end between them.
func (t *track) statement(w *trackedSession, s seenSession, now time.Duration) {
	if s.began.IsZero() || strings.HasPrefix(s.query, heldMark) {
		w.finish(t.last)
		return
	}
	from := t.offset(s.began, now)
	switch {
	case w.now == nil || !s.began.Equal(w.began):
		again := w.now != nil && !w.now.done && w.now.sql == s.query && w.xact.Equal(s.xact) && !s.xact.IsZero()
		if !again {
			w.finish(from)
			w.now = &trackedStatement{sql: s.query, from: from, pid: s.pid}
			t.made = append(t.made, w.now)
			t.changed = now
		}
		w.began = s.began
	case w.now.done:
		return
	}
	w.now.until = max(w.now.from, now)
	if s.completed {
		w.now.failed = s.state == abortedState
		w.finish(t.offset(s.changed, now))
	}
	if s.waits && !s.completed {
		w.now.waited += now - max(t.last, w.now.from)
	}
}

// finish ends the statement that a session is at, unless it has ended.
func (w *trackedSession) finish(at time.Duration) {
	if w.now != nil && !w.now.done {
		w.now.done = true
		w.now.until = max(w.now.from, at)
	}
}

// offset is a time of the server's since the start, between that and now.
func (t *track) offset(at time.Time, now time.Duration) time.Duration {
	return min(max(0, at.Sub(t.start)), now)
}

// hold follows a session's locks. They all go with their transaction: what is there in the next one as well is another lock.
func (t *track) hold(w *trackedSession, s seenSession, now time.Duration) {
	end := t.last
	latest := t.blindUntil
	switch {
	case s.completed && (!s.xact.Equal(w.xact) || s.xact.IsZero()): // what its last transaction held went before the session said that it is done
		end = max(end, t.offset(s.changed, now))
		latest = end
	case s.completed: // it is idle in the same transaction; sessions are read before locks, so that may have ended in between
		end = max(end, t.offset(s.changed, now))
	case !s.xact.Equal(w.xact) && !s.xact.IsZero() && !s.xact.After(t.at): // and before it began the next one, with a pause in which others pass
		latest = max(end, t.offset(s.xact, now)-1)
	}
	there := map[lockKey]bool{}
	for _, h := range s.locks {
		k := lockKey{h.relation, h.mode}
		if h.row || h.relation == 0 || migration.Stronger("RowExclusive", h.mode) {
			continue
		}
		there[k] = true
		l := w.locks[k]
		if l != nil && !l.xact.Equal(s.xact) {
			l.close(t.last, latest)
			l = nil
		}
		if l == nil {
			l = &trackedLock{lockKey: k, open: true, xact: s.xact, by: w.taking(t.last), asked: t.first(w, now)}
			l.from = l.asked
			l.early = l.asked - min(l.asked, t.blindFrom)
			if !s.xact.After(t.at) { // else the clock was set back since
				l.early = min(l.early, l.asked-min(l.asked, t.offset(s.xact, now)))
			}
			t.locks = append(t.locks, l)
			t.changed = now
			w.locks[k] = l
		}
		l.see(h, t, now)
	}
	for k, l := range w.locks {
		if !there[k] {
			l.close(end, latest)
			delete(w.locks, k)
			t.changed = now
		}
	}
}

// taking is the statement that took what was not there at the last look; nil where it ended before that one.
func (w *trackedSession) taking(last time.Duration) *trackedStatement {
	if w.now != nil && w.now.done && w.now.until <= last {
		return nil
	}
	return w.now
}

// first is from when on something is taken to be there that was not there at the last look: since the statement began,
// where that is later than the last look, else since now.
func (t *track) first(w *trackedSession, now time.Duration) time.Duration {
	if w.now != nil && !w.now.done && w.now.from > t.last {
		return w.now.from
	}
	return now
}

func (l *trackedLock) see(h seenLock, t *track, now time.Duration) {
	l.until = now
	switch {
	case !h.granted:
		l.queued, l.from = true, now
		if !h.since.IsZero() && !h.since.After(t.at) && !l.dated { // once: later the clock may be another
			l.asked, l.early, l.dated = t.offset(h.since, now), 0, true
		}
	case l.queued && !l.granted:
		l.from = now
	}
	l.granted = h.granted
}

// close ends a lock, at the latest when it is said. One that was never had was only waited for.
func (l *trackedLock) close(at, latest time.Duration) {
	l.open = false
	l.until = max(l.until, at)
	l.late = max(0, latest-l.until)
	if !l.granted {
		l.from = l.until
	}
}

// observeBound is how many statements, locks and waits each are kept: the longest.
const observeBound = 500

// prune keeps what is remembered small while a migration of any length is watched.
func (t *track) prune() {
	const much = 4 * observeBound
	if len(t.locks) > much {
		t.locks = t.longestLocks(2 * observeBound)
	}
	if len(t.waits) > much {
		t.waits = t.longestWaits(2 * observeBound)
	}
	if len(t.made) > much {
		t.made = t.longestStatements(2 * observeBound)
	}
	if len(t.told) > much {
		t.omitted += len(t.told) - 2*observeBound
		t.told = slices.Clone(t.told[len(t.told)-2*observeBound:])
	}
}

func (t *track) longestLocks(n int) []*trackedLock {
	return keepLongest(t, t.locks, n, func(l *trackedLock) time.Duration {
		_, was := t.before.relations[l.relation]
		switch took := l.until - l.asked; {
		case !was && !l.open: // nobody but the migration may have known it
			return took
		case !was:
			return forever / 8
		case l.open:
			return forever
		case migration.StopsWrites(l.mode):
			return took + forever/2
		default:
			return took + forever/4
		}
	}, func(l *trackedLock) time.Duration { return l.asked })
}

func (t *track) longestWaits(n int) []*trackedWait {
	return keepLongest(t, t.waits, n, func(w *trackedWait) time.Duration {
		if w.open {
			return forever
		}
		return w.until - w.from
	}, func(w *trackedWait) time.Duration { return w.from })
}

// longestStatements prefers those whose locks were kept.
func (t *track) longestStatements(n int) []*trackedStatement {
	has := map[*trackedStatement]bool{}
	for _, l := range t.locks {
		has[l.by] = true
	}
	return keepLongest(t, t.made, n, func(s *trackedStatement) time.Duration {
		switch took := s.until - s.from; {
		case !s.done:
			return forever
		case has[s]:
			return took + forever/2
		default:
			return took
		}
	}, func(s *trackedStatement) time.Duration { return s.from })
}

// forever is the weight of what still goes on.
const forever = time.Duration(math.MaxInt64)

// keepLongest keeps the n with the most weight, in the order of their beginning, and counts those that it leaves out.
func keepLongest[T any](t *track, list []T, n int, weight, from func(T) time.Duration) []T {
	list = slices.Clone(list)
	if len(list) > n {
		slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(weight(b), weight(a)) })
		t.omitted += len(list) - n
		list = list[:n]
	}
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(from(a), from(b)) })
	return list
}
