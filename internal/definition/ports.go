package definition

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/app"
)

// port finds the port that a service listens on in its container: x-greenroom's, else the first of ports, of expose, or
// what its own PORT says. The process driver gives each replica another one, in PORT.
func (m *mapper) port(s *service) {
	targets, udp := s.targets()
	for _, port := range udp {
		m.report.fault(m.atKey("services", s.Name, "ports"), fmt.Sprintf("port %d is UDP, which nothing here balances", port), "only TCP ports can be published")
	}
	own, literal := strconv.Atoi(s.out.Env["PORT"])
	switch {
	case s.own.Port > 0:
		s.out.Port = s.own.Port
	case len(targets) > 0:
		s.out.Port = targets[0]
	case literal == nil && own > 0 && own < 1<<16:
		s.out.Port = own
	}
	if s.out.Port == 0 {
		if s.own.Protocol != "" {
			m.report.fault(m.at("services", s.Name, "x-greenroom", "protocol"), s.Name+" has a protocol and no port", "add `port:` with the port that it listens on in a container")
		}
		return
	}
	for _, t := range targets {
		if t != s.out.Port {
			m.report.notice(m.atKey("services", s.Name, portsKey(s)), fmt.Sprintf("only port %d of %s can be reached; %d is not", s.out.Port, s.Name, t), "")
		}
	}
	// A replica that took its container's port would keep all others from starting.
	if literal == nil {
		s.out.Env["PORT"] = "${PORT}"
	}
	s.out.Protocol = app.HTTP
	if s.own.Protocol == "tcp" {
		s.out.Protocol = app.TCP
	}
	m.fixedPorts(s)
}

// targets are the ports in the container that a service publishes and exposes, in the order of the file.
func (s *service) targets() (tcp, udp []int) {
	for _, p := range s.Ports {
		if p.Protocol == "udp" {
			udp = append(udp, int(p.Target))
		} else {
			tcp = append(tcp, int(p.Target))
		}
	}
	for _, e := range s.Expose {
		number, _, _ := strings.Cut(e, "/")
		if n, err := strconv.Atoi(number); err == nil {
			tcp = append(tcp, n)
		}
	}
	return tcp, udp
}

func portsKey(s *service) string {
	if len(s.Ports) > 0 {
		return "ports"
	}
	return "expose"
}

// fixedPorts tells of variables that give the container's port by number.
func (m *mapper) fixedPorts(s *service) {
	number := strconv.Itoa(s.out.Port)
	for _, name := range sortedKeys(s.out.Env) {
		v := s.out.Env[name]
		before, isEnd := strings.CutSuffix(v, ":"+number)
		local := isEnd && slices.Contains([]string{"", "0.0.0.0", "localhost", "127.0.0.1"}, before)
		if v != number && !local {
			continue
		}
		m.report.notice(m.at("services", s.Name, "environment", name), fmt.Sprintf("%s fixes the port %s, and a plain process gets another one in PORT", name, number),
			quote(name+": \""+strings.TrimSuffix(v, number)+"${PORT:-"+number+"}\""))
	}
}

// choosePublic finds the service that users reach: the one that says so, or the only one that publishes an HTTP port.
func (m *mapper) choosePublic() {
	var said, publish []*service
	for i := range m.services {
		s := &m.services[i]
		if s.stays || s.foreign || s.out.Kind == app.KindPostgres {
			continue
		}
		switch {
		case s.own.Public != nil && *s.own.Public:
			said = append(said, s)
		case s.own.Public == nil && len(s.Ports) > 0 && s.out.Protocol == app.HTTP:
			publish = append(publish, s)
		}
	}
	for _, s := range said {
		if s.out.Protocol != app.HTTP {
			m.report.fault(m.at("services", s.Name, "x-greenroom", "public"), s.Name+" is public and speaks no HTTP", "users reach the app by HTTP; give it a port, and no `protocol: tcp`")
		}
	}
	switch {
	case len(said) > 1:
		m.report.fault(m.at("services", said[1].Name, "x-greenroom", "public"), fmt.Sprintf("%s and %s are both public", said[0].Name, said[1].Name), "an environment has one address: keep `public: true` on one of them")
	case len(said) == 1:
		said[0].out.Public = true
	case len(publish) > 1:
		slices.SortStableFunc(publish, func(a, b *service) int {
			return cmp.Compare(m.atKey("services", a.Name).line, m.atKey("services", b.Name).line)
		})
		for _, s := range publish[1:] {
			m.report.faultFix(m.atKey("services", s.Name, "ports"), fmt.Sprintf("%s publishes a port as %s does, and an environment has one address", s.Name, publish[0].Name),
				"add `x-greenroom: {public: true}` to the service that users reach", fix{service: publish[0].Name, own: []string{"public: true"}})
		}
	case len(publish) == 1:
		publish[0].out.Public = true
	}
	for _, s := range m.services {
		if len(s.Ports) > 0 && !s.stays && !s.foreign && !s.out.Public {
			m.report.notice(m.atKey("services", s.Name, "ports"), s.Name+" is not reached from outside, only by the app's own services", "")
		}
	}
}
