package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/atomicfile"
	"greenroom/internal/data"
	"greenroom/internal/evidence"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Origin is what is known of a snapshot that was taken under another Greenroom.
type Origin struct {
	Signed  []byte    `json:"signed"`  // the envelope in which its Greenroom says what it is
	Brought time.Time `json:"brought"` // when it came here
}

// originSuffix ends the name of the file beside a snapshot's folder that has its Origin.
const originSuffix = ".origin.json"

// originOf reads where a snapshot comes from; nil is from here.
func originOf(dir string) (*Origin, error) {
	b, err := os.ReadFile(dir + originSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var o Origin
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, problem.New(problem.Fail, "where the snapshot in %s comes from can't be read: %w", dir, err).
			WithHint("greenroom snapshot rm %s, and import it once more", filepath.Base(dir))
	}
	return &o, nil
}

// manifestOf is the digest of a snapshot's manifest.
func manifestOf(dir string) (release.Digest, error) {
	text, err := os.ReadFile(filepath.Join(dir, data.Manifest))
	return release.Of(text), err
}

// openSnapshot reads what a key that is known here says of a snapshot. Whether it may speak for the snapshot's environment,
// mayVouch tells.
func openSnapshot(envelope []byte, keys evidence.Keys, app string) (evidence.Snapshot, evidence.Key, error) {
	s, k, err := evidence.OpenSnapshot(envelope, keys)
	switch {
	case err != nil:
		return s, k, problem.New(problem.Blocked, "no key that is trusted here vouches for this snapshot: %w", err).
			WithHint("greenroom key list; greenroom key trust KEY --as NAME --environment production && greenroom apply, with the key that greenroom key show prints there")
	case s.App != app:
		return s, k, problem.New(problem.Invalid, "it is a snapshot of %s, not of %s", s.App, app)
	}
	return s, k, nil
}

func mayVouch(k evidence.Key, environment string) error {
	if slices.Contains(k.Environments, environment) {
		return nil
	}
	return problem.New(problem.Blocked, "the key %s may not speak for %s", k.Name, environment).
		WithHint("greenroom key trust, with --environment %s", environment)
}

// Vouched says who vouches for a snapshot that came from elsewhere, as of now: a key that was revoked since does not. It is ""
// for one that was taken here.
func (w *World) Vouched(ctx context.Context, p app.Policy, s Snapshot) (by string, err error) {
	if s.Origin == nil {
		if !w.Elsewhere(p, s.Environment) {
			return "", nil
		}
		return "", problem.New(problem.Blocked, "%s lives elsewhere, and nobody vouches for the snapshot %s: it was not imported", s.Environment, s.ID).
			WithHint("greenroom snapshot rm %s", s.ID)
	}
	keys, err := w.Keys(ctx, p)
	if err != nil {
		return "", err
	}
	said, key, err := openSnapshot(s.Origin.Signed, keys, p.App)
	if err != nil {
		return "", err
	}
	if err := mayVouch(key, s.Environment); err != nil {
		return "", err
	}
	manifest, err := manifestOf(s.Dir)
	if err == nil && (said.ID != s.ID || said.Environment != s.Environment || said.Manifest != manifest) {
		err = problem.New(problem.Fail, "the snapshot %s is not what %s has signed", s.ID, key.Name).
			WithHint("greenroom snapshot rm %s, and import it once more", s.ID)
	}
	return key.Name, err
}

// maxChanges is how many columns a refusal lists.
const maxChanges = 10

// Fits says whether a snapshot is masked as the definition in force would have it. One that is not is Blocked, with what
// differs.
func (s Snapshot) Fits(d app.Data) error {
	now, err := d.Rules.Digest()
	if err != nil || now == s.Data.Rules {
		return err
	}
	if s.Data.Mask == nil {
		return problem.New(problem.Blocked, "the snapshot %s was masked by other rules than those in force (%s); by which is not known", s.ID, d.Mask).
			WithHint("greenroom snapshot create %s", s.Environment)
	}
	changes := mask.Changes(*s.Data.Mask, d.Rules)
	if len(changes) == 0 {
		return nil
	}
	var lines []string
	for _, c := range changes[:min(maxChanges, len(changes))] {
		lines = append(lines, c.String())
	}
	if n := len(changes) - maxChanges; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return problem.New(problem.Blocked, "the snapshot %s was masked by other rules than those in force (%s):\n%s", s.ID, d.Mask, strings.Join(lines, "\n")).
		WithHint("greenroom snapshot create %s; where that is another machine, apply the policy there, create it there and import it here", s.Environment)
}

