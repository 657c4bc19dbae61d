// Package clustertest makes PostgreSQL's servers cheap for tests that need many of them: initdb computes for a second, whatever
// is tested, and copying what it made takes a tenth of that.
package clustertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Install makes a folder of PostgreSQL's programs out of another one, bin, in which initdb copies what it made the first time (see the
// program beside this package). The folder, which is made in parent, is one for GREENROOM_POSTGRES; every user has to be able to pass through parent.
func Install(bin, parent string) (folder string, err error) {
	// Not bin: PostgreSQL looks for its libraries beside a folder of that name.
	folder = filepath.Join(parent, "postgresql")
	templates := filepath.Join(folder, "templates")
	if err := errors.Join(os.MkdirAll(templates, 0o755), os.Chmod(folder, 0o755), os.Chmod(templates, 0o777|os.ModeSticky)); err != nil {
		return "", err
	}
	programs, err := os.ReadDir(bin)
	if err != nil {
		return "", err
	}
	for _, p := range programs {
		from, to := filepath.Join(bin, p.Name()), filepath.Join(folder, p.Name())
		switch p.Name() {
		case "initdb":
			to = filepath.Join(folder, "real")
		case "postgres": // a server is at home where its file is, see postgres.Find
			if err := copyFile(from, to); err != nil {
				return "", err
			}
			continue
		}
		if err := os.Symlink(from, to); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(folder, "initdb"), "greenroom/internal/data/postgres/clustertest/initdb")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build initdb: %w\n%s", err, out)
	}
	return folder, nil
}

func copyFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, b, 0o755), os.Chmod(to, 0o755))
}
