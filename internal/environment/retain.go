package environment

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/store"
)

const (
	keepReleases = 20  // of each app, the newest, beside those that something names
	sweptAtOnce  = 100 // releases: nobody who brings one waits longer than for these
)

// Swept is what a sweep of releases did.
type Swept struct {
	Releases int
	Freed    int64 // bytes
	More     bool  // to be done at once
}

// HoldReleases keeps every release's files from being removed until free is called. Whoever takes a release in holds them
// until something names it; whoever makes a plan with one, until the run is recorded; whoever sends it, until it is sent.
func (w *World) HoldReleases() (free func()) {
	w.held.RLock()
	return w.held.RUnlock
}

// SweepReleases removes the files of releases that nobody will ask for: nothing names them, and many have come after them.
// What is known of a release stays, and so does what was found about it. While somebody holds releases it does nothing, and
// free is false. It may be interrupted anywhere, also by a kill.
func (w *World) SweepReleases(ctx context.Context) (s Swept, free bool, err error) {
	return w.sweepReleases(ctx, keepReleases)
}

func (w *World) sweepReleases(ctx context.Context, newest int) (s Swept, free bool, err error) {
	if !w.held.TryLock() {
		return Swept{}, false, nil
	}
	defer w.held.Unlock()
	drop, err := w.unnamed(ctx, newest)
	if err != nil || len(drop) == 0 && w.tidy { // the first one also removes what a killed one left
		return Swept{}, true, err
	}
	w.tidy = false
	if s.Freed, err = w.Artifacts.Sweep(ctx, func(d release.Digest) bool { return !drop[d] }); err != nil {
		return s, true, err
	}
	w.tidy, s.Releases, s.More = true, len(drop), len(drop) == sweptAtOnce
	return s, true, nil
}

// unnamed are the releases whose files can go, the oldest of them. What can't be read may name any, so then it is none.
func (w *World) unnamed(ctx context.Context, newest int) (map[release.Digest]bool, error) {
	there, err := w.Artifacts.List()
	if err != nil {
		return nil, err
	}
	named, err := w.named(ctx, newest)
	if err != nil {
		return nil, err
	}
	drop := map[release.Digest]bool{}
	for _, d := range there {
		if named[d] {
			continue
		}
		found, err := w.proven(ctx, d, named)
		if err != nil {
			return nil, err
		}
		if !found {
			drop[d] = true
		}
		if len(drop) == sweptAtOnce {
			break
		}
	}
	return drop, nil
}

// Named says whether the files of a release that is known here would be kept.
func (w *World) Named(ctx context.Context, d release.Digest) (bool, error) {
	named, err := w.named(ctx, keepReleases)
	if err != nil || named[d] {
		return true, err
	}
	return w.proven(ctx, d, named)
}

// named are the releases that something names, but for evidence.
func (w *World) named(ctx context.Context, newest int) (map[release.Digest]bool, error) {
	named, err := w.Store.Named(ctx, newest)
	if err != nil {
		return nil, err
	}
	return named, errors.Join(w.namedElsewhere(ctx, named), w.namedByBackups(named))
}

// namedElsewhere adds what is live in environments that are another Greenroom's.
func (w *World) namedElsewhere(ctx context.Context, named map[release.Digest]bool) error {
	apps, err := w.Store.Apps(ctx)
	if err != nil {
		return err
	}
	for _, a := range apps {
		for _, e := range a.Policy.Environments {
			s, known, err := w.Store.Standing(ctx, a.Name, e.Name)
			if err != nil {
				return err
			}
			if !known {
				continue
			}
			says, err := s.Recorded.Read(nil) // also a key that is trusted no more may be trusted again
			if err != nil {
				return err
			}
			named[says.Release] = true
		}
	}
	return nil
}

// namedByBackups adds the releases that were live when backups were taken: a restore goes back to them.
func (w *World) namedByBackups(named map[release.Digest]bool) error {
	root := os.DirFS(w.Home.Environments())
	notes, err := fs.Glob(root, "*/*/backups/*.json")
	if err != nil {
		return err
	}
	for _, name := range notes {
		text, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was pruned just now
		}
		if err != nil {
			return err
		}
		var b Backup
		if json.Unmarshal(text, &b) == nil { // where it can't be read, the backup can't be restored either
			named[b.Release] = true
		}
	}
	return nil
}

// proven says whether there is evidence about a release that a gate may count, now or once production is what it was before. Built-in
// checks hold for the release that was live in production, so what was found against one that nothing names will never count
// again, unless the policy does without a built-in check. What a build says of itself it says again when it is done again. What
// can't be read may have been anything.
func (w *World) proven(ctx context.Context, d release.Digest, named map[release.Digest]bool) (bool, error) {
	name, err := w.Store.AppOf(ctx, d)
	if err != nil || name == "" { // it came in and was refused, or was not recorded before a kill
		return false, err
	}
	a, err := w.Store.App(ctx, name)
	if err != nil && problem.From(err).Code != problem.NotFound { // it was built before the app was registered
		return false, err
	}
	recorded, err := w.Store.Evidence(ctx, name, d)
	if err != nil {
		return false, err
	}
	lenient := exceptsBuiltin(a.Policy)
	for _, r := range recorded {
		says, err := r.Read(nil) // also a key that is trusted no more may be trusted again
		if err != nil {
			return true, nil
		}
		if says.Kind != evidence.KindCheck || says.Statement.Environment == evidence.Build {
			continue
		}
		if live := release.Digest(says.Statement.Baseline[release.PartRelease]); lenient || live == "" || named[live] {
			return true, nil
		}
	}
	return false, nil
}

// exceptsBuiltin says whether a gate does without a built-in check, for now or for ever.
func exceptsBuiltin(p app.Policy) bool {
	for _, g := range p.Gates {
		for _, c := range gate.Builtin() {
			if _, excepted := g.Except[c.Name]; excepted {
				return true
			}
		}
	}
	return false
}

// NeedFiles is a problem where the files of a release that is known here were removed.
func (w *World) NeedFiles(ctx context.Context, b store.Build) error {
	_, err := w.Artifacts.Release(ctx, b.Release)
	if err == nil || problem.From(err).Code != problem.NotFound {
		return nil // what is damaged is told where it is unpacked
	}
	p := problem.New(problem.NotFound, "the files of %s are not kept any more: nothing named it, and %d releases or more of %s were built after it",
		b.Release.Short(), keepReleases, b.App)
	if b.Revision == "" || b.Dirty {
		return p.WithHint("greenroom release import FILE, with a bundle of it; no commit has exactly what it was built from")
	}
	return p.WithHint("git checkout %s, then: greenroom build; or, with a bundle of it: greenroom release import FILE", b.Revision)
}
