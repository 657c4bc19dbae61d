package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"

	"greenroom/internal/problem"
)

// SQLite's primary result codes, from https://www.sqlite.org/rescode.html. An extended code has one in its low byte.
const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCannotOpen = 14
	codeConstraint = 19
	codeNotSQLite  = 26

	codeUnique = 2067 // extended
)

// explain makes a problem of what a person can do something about, and leaves everything else as it is.
func (r Reader) explain(err error) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) {
		return err
	}
	switch primary(err) {
	case codeFull:
		return full(r.file, err)
	case codeCorrupt, codeNotSQLite:
		return damaged(r.file, err)
	case codeIO, codeReadOnly, codeCannotOpen:
		return unusable(r.file, err)
	case codeBusy:
		return problem.New(problem.Unavailable, "another process holds %s: %w", r.file, err).
			WithHint("end the other process that uses %s", filepath.Dir(r.file))
	default:
		return err
	}
}

// explainFile is explain for what goes wrong with the file itself.
func explainFile(file string, err error) error {
	var path *fs.PathError
	var problem *problem.Error
	switch {
	case errors.As(err, &problem):
		return err
	case errors.Is(err, syscall.ENOSPC):
		return full(file, err)
	case errors.As(err, &path):
		return unusable(file, err)
	default:
		return Reader{file: file}.explain(err)
	}
}

// Passing says whether err came from the store for a reason that may pass: a full disk, an I/O error, another process
// that holds the file. The same change may be tried again.
func Passing(err error) bool {
	switch primary(err) {
	case codeFull, codeIO, codeReadOnly, codeCannotOpen, codeBusy:
		return true
	default:
		return false
	}
}

// primary is SQLite's primary result code in err's chain, 0 for none.
func primary(err error) int {
	var s *sqlite.Error
	if !errors.As(err, &s) {
		return 0
	}
	return s.Code() & 0xff
}

func full(file string, err error) error {
	dir := filepath.Dir(file)
	return problem.New(problem.Unavailable, "the disk is full, %s can't grow: %w", file, err).
		WithHint("make room where %s is (df -h %s); what was under way goes on by itself", dir, dir)
}

func damaged(file string, err error) error {
	return problem.New(problem.Unavailable, "%s is damaged: %w", file, err).
		WithHint("put a copy of the file in its place, or move it away to start with nothing; the environments go on serving meanwhile")
}

func unusable(file string, err error) error {
	return problem.New(problem.Unavailable, "%s can't be read or written: %w", file, err).
		WithHint("look at the disk and the permissions of %s", filepath.Dir(file))
}

func isUnique(err error) bool {
	var s *sqlite.Error
	return errors.As(err, &s) && s.Code() == codeUnique
}
