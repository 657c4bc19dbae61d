package data

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"greenroom/internal/problem"
)

// A snapshot travels as one file: a tar archive of exactly these entries, in this order, and nothing behind them.
//
//	greenroom-snapshot.json   its format, and the Greenroom that wrote it
//	snapshot.dsse.json        what the Greenroom that took it has signed: the manifest's digest
//	manifest.json             the snapshot's, which names every file with its size and digest
//	…                         these files, in the manifest's order
//	greenroom-snapshot.end    empty: an archive without it was cut off
//
// So whoever reads one knows before each byte who vouches for it, and how many there may be.
const (
	archiveHead = "greenroom-snapshot.json"
	archiveSeal = "snapshot.dsse.json"
	archiveEnd  = "greenroom-snapshot.end"
)

// ArchiveFormat is the number of the format that is written, and the only one that is read.
const ArchiveFormat = 1

// Bounds of what is held in memory, in bytes.
const (
	maxHead     = 64 << 10
	maxSeal     = 4 << 20
	maxManifest = 64 << 20
)

type head struct {
	Format  int    `json:"format"`
	Version string `json:"version"` // of Greenroom
}

// WriteArchive writes the snapshot in dir as one file, with what its Greenroom has signed. Each file is compared with the
// manifest on its way: a bit that flipped is Fail, and a snapshot that is removed meanwhile NotFound.
func WriteArchive(ctx context.Context, to io.Writer, dir, version string, seal []byte) error {
	s, err := ReadSnapshot(dir)
	if err != nil {
		return err
	}
	text, err := encodeSnapshot(s)
	if err != nil {
		return err
	}
	first, err := json.Marshal(head{Format: ArchiveFormat, Version: version})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, part := range []struct {
		name string
		text []byte
	}{{archiveHead, first}, {archiveSeal, seal}, {Manifest, text}} {
		if err := addEntry(w, part.name, int64(len(part.text)), bytes.NewReader(part.text)); err != nil {
			return err
		}
	}
	for _, f := range s.Files {
		if err := addSnapshotFile(ctx, w, dir, f); err != nil {
			return err
		}
	}
	if err := addEntry(w, archiveEnd, 0, bytes.NewReader(nil)); err != nil {
		return err
	}
	return w.Close()
}

// addEntry adds an entry whose size was known: one that has fewer bytes is io.ErrUnexpectedEOF. The time is none, so that a
// snapshot is the same archive each time.
func addEntry(w *tar.Writer, name string, size int64, content io.Reader) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.CopyN(w, content, size)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func addSnapshotFile(ctx context.Context, w *tar.Writer, dir string, f SnapshotFile) error {
	file, err := os.Open(filepath.Join(dir, f.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.NotFound, "the snapshot in %s was removed meanwhile", dir).WithHint("greenroom snapshot list")
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read from
	sum := sha256.New()
	err = addEntry(w, f.Name, f.Size, io.TeeReader(untilDone{ctx, file}, sum))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		return damagedSnapshot(dir, "its file "+f.Name+" is not what was written")
	}
	return err
}

// untilDone reads until the context has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// Place is where a snapshot that comes in belongs.
type Place struct {
	Dir      string // which must not exist
	Manifest string // the SHA-256 that its manifest has to have, in hexadecimal
	// Taken is asked once the manifest was read, before a file is.
	Taken func(Snapshot) error
	// Named gives the snapshot its name, by calling name, once all of it is there.
	Named func(name func() error) error
}

// ReadArchive makes a folder of an archive that WriteArchive wrote: whole, or not at all, and nothing outside it. Judge reads
// what was signed, before anything else is believed, and says where the snapshot belongs. Whatever is not exactly such an
// archive, is cut off or was altered is Invalid; one whose snapshot a newer Greenroom made is Unavailable.
func ReadArchive(ctx context.Context, from io.Reader, judge func(seal []byte) (Place, error)) (s Snapshot, err error) {
	in := untilDone{ctx, from}
	a := &archive{r: tar.NewReader(in)}
	if err := a.begin(); err != nil {
		return s, err
	}
	seal, err := a.small(archiveSeal, maxSeal)
	if err != nil {
		return s, err
	}
	place, err := judge(seal)
	if err != nil {
		return s, err
	}
	text, err := a.small(Manifest, maxManifest)
	if err != nil {
		return s, err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != place.Manifest {
		return s, damagedArchive(errors.New("its manifest is not the one that was signed"))
	}
	s, err = parseSnapshot(text)
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return s, err
	}
	if err != nil {
		return s, damagedArchive(fmt.Errorf("its manifest can't be read: %w", err))
	}
	if err := place.Taken(s); err != nil {
		return s, err
	}
	return s, a.unpack(s, text, place, in)
}

