package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"greenroom/internal/data"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

const (
	lookEvery   = 5 * time.Millisecond
	momentEvery = 250 * time.Millisecond
	entriesKept = 500 // of each kind in an observation
)

var (
	_ data.Watcher = (*Database)(nil)
	_ data.Witness = (*watch)(nil)
)

// Watch looks, every 5 ms, who keeps others from the database. SQLite has one writer and locks whole files, so a lock is of
// the whole database, with the table "": "Exclusive" stops whoever writes, "AccessExclusive" whoever reads too. Both come
// from the kernel's table of locks where there is one (Linux): nothing is asked of SQLite and nothing is held. Elsewhere,
// a canary tries to read and to write.
//
// Where it is less than with PostgreSQL: the statements of a migrator that is not ours can't be seen, and neither can who
// waits, since a client of SQLite's waits by trying again: what stood still follows from the locks alone. A lock is the
// migrator's unless its process was there before and does not carry the migrator's name in PGAPPNAME, or is this one and
// runs no migration. A table counts as touched when its rows, size, place or statement changed: an update in
// place that changes none of them is not seen.
func (d *Database) Watch(ctx context.Context, o data.WatchOptions) (data.Watch, error) {
	if o.Every <= 0 {
		o.Every = lookEvery
	}
	w := &watch{database: d, options: o, stop: make(chan struct{}), ended: make(chan struct{}), story: newStory(o.Migrator)}
	w.looker = newKernelLooker(d.file)
	if w.looker == nil {
		w.looker = &canary{file: d.file}
	}
	if err := w.begin(ctx); err != nil {
		return nil, problem.New(problem.Unavailable, "the migration of %s can't be watched: %w", d.file, errors.Join(err, w.looker.close()))
	}
	go w.run()
	return w, nil
}

type watch struct {
	database *Database
	options  data.WatchOptions
	looker   looker
	before   *structure
	stop     chan struct{}
	ended    chan struct{}
	once     sync.Once

	mu    sync.Mutex
	story *story
	err   error // of the last look
	told  time.Time
}

func (w *watch) begin(ctx context.Context) (err error) {
	if w.before, err = w.database.measured(ctx); err != nil {
		return err
	}
	if w.story.bystanders, err = running(); err != nil {
		return err
	}
	w.story.started = time.Now()
	w.story.looked = w.story.started
	return w.look()
}

// measured reads the structure with rows and sizes.
func (d *Database) measured(ctx context.Context) (s *structure, err error) {
	err = d.moment(ctx, func(conn *sql.Conn) error {
		if s, err = readStructure(ctx, conn); err != nil {
			return err
		}
		return s.measure(ctx, conn)
	})
	return s, err
}

// running are the processes that are there.
func running() (map[int]bool, error) {
	table, err := proc.Table()
	pids := map[int]bool{}
	for _, p := range table {
		pids[p.PID] = true
	}
	delete(pids, os.Getpid())
	return pids, err
}

func (w *watch) run() {
	defer close(w.ended)
	ticker := time.NewTicker(w.options.Every)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
			w.mu.Lock()
			w.err = w.look()
			w.mu.Unlock()
			w.progress()
		}
	}
}

// look takes one look.
func (w *watch) look() error {
	begun := time.Now()
	held, err := w.looker.look()
	if err != nil {
		return err // the time until the next look that works is the gap
	}
	w.story.see(begun, time.Now(), held, sizeOf(os.Stat, w.database.file+"-wal")+sizeOf(os.Stat, w.database.file+"-journal"))
	return nil
}

// progress tells what goes on, at most four times a second.
func (w *watch) progress() {
	if w.options.Progress == nil || time.Since(w.told) < momentEvery {
		return
	}
	w.mu.Lock()
	m := w.story.moment(time.Now())
	w.mu.Unlock()
	w.told = time.Now()
	w.options.Progress(m)
}

// Told takes a statement's own story.
func (w *watch) Told(t data.Told) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story.tell(t)
}

// Held has nothing to ask: whoever writes to a SQLite database holds all of it from its first write to its commit, which
// Run tells.
func (w *watch) Held(context.Context, func(context.Context, string) (string, error)) error {
	return nil
}

// attach tells that a migrator of ours begins or ends.
func (w *watch) attach(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story.running += n
}

// owned takes from Run from when until when it held the database against writers.
func (w *watch) owned(from, until time.Time, transaction bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story.own(from, until, transaction)
}

// End looks a last time, and compares the tables with what they were.
func (w *watch) End(ctx context.Context) (migration.Observation, error) {
	var err error
	w.once.Do(func() { close(w.stop) })
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	err = errors.Join(w.look(), w.looker.close())
	ended := time.Now()
	o := w.story.observation(ended)
	o.Load = w.options.Load
	after, measureErr := w.database.measured(ctx)
	if measureErr == nil {
		o.Tables = touched(w.before, after)
	}
	if err = errors.Join(err, measureErr); err != nil {
		err = fmt.Errorf("look at %s a last time: %w", w.database.file, err)
	}
	return o, err
}
