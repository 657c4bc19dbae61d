// Package service runs Greenroom under systemd: its units as data, and what a process has to say to systemd and takes
// from it. The control plane, the edge and every replica are units of their own, so that restarting one of them touches
// no other.
package service

import (
	"embed"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"greenroom/internal/problem"
)

// The names of the units.
const (
	ControlPlane = "greenroom.service"
	Edge         = "greenroom-edge.service"
	EdgeHTTP     = "greenroom-edge-http.socket"
	EdgeHTTPS    = "greenroom-edge-https.socket"
	Replicas     = "greenroom-replicas.slice"
)

// Program is where the installed program lies.
const Program = "/usr/local/bin/greenroom"

// folder is where units of the machine's administrator lie.
const folder = "/etc/systemd/system"

//go:embed units
var templates embed.FS

// Options of an installation. The zero value is an installation with its ordinary addresses and Let's Encrypt.
type Options struct {
	Home  string // the state folder, absolute
	HTTP  string // where the edge listens: PORT or IP:PORT; "" is 80
	HTTPS string // "" is 443

	ACMEDirectory string // URL of the ACME server's directory; "" is Let's Encrypt's
	ACMEEmail     string // told to the ACME server
	ACMERoot      string // file of PEM certificates by which the ACME server's own is signed; "": who the system trusts
}

// Variables by which the edge's unit tells the edge what is meant for it.
const (
	ACMEDirectory = "GREENROOM_ACME_DIRECTORY"
	ACMEEmail     = "GREENROOM_ACME_EMAIL"
	ACMERoot      = "GREENROOM_ACME_ROOT"
)

// Unit is one unit's file.
type Unit struct {
	Name    string
	Content string
}

// Path is where the unit's file lies.
func (u Unit) Path() string { return path.Join(folder, u.Name) }

// Units are those of an installation, sorted by name. Invalid: an address is none, or a value can't stand in a unit.
func Units(o Options) ([]Unit, error) {
	if o.HTTP == "" {
		o.HTTP = "80"
	}
	if o.HTTPS == "" {
		o.HTTPS = "443"
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("@PROGRAM@", Program, "@HOME@", o.Home, "@HTTP@", o.HTTP, "@HTTPS@", o.HTTPS, "@ENVIRONMENT@", o.environment())
	entries, err := fs.ReadDir(templates, "units")
	if err != nil {
		return nil, err
	}
	var units []Unit
	for _, e := range entries {
		b, err := fs.ReadFile(templates, "units/"+e.Name())
		if err != nil {
			return nil, err
		}
		units = append(units, Unit{Name: e.Name(), Content: fill.Replace(string(b))})
	}
	return units, nil
}

// environment are the lines of the edge's variables.
func (o Options) environment() string {
	var lines []string
	for _, v := range [][2]string{{ACMEDirectory, o.ACMEDirectory}, {ACMEEmail, o.ACMEEmail}, {ACMERoot, o.ACMERoot}} {
		if v[1] != "" {
			lines = append(lines, `Environment="`+v[0]+"="+strings.ReplaceAll(v[1], "%", "%%")+`"`)
		}
	}
	return strings.Join(lines, "\n")
}

// check refuses what would be read as something else inside a unit.
func (o Options) check() error {
	if !path.IsAbs(o.Home) || strings.ContainsAny(o.Home, " \t\r\n\"'\\%$") {
		return problem.New(problem.Invalid, "the state folder %q can't stand in a unit of systemd: an absolute path without spaces, quotes, $ and %% can", o.Home)
	}
	for _, v := range []string{o.ACMEDirectory, o.ACMEEmail, o.ACMERoot} {
		if strings.ContainsAny(v, "\r\n\"\\") {
			return problem.New(problem.Invalid, "%q can't stand in a unit of systemd", v)
		}
	}
	for _, a := range []string{o.HTTP, o.HTTPS} {
		if !listens(a) {
			return problem.New(problem.Invalid, "%q is no address to listen on", a).WithHint("a port such as 80, or an address with a port such as 192.0.2.7:80")
		}
	}
	if o.HTTP == o.HTTPS {
		return problem.New(problem.Invalid, "HTTP and HTTPS can't both listen on %s", o.HTTP)
	}
	return nil
}

func listens(address string) bool {
	if _, _, err := net.SplitHostPort(address); err == nil {
		ap, err := netip.ParseAddrPort(address)
		return err == nil && ap.Port() != 0
	}
	port, err := strconv.ParseUint(address, 10, 16)
	return err == nil && port != 0
}

// Supervise is the command in front of a supervisor's that makes it a unit of its own: a scope, which systemd-run makes
// of itself before it becomes the command. So the process id is the caller's child, descriptors and standard streams are
// as they were, and the cgroup is no longer the caller's. When the machine goes down, systemd ends the control plane and
// the edge first, as they come later in its order.
func Supervise(run string, command ...string) []string {
	return append([]string{
		run, "--quiet", "--collect", "--scope", "--slice=" + Replicas, "--description=Greenroom replica",
		"--property=Before=" + ControlPlane, "--property=Before=" + Edge, "--",
	}, command...)
}
