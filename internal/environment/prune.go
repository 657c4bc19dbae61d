package environment

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/artifact"
	"greenroom/internal/plan"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// keepBackups is how many backups of an environment's database are kept.
const keepBackups = 5

// Prune removes what nobody will ask for again, so that the disk does not fill up: the unpacked files of releases that
// are live nowhere, come next in no rollback and are in no run (they are unpacked again when they are needed), all but the
// newest backups of each environment, and what a kill left of snapshots.
func (w *World) Prune(ctx context.Context) error {
	// A run is recorded before it unpacks anything. So whoever unpacks while this goes on is known below, or waits.
	w.unpacked.Lock()
	defer w.unpacked.Unlock()
	used, err := w.inUse(ctx)
	if err != nil {
		return err
	}
	needed, err := w.copiesInUse(ctx)
	if err != nil {
		return err
	}
	unpacked, err := os.ReadDir(w.Home.Files())
	if err != nil {
		return err
	}
	var all []error
	for _, d := range unpacked {
		if !used[d.Name()] {
			all = append(all, artifact.RemoveTree(filepath.Join(w.Home.Files(), d.Name())))
		}
	}
	return errors.Join(append(all, w.pruneBackups(needed), w.pruneSnapshots())...)
}

func (w *World) pruneSnapshots() error {
	folders, err := fs.Glob(os.DirFS(w.Home.Environments()), "*/*/snapshots")
	all := []error{err}
	for _, dir := range folders {
		all = append(all, sweepLeft(filepath.Join(w.Home.Environments(), dir)))
	}
	return errors.Join(all...)
}

// inUse are the folders' names of what may be needed at any time: releases by their short ids, and what outlives them.
func (w *World) inUse(ctx context.Context) (map[string]bool, error) {
	environments, err := w.Store.Environments(ctx, "")
	if err != nil {
		return nil, err
	}
	var releases []release.Digest
	for _, e := range environments {
		releases = append(append(releases, e.Live), e.Previous[:min(1, len(e.Previous))]...)
	}
	runs, err := w.Store.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		releases = append(releases, r.Plan.Release, r.Plan.From)
	}
	used := map[string]bool{}
	for _, d := range releases {
		if d == "" || used[d.Short()] {
			continue
		}
		used[d.Short()] = true
		r, err := w.Release(ctx, d)
		if p := problem.From(err); p != nil && p.Code == problem.NotFound {
			continue // it can't be unpacked either
		}
		if err != nil {
			return nil, err
		}
		for _, s := range r.Contents.Services {
			used[identity(r, s)] = true
		}
	}
	return used, nil
}

// copiesInUse are the ids of copies that runs under way restore or rehearse on, and of their own: the backup that a restore
// takes first may be one too many.
func (w *World) copiesInUse(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	runs, err := w.Store.Unfinished(ctx)
	for _, r := range runs {
		ids[r.ID] = true
		for _, s := range r.Plan.Steps {
			var args struct {
				ID string `json:"id"`
			}
			if (r.Plan.Kind == plan.Restore || r.Plan.Kind == plan.Rehearsal) && json.Unmarshal(s.Args, &args) == nil {
				ids[args.ID] = true
			}
		}
	}
	return ids, err
}

func (w *World) pruneBackups(needed map[string]bool) error {
	// The state folder's own name may mean something in a pattern, so it is no part of it.
	root := w.Home.Environments()
	folders, err := fs.Glob(os.DirFS(root), "*/*/backups")
	if err != nil {
		return err
	}
	var all []error
	for _, dir := range folders {
		backups, err := newestFirst(filepath.Join(root, dir))
		all = append(all, err)
		for _, name := range backups[min(keepBackups, len(backups)):] {
			if !needed[strings.TrimSuffix(filepath.Base(name), backupSuffix)] {
				all = append(all, removeBackup(name))
			}
		}
	}
	return errors.Join(all...)
}

// newestFirst are the backups in a folder, by the numbers of the runs that made them: a clock that was set back would make
// the newest the oldest.
func newestFirst(dir string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), "r*.backup")
	number := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(name[1:], ".backup")) // what is no run's is the oldest
		return n
	}
	slices.SortFunc(names, func(a, b string) int { return number(b) - number(a) })
	for i, n := range names {
		names[i] = filepath.Join(dir, n)
	}
	return names, err
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
