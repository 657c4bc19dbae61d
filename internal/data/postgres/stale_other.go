//go:build !linux

package postgres

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serves says whether the process of this pid is a PostgreSQL server. Whether it is the one of that data folder can't be
// read here; when it is another's, PostgreSQL itself refuses to start and names the pid.
func serves(pid int, _ string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := run(ctx, tool{argv: []string{"/bin/ps", "-o", "comm=", "-p", strconv.Itoa(pid)}})
	return err == nil && filepath.Base(strings.TrimSpace(out)) == "postgres"
}
