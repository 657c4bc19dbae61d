package store

import (
	"context"
	"strings"
	"time"

	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// Latest is the name of the release that was built last.
const Latest = "latest"

// shortest is how many digits of a digest or a commit name it at least.
const shortest = 4

// Build is one build of a release.
type Build struct {
	Release  release.Digest
	App      string
	Revision string // the commit's full name; "" outside a repository
	Ref      string // the branch or tag that was checked out
	Dirty    bool   // there were changes that are not in the commit
	At       time.Time
	By       string
}

// PutRelease keeps a release's document and records that it was built. Building the same release again adds the build,
// and makes it the latest.
func (t *Tx) PutRelease(ctx context.Context, document []byte, b Build) error {
	if release.Of(document) != b.Release {
		return problem.New(problem.Invalid, "the document is not that of the release %s", b.Release.Short())
	}
	r, err := t.exec(ctx, `INSERT INTO builds (app, release, revision, ref, dirty, built, built_by) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		b.App, b.Release, b.Revision, b.Ref, b.Dirty, nanos(b.At), b.By)
	if err != nil {
		return err
	}
	id, err := r.LastInsertId()
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO releases (digest, app, document, build) VALUES (?, ?, ?, ?)
		ON CONFLICT (digest) DO UPDATE SET build = excluded.build`, b.Release, b.App, string(document), id)
	return err
}

// Document is the canonical JSON of a release.
func (r Reader) Document(ctx context.Context, d release.Digest) ([]byte, error) {
	document, found, err := first(ctx, r, scanText, `SELECT document FROM releases WHERE digest = ?`, d)
	if err == nil && !found {
		err = problem.New(problem.NotFound, "there is no release %s here", d.Short()).WithHint("greenroom build")
	}
	return []byte(document), err
}

const selectBuild = `SELECT b.release, b.app, b.revision, b.ref, b.dirty, b.built, b.built_by
	FROM releases r JOIN builds b ON b.id = r.build `

// Releases lists an app's releases with the newest build of each, the newest first; limit 0 means 50.
func (r Reader) Releases(ctx context.Context, app string, limit int) ([]Build, error) {
	if limit <= 0 {
		limit = 50
	}
	return collect(ctx, r, scanBuild, selectBuild+`WHERE r.app = ? ORDER BY r.build DESC LIMIT ?`, app, limit)
}

// Resolve finds the one release that a name means: a digest, the first digits (at least 4) of one or of a commit that
// it was built from, the ref that it was built from, or "latest". A ref means its newest build, and so does a commit.
func (r Reader) Resolve(ctx context.Context, app, name string) (Build, error) {
	found, err := r.named(ctx, app, name)
	switch {
	case err != nil:
		return Build{}, err
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && name == Latest:
		return Build{}, problem.New(problem.NotFound, "nothing was built of %s yet", app).WithHint("greenroom build")
	case len(found) == 0:
		return Build{}, problem.New(problem.NotFound, "there is no release %q of %s", name, app).
			WithHint("greenroom status shows the latest; a release is named by at least %d digits of its id or commit, a git ref, or latest", shortest)
	}
	var ids []string
	for _, b := range found {
		ids = append(ids, b.Release.Short())
	}
	return Build{}, problem.New(problem.Invalid, "%q is the name of several releases of %s: %s", name, app, strings.Join(ids, ", ")).
		WithHint("give more of the id")
}

// named lists the releases that a name may mean, each once, at most a handful.
func (r Reader) named(ctx context.Context, app, name string) ([]Build, error) {
	if name == Latest {
		return r.Releases(ctx, app, 1)
	}
	if release.Digest(name).Valid() {
		return collect(ctx, r, scanBuild, selectBuild+`WHERE r.app = ? AND r.digest = ?`, app, name)
	}
	digests := `SELECT release FROM builds WHERE id = (SELECT max(id) FROM builds WHERE app = ? AND ref = ?)`
	args := []any{app, name}
	if isPrefix(name) {
		// Ranges, because an index serves them; "g" comes after the last hexadecimal digit.
		digests += ` UNION SELECT * FROM (SELECT digest FROM releases WHERE app = ? AND digest >= ? AND digest < ? LIMIT 5)
			UNION SELECT release FROM builds WHERE id IN
			(SELECT max(id) FROM builds WHERE app = ? AND revision >= ? AND revision < ? GROUP BY revision LIMIT 5)`
		args = append(args, app, "sha256:"+name, "sha256:"+name+"g", app, name, name+"g")
	}
	return collect(ctx, r, scanBuild, selectBuild+`WHERE r.digest IN (`+digests+`) ORDER BY r.build DESC LIMIT 5`, args...)
}

// isPrefix says whether a name can be the beginning of a digest or a commit.
func isPrefix(name string) bool {
	return len(name) >= shortest && strings.Trim(name, "0123456789abcdef") == ""
}

func scanBuild(row row) (b Build, err error) {
	var at int64
	err = row.Scan(&b.Release, &b.App, &b.Revision, &b.Ref, &b.Dirty, &at, &b.By)
	b.At = moment(at)
	return b, err
}
