package definition

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

// How health is asked for where Compose says nothing. A plain process is asked every second, because a switch waits for
// the answer; Compose's own 30 seconds are for engines with many containers.
const (
	defaultInterval = time.Second
	defaultTimeout  = 5 * time.Second
	defaultRetries  = 3
	defaultStart    = time.Minute
	defaultPath     = "/up"
)

// health is how one knows that a replica can take traffic.
func (m *mapper) health(s *service) app.Health {
	h := s.HealthCheck
	test := m.test(s.Name)
	switch {
	case m.jobs[s.Name], h != nil && (h.Disable || slices.Equal(test, []string{"NONE"})):
		return m.timing(s, app.Health{})
	case len(test) > 0:
		return m.timing(s, m.tested(s, test))
	case s.out.Port > 0 && s.out.Protocol == app.TCP:
		return m.timing(s, app.Health{TCP: true})
	case s.out.Port > 0:
		return m.timing(s, app.Health{HTTP: defaultPath})
	}
	return m.timing(s, app.Health{})
}

// test is the healthcheck's test as a list, with variables put in.
func (m *mapper) test(service string) []string {
	h, _ := m.merged(service)["healthcheck"].(map[string]any)
	v, err := m.expandAll(h["test"])
	if err != nil {
		m.report.fault(m.at("services", service, "healthcheck", "test"), clip(err.Error()), "")
		return nil
	}
	switch x := v.(type) {
	case string:
		return []string{"CMD-SHELL", x}
	case []any:
		out := make([]string, len(x))
		for i, w := range x {
			out[i] = fmt.Sprint(w)
		}
		return out
	}
	return nil
}

// timing fills in how often, how long and how many times.
func (m *mapper) timing(s *service, health app.Health) app.Health {
	health.Interval, health.Timeout, health.Retries, health.Start = defaultInterval, defaultTimeout, defaultRetries, defaultStart
	h := s.HealthCheck
	if h == nil {
		return health
	}
	health.Interval = given(h.Interval, defaultInterval)
	health.Timeout = given(h.Timeout, defaultTimeout)
	if h.Retries != nil && *h.Retries > 0 {
		health.Retries = int(min(*h.Retries, 1000))
	}
	// Compose calls a container unhealthy once the start period and the tries after it are over.
	tries := time.Duration(health.Retries) * health.Interval
	if h.StartPeriod != nil {
		health.Start = time.Duration(*h.StartPeriod) + tries
	} else {
		health.Start = max(defaultStart, tries)
	}
	return health
}

func given(d *types.Duration, standard time.Duration) time.Duration {
	if d == nil || *d <= 0 {
		return standard
	}
	return time.Duration(*d)
}

// tested translates Compose's test. A request to the container's own port becomes an HTTP check, since a plain process
// listens on another one.
func (m *mapper) tested(s *service, test []string) app.Health {
	at := m.at("services", s.Name, "healthcheck", "test")
	var command []string
	switch test[0] {
	case "CMD":
		command = test[1:]
	case "CMD-SHELL":
		if len(test) > 1 {
			command = []string{"/bin/sh", "-c", test[1]}
		}
	default:
		m.report.fault(at, "the test begins with "+quote(clip(test[0])), "begin with CMD, CMD-SHELL or NONE, or write one text")
		return app.Health{}
	}
	if len(command) == 0 || command[len(command)-1] == "" {
		m.report.fault(at, "the test has no command", "write one, or `disable: true`")
		return app.Health{}
	}
	line := strings.Join(test[1:], " ")
	if s.contained() { // it runs inside, where the port is the container's own
		return app.Health{Command: command}
	}
	if p, ok := requested(line, s.out.Port); ok && s.out.Protocol == app.HTTP {
		return app.Health{HTTP: p}
	}
	for i, w := range command {
		command[i] = localPort(w, s.out.Port)
	}
	for _, w := range command {
		if port := otherPort.FindStringSubmatch(w); port != nil {
			m.report.notice(at, fmt.Sprintf("the test asks port %s, where no plain process of %s listens", port[1], s.Name), "ask ${PORT}, or leave the test out for GET "+defaultPath)
		}
	}
	return app.Health{Command: command}
}

var (
	localURL  = regexp.MustCompile(`^https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d+|\$\{PORT\}))?(/\S*)?$`)
	otherPort = regexp.MustCompile(`(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)`)
	askFlag   = regexp.MustCompile(`^(?:-(?:f|s|S|k|q|L|i|I|O|nv|o|m|T|t)+-?|--(?:fail|silent|show-error|insecure|quiet|spider|no-verbose|location|head|output|max-time|connect-timeout|retry|timeout|tries)(?:=\S+)?)$`)
	askValue  = regexp.MustCompile(`^(?:-|\d+s?|/dev/null)$`)
)

// requested is the path that a health test asks for when it is no more than curl or wget on the service's own port.
func requested(line string, port int) (string, bool) {
	for _, ending := range []string{"|| exit 1", "||exit 1", "> /dev/null", "2>&1", ">/dev/null"} {
		line = strings.TrimSuffix(strings.TrimSpace(line), ending)
	}
	words := strings.Fields(line)
	if len(words) < 2 || !slices.Contains([]string{"curl", "wget"}, path.Base(words[0])) {
		return "", false
	}
	asked := ""
	for _, w := range words[1:] {
		w = strings.Trim(w, `"'`)
		m := localURL.FindStringSubmatch(w)
		switch {
		case m != nil && asked == "" && ownPort(m[1], port):
			asked = cmp.Or(m[2], "/")
		case !askFlag.MatchString(w) && !askValue.MatchString(w):
			return "", false
		}
	}
	if u, err := url.Parse(asked); err != nil || u.Path == "" {
		return "", false
	}
	return asked, true
}

func ownPort(asked string, port int) bool {
	return asked == "${PORT}" || asked == strconv.Itoa(port) || (asked == "" && port == 80)
}

// localPort puts ${PORT} where a word asks the container's port on this machine.
func localPort(word string, port int) string {
	if port == 0 {
		return word
	}
	return otherPort.ReplaceAllStringFunc(word, func(hit string) string {
		host, number, _ := strings.Cut(hit, ":")
		if number == strconv.Itoa(port) {
			return host + ":${PORT}"
		}
		return hit
	})
}
