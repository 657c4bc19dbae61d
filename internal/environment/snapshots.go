package environment

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/data/postgres"
	"greenroom/internal/human"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Snapshot is a masked copy of an environment's data, made to leave it. The folders are the catalogue: what is there is
// there, and one without a manifest is none.
type Snapshot struct {
	ID          string        `json:"id"` // the moment, as 20261126-093000, or of the run that it was taken for
	Environment string        `json:"environment"`
	Data        data.Snapshot `json:"data"`
	Verified    *Verified     `json:"verified,omitempty"` // nil: it was never loaded, so nobody knows whether it can be
	Origin      *Origin       `json:"origin,omitempty"`   // nil: it was taken here
	Dir         string        `json:"dir"`
	Damaged     string        `json:"-"` // why it can't be used; "" for nothing that shows without reading all of it
	Newer       bool          `json:"-"` // a newer Greenroom made it: it is Damaged for this one alone
}

// Verified says that a snapshot was loaded and came out as it went in.
type Verified struct {
	At     time.Time   `json:"at"`
	Loaded data.Loaded `json:"loaded"`
	// ReadBack is when every row was last read back besides, and compared with what was written; zero: never, its rows were
	// only counted. Its files were compared with what was written each time.
	ReadBack time.Time `json:"read_back,omitzero"`
}

// keepSnapshots is how many snapshots are kept where the definition says nothing.
const keepSnapshots = 3

func (e *Environment) snapshots() string { return filepath.Join(e.Folder(), "snapshots") }

// verifiedFile is beside a snapshot's folder, which is never changed, and says when it was loaded.
func verifiedFile(dir string) string { return dir + verifiedSuffix }

const verifiedSuffix = ".verified.json"

// TakeSnapshot makes a masked copy of the environment's database under that id. One that is there already is returned, unless
// the rules are others since.
func (e *Environment) TakeSnapshot(ctx context.Context, r release.Release, d app.Data, id string, say func(string)) (Snapshot, error) {
	if s, err := e.Snapshot(id); err == nil && s.Origin == nil {
		if s.Fits(d) == nil {
			return s, nil
		}
		if err := e.RemoveSnapshot(id); err != nil {
			return Snapshot{}, err
		}
	}
	source, err := e.source(ctx, r, d, say)
	if err != nil {
		return Snapshot{}, err
	}
	key, err := e.maskKey()
	if err != nil {
		return Snapshot{}, err
	}
	if err := os.MkdirAll(e.snapshots(), 0o700); err != nil {
		return Snapshot{}, err
	}
	o := data.SnapshotOptions{
		Rules: d.Rules, Key: key, Rate: d.Rate, Now: e.world.Now,
		Progress: func(p data.Progress) {
			say(fmt.Sprintf("%s: %d of %d tables, %s rows", p.Table, p.Tables, p.Of, human.Number(p.Rows)))
		},
	}
	if err := patiently(ctx, source, filepath.Join(e.snapshots(), id), o, say); err != nil {
		return Snapshot{}, err
	}
	return e.Snapshot(id)
}

// snapshotTries is how often a snapshot is begun anew that a replica cancelled.
const snapshotTries = 3

// patiently takes a snapshot, and begins anew where a replica cancelled it for what it had to replay.
func patiently(ctx context.Context, source data.Copier, dir string, o data.SnapshotOptions, say func(string)) error {
	for try := 1; ; try++ {
		_, err := source.Snapshot(ctx, dir, o)
		switch {
		case !postgres.Conflicted(err):
			return err
		case try == snapshotTries:
			return postgres.Cancelled(err, try)
		}
		say(fmt.Sprintf("the replica cancelled the snapshot for what it had to replay; try %d of %d", try+1, snapshotTries))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause(try)):
		}
	}
}

// source is what a snapshot reads: the database, or the replica that the definition names in its place.
func (e *Environment) source(ctx context.Context, r release.Release, d app.Data, say func(string)) (data.Copier, error) {
	if d.Replica != "" {
		secrets, err := e.secrets(ctx)
		if err != nil {
			return nil, err
		}
		url := secrets[d.Replica]
		if url == "" {
			return nil, problem.New(problem.Invalid, "%s has no replica to copy: the secret %s is not set", e.Name, d.Replica).
				WithHint("greenroom secret set %s --environment %s", d.Replica, e.Name)
		}
		programs, err := e.world.programs.Find("")
		if err != nil {
			return nil, err
		}
		replica, err := postgres.Open(postgres.Config{URL: url, Programs: programs})
		if err != nil {
			return nil, err
		}
		return replica, e.follows(ctx, r, replica, say)
	}
	db, err := e.Database(ctx, r)
	if err != nil {
		return nil, err
	}
	return copier(db)
}

