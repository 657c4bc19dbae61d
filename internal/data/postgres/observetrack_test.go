package postgres

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/internal/data"
	"greenroom/internal/data/datatest"
	"greenroom/internal/migration"
)

// made-up looks: milliseconds after an instant of the server's.
func serverAt(ms int) time.Time {
	return time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

const ordersOID, ordersIndex, newOID = 20000, 20001, 30000

func ordersBefore() catalogue {
	return catalogue{relations: map[uint32]seenRelation{
		ordersOID:   {name: "orders", table: ordersOID, kind: "r", file: 1},
		ordersIndex: {name: "orders_pkey", table: ordersOID, kind: "i", file: 2},
	}}
}

func migratorAt(sql string, began, xact int, locks ...seenLock) seenSession {
	return seenSession{pid: 7, client: true, app: migratorName, state: "active", query: sql, born: serverAt(-1), began: serverAt(began), xact: serverAt(xact), locks: locks}
}

func held(mode string) seenLock {
	return seenLock{relation: ordersOID, mode: mode + "Lock", granted: true}
}

func tracked(looks ...look) migration.Observation {
	t := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
	for _, l := range looks {
		t.take(l)
	}
	after := ordersBefore()
	return t.observation(&after, time.Now())
}

// TestTrackBatches has transactions so close behind one another that no look falls between them: their locks are not one.
func TestTrackBatches(t *testing.T) {
	t.Parallel()
	const sql = "UPDATE orders SET total = 0 WHERE id < 10"
	var looks []look
	for i := range 100 {
		looks = append(looks, look{at: serverAt(10 * (i + 1)), sessions: []seenSession{migratorAt(sql, 10*i+8, 10*i+8, held("RowExclusive"))}})
	}
	o := tracked(looks...)
	if len(o.Locks) != 100 || len(o.Statements) != 100 {
		t.Errorf("%d locks, %d statements", len(o.Locks), len(o.Statements))
	}
	if s := migration.StoodStill(o); len(s) != 1 || s[0].Rows.Took() > 10*time.Millisecond {
		t.Errorf("%+v", s)
	}
}

// TestTrackOneStatement has Parse, Bind and Execute, which are three beginnings to the server.
func TestTrackOneStatement(t *testing.T) {
	t.Parallel()
	const sql = "ALTER TABLE orders ADD x integer"
	done := migratorAt(sql, 4, 1)
	done.state, done.completed, done.changed, done.xact = "idle", true, serverAt(18), time.Time{}
	o := tracked(look{at: serverAt(5), sessions: []seenSession{migratorAt(sql, 1, 1)}}, look{at: serverAt(10), sessions: []seenSession{migratorAt(sql, 3, 1, held("AccessExclusive"))}},
		look{at: serverAt(15), sessions: []seenSession{migratorAt(sql, 4, 1, held("AccessExclusive"))}}, look{at: serverAt(20), sessions: []seenSession{done}})
	if len(o.Statements) != 1 || o.Statements[0].From != time.Millisecond || o.Statements[0].Took != 17*time.Millisecond {
		t.Errorf("%+v", o.Statements)
	}
	if len(o.Locks) != 1 || o.Locks[0].From != 10*time.Millisecond || o.Locks[0].Until != 18*time.Millisecond || o.Locks[0].Statement != 0 {
		t.Errorf("%+v", o.Locks)
	}
}

// TestTrackBlind says how long a lock may have been there at most: from the last look that did not see it, or its
// transaction's beginning, to the answer of the first that did not see it again, or what the server says was later.
func TestTrackBlind(t *testing.T) {
	t.Parallel()
	const sql = "ALTER TABLE orders ADD x integer"
	ms := time.Millisecond
	has := migratorAt(sql, 50, 20, held("AccessExclusive"))
	begunBefore := migratorAt(sql, 90, 2, held("AccessExclusive"))
	idle := migratorAt(sql, 50, 20)
	idle.state, idle.completed, idle.changed, idle.xact = "idle", true, serverAt(160), time.Time{}
	within := idle
	within.state, within.changed, within.xact = "idle in transaction", serverAt(90), serverAt(20)
	for name, c := range map[string]struct {
		looks       []look
		early, late time.Duration
	}{
		"until it was gone from one that was idle": {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), took: 30 * ms, sessions: []seenSession{within}}}, 30 * ms, 130 * ms},
		"since its transaction began":              {[]look{{at: serverAt(100), sessions: []seenSession{has}}}, 30 * ms, 0},
		"since the look before":                    {[]look{{at: serverAt(10)}, {at: serverAt(100), sessions: []seenSession{begunBefore}}}, 80 * ms, 0},
		"until the session was gone":               {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), took: 30 * ms}}, 30 * ms, 130 * ms},
		"until the session was done":               {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), sessions: []seenSession{idle}}}, 30 * ms, 0},
		"until the next transaction":               {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), sessions: []seenSession{migratorAt(sql, 150, 150)}}}, 30 * ms, 50*ms - 1},
		"until it was gone by itself":              {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), sessions: []seenSession{migratorAt("ROLLBACK TO a", 150, 20)}}}, 30 * ms, 100 * ms},
		"until it was another's again":             {[]look{{at: serverAt(100), sessions: []seenSession{has}}, {at: serverAt(200), sessions: []seenSession{migratorAt(sql, 150, 150, held("AccessExclusive"))}}}, 30 * ms, 50*ms - 1},
	} {
		o := tracked(c.looks...)
		if l := o.Locks[0]; l.Early != c.early || l.Late != c.late {
			t.Errorf("%s: early %s, late %s, want %s and %s", name, l.Early, l.Late, c.early, c.late)
		}
		for _, l := range o.Locks[1:] {
			if before := o.Locks[0]; l.Asked-l.Early <= before.Until+before.Late {
				t.Errorf("%s: %+v and %+v are one", name, before, l)
			}
		}
	}
}

