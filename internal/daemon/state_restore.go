package daemon

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"greenroom/internal/atomicfile"
	"greenroom/internal/home"
	"greenroom/internal/problem"
)

// A restore is marked before anything of it is there, and the mark goes when all of it is. So what lies in a marked folder is
// the restore's, and is thrown away by whoever restores next: a key of another archive beside the own ones would be one
// that this Greenroom has signed with.
const (
	restoringName = "restore.unfinished"
	arrivingName  = storeName + ".arriving" // the store until all else is there
)

// restoredFolders are those that a restore fills.
var restoredFolders = [...]string{keysName, "secrets", "artifacts", envsName}

// RestoreState makes an empty state folder what an archive of StateBackup holds. The store comes last, under its name only
// when all else is there and on the disk: an interrupted restore leaves a folder in which no Greenroom starts, and is done again.
func (p Program) RestoreState(ctx context.Context, h home.Home, archive io.Reader) error {
	if err := h.Make(); err != nil {
		return err
	}
	release, err := takeFolder(h)
	if err != nil {
		return err
	}
	err = restoreState(ctx, string(h), archive)
	return errors.Join(err, release())
}

func restoreState(ctx context.Context, home string, archive io.Reader) error {
	there, err := exists(filepath.Join(home, storeName))
	if err != nil {
		return err
	}
	if there {
		return problem.New(problem.Blocked, "%s has a state already", home).WithHint("restore into another folder, with --home or GREENROOM_HOME")
	}
	r := tar.NewReader(archive)
	if err := readHead(r); err != nil {
		return err
	}
	if err := begin(home); err != nil {
		return err
	}
	a := arrival{home: home, folders: map[string]bool{}}
	err = a.all(ctx, r)
	if err == nil {
		err = os.Rename(filepath.Join(home, arrivingName), filepath.Join(home, storeName))
	}
	if err != nil {
		return errors.Join(err, abandon(home))
	}
	if err := atomicfile.SyncDir(home); err != nil { // all of it is there: nothing is taken back any more
		return err
	}
	return wholeRestore(home)
}

func readHead(r *tar.Reader) error {
	first, err := r.Next()
	if err != nil || first.Name != headName {
		return problem.New(problem.Invalid, "this is no backup of a Greenroom's state").WithHint("greenroom state backup FILE, where that Greenroom runs")
	}
	var head stateHead
	if err := json.NewDecoder(io.LimitReader(r, 1<<16)).Decode(&head); err != nil || head.Format != stateFormat {
		return problem.New(problem.Invalid, "this backup has format %d, this Greenroom (which reads %d) can't restore it", head.Format, stateFormat).
			WithHint("restore it with the Greenroom that made it, version %s", head.Version)
	}
	return nil
}

// begin marks the restore. What an interrupted one left is thrown away; what is there without a mark is somebody's.
func begin(home string) error {
	if err := os.MkdirAll(home, 0o711); err != nil { // #nosec G301 -- as home.Make does
		return err
	}
	marked, err := exists(filepath.Join(home, restoringName))
	if err != nil {
		return err
	}
	if marked {
		return discardRestored(home)
	}
	for _, folder := range restoredFolders {
		entries, err := os.ReadDir(filepath.Join(home, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return problem.New(problem.Blocked, "%s has no state, but something in %s", home, folder).
				WithHint("restore into another folder, with --home or GREENROOM_HOME; or move %s away", filepath.Join(home, folder))
		}
	}
	return atomicfile.Write(filepath.Join(home, restoringName), nil, 0o600)
}

// abandon takes back what a restore that can't go on has done.
func abandon(home string) error {
	if err := discardRestored(home); err != nil {
		return err
	}
	return unmark(home)
}

// discardRestored throws away what a restore has put there. The folders stay, with their permissions.
func discardRestored(home string) error {
	all := []error{os.RemoveAll(filepath.Join(home, arrivingName))}
	for _, folder := range restoredFolders {
		entries, err := os.ReadDir(filepath.Join(home, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		all = append(all, err)
		for _, e := range entries {
			all = append(all, os.RemoveAll(filepath.Join(home, folder, e.Name())))
		}
		all = append(all, atomicfile.SyncDir(filepath.Join(home, folder)))
	}
	return errors.Join(append(all, atomicfile.SyncDir(home))...)
}

// wholeRestore is nil where no restore was interrupted. One that has put the store in its place is done but for its mark.
func wholeRestore(home string) error {
	marked, err := exists(filepath.Join(home, restoringName))
	if err != nil || !marked {
		return err
	}
	done, err := exists(filepath.Join(home, storeName))
	if err != nil {
		return err
	}
	if !done {
		return problem.New(problem.Blocked, "a restore into %s was interrupted, and what it left is not whole", home).
			WithHint("greenroom state restore FILE, once more; or remove %s, to start with nothing", home)
	}
	return unmark(home)
}

func unmark(home string) error {
	if err := os.Remove(filepath.Join(home, restoringName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(home)
}

func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// arrival is a restore under way.
type arrival struct {
	home    string
	folders map[string]bool // with names that have to be on the disk before the store gets its own
}

// all writes what is in the archive, and returns when everything but the store's own name is on the disk.
func (a *arrival) all(ctx context.Context, r *tar.Reader) error {
	for {
		f, err := r.Next()
		if err != nil {
			return damagedArchive(err)
		}
		if f.Name == endName {
			return a.end()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.extract(f, r); err != nil {
			return err
		}
	}
}

func (a *arrival) end() error {
	there, err := exists(filepath.Join(a.home, arrivingName))
	if err != nil {
		return err
	}
	if !there {
		return damagedArchive(fmt.Errorf("it has no %s", storeName))
	}
	for folder := range a.folders {
		if err := atomicfile.SyncDir(folder); err != nil {
			return err
		}
	}
	return nil
}

func damagedArchive(err error) error {
	return problem.New(problem.Invalid, "the backup is damaged or cut off: %w", err).WithHint("nothing is restored; try another copy of it")
}

// extract writes one file of an archive. Whoever made the archive, it ends up where the state has files, and nowhere else.
func (a *arrival) extract(f *tar.Header, content io.Reader) error {
	top, _, _ := strings.Cut(f.Name, "/")
	known := map[string]bool{storeName: f.Name == storeName}
	for _, folder := range restoredFolders {
		known[folder] = f.Name != folder
	}
	if f.Typeflag != tar.TypeReg || !known[top] || !filepath.IsLocal(f.Name) || path.Clean(f.Name) != f.Name {
		return problem.New(problem.Invalid, "the backup has %q, which is no part of a state", f.Name)
	}
	name := filepath.Join(a.home, filepath.FromSlash(f.Name))
	if f.Name == storeName {
		name = filepath.Join(a.home, arrivingName)
	}
	private := fs.FileMode(0o700)
	if top == envsName {
		private = 0o711 // a database server's own user passes through
	}
	if err := os.MkdirAll(filepath.Dir(name), private); err != nil {
		return err
	}
	for folder := filepath.Dir(name); len(folder) >= len(a.home) && !a.folders[folder]; folder = filepath.Dir(folder) {
		a.folders[folder] = true
	}
	mode := fs.FileMode(f.Mode) & 0o755 //nolint:gosec // G115: permissions are small
	if top == keysName || top == "secrets" {
		mode = 0o600
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content) //nolint:gosec // G110: a person restores their own backup
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		err = damagedArchive(err)
	}
	return errors.Join(err, out.Sync(), out.Close())
}
