package daemon

import (
	"context"
	"errors"
	"sync/atomic"

	"greenroom/internal/human"
)

// keepRuns is of how many runs of each app, those that ended last, all is kept that was told while they went on.
const keepRuns = 200

// room is when to look for what nobody will ask for any more.
type room struct {
	asked  chan struct{}
	missed *atomic.Bool // somebody held the releases when it was time
}

func newRoom() room { return room{make(chan struct{}, 1), new(atomic.Bool)} }

// ask never waits.
func (r room) ask() {
	select {
	case r.asked <- struct{}{}:
	default: // it will be looked anyway
	}
}

// holdReleases is environment.World's; a sweep that it kept away comes when they are free.
func (d *Daemon) holdReleases() (free func()) {
	let := d.world.HoldReleases()
	return func() {
		let()
		if d.room.missed.Swap(false) {
			d.room.ask()
		}
	}
}

// makeRoom removes, at once and each time after a run has ended, what would make the state folder and the Docker Engine grow for
// ever: the files and images of releases that nothing names, and what old runs told. What goes wrong is logged once for as long as it stays the same.
func (d *Daemon) makeRoom(ctx context.Context) {
	told := ""
	for {
		err := d.sweepReleases(ctx)
		if err == nil {
			err = d.sweepRuns(ctx)
		}
		err = errors.Join(err, d.sweepImages(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			d.log.Error("what nobody will ask for could not be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.room.asked:
		}
	}
}

func (d *Daemon) sweepReleases(ctx context.Context) error {
	d.room.missed.Store(true) // before it is tried: whoever frees them right after has seen it
	s, free, err := d.world.SweepReleases(ctx)
	if free {
		d.room.missed.Store(false)
	}
	if s.Releases > 0 {
		d.log.Info("removed the files of releases that nothing names", "releases", s.Releases, "freed", human.Size(s.Freed))
	}
	if s.More {
		d.room.ask()
	}
	return err
}

func (d *Daemon) sweepImages(ctx context.Context) error {
	n, err := d.world.SweepImages(ctx)
	if n > 0 {
		d.log.Info("had the Docker Engine remove images that no release needs", "images", n)
	}
	return err
}

func (d *Daemon) sweepRuns(ctx context.Context) error {
	n, err := d.world.Store.SweepRuns(ctx, keepRuns)
	if n > 0 {
		d.log.Info("removed what old runs told while they went on", "runs", n)
	}
	return err
}