// TestTrackIndexes counts locks on an index as its table's, and those on one that is new as nobody's.
func TestTrackIndexes(t *testing.T) {
	t.Parallel()
	s := migratorAt("REINDEX INDEX orders_pkey", 1, 1, held("Share"), seenLock{relation: ordersIndex, mode: "AccessExclusiveLock", granted: true},
		seenLock{relation: newOID, mode: "AccessExclusiveLock", granted: true})
	o := tracked(look{at: serverAt(5), sessions: []seenSession{s}}, look{at: serverAt(10), sessions: []seenSession{s}}, look{at: serverAt(15)})
	if len(o.Locks) != 2 || o.Locks[0].Table != "orders" || o.Locks[1].Table != "orders" {
		t.Errorf("%+v", o.Locks)
	}
}

// TestTrackQueue has a lock that is waited for, had, and given back.
func TestTrackQueue(t *testing.T) {
	t.Parallel()
	const sql = "ALTER TABLE orders ADD x integer"
	waits := migratorAt(sql, 2, 2, seenLock{relation: ordersOID, mode: "AccessExclusiveLock", since: serverAt(3)})
	waits.waits, waits.blockers = true, []int32{99}
	reader := seenSession{pid: 8, client: true, app: "web", query: "SELECT 'x' FROM orders", began: serverAt(6), waits: true,
		locks: []seenLock{{relation: ordersOID, mode: "AccessShareLock"}}}
	writer := seenSession{pid: 9, client: true, app: "web", query: "UPDATE orders SET a = 'y'", began: serverAt(6), waits: true,
		locks: []seenLock{{relation: ordersOID, mode: "RowExclusiveLock", granted: true}, {mode: "ShareLock", xid: 1000}}}
	before := seenSession{pid: 10, client: true, app: "web", query: "UPDATE orders SET a = 'z'", began: serverAt(7), waits: true,
		locks: []seenLock{{relation: ordersOID, mode: "RowExclusiveLock", since: serverAt(7)}, {mode: "ExclusiveLock", xid: 1000, granted: true}}}
	earlier := seenSession{pid: 11, client: true, app: "web", query: "ANALYZE orders", began: serverAt(1), waits: true,
		locks: []seenLock{{relation: ordersOID, mode: "ShareUpdateExclusiveLock", since: serverAt(1)}}}
	had := migratorAt(sql, 2, 2, held("AccessExclusive"))
	o := tracked(look{at: serverAt(5), sessions: []seenSession{waits}}, look{at: serverAt(10), sessions: []seenSession{waits, earlier, writer, reader, before}},
		look{at: serverAt(15), sessions: []seenSession{had, reader, writer, before}}, look{at: serverAt(20)})
	if len(o.Locks) != 1 || o.Locks[0] != (migration.Lock{Table: "orders", Mode: "AccessExclusive", Asked: 3 * time.Millisecond, From: 15 * time.Millisecond, Until: 15 * time.Millisecond, Late: 5 * time.Millisecond}) {
		t.Errorf("%+v", o.Locks)
	}
	writes := 0
	for _, w := range o.Waits {
		if w.Table != "orders" || w.Statement != 0 {
			t.Errorf("%+v", w)
		}
		if w.Write {
			writes++
		}
	}
	if len(o.Waits) != 3 || writes != 2 {
		t.Errorf("%+v", o.Waits)
	}
	if w := o.Statements[0].Waited; w != 8*time.Millisecond {
		t.Errorf("waited %s", w)
	}
}

