package data

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"greenroom/internal/problem"
)

// Manifest is the name of the file in a snapshot's folder that tells what the others are. Beside it stands its digest,
// <Manifest>.sha256, in the form that sha256sum -c reads.
const Manifest = "manifest.json"

// SnapshotFormat is the number of the format that is written; those before it are read as well. It grows with whatever is in a
// snapshot that a Greenroom before would not know: a key of the manifest, another file, another way to write one. Since 2
// the manifest has the rules that it was masked by, which key it was masked with, and what masked and kept columns share.
const SnapshotFormat = 2

// ReadSnapshot reads the manifest in dir, strictly: what is not exactly what was written, down to the byte, is refused, and
// so is a folder that lacks a file or has one more. It does not read the files; VerifySnapshot does. Without a snapshot in
// dir it is NotFound, with a damaged one Fail, with one that a newer Greenroom made Unavailable.
func ReadSnapshot(dir string) (Snapshot, error) {
	text, err := os.ReadFile(filepath.Join(dir, Manifest))
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, problem.New(problem.NotFound, "there is no snapshot in %s", dir)
	}
	if err != nil {
		return Snapshot{}, err
	}
	if err := Intact(filepath.Join(dir, Manifest)); err != nil {
		return Snapshot{}, damagedSnapshot(dir, "its manifest is not what was written")
	}
	s, err := parseSnapshot(text)
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return Snapshot{}, err
	}
	if err != nil {
		return Snapshot{}, damagedSnapshot(dir, "its manifest can't be read: "+err.Error())
	}
	if err := present(dir, s); err != nil {
		return Snapshot{}, err
	}
	return s, nil
}

// parseSnapshot reads a manifest that has one spelling: unknown keys, keys that stand twice, another order and anything
// behind it don't come out of the encoder as they went in. One of a newer format is a problem that says so; what its other keys
// are is not known here.
func parseSnapshot(text []byte) (Snapshot, error) {
	var s Snapshot
	var of struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(text, &of) == nil && of.Format > SnapshotFormat {
		return s, problem.New(problem.Unavailable, "the snapshot was made by a newer Greenroom (format %d, this one knows %d): upgrade this one", of.Format, SnapshotFormat).
			WithHint("install the newer Greenroom here, or take another snapshot; nothing was changed")
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, err
	}
	again, err := encodeSnapshot(s)
	if err != nil {
		return s, err
	}
	if !bytes.Equal(again, text) {
		return s, errors.New("it says more or less than a manifest does")
	}
	return s, s.valid()
}

func encodeSnapshot(s Snapshot) ([]byte, error) {
	text, err := json.MarshalIndent(s, "", " ")
	return append(text, '\n'), err
}

func (s Snapshot) valid() error {
	if s.Format < 1 || s.Format > SnapshotFormat {
		return fmt.Errorf("its format is %d, this Greenroom reads 1 to %d", s.Format, SnapshotFormat)
	}
	if s.Engine == "" || s.Version == "" || s.Schema == "" || s.Taken.IsZero() {
		return errors.New("it does not say of which database it is")
	}
	if s.Mask != nil {
		if rules, err := s.Mask.Digest(); err != nil || rules != s.Rules {
			return errors.New("the rules in it are not those that it names")
		}
	}
	if !sortedByName(s.Files, func(f SnapshotFile) string { return f.Name }) || !sortedByName(s.Tables, func(t SnapshotTable) string { return t.Name }) {
		return errors.New("its files or tables are not sorted, or stand there twice")
	}
	var size int64
	for _, f := range s.Files {
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || f.Size < 0 || !plainName(f.Name) {
			return fmt.Errorf("the file %q in it is none", f.Name)
		}
		size += f.Size
	}
	for _, t := range s.Tables {
		if t.Name == "" || t.Rows < 0 || t.Bytes < 0 || t.Index < 0 || t.Index > max(t.Source, 0) || (t.None && t.Rows != 0) {
			return fmt.Errorf("the table %q in it is none", t.Name)
		}
	}
	if size != s.Size {
		return fmt.Errorf("its files are %d bytes and not %d", size, s.Size)
	}
	return nil
}

// sortedByName says whether names rise strictly.
func sortedByName[T any](all []T, name func(T) string) bool {
	for i := 1; i < len(all); i++ {
		if cmp.Compare(name(all[i-1]), name(all[i])) >= 0 {
			return false
		}
	}
	return true
}

// plainName says whether a name that a manifest gives stays in its folder.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00") && !strings.HasPrefix(name, Manifest)
}

// present says whether the folder has the files of the snapshot, with their sizes, and nothing else.
func present(dir string, s Snapshot) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return damagedSnapshot(dir, e.Name()+" is not a file")
		}
		sizes[e.Name()] = info.Size()
	}
	delete(sizes, Manifest)
	delete(sizes, Manifest+".sha256")
	for _, f := range s.Files {
		size, ok := sizes[f.Name]
		switch {
		case !ok:
			return damagedSnapshot(dir, "its file "+f.Name+" is missing")
		case size != f.Size:
			return damagedSnapshot(dir, fmt.Sprintf("its file %s has %d bytes and not %d", f.Name, size, f.Size))
		}
		delete(sizes, f.Name)
	}
	for name := range sizes {
		return damagedSnapshot(dir, "the file "+name+" does not belong to it")
	}
	return nil
}

// VerifySnapshot is ReadSnapshot, and reads every file to its end: a bit that flipped is Fail.
func VerifySnapshot(ctx context.Context, dir string) (Snapshot, error) {
	s, err := ReadSnapshot(dir)
	if err != nil {
		return s, err
	}
	files := make(chan SnapshotFile)
	wrong := make([]error, min(4, runtime.NumCPU()))
	var all sync.WaitGroup
	for i := range wrong {
		all.Go(func() {
			for f := range files {
				if wrong[i] == nil && ctx.Err() == nil {
					wrong[i] = verifyFile(dir, f)
				}
			}
		})
	}
	for _, f := range s.Files {
		files <- f
	}
	close(files)
	all.Wait()
	if err := ctx.Err(); err != nil {
		return s, err
	}
	for _, err := range wrong {
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func verifyFile(dir string, f SnapshotFile) error {
	size, sum, err := digest(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	if size != f.Size || sum != f.SHA256 {
		return damagedSnapshot(dir, "its file "+f.Name+" is not what was written")
	}
	return nil
}

func damagedSnapshot(dir, reason string) error {
	return problem.New(problem.Fail, "the snapshot in %s is damaged: %s", dir, reason).
		WithHint("take another snapshot; nothing was changed")
}

// By notes the rules and the key that a snapshot was masked by. The rules are a person's words and none of the database's, so
// they come behind the search for values that should not be there.
func (s *Snapshot) By(o SnapshotOptions) { s.Mask, s.Pseudonyms = &o.Rules, o.Key.ID() }

// Sort puts a snapshot's tables and files in the order that a manifest has.
func (s *Snapshot) Sort() {
	slices.SortFunc(s.Tables, func(a, b SnapshotTable) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Files, func(a, b SnapshotFile) int { return cmp.Compare(a.Name, b.Name) })
}
