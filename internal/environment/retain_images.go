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
	kept, err := d.Kept(ctx) // an Engine that is slow or away is waited for before anybody waits for this
	if err != nil {
		return 0, err
	}
	if !w.held.TryLock() {
		return 0, nil
	}
	defer w.held.Unlock()
	needed, err := w.neededImages(ctx, "")
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
	if !slices.ContainsFunc(kept, func(id string) bool { return !slices.Contains(needed, id) }) {
		return 0, nil
	}
	pruned, err := d.Prune(ctx, needed)
	return len(pruned), err
}

// engineThings is an Engine that also knows whether it has anything of an app.
type engineThings interface {
	engineImages
	Anything(ctx context.Context, app string) (bool, error)
}

// EraseImages has the Engine remove the images of an app that has nothing else there. Its releases can bring them back. What no release
// has may be what somebody builds just now, of whatever app, and is left for the sweep.
func (w *World) EraseImages(ctx context.Context, app string) error {
	d, err := w.Engine.of(app)
	if err != nil || d == nil {
		return err
	}
	return w.eraseImages(ctx, app, d)
}

func (w *World) eraseImages(ctx context.Context, app string, d engineThings) error {
	defer w.HoldReleases()()
	needed, err := w.neededImages(ctx, app)
	if err != nil {
		return err
	}
	all, err := w.neededImages(ctx, "")
	if err != nil {
		return err
	}
	kept, err := d.Kept(ctx)
	if err != nil {
		return err
	}
	unknown := slices.DeleteFunc(kept, func(id string) bool { return slices.Contains(all, id) })
	if _, err := d.Prune(ctx, append(needed, unknown...)); err != nil {
		return err
	}
	left, err := d.Anything(ctx, app) // such as the volumes of an environment that the policy knows no more
	if err != nil || left {
		return err
	}
	if len(unknown) > 0 && w.Engine.only(app) { // nobody would sweep any more
		return nil
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
