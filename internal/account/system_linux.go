package account

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"greenroom/internal/problem"
)

// supported says why no system users can be made or used here.
func supported() error {
	if os.Geteuid() != 0 {
		return problem.New(problem.Unavailable, "Greenroom does not run as root, and only root can run something as another user").
			WithHint("sudo greenroom service install")
	}
	return nil
}

// writable says why useradd would fail: on a read-only /etc it tries for 15 s.
func writable() error {
	if err := unix.Access("/etc", unix.W_OK); err != nil {
		return fmt.Errorf("/etc: %w", err)
	}
	return nil
}

// nologin is a shell that lets nobody in.
func nologin() string {
	for _, name := range []string{"/usr/sbin/nologin", "/sbin/nologin"} {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return "/bin/false"
}

// commented are the names of the users whose comment begins with this: passwd(5), the fifth field.
func commented(prefix string) ([]string, error) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Split(lines.Text(), ":"); len(fields) == 7 && strings.HasPrefix(fields[4], prefix) {
			all = append(all, fields[0])
		}
	}
	return all, lines.Err()
}