// TestTrackClock has a clock that somebody sets by an hour, in both directions.
func TestTrackClock(t *testing.T) {
	t.Parallel()
	tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
	take := func(elapsed, clock int, sessions ...seenSession) {
		l := look{at: serverAt(clock), sessions: sessions}
		tr.set(time.Duration(elapsed)*time.Millisecond, time.Duration(elapsed)*time.Millisecond, l.at)
		tr.take(l)
	}
	const hour = 3600_000
	take(5, 5, migratorAt("LOCK TABLE orders", 1, 1, held("AccessExclusive")))
	take(10, 10+hour, migratorAt("LOCK TABLE orders", 1, 1, held("AccessExclusive")))
	take(15, 15-hour, migratorAt("LOCK TABLE orders", 1, 1, held("AccessExclusive")))
	take(20, 20-hour)
	after := ordersBefore()
	o := tr.observation(&after, time.Now())
	if s := migration.StoodStill(o); len(s) != 1 || s[0].Reads.Took() > 20*time.Millisecond || s[0].Reads.Took() <= 0 {
		t.Errorf("%+v", s)
	}
}

// TestTrackClockBack sets the clock back while a lock is waited for and held: both took as long as they did.
func TestTrackClockBack(t *testing.T) {
	t.Parallel()
	for _, back := range []int{900, 3600_000} {
		tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
		waits := seenLock{relation: ordersOID, mode: "AccessExclusiveLock", since: serverAt(10)}
		take := func(elapsed, back int, locks ...seenLock) {
			l := look{at: serverAt(elapsed - back), sessions: []seenSession{migratorAt("LOCK TABLE orders", 9, 9, locks...)}}
			tr.set(time.Duration(elapsed)*time.Millisecond, time.Duration(elapsed)*time.Millisecond, l.at)
			tr.take(l)
		}
		take(15, 0, waits)
		for ms := 20; ms < 400; ms += 5 {
			take(ms, back, waits)
		}
		for ms := 400; ms < 800; ms += 5 {
			take(ms, back, held("AccessExclusive"))
		}
		take(800, back)
		after := ordersBefore()
		o := tr.observation(&after, time.Now())
		if s := migration.StoodStill(o); len(s) != 1 || s[0].Reads.Took() < 780*time.Millisecond || s[0].Reads.Took() > 810*time.Millisecond {
			t.Errorf("set back by %d ms: %+v", back, s)
		}
	}
}

