package data

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// Complete gives a verified copy its name: part becomes file, and its digest stands beside it in <file>.sha256, in the
// form that sha256sum -c reads. Took is counted from started.
func Complete(part, file string, started time.Time) (Backup, error) {
	size, sum, err := digest(part)
	if err != nil {
		return Backup{}, err
	}
	// The old digest goes first: a crash in between leaves a good file without a digest, never one with another's.
	if err := os.Remove(digestFile(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Backup{}, err
	}
	if err := os.Rename(part, file); err != nil {
		return Backup{}, err
	}
	if err := atomicfile.SyncDir(filepath.Dir(file)); err != nil {
		return Backup{}, err
	}
	line := fmt.Sprintf("%s  %s\n", sum, filepath.Base(file))
	if err := atomicfile.Write(digestFile(file), []byte(line), 0o600); err != nil {
		return Backup{}, err
	}
	return Backup{File: file, Size: size, SHA256: sum, Took: time.Since(started)}, nil
}

// Intact says whether file is byte for byte what Complete saw; a file without a digest beside it, such as one from
// somewhere else, is taken as it is unless it is empty. A missing file is NotFound, another content Fail.
func Intact(file string) error {
	size, sum, err := digest(file)
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.NotFound, "there is no backup %s", file)
	}
	if err != nil {
		return err
	}
	line, err := os.ReadFile(digestFile(file))
	if errors.Is(err, fs.ErrNotExist) {
		if size == 0 {
			return Damaged(file, "it is empty") // to SQLite that would be a database without tables
		}
		return nil
	}
	if err != nil {
		return err
	}
	if want, _, _ := strings.Cut(string(line), " "); want != sum {
		return Damaged(file, "its SHA-256 is "+sum+" where "+digestFile(file)+" says "+want)
	}
	return nil
}

// Damaged is the refusal of a backup that can't be read back; reason says what was seen.
func Damaged(file, reason string) error {
	return problem.New(problem.Fail, "the backup %s is damaged: %s", file, reason).
		WithHint("take another backup; the database was not touched")
}

func digestFile(file string) string { return file + ".sha256" }

func digest(file string) (size int64, sum string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