// archive is an archive while it is read.
type archive struct{ r *tar.Reader }

func damagedArchive(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return problem.New(problem.Invalid, "the snapshot's file is damaged or cut off: %w", err).
		WithHint("nothing of it was kept; bring it again, or greenroom snapshot export it once more where it was taken")
}

// begin reads what says that it is an archive of ours at all.
func (a *archive) begin() error {
	none := problem.New(problem.Invalid, "this is no snapshot that a Greenroom exported").
		WithHint("greenroom snapshot export latest FILE, where it was taken")
	h, err := a.r.Next()
	if err != nil || h.Name != archiveHead || h.Size > maxHead {
		if err != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
		return none
	}
	text, err := io.ReadAll(a.r)
	if err != nil {
		return damagedArchive(err)
	}
	var first head
	if json.Unmarshal(text, &first) != nil {
		return none
	}
	if first.Format != ArchiveFormat {
		return problem.New(problem.Invalid, "this snapshot's file has format %d, this Greenroom reads %d", first.Format, ArchiveFormat).
			WithHint("it was exported by Greenroom %q: install that one here", first.Version)
	}
	return nil
}

// next is the entry that has to come now.
func (a *archive) next(name string) (*tar.Header, error) {
	h, err := a.r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, damagedArchive(io.ErrUnexpectedEOF)
	case err != nil:
		return nil, damagedArchive(err)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, damagedArchive(fmt.Errorf("it has %q where %q belongs", h.Name, name))
	}
	return h, nil
}

// small reads an entry that is held in memory.
func (a *archive) small(name string, most int64) ([]byte, error) {
	h, err := a.next(name)
	if err != nil {
		return nil, err
	}
	if h.Size > most {
		return nil, damagedArchive(fmt.Errorf("%s has %d bytes, more than the %d that it may have", name, h.Size, most))
	}
	text, err := io.ReadAll(a.r)
	if err != nil {
		return nil, damagedArchive(err)
	}
	return text, nil
}

// unpack writes the files that the manifest names into a folder, and gives it its name when all of it is there.
func (a *archive) unpack(s Snapshot, manifest []byte, place Place, in io.Reader) (err error) {
	folder, err := NewFolder(place.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Discard()) }()
	for _, f := range s.Files {
		if err := a.file(folder, f); err != nil {
			return err
		}
	}
	if err := a.end(in); err != nil {
		return err
	}
	return place.Named(func() error { return folder.completeAs(manifest) })
}

// end reads what says that this is all.
func (a *archive) end(in io.Reader) error {
	h, err := a.next(archiveEnd)
	if err != nil {
		return err
	}
	more := damagedArchive(errors.New("it has more than its manifest names"))
	if h.Size != 0 {
		return more
	}
	if _, err := a.r.Next(); err == nil {
		return more
	} else if !errors.Is(err, io.EOF) {
		return damagedArchive(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1)); err == nil {
		return more
	} else if !errors.Is(err, io.EOF) {
		return damagedArchive(err)
	}
	return nil
}

// file writes one of the snapshot's files.
func (a *archive) file(folder *Folder, f SnapshotFile) error {
	h, err := a.next(f.Name)
	if err != nil {
		return err
	}
	if h.Size != f.Size {
		return damagedArchive(fmt.Errorf("its file %s has %d bytes and not %d", f.Name, h.Size, f.Size))
	}
	w, err := folder.Create(f.Name)
	if err != nil {
		return err
	}
	read := &reading{r: a.r}
	if _, err := io.Copy(w, read); err != nil {
		if read.err != nil {
			err = damagedArchive(read.err)
		}
		return errors.Join(err, w.Abandon())
	}
	if err := w.Close(); err != nil {
		return err
	}
	if got := folder.last(); got.Size != f.Size || got.SHA256 != f.SHA256 {
		return damagedArchive(fmt.Errorf("its file %s is not what was written", f.Name))
	}
	return nil
}

// reading remembers whether it was the reading that failed.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