// TestTrackIsBounded watches for very long, and keeps what was longest.
func TestTrackIsBounded(t *testing.T) {
	t.Parallel()
	tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
	for i := range 20_000 {
		took := 5
		if i == 777 {
			took = 8
		}
		at := 10 * (i + 1)
		for _, ms := range []int{0, took} {
			web := seenSession{pid: 8, client: true, app: "web", query: fmt.Sprintf("SELECT %d", i), began: serverAt(at), waits: true,
				locks: []seenLock{{relation: ordersOID, mode: "AccessShareLock"}}}
			tr.take(look{at: serverAt(at + ms), sessions: []seenSession{migratorAt(fmt.Sprintf("ALTER TABLE orders ADD x%d int", i), at, at, held("AccessExclusive")), web}})
		}
		tr.told = append(tr.told, data.Told{SQL: "x"})
		if n := max(len(tr.locks), len(tr.waits), len(tr.made), len(tr.told)); n > 4*observeBound+2 {
			t.Fatalf("%d entries", n)
		}
	}
	after := ordersBefore()
	o := tr.observation(&after, time.Now())
	o.Took = time.Hour
	if err := datatest.Sound(o); err != nil {
		t.Error(err)
	}
	if s := migration.StoodStill(o); s[0].Reads.Took() != 8*time.Millisecond || o.Omitted < 3*19_000 || len(o.Locks) != observeBound {
		t.Errorf("%+v of %d locks, %d omitted", s, len(o.Locks), o.Omitted)
	}
}

// TestTrackTakesAnything makes looks up.
func TestTrackTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string) int { return rapid.IntRange(-50, 500).Draw(t, name) }
		tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
		clock := 0
		for range rapid.IntRange(0, 20).Draw(t, "looks") {
			clock += rapid.IntRange(-5, 40).Draw(t, "later")
			l := look{at: serverAt(clock)}
			for pid := range int32(rapid.IntRange(0, 4).Draw(t, "sessions")) {
				s := seenSession{pid: pid, leader: rapid.Int32Range(0, 3).Draw(t, "leader"), client: rapid.Bool().Draw(t, "client"),
					app:   rapid.SampledFrom([]string{migratorName, "web", "", greenroomName}).Draw(t, "app"),
					state: rapid.SampledFrom([]string{"active", "idle", abortedState, ""}).Draw(t, "state"), completed: rapid.Bool().Draw(t, "completed"),
					query: rapid.SampledFrom([]string{"SELECT 1", "ALTER TABLE orders ADD x int", heldMark, "\xff", ""}).Draw(t, "query"),
					born:  serverAt(ms("born") / 100), xact: serverAt(ms("xact")), began: serverAt(ms("began")), changed: serverAt(ms("changed")),
					waits: rapid.Bool().Draw(t, "waits"), blockers: rapid.SliceOfN(rapid.Int32Range(0, 4), 0, 3).Draw(t, "blockers")}
				for range rapid.IntRange(0, 3).Draw(t, "locks") {
					s.locks = append(s.locks, seenLock{relation: rapid.SampledFrom([]uint32{0, ordersOID, ordersIndex, newOID}).Draw(t, "relation"), xid: rapid.Int64Range(0, 3).Draw(t, "xid"), row: rapid.Bool().Draw(t, "row"),
						mode:    rapid.SampledFrom([]string{"AccessShareLock", "RowExclusiveLock", "ShareLock", "AccessExclusiveLock", "?"}).Draw(t, "mode"),
						granted: rapid.Bool().Draw(t, "granted"), since: serverAt(ms("since"))})
				}
				l.sessions = append(l.sessions, s)
			}
			if rapid.Bool().Draw(t, "held") && len(l.sessions) > 0 {
				tr.takeHeld(l.sessions[0], l.at)
			} else {
				tr.take(l)
			}
			tr.moment(l)
		}
		after := ordersBefore()
		o := tr.observation(&after, time.Now())
		o.Took = time.Hour
		if err := datatest.Sound(o); err != nil {
			t.Fatalf("%v\n%+v", err, o)
		}
	})
}

