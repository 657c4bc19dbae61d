package store

import (
	"context"
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
	codeNotSQLite  = 26

	codeUnique = 2067 // extended
)

// explain makes a problem of what a person can do something about, and leaves everything else as it is.
func (r Reader) explain(err error) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return unusable(r.file, err)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return full(r.file, err)
	}
	var s *sqlite.Error
	if !errors.As(err, &s) {
		return err
	}
	switch s.Code() & 0xff {
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
