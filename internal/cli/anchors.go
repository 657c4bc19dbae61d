package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// An anchor's line begins with anchorPrefix; gitPrefix begins the place of anchors in a repository's notes.
const (
	anchorPrefix = "greenroom log "
	gitPrefix    = "git:"
)

// maxAnchors is how large a file of anchors may be, in bytes.
const maxAnchors = 64 << 20

// readAnchors reads anchors, each given as its line, as a file of lines, or as a repository with notes.
func (s *shell) readAnchors(ctx context.Context, given []string) ([]evidence.Entry, error) {
	var anchors []evidence.Entry
	for _, g := range given {
		text, err := s.anchorText(ctx, g)
		if err != nil {
			return nil, err
		}
		before := len(anchors)
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) == "" {
				continue
			}
			a, err := api.ParseAnchor(line)
			if err != nil {
				return nil, problem.New(problem.Invalid, "--anchor %s: %w", g, err)
			}
			anchors = append(anchors, a)
		}
		if len(anchors) == before {
			return nil, problem.New(problem.Invalid, "there is no anchor in %s", g).WithHint("greenroom audit head --to %s", g)
		}
	}
	return anchors, nil
}

// anchorText is the lines of anchors where a person says that they are.
func (s *shell) anchorText(ctx context.Context, given string) (string, error) {
	repository, git := strings.CutPrefix(given, gitPrefix)
	switch {
	case strings.HasPrefix(given, anchorPrefix):
		return given, nil
	case git:
		return notes(ctx, repository, s.Getenv)
	case strings.HasPrefix(given, "https://"), strings.HasPrefix(given, "http://"):
		return "", problem.New(problem.Invalid, "--anchor %s: what was posted to an URL is not read from there", given).
			WithHint("fetch it as its receiver keeps it, then: greenroom audit verify --anchor FILE")
	}
	f, err := s.open(given)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read from
	b, err := io.ReadAll(io.LimitReader(f, maxAnchors))
	if err != nil {
		return "", problem.New(problem.Invalid, "%s can't be read: %w", given, err)
	}
	return string(b), nil
}

// notesRef is where anchors are in a repository.
const notesRef = "refs/notes/greenroom"

// notes are the lines of all anchors in a repository's notes, whatever else is noted there.
func notes(ctx context.Context, repository string, getenv func(string) string) (string, error) {
	var lines, said bytes.Buffer
	exit, err := proc.Run(ctx, proc.Command{
		Argv: []string{"git", "-C", repository, "grep", "-G", "-h", "--no-color", "--no-line-number", "--no-column", "-e", "^" + anchorPrefix, notesRef},
		Env:  gitEnv(getenv), Stdout: &lines, Stderr: &said,
	})
	if err == nil && !exit.OK() && said.Len() > 0 { // without words: nothing was found
		err = fmt.Errorf("%s: %s", exit, strings.TrimSpace(said.String()))
	}
	if err != nil {
		return "", problem.New(problem.Invalid, "the notes in %s (%s) can't be read: %w", repository, notesRef, err).
			WithHint("git fetch ORIGIN %s:%s there, where they were pushed", notesRef, notesRef)
	}
	return lines.String(), nil
}