// TestTrackAsksWhoIsThere: a session is the migrator's for who is at its other end, whatever its name; about somebody else's
// it is asked once, about one of which nobody can tell yet again, and nothing is guessed of those who are known.
func TestTrackAsksWhoIsThere(t *testing.T) {
	t.Parallel()
	at := func(pid int32, name string) seenSession {
		s := migratorAt("ALTER TABLE orders ADD x integer", 1, 1, held("AccessExclusive"))
		s.pid, s.app, s.from = pid, name, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(pid))
		return s
	}
	ends := map[uint16]data.End{1: data.EndOther, 2: data.EndUnknown}
	asked := map[uint16]int{}
	tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), func(all []netip.AddrPort) (out []data.End) {
		for _, a := range all {
			asked[a.Port()]++
			out = append(out, ends[a.Port()])
		}
		return out
	})
	tr.take(look{at: serverAt(5), sessions: []seenSession{at(1, "somebody")}})
	if tr.guessed || len(tr.mine) != 0 {
		t.Error("somebody else's session was taken for the migrator's")
	}
	ends[2] = data.EndMigrator
	for i := range 3 {
		tr.take(look{at: serverAt(10 + i), sessions: []seenSession{at(1, "somebody"), at(2, "a tool"), at(3, migratorName), at(4, greenroomName)}})
	}
	if tr.guessed || len(tr.mine) != 2 || tr.mine[2] == nil || tr.mine[3] == nil {
		t.Errorf("guessed %t: %v", tr.guessed, tr.mine)
	}
	if len(asked) != 2 || asked[1] != 1 || asked[2] != 1 {
		t.Errorf("asked %v", asked)
	}
	ends[1] = data.EndMigrator
	again := at(1, "somebody")
	again.born = serverAt(12) // another session of the same number
	tr.take(look{at: serverAt(15), sessions: []seenSession{again}})
	if asked[1] != 2 || tr.mine[1] == nil {
		t.Errorf("asked %v: %v", asked, tr.mine)
	}
}

// TestTrackOrder has a session that tells what it did and then what it holds, with a clock that nobody can rely on: who took
// what is known by the order.
func TestTrackOrder(t *testing.T) {
	t.Parallel()
	start := time.Now()
	tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
	hold := func(at int, mode string, statements ...string) {
		for _, s := range statements { // long after, by this machine's clock
			tr.told = append(tr.told, data.Told{SQL: s, Began: start.Add(time.Hour), Ended: start.Add(time.Hour)})
			tr.tellings, tr.open = tr.tellings+1, tr.open+1
		}
		s := migratorAt("", at, at, held(mode))
		tr.takeHeld(s, serverAt(at))
	}
	hold(10, "AccessExclusive", "CREATE TABLE made (id integer)", "ALTER TABLE orders ADD x integer")
	hold(20, "RowExclusive", "INSERT INTO orders VALUES (1)", "UPDATE orders SET x = 1", "INSERT INTO orders VALUES (2)", "SELECT 1")
	after := ordersBefore()
	o := tr.observation(&after, start)
	if len(o.Locks) != 2 || o.Locks[0].Statement != 1 || o.Locks[1].Statement != 3 || len(o.Statements) != 6 {
		t.Errorf("%+v", o)
	}
}

// TestTrackClocks narrows how far two clocks are apart with every answer, and starts anew when one of them was set.
func TestTrackClocks(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	tr := newTrack(migratorName, look{at: serverAt(0)}, ordersBefore(), nil)
	tr.least, tr.most = -500*ms, 500*ms // the first answer took a second
	want := func(at, within time.Duration) {
		t.Helper()
		if a, w := tr.here(1000 * ms); a != at || w != within {
			t.Errorf("%s ± %s, want %s ± %s", a, w, at, within)
		}
	}
	want(1000*ms, 500*ms)
	tr.set(1300*ms, 1310*ms, serverAt(900)) // 400 to 410 later
	want(595*ms, 5*ms)
	tr.set(2300*ms, 2900*ms, serverAt(2200)) // says nothing more
	want(595*ms, 5*ms)
	tr.set(3000*ms, 3010*ms, serverAt(2580)) // runs faster than the other
	want(575*ms, 5*ms)
	tr.set(4000*ms, 4002*ms, serverAt(3_600_000)) // set forward by an hour
	want(1000*ms, ms)
}
