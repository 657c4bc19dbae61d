package data

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// Folder is a snapshot's folder while it is written: hidden, and under another name until Complete. Whoever writes it has a
// lock on it, which the kernel lets go with the process, so one that nobody has is of somebody who was killed.
type Folder struct {
	dir  string
	part string
	lock *os.File

	mu    sync.Mutex
	files []SnapshotFile
}

// NewFolder begins a snapshot that will be dir, which must not exist, and removes what killed ones left beside it. Only this
// system's user can read what is in there.
func NewFolder(dir string) (*Folder, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		return nil, problem.New(problem.Blocked, "there is something at %s already", dir)
	}
	f := &Folder{dir: dir, part: filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+partial)}
	err := Alone(filepath.Dir(dir), func() error {
		if err := sweepFolders(filepath.Dir(dir)); err != nil {
			return err
		}
		err := os.Mkdir(f.part, 0o700)
		if errors.Is(err, fs.ErrExist) {
			return problem.New(problem.Blocked, "a snapshot is being written to %s already", dir)
		}
		if err != nil {
			return fullDisk(dir, err)
		}
		f.lock, err = lockFolder(f.part)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

const partial = ".partial"

// Alone does something while nobody else does anything Alone in that folder, in whatever process: between the making of a
// snapshot's folder and its lock, somebody who sweeps would take it for a dead one's.
func Alone(parent string, do func() error) (err error) {
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which lets go of the lock
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return err
	}
	return do()
}

// lockFolder locks a folder that exists; of one that somebody else has, the error is syscall.EWOULDBLOCK.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// SweepFolders removes the unfinished snapshots in a folder that nobody writes any more.
func SweepFolders(parent string) error {
	return Alone(parent, func() error { return sweepFolders(parent) })
}

func sweepFolders(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), partial) {
			continue
		}
		name := filepath.Join(parent, e.Name())
		lock, err := lockFolder(name)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(name), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Create begins a file of the snapshot. Several can be written at the same time, each by one goroutine.
func (f *Folder) Create(name string) (*FolderFile, error) {
	file, err := os.OpenFile(filepath.Join(f.part, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fullDisk(f.dir, err)
	}
	w := &FolderFile{folder: f, name: name, file: file, sum: sha256.New()}
	w.buffer = bufio.NewWriterSize(io.MultiWriter(file, w.sum), 256<<10)
	return w, nil
}

// Open reads a file that was written, while the snapshot is not complete yet.
func (f *Folder) Open(name string) (*os.File, error) { return os.Open(filepath.Join(f.part, name)) }

// Files are those that were closed so far.
func (f *Folder) Files() []SnapshotFile {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]SnapshotFile(nil), f.files...)
}

// last is the file that was closed last.
func (f *Folder) last() SnapshotFile {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files[len(f.files)-1]
}

// Complete writes the manifest with the files' names, sizes and digests, and gives the folder its name.
func (f *Folder) Complete(s Snapshot) (Snapshot, error) {
	s.Format, s.Files, s.Size = SnapshotFormat, f.Files(), 0
	for _, file := range s.Files {
		s.Size += file.Size
	}
	s.Sort()
	text, err := encodeSnapshot(s)
	if err != nil {
		return s, err
	}
	// What is told of it now is what will be read, without what JSON does not keep, such as a clock's monotonic part.
	if s, err = parseSnapshot(text); err != nil {
		return s, fmt.Errorf("the manifest of a new snapshot: %w", err)
	}
	return s, f.completeAs(text)
}

// completeAs is Complete with a manifest that is there already.
func (f *Folder) completeAs(manifest []byte) error {
	sum := sha256.Sum256(manifest)
	line := fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum[:]), Manifest)
	err := errors.Join(
		atomicfile.Write(filepath.Join(f.part, Manifest), manifest, 0o600),
		atomicfile.Write(filepath.Join(f.part, Manifest+".sha256"), []byte(line), 0o600))
	if err != nil {
		return fullDisk(f.dir, err)
	}
	if err := os.Rename(f.part, f.dir); err != nil {
		return err
	}
	return errors.Join(atomicfile.SyncDir(filepath.Dir(f.dir)), f.lock.Close())
}

// Discard removes a snapshot that was not completed. After Complete it does nothing.
func (f *Folder) Discard() error {
	return errors.Join(os.RemoveAll(f.part), ignoreClosed(f.lock.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// FolderFile is a file of a snapshot while it is written.
type FolderFile struct {
	folder *Folder
	name   string
	file   *os.File
	buffer *bufio.Writer
	sum    hash.Hash
	size   int64
}

// Write is an io.Writer's. A full disk is Unavailable.
func (w *FolderFile) Write(p []byte) (int, error) {
	n, err := w.buffer.Write(p)
	w.size += int64(n)
	return n, fullDisk(w.folder.dir, err)
}

// Close makes the file durable; only then it belongs to the snapshot.
func (w *FolderFile) Close() error {
	err := errors.Join(w.buffer.Flush(), w.file.Sync())
	if err = errors.Join(err, w.file.Close()); err != nil {
		return fullDisk(w.folder.dir, err)
	}
	w.folder.mu.Lock()
	defer w.folder.mu.Unlock()
	w.folder.files = append(w.folder.files, SnapshotFile{Name: w.name, Size: w.size, SHA256: hex.EncodeToString(w.sum.Sum(nil))})
	return nil
}

// Abandon lets go of a file that nobody will need.
func (w *FolderFile) Abandon() error { return w.file.Close() }

// fullDisk makes a problem of the one error that people can do something about. It is nil for nil.
func fullDisk(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.New(problem.Unavailable, "the disk is full where the snapshot %s is written: %w", dir, err).
			WithHint("make room there (df -h %s); nothing was left behind", filepath.Dir(dir))
	}
	return err
}
