package definition

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// In a container network a service is found by its name. Plain processes have no such names: a service is where
// <SERVICE>_HOST and <SERVICE>_PORT say, so a value that has the name inside can't work.

// addresses reports every value and every word of a command that has a service's name where a host stands.
func (m *mapper) addresses(s *service) {
	// As written, without what ${…} stands for: a message is no place for a password out of somebody's environment.
	written := map[string]string{}
	for _, v := range m.environment(s.Name) {
		written[v.name] = v.value
	}
	for _, name := range sortedKeys(s.out.Env) {
		at := m.at("services", s.Name, "environment", name)
		m.address(s, at, name, cmp.Or(written[name], s.out.Env[name]))
	}
	at := m.at("services", s.Name, "command")
	if len(s.own.Run.List) > 0 {
		at = m.at("services", s.Name, "x-greenroom", "run")
	}
	for _, w := range s.out.Command {
		m.address(s, at, "", w)
	}
	for _, w := range s.out.Command {
		m.secretFiles(s, at, w)
	}
	for _, name := range sortedKeys(s.out.Env) {
		m.secretFiles(s, m.at("services", s.Name, "environment", name), s.out.Env[name])
	}
}

func (m *mapper) address(s *service, at place, variable, value string) {
	right := value
	var hosts []string
	for _, other := range m.services {
		if other.stays {
			continue
		}
		if next := m.withVariables(right, variable, other); next != right {
			right, hosts = next, append(hosts, other.Name)
		}
	}
	if len(hosts) == 0 {
		return
	}
	subject, add := variable, variable+": "+right
	if variable == "" {
		subject, add = "the command", right
	}
	line := rewritten(at, variable, value, right)
	if line != "" {
		add = strings.TrimSpace(line)
	}
	m.report.faultFix(at, fmt.Sprintf("%s names the host %s, which plain processes don't know", subject, quoteAll(hosts)), "write "+quote(add),
		fix{service: s.Name, line: line})
}

// rewritten is the line of the file with the right value, where nothing else stands on that line.
func rewritten(at place, variable, value, right string) string {
	line := strings.TrimRight(at.src.text(at.line), " \r")
	start := strings.TrimLeft(line, " -\"'")
	if variable == "" || !strings.HasPrefix(start, variable) || strings.Count(line, value) != 1 {
		return ""
	}
	return strings.Replace(line, value, right, 1)
}

func hostVariables(s service) (host, port string, number int) {
	stem := variableOf(s.Name)
	number = 80
	if s.Image != "" && isPostgres(s.Image) {
		number = postgresPort
	} else if len(s.Ports) > 0 {
		number = int(s.Ports[0].Target)
	}
	return stem + "_HOST", stem + "_PORT", number
}

// withVariables puts a service's variables where a value has its name as a host: behind :// or @, in front of a port, or
// as the whole value of a variable whose name speaks of a host.
func (m *mapper) withVariables(value, variable string, s service) string {
	host, port, number := hostVariables(s)
	h := "${" + host + ":-" + s.Name + "}"
	if value == s.Name {
		if hostVariable.MatchString(variable) {
			return h
		}
		return value
	}
	name := regexp.QuoteMeta(s.Name)
	inURL := regexp.MustCompile(`((?:^|[\s,;"'=])[a-zA-Z][a-zA-Z0-9+.:-]*://(?:[^/@\s]*@)?(?:[^/@\s,]+,)*)` + name + `(?::(\d+))?($|[/?#,\s"'])`)
	alone := regexp.MustCompile(`(^|[\s,;"'=])` + name + `:(\d+)($|[/,\s"'])`)
	put := func(form *regexp.Regexp) func(string) string {
		return func(hit string) string {
			g := form.FindStringSubmatch(hit)
			p := g[2]
			if p == "" {
				p = fmt.Sprint(number)
			}
			return g[1] + h + ":${" + port + ":-" + p + "}" + g[3]
		}
	}
	value = inURL.ReplaceAllStringFunc(value, put(inURL))
	return alone.ReplaceAllStringFunc(value, put(alone))
}

var hostVariable = regexp.MustCompile(`(?i)(^|_)(host|hostname|server|addr|address)$`)

// secretFiles tells of files that only containers have.
func (m *mapper) secretFiles(s *service, at place, value string) {
	if i := strings.Index(value, "/run/secrets/"); i >= 0 {
		m.report.notice(at, "files under /run/secrets exist only in containers", "a plain process has the secret as a variable of its own name")
	}
}
