package cli

import (
	"context"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

// resolve finds the release that a person named. Anything that can be a git ref is what git says that it is now: a
// branch means its newest commit, not the last release that was built on it.
func (s *shell) resolve(ctx context.Context, c *api.Client, app, name string) (api.ReleaseView, error) {
	if strings.TrimSpace(name) == "" {
		return api.ReleaseView{}, problem.New(problem.Invalid, "the name of a release is empty").
			WithHint("greenroom releases; latest is the newest")
	}
	if name == "latest" || looksLikeID(name) {
		r, err := c.Resolve(ctx, app, name)
		if err == nil || name == "latest" || problem.From(err).Code != problem.NotFound {
			return r, err
		}
	}
	commit, err := s.Commit(ctx, s.dir, name)
	if err != nil { // no ref, or no repository: the daemon knows the refs that releases were built from
		return c.Resolve(ctx, app, name)
	}
	r, err := c.Resolve(ctx, app, commit)
	if err != nil && problem.From(err).Code == problem.NotFound {
		return r, problem.New(problem.NotFound, "no release was built from %s (commit %s)", term.Clean(name), shortCommit(commit)).
			WithHint("git checkout %s && greenroom build", term.Clean(name))
	}
	return r, err
}

// looksLikeID says whether name can be (the beginning of) a release's digest.
func looksLikeID(name string) bool {
	hex := strings.TrimPrefix(name, "sha256:")
	return len(hex) >= 4 && strings.Trim(hex, "0123456789abcdef") == ""
}

func shortCommit(commit string) string { return commit[:min(7, len(commit))] }

// origin tells what a release was built from.
func origin(r api.ReleaseView) string {
	var words []string
	if r.Ref != "" {
		words = append(words, term.Clean(r.Ref))
	}
	if r.Commit != "" {
		words = append(words, term.Clean(shortCommit(r.Commit)))
	}
	if r.Dirty {
		words = append(words, "with changes")
	}
	return strings.Join(words, " ")
}
