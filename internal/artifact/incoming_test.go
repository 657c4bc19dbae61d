package artifact

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// An import that was verified is finished by whoever opens the store next, wherever the kill came.
func TestKilledBetweenTheStepsOfAnImport(t *testing.T) {
	var sent bytes.Buffer
	id, err := bundleOf(t.Context(), &sent, "coming", map[string][]byte{Checks: randomArtifact(1), "service/web": randomArtifact(2)})
	must(t, err)
	whole := open(t)
	_, err = whole.Import(t.Context(), bytes.NewReader(sent.Bytes()))
	must(t, err)
	r, err := whole.Release(t.Context(), id)
	must(t, err)
	blobs, err := parts(r)
	must(t, err)
	blobs = append(blobs[1:], id) // the document is moved last
	for moved := range len(blobs) + 1 {
		s, other := stored(t)
		must(t, os.Mkdir(s.incomingPath(id), 0o700))
		for i, d := range blobs {
			place := filepath.Join(s.incomingPath(id), hexOf(d))
			if i < moved {
				place = s.blobPath(d)
			}
			text, err := os.ReadFile(whole.blobPath(d))
			must(t, err)
			must(t, os.WriteFile(place, text, 0o444))
		}
		if _, err := s.Release(t.Context(), id); moved < len(blobs) {
			wantProblem(t, err, problem.NotFound, "not in the store")
		}
		for range 2 {
			s, err = Open(t.Context(), s.dir)
			must(t, err)
			wantKnown(t, s, other, id)
		}
	}
}

// A power cut may bring back the folder of an import, but not the release, which was removed since.
func TestFolderOfAReleaseThatIsGone(t *testing.T) {
	s, id := stored(t)
	must(t, os.Mkdir(s.incomingPath(release.Of([]byte("gone"))), 0o700))
	s, err := Open(t.Context(), s.dir)
	must(t, err)
	wantClean(t, s, id)
}

func TestSweep(t *testing.T) {
	s := open(t)
	ids := []release.Digest{small(t, s, "one"), small(t, s, "two"), small(t, s, "three"), small(t, s, "four")}
	before := size(t, s)
	freed, err := s.Sweep(t.Context(), func(release.Digest) bool { return true })
	must(t, err)
	if freed != 0 || size(t, s) != before {
		t.Errorf("freed %d bytes of what is kept", freed)
	}
	stray := release.Of([]byte("stray"))
	must(t, os.WriteFile(s.blobPath(stray), []byte("stray"), 0o444)) // of a sweep that was killed
	freed, err = s.Sweep(t.Context(), func(d release.Digest) bool { return d == ids[1] || d == ids[3] })
	must(t, err)
	if after := size(t, s); freed != before+5-after || freed < 100_000 {
		t.Errorf("freed %d bytes, %d before and %d after", freed, before+5, after)
	}
	wantKnown(t, s, ids[1], ids[3])
	for _, id := range []release.Digest{ids[0], ids[2]} {
		_, err := s.Release(t.Context(), id)
		wantProblem(t, err, problem.NotFound, "not in the store")
	}
	s, err = Open(t.Context(), s.dir)
	must(t, err)
	ids = append(ids, small(t, s, "one")) // it may come back
	wantKnown(t, s, ids[1], ids[3], ids[4])
}

// What a damaged manifest refers to is not known, so nothing is deleted.
func TestSweepStopsAtDamage(t *testing.T) {
	s := open(t)
	keep, drop := small(t, s, "one"), small(t, s, "two")
	tamper(t, s, artifactOf(s.mustRead(t, keep)).Digest)
	before := size(t, s)
	_, err := s.Sweep(t.Context(), func(d release.Digest) bool { return d == keep })
	wantProblem(t, err, problem.Unavailable, "is damaged")
	if size(t, s) != before {
		t.Error("it deleted something")
	}
	_, err = s.Release(t.Context(), drop)
	must(t, err)
}

// A release whose document is gone is not there, whatever else a kill left of it.
func TestSweepThatWasKilled(t *testing.T) {
	s := open(t)
	keep, drop := small(t, s, "one"), small(t, s, "three")
	before := size(t, s)
	all, err := s.all()
	must(t, err)
	must(t, s.writeIndex(all[:1]))
	freed, err := s.delete(t.Context(), []release.Digest{drop})
	must(t, err)
	s, err = Open(t.Context(), s.dir)
	must(t, err)
	_, err = s.Release(t.Context(), drop)
	wantProblem(t, err, problem.NotFound, "not in the store")
	more, err := s.Sweep(t.Context(), func(release.Digest) bool { return true })
	must(t, err)
	if freed+more != before-size(t, s) || more < 100_000 {
		t.Errorf("freed %d and %d bytes of %d, %d are left", freed, more, before, size(t, s))
	}
	wantKnown(t, s, keep)
}

// A sweep that is stopped has kept what it was told to, and the next one, here or after another start, deletes the rest.
func TestSweepThatIsStopped(t *testing.T) {
	for stop := range 6 {
		s := open(t)
		keep := small(t, s, "one")
		for _, app := range []string{"three", "four", "eleven"} {
			small(t, s, app)
		}
		asked := 0
		_, err := s.Sweep(stopping{t.Context(), func() bool { asked++; return asked > stop }}, func(d release.Digest) bool { return d == keep })
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := s.Release(t.Context(), keep); err != nil {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		s, err = Open(t.Context(), s.dir)
		must(t, err)
		_, err = s.Sweep(t.Context(), func(d release.Digest) bool { return d == keep })
		must(t, err)
		wantKnown(t, s, keep)
		wantClean(t, s, keep)
	}
}

// stopping is a context that ends after it was asked so often.
type stopping struct {
	context.Context
	over func() bool
}

func (s stopping) Err() error {
	if s.over() {
		return context.Canceled
	}
	return nil
}

// size is how many bytes the blobs have.
func size(t testing.TB, s *Store) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, blobsFolder))
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		sum += info.Size()
	}
	return sum
}