// follows refuses a replica that is not of the environment's database, and tells how far it is behind.
func (e *Environment) follows(ctx context.Context, r release.Release, replica *postgres.Database, say func(string)) error {
	db, err := e.Database(ctx, r)
	if err != nil {
		return err
	}
	of, ok := db.(*postgres.Database)
	if !ok {
		return problem.New(problem.Invalid, "%s has no PostgreSQL database that there could be a replica of", e.RouteName())
	}
	behind, err := replica.Follows(ctx, of)
	if err == nil && behind > 0 {
		say("the replica is " + migration.Human(behind) + " behind " + e.Name + ": so old is what the snapshot has")
	}
	return err
}

func copier(db data.Database) (data.Copier, error) {
	c, ok := db.(data.Copier)
	if !ok {
		return nil, problem.New(problem.Invalid, "the app has no database that could be copied")
	}
	return c, nil
}

// maskKey is the environment's secret that masks are made with. It is derived from a key that only this state folder has,
// so that it leaves neither.
func (e *Environment) maskKey() (mask.Key, error) {
	return hex.DecodeString(e.world.Secrets.Fingerprint("mask of "+e.RouteName(), ""))
}

// Shape is the structure of the environment's database, for whoever writes rules for it.
func (e *Environment) Shape(ctx context.Context, r release.Release) (mask.Shape, error) {
	db, err := e.Database(ctx, r)
	if err != nil {
		return mask.Shape{}, err
	}
	c, err := copier(db)
	if err != nil {
		return mask.Shape{}, err
	}
	return c.Shape(ctx)
}

// Snapshots lists the environment's snapshots, the newest first.
func (e *Environment) Snapshots() ([]Snapshot, error) {
	folders, err := os.ReadDir(e.snapshots())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Snapshot
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		s, err := e.Snapshot(f.Name())
		if p := problem.From(err); p != nil && p.Code == problem.NotFound {
			continue // what an interrupted one left
		}
		if err != nil { // it hides none of the others
			s.Damaged, s.Newer = problem.From(err).Message, problem.From(err).Code == problem.Unavailable
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Snapshot) int { return b.Data.Taken.Compare(a.Data.Taken) })
	return all, nil
}

// Snapshot is the one of that id, or NotFound.
func (e *Environment) Snapshot(id string) (Snapshot, error) {
	s := Snapshot{ID: id, Environment: e.Name, Dir: filepath.Join(e.snapshots(), id)}
	none := problem.New(problem.NotFound, "%s has no snapshot %q", e.Name, id).WithHint("greenroom snapshot list")
	if id == "" || !filepath.IsLocal(id) || filepath.Base(id) != id || id[0] == '.' {
		return s, none
	}
	var err error
	s.Data, err = data.ReadSnapshot(s.Dir)
	if p := problem.From(err); p != nil && p.Code == problem.NotFound {
		return s, none
	}
	if err != nil {
		return s, err
	}
	if s.Origin, err = originOf(s.Dir); err != nil {
		return s, err
	}
	s.Verified, err = verifiedOf(s.Dir)
	return s, err
}

// verifiedOf is what is noted of a snapshot, nil where nothing is.
func verifiedOf(dir string) (v *Verified, err error) {
	b, err := os.ReadFile(verifiedFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && json.Unmarshal(b, &v) != nil {
		return nil, nil // what can't be read proves nothing
	}
	return v, err
}

// verified notes that a snapshot was loaded. That it was read back once counts for good: its folder never changes.
func (s Snapshot) verified(now time.Time, loaded data.Loaded, readBack bool) error {
	return data.Alone(filepath.Dir(s.Dir), func() error {
		v := Verified{At: now, Loaded: loaded}
		if before, err := verifiedOf(s.Dir); err != nil {
			return err
		} else if before != nil {
			v.ReadBack = before.ReadBack
		}
		if readBack {
			v.ReadBack = now
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return atomicfile.Write(verifiedFile(s.Dir), b, 0o600)
	})
}

// RemoveSnapshot removes one, also a damaged one. It loses its name first, so that what a kill leaves is no snapshot any more,
// and its notes with it: one that is brought anew meanwhile has notes of its own.
func (e *Environment) RemoveSnapshot(id string) error {
	s, err := e.Snapshot(id)
	if p := problem.From(err); p != nil && p.Code == problem.NotFound {
		return err
	}
	gone := filepath.Join(e.snapshots(), removedPrefix+id)
	err = data.Alone(e.snapshots(), func() error {
		if err := errors.Join(os.RemoveAll(gone), os.Rename(s.Dir, gone)); err != nil {
			return err
		}
		return errors.Join(removeIfThere(verifiedFile(s.Dir)), removeIfThere(s.Dir+originSuffix))
	})
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(gone), atomicfile.SyncDir(e.snapshots()))
}

// removedPrefix begins the name of a snapshot that is being removed.
const removedPrefix = ".removed-"

// came is when a snapshot was taken here, or brought here.
func (s Snapshot) came() time.Time {
	if s.Origin != nil {
		return s.Origin.Brought
	}
	return s.Data.Taken
}

// SweepSnapshots removes all but those that came last, and what interrupted ones left behind. One that a run under way may
// need is kept.
func (e *Environment) SweepSnapshots(ctx context.Context, keep int) error {
	needed, err := e.world.copiesInUse(ctx)
	if err != nil {
		return err
	}
	return e.sweepSnapshots(keep, needed)
}

func (e *Environment) sweepSnapshots(keep int, needed map[string]bool) error {
	if keep == 0 {
		keep = keepSnapshots
	}
	all, err := e.Snapshots()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s Snapshot) bool { return s.Damaged != "" }) // a person looks at it first
	slices.SortStableFunc(all, func(a, b Snapshot) int { return b.came().Compare(a.came()) })
	err = sweepLeft(e.snapshots())
	for _, s := range all[min(keep, len(all)):] {
		if !needed[s.ID] {
			err = errors.Join(err, e.RemoveSnapshot(s.ID))
		}
	}
	return err
}