// fitsSome says whether a snapshot is masked as an environment would have it that gets a copy.
func (s Snapshot) fitsSome(p app.Policy) error {
	none := problem.New(problem.Blocked, "no environment in force has `data: {from: %s, mask: mask.yaml}`: nothing says how its data has to be masked", s.Environment).
		WithHint("greenroom mask init, then write `data:` into greenroom.yaml, then greenroom apply")
	err := error(none)
	for _, e := range p.Environments {
		if e.Data == nil || e.Data.From != s.Environment {
			continue
		}
		unfit := s.Fits(*e.Data)
		if unfit == nil {
			return nil
		}
		if err == error(none) { //nolint:errorlint // is it the one from above
			err = unfit
		}
	}
	return err
}

// Admit says whether a snapshot may come into the environment, or its stage: somebody who counts vouches for it, and it is
// masked as the environment's `data` says.
func (e *Environment) Admit(ctx context.Context, p app.Policy, s Snapshot) error {
	if _, err := e.world.Vouched(ctx, p, s); err != nil {
		return err
	}
	if e.Settings.Data == nil {
		return problem.New(problem.Blocked, "the definition in force has no `data` for %s: nothing says how it has to be masked", e.Name).
			WithHint("write `data: {from: %s, mask: mask.yaml}` into greenroom.yaml, then greenroom apply", s.Environment)
	}
	return s.Fits(*e.Settings.Data)
}

// Usable says why a snapshot would be refused wherever it is to go; nil for nothing.
func (w *World) Usable(ctx context.Context, p app.Policy, s Snapshot) error {
	if _, err := w.Vouched(ctx, p, s); err != nil {
		return err
	}
	return s.fitsSome(p)
}

// Latest stands for the newest snapshot where one is named.
const Latest = "latest"

// Choose finds the snapshot of another environment that is to come into this one, by its id, or the newest.
func (e *Environment) Choose(ctx context.Context, p app.Policy, from *Environment, id string) (Snapshot, error) {
	if id != Latest {
		s, err := from.Snapshot(id)
		if err != nil {
			return s, err
		}
		return s, e.Admit(ctx, p, s)
	}
	all, err := from.Snapshots()
	if err != nil {
		return Snapshot{}, err
	}
	i := slices.IndexFunc(all, func(s Snapshot) bool { return s.Damaged == "" })
	switch {
	case i >= 0:
		return all[i], e.Admit(ctx, p, all[i])
	case e.world.Elsewhere(p, from.Name):
		return Snapshot{}, problem.New(problem.Blocked, "%s lives elsewhere, and no snapshot of its data was brought here", from.Name).
			WithHint("there: greenroom snapshot create %s, then greenroom snapshot export latest FILE; here: greenroom snapshot import FILE", from.Name)
	default:
		return Snapshot{}, problem.New(problem.NotFound, "there is no snapshot of %s yet", from.Name).
			WithHint("greenroom snapshot create %s; without --snapshot the rehearsal takes one itself", from.Name)
	}
}

// Vouched is the environment's newest snapshot that is whole and that somebody vouches for, whatever the rules that it was
// masked by: what it says about the environment is true.
func (e *Environment) Vouched(ctx context.Context, p app.Policy) (s Snapshot, ok bool, err error) {
	all, err := e.Snapshots()
	if err != nil {
		return s, false, err
	}
	for _, s := range all {
		if s.Damaged != "" {
			continue
		}
		_, err := e.world.Vouched(ctx, p, s)
		if err == nil || problem.From(err) == nil {
			return s, err == nil, err
		}
	}
	return s, false, nil
}

// Sizes are how large the environment's tables were when the snapshot was taken. Of a table whose rows stayed behind nobody
// knows how many there were; one of an earlier Greenroom counts indexes as data.
func (s Snapshot) Sizes() []migration.Size {
	sizes := make([]migration.Size, len(s.Data.Tables))
	for i, t := range s.Data.Tables {
		sizes[i] = migration.Size{Table: t.Name, Rows: t.Rows, Bytes: t.Source - t.Index, Index: t.Index}
		if t.None {
			sizes[i].Rows = -1
		}
	}
	return sizes
}

