package postgres

import (
	"context"
	"path/filepath"
	"strings"

	"greenroom/internal/problem"
	"greenroom/internal/proc"
)

// passable says whether a system user can enter dir, and if not, which folder on the way is closed. It lets that user
// try, because permissions alone don't tell: there are access lists, and mounts that nobody else may look into.
func passable(ctx context.Context, user, dir string) error {
	ok, err := enters(ctx, user, dir)
	if ok || err != nil {
		return err
	}
	closed := dir
	for _, d := range ancestors(dir) {
		if ok, err := enters(ctx, user, d); err != nil {
			return err
		} else if !ok {
			closed = d
			break
		}
	}
	return problem.New(problem.Unavailable,
		"PostgreSQL can't run as root and runs as the system user %s, to whom the folder %s is closed (on the way to %s)",
		user, closed, dir).
		WithHint("chmod o+x %s, or set GREENROOM_HOME to a folder that everybody may pass through, such as /var/lib/greenroom", closed)
}

func enters(ctx context.Context, user, dir string) (bool, error) {
	exit, err := proc.Run(ctx, proc.Command{
		Argv: []string{"/bin/sh", "-c", `cd -P -- "$1"`, "sh", dir},
		Dir:  "/",
		User: user,
	})
	return exit.OK(), err
}

// ancestors are the folders on the way to an absolute path, from the root down, itself included.
func ancestors(path string) []string {
	all := []string{"/"}
	at := "/"
	for _, part := range strings.Split(strings.Trim(filepath.Clean(path), "/"), "/") {
		if part != "" {
			at = filepath.Join(at, part)
			all = append(all, at)
		}
	}
	return all
}
