package postgres

import (
	"context"
	"io"
	"sync"
	"time"

	"greenroom/internal/data"
)

// meter counts what goes through a copy, tells of it, and holds it to a rate.
type meter struct {
	ctx  context.Context
	rate int64
	tell func(data.Progress)

	mu       sync.Mutex
	progress data.Progress
	told     time.Time
	free     time.Time // when what was taken so far is paid for
}

// tellEvery is how far apart a meter tells of itself; the end of a table is always told.
const tellEvery = 100 * time.Millisecond

func newMeter(ctx context.Context, rate int64, tell func(data.Progress)) *meter {
	return &meter{ctx: ctx, rate: rate, tell: tell}
}

// expect sets how many tables there will be.
func (m *meter) expect(tables int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Of = tables
}

// take counts rows and bytes, and returns when the rate allows for more.
func (m *meter) take(table string, rows, size int64) error {
	m.mu.Lock()
	m.progress.Rows += rows
	m.progress.Bytes += size
	m.progress.Table = table
	m.report(false)
	var pause time.Duration
	if m.rate > 0 {
		now := time.Now()
		// What was not used earlier is not saved up: half a second's worth at most.
		if earliest := now.Add(-500 * time.Millisecond); m.free.Before(earliest) {
			m.free = earliest
		}
		m.free = m.free.Add(time.Duration(float64(size) / float64(m.rate) * float64(time.Second)))
		pause = m.free.Sub(now)
	}
	m.mu.Unlock()
	if pause <= 0 {
		return m.ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-m.ctx.Done():
		return m.ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (m *meter) tableDone(table string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Tables++
	m.progress.Table = table
	m.report(true)
}

func (m *meter) report(always bool) {
	if m.tell == nil {
		return
	}
	if now := time.Now(); always || now.Sub(m.told) >= tellEvery {
		m.told = now
		m.tell(m.progress)
	}
}

// meteredWriter passes rows on, one each Write, and tells the meter of them in lots.
type meteredWriter struct {
	meter      *meter
	table      string
	to         io.Writer
	rows, size int64
}

// lot is how many bytes are told to a meter at once.
const lot = 64 << 10

func (w *meteredWriter) Write(p []byte) (int, error) {
	w.rows++
	w.size += int64(len(p))
	if w.size >= lot {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return w.to.Write(p)
}

func (w *meteredWriter) flush() error {
	rows, size := w.rows, w.size
	w.rows, w.size = 0, 0
	return w.meter.take(w.table, rows, size)
}