// ExportSnapshot writes a snapshot that was taken here as one file, signed. It has to be masked as the policy would have it
// today: what leaves can't be called back.
func (e *Environment) ExportSnapshot(ctx context.Context, p app.Policy, s Snapshot, version string) (io.ReadCloser, error) {
	if s.Origin != nil || e.world.Elsewhere(p, e.Name) {
		return nil, problem.New(problem.Invalid, "the snapshot %s was not taken here: only the Greenroom that took it can say what it is", s.ID).
			WithHint("greenroom snapshot export, where %s is", e.Name)
	}
	if err := s.fitsSome(p); err != nil {
		return nil, err
	}
	manifest, err := manifestOf(s.Dir)
	if err != nil {
		return nil, err
	}
	seal, err := evidence.SealSnapshot(evidence.Snapshot{
		App: e.App, Environment: e.Name, ID: s.ID, Manifest: manifest, Rules: s.Data.Rules, Taken: s.Data.Taken, Size: s.Data.Size, At: e.world.Now().UTC(),
	}, e.world.Ring.Signer())
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(data.WriteArchive(ctx, w, s.Dir, version, seal)) }()
	return r, nil
}

// errThere ends the reading of a snapshot that is here already.
var errThere = errors.New("it is here already")

// ImportSnapshot takes a snapshot that another Greenroom exported, and says whether it was here already. Before a byte of it
// is kept, a key has vouched for it that may speak for its environment, and it is masked as the policy here would have it.
func (w *World) ImportSnapshot(ctx context.Context, p app.Policy, archive io.Reader) (s Snapshot, known bool, err error) {
	keys, err := w.Keys(ctx, p)
	if err != nil {
		return s, false, err
	}
	var e *Environment
	judge := func(seal []byte) (data.Place, error) {
		said, key, err := openSnapshot(seal, keys, p.App)
		if err != nil {
			return data.Place{}, err
		}
		if e, err = w.foreign(p, said); err != nil {
			return data.Place{}, err
		}
		if err := mayVouch(key, said.Environment); err != nil {
			return data.Place{}, err
		}
		s.ID, s.Environment = said.ID, said.Environment
		return e.place(p, said, seal)
	}
	_, err = data.ReadArchive(ctx, archive, judge)
	known = errors.Is(err, errThere)
	if err != nil && !known {
		return s, false, err
	}
	s, err = e.Snapshot(s.ID)
	return s, known, err
}

// foreign is the environment elsewhere that a snapshot is of.
func (w *World) foreign(p app.Policy, said evidence.Snapshot) (*Environment, error) {
	e, ok := w.Open(p, said.Environment)
	if !ok {
		return nil, problem.New(problem.Invalid, "the policy in force knows no environment %s", said.Environment)
	}
	if !w.Elsewhere(p, said.Environment) {
		return nil, problem.New(problem.Invalid, "%s lives here: there is nothing to bring, and its snapshots are those that are taken here", said.Environment).
			WithHint("greenroom snapshot create %s", said.Environment)
	}
	return e, nil
}

// place is where a snapshot goes that somebody vouches for.
func (e *Environment) place(p app.Policy, said evidence.Snapshot, seal []byte) (data.Place, error) {
	dir := filepath.Join(e.snapshots(), said.ID)
	if have, err := manifestOf(dir); err == nil {
		if have == said.Manifest {
			return data.Place{}, e.renewed(dir, seal)
		}
		return data.Place{}, problem.New(problem.Blocked, "%s has another snapshot %s here", e.Name, said.ID).WithHint("greenroom snapshot rm %s", said.ID)
	}
	if err := errors.Join(os.MkdirAll(e.Folder(), 0o711), os.MkdirAll(e.snapshots(), 0o700)); err != nil {
		return data.Place{}, err
	}
	return data.Place{
		Dir: dir, Manifest: strings.TrimPrefix(string(said.Manifest), "sha256:"),
		Taken: func(s data.Snapshot) error {
			return Snapshot{ID: said.ID, Environment: e.Name, Data: s}.fitsSome(p)
		},
		// Nobody sweeps in between, to whom the note would be one that is left over. After a kill it is.
		Named: func(name func() error) error {
			return data.Alone(e.snapshots(), func() error {
				if err := e.noteOrigin(dir, seal); err != nil {
					return err
				}
				return name()
			})
		},
	}, nil
}

func (e *Environment) noteOrigin(dir string, seal []byte) error {
	b, err := json.Marshal(Origin{Signed: seal, Brought: e.world.Now().UTC()})
	if err != nil {
		return err
	}
	return atomicfile.Write(dir+originSuffix, b, 0o600)
}

// renewed notes what a key says now of a snapshot that is here already: it may have taken the place of one that was revoked.
func (e *Environment) renewed(dir string, seal []byte) error {
	was, err := originOf(dir)
	if err == nil && was == nil { // it was taken here, when the environment still was
		return problem.New(problem.Blocked, "the snapshot %s was taken here", filepath.Base(dir)).WithHint("greenroom snapshot rm %s", filepath.Base(dir))
	}
	if err := data.Alone(e.snapshots(), func() error { return e.noteOrigin(dir, seal) }); err != nil {
		return err
	}
	return errThere
}