// sweepLeft removes from a folder of snapshots what a kill left: of one that was being taken or brought, of one that was being
// removed, and notes about one that is gone, or that were not written to their end.
func sweepLeft(folder string) error {
	err := data.Alone(folder, func() error {
		entries, err := os.ReadDir(folder)
		for _, f := range entries {
			name := filepath.Join(folder, f.Name())
			if strings.HasPrefix(f.Name(), removedPrefix) || orphaned(name) {
				err = errors.Join(err, os.RemoveAll(name))
			}
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, data.SweepFolders(folder))
}

// orphaned says whether a file is a note about a snapshot that is gone, or half of one: notes are written Alone.
func orphaned(name string) bool {
	if base := filepath.Base(name); base[0] == '.' && strings.Contains(base, ".json.tmp-") {
		return true
	}
	for _, suffix := range []string{verifiedSuffix, originSuffix} {
		if dir, is := strings.CutSuffix(name, suffix); is && !there(dir) {
			return true
		}
	}
	return false
}

func there(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// Populate makes the database of a stage, or of an environment other than the one that the snapshot is of, exactly what
// the snapshot holds, and counts it. That it came out as it went in is noted with the snapshot.
func (e *Environment) Populate(ctx context.Context, r release.Release, s Snapshot, say func(string)) error {
	return e.load(ctx, r, s, data.LoadOptions{}, say)
}

// Try is Populate, and reads every row back besides: for a stage on which a snapshot is verified.
func (e *Environment) Try(ctx context.Context, r release.Release, s Snapshot, say func(string)) error {
	return e.load(ctx, r, s, data.LoadOptions{ReadBack: true}, say)
}

func (e *Environment) load(ctx context.Context, r release.Release, s Snapshot, o data.LoadOptions, say func(string)) error {
	db, err := e.Database(ctx, r)
	if err != nil {
		return err
	}
	c, err := copier(db)
	if err != nil {
		return err
	}
	o.Progress = func(p data.Progress) {
		say(fmt.Sprintf("%s: %d of %d tables, %s rows", p.Table, p.Tables, p.Of, human.Number(p.Rows)))
	}
	loaded, err := c.Load(ctx, s.Dir, o)
	if err != nil {
		return err
	}
	return s.verified(e.world.Now(), loaded, o.ReadBack)
}

// KeepPristine puts a pristine copy of the environment's database beside it, and Reset makes it that again. Reset says how
// the bytes were copied; ok is false where the engine can't, or there is none.
func (e *Environment) KeepPristine(ctx context.Context, r release.Release) error {
	db, err := e.Database(ctx, r)
	if err != nil {
		return err
	}
	k, ok := db.(data.Resetter)
	if !ok {
		return nil
	}
	return k.Keep(ctx)
}

// Reset is described at KeepPristine.
func (e *Environment) Reset(ctx context.Context, r release.Release) (how string, ok bool, err error) {
	db, err := e.Database(ctx, r)
	if err != nil {
		return "", false, err
	}
	k, can := db.(data.Resetter)
	if !can {
		return "", false, nil
	}
	how, err = k.Reset(ctx)
	if p := problem.From(err); p != nil && p.Code == problem.NotFound {
		return "", false, nil
	}
	return how, err == nil, err
}
