package definition

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/app"
)

// tcpPorts are the ports of well-known servers that speak no HTTP.
var tcpPorts = []int{25, 587, 1025, 1433, 1883, 3306, 4222, 5432, 5672, 6379, 9042, 9092, 11211, 26257, 27017}

// containerPort finds the port that a container listens on: x-greenroom's, else the first of ports, of expose, what its own
// PORT says, or what its image is known for. All containers of a service listen on the same one, each at its own address.
func (m *mapper) containerPort(s *service) {
	targets, udp := s.targets()
	known, _ := wellKnown(s.Image)
	if s.Build != nil {
		known = wellKnownImage{}
	}
	own, err := strconv.Atoi(s.out.Env["PORT"])
	if v := s.Environment["PORT"]; err != nil && v != nil { // the default of ${PORT:-8080}
		own, err = strconv.Atoi(*v)
	}
	if err != nil || own < 1 || own >= 1<<16 {
		own = 0
	}
	first := 0
	if len(targets) > 0 {
		first = targets[0]
	}
	s.out.Port = cmp.Or(s.own.Port, first, own, known.port)
	if s.out.Port == 0 && s.own.Protocol != "" {
		m.report.fault(m.at("services", s.Name, "x-greenroom", "protocol"), s.Name+" has a protocol and no port", "add `port:` with the port that it listens on")
	}
	if s.out.Port > 0 {
		s.out.Protocol = app.HTTP
		if s.own.Protocol == "tcp" || s.own.Protocol == "" && (known.protocol == "tcp" || slices.Contains(tcpPorts, s.out.Port)) {
			s.out.Protocol = app.TCP
		}
	}
	m.otherPorts(s, udp)
}

// otherPorts are those that are published beside the one that the edge balances: the app's own services reach them.
func (m *mapper) otherPorts(s *service, udp []int) {
	at := m.atKey("services", s.Name, "ports")
	add := func(port int, protocol string) {
		p := app.Port{Container: port, Protocol: protocol}
		if !slices.Contains(s.extra, p) {
			s.extra = append(s.extra, p)
			m.report.notice(at, fmt.Sprintf("port %d/%s of %s is reached by the app's own services alone", port, protocol, s.Name), "")
		}
	}
	for _, p := range s.Ports {
		if p.Protocol != "udp" && int(p.Target) != s.out.Port {
			add(int(p.Target), "tcp")
		}
	}
	for _, port := range udp {
		add(port, "udp")
	}
	slices.SortFunc(s.extra, func(a, b app.Port) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol))
	})
}

// withoutPort puts Compose's own default where a container without a port names ${PORT}, which nobody gives it.
func (m *mapper) withoutPort(s *service) {
	names := func(text string) bool { return strings.Contains(text, "${PORT}") }
	if s.out.Port > 0 {
		return
	}
	for name, value := range s.out.Env {
		if v := s.Environment[name]; names(value) && v != nil {
			s.out.Env[name] = *v
		}
	}
	if slices.ContainsFunc(s.out.Command, names) {
		s.out.Command = s.Command
	}
	if slices.ContainsFunc(s.out.Container.Entrypoint, names) {
		s.out.Container.Entrypoint = s.Entrypoint
	}
}
