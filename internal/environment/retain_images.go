package environment

import (
	"context"
	"slices"
	"time"
)

// buildTime is how long an image is left alone that no release has: one that is being built is kept by the Engine before its
// release is here.
const buildTime = time.Hour

// engineImages are those images of an Engine that Greenroom keeps in it.
type engineImages interface {
	Kept(ctx context.Context) (ids []string, err error)
	Prune(ctx context.Context, needed []string) (pruned []string, err error)
}

// SweepImages has the Engine remove the images of releases whose files are gone, some time after nobody needs them any more. An
// image of a release that is here stays, and so does one that Greenroom did not keep there. While somebody holds releases it
// does nothing.
func (w *World) SweepImages(ctx context.Context) (removed int, err error) {
	d, err := w.Engine.of("")
	if err != nil || d == nil {
		return 0, err
	}
	return w.sweepImages(ctx, d)
}

func (w *World) sweepImages(ctx context.Context, d engineImages) (removed int, err error) {
	if !w.held.TryLock() {
		return 0, nil
	}
	defer w.held.Unlock()
	needed, err := w.neededImages(ctx, "")
	if err != nil {
		return 0, err
	}
	kept, err := d.Kept(ctx)
	if err != nil {
		return 0, err
	}
	now, idle := w.Now(), map[string]time.Time{}
	for _, id := range kept {
		if slices.Contains(needed, id) {
			continue
		}
		since, known := w.idle[id]
		if !known || since.After(now) { // the clock was set back
			since = now
		}
		idle[id] = since
		if now.Sub(since) < buildTime {
			needed = append(needed, id)
		}
	}
	w.idle = idle
	pruned, err := d.Prune(ctx, needed)
	return len(pruned), err
}

// EraseImages has the Engine remove what it keeps for an app that has nothing else there. The releases can bring their images back.
func (w *World) EraseImages(ctx context.Context, app string) error {
	d, err := w.Engine.of(app)
	if err != nil || d == nil {
		return err
	}
	defer w.HoldReleases()()
	needed, err := w.neededImages(ctx, app)
	if err != nil {
		return err
	}
	if _, err := d.Prune(ctx, needed); err != nil {
		return err
	}
	return w.Engine.forget(app)
}

// neededImages are the images of all releases whose files are here, but those of one app. One that can't be read may need any, so
// then it is an error.
func (w *World) neededImages(ctx context.Context, but string) (ids []string, err error) {
	releases, err := w.Artifacts.List()
	if err != nil {
		return nil, err
	}
	for _, d := range releases {
		r, err := w.Artifacts.Release(ctx, d)
		if err != nil {
			return nil, err
		}
		for _, s := range r.Contents.Services {
			if s.Container != nil && r.App != but {
				ids = append(ids, s.Image)
			}
		}
	}
	return ids, nil
}
