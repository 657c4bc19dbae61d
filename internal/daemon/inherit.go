package daemon

import (
	"slices"
	"strings"
)

// The variables, and the beginnings of variables, that the daemon gets from the shell in which somebody happened to start
// it. All else stays there: PGOPTIONS and its like would change how it speaks to every database, and what is secret in
// the shell would stand in the environment of processes that live for months.
var (
	inheritedNames = []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	}
	inheritedPrefixes = []string{"GREENROOM_", "XDG_", "LC_", "GO"}
)

// inherited are those of the variables that the daemon gets.
func inherited(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(inheritedNames, name) &&
			!slices.ContainsFunc(inheritedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
}
