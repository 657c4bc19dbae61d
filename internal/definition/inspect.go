package definition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"

	"greenroom/internal/app"
	"greenroom/internal/problem"
)

// Status says what becomes of a service under the driver.
type Status string

// The statuses.
const (
	Runs   Status = "runs"   // as a plain process or as a container, as it stands
	Served Status = "served" // Greenroom has the server itself
	Cannot Status = "cannot" // not as it stands
	Stays  Status = "stays"  // left out, because x-greenroom says so
)

// Finding is what `greenroom init` says about one service, or about one line of it.
type Finding struct {
	Service string // "" when it is about none
	File    string // relative to the repository
	Line    int
	Status  Status
	Why     string
	Add     string // lines of YAML, indented as they have to stand; "" when there is nothing that can be told so exactly
	// Replaces: Add stands in the place of the line, else below it.
	Replaces bool
}

// Inspection is what a Compose file means to a driver before there is a definition.
type Inspection struct {
	Driver   string // process or docker
	NoEngine bool   // docker would be the driver, had an Engine answered
	Compose  string // the file, relative to the folder
	App      string // a name for the app
	Contents app.Contents
	Findings []Finding // by file and line
	Notices  []Notice
}

// Inspect reads the Compose file in a folder and says for each service whether it can run, why, and what to add. The driver
// is docker where the file has an image or a build that no plain process can take the place of, and engine says that an
// Engine answers; it may be nil. A problem NotFound says that there is no Compose file; a *Faults that it can't be read at all.
func Inspect(ctx context.Context, dir string, engine func(context.Context) bool) (Inspection, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{}
	for _, name := range composeNames {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			in.Compose = name
			break
		}
	}
	if in.Compose == "" {
		return in, problem.New(problem.NotFound, "there is no compose.yaml in %s", dir).
			WithHint("write one with the app's services, then `greenroom init` again")
	}
	in, containers, err := in.under(ctx, driverProcess, dir)
	if err == nil && containers && engine != nil {
		if in.NoEngine = !engine(ctx); !in.NoEngine {
			in, _, err = in.under(ctx, driverDocker, dir)
		}
	}
	return in, errors.Join(err, ctx.Err())
}

// under is what the Compose file means to a driver, and whether it has what only containers can be.
func (in Inspection) under(ctx context.Context, driver, dir string) (Inspection, bool, error) {
	var r report
	p := readProject(ctx, dir, driver, []string{in.Compose}, Options{}, &r)
	if p == nil {
		return in, false, r.err()
	}
	m := mapper{project: p}
	in.Driver, in.Contents, in.App = driver, m.contents(), p.appName()
	in.Findings, in.Notices = m.findings(), r.noticed()
	containers := slices.ContainsFunc(m.services, func(s service) bool {
		return !s.stays && (s.foreign || s.Build != nil && len(s.own.Run.List) == 0)
	})
	return in, containers, nil
}

// appName is the project's own name, or the folder's, in the form of a name.
func (p *project) appName() string {
	name := filepath.Base(p.dir)
	if f := p.find("name"); f.value != nil {
		if s, err := p.vars.expand(fmt.Sprint(plain(f.value))); err == nil && s != "" {
			name = s
		}
	}
	name = strings.ReplaceAll(loader.NormalizeProjectName(name), "_", "-")
	name = strings.TrimLeft(name, "0123456789-")
	return cmp.Or(name[:min(31, len(name))], "app")
}

// findings are one for each service with all that its x-greenroom needs, and one for each other fault.
func (m *mapper) findings() []Finding {
	own, why := map[string][]string{}, map[string][]string{}
	var out []Finding
	for _, f := range arrange(m.report.faults) {
		service := cmp.Or(f.fix.service, m.serviceAt(f))
		switch {
		case len(f.fix.own) > 0:
			keys := f.fix.own
			if f.fix.command {
				keys = m.guess(service)
			}
			own[service] = append(own[service], keys...)
			why[service] = append(why[service], f.What)
		case f.fix.line != "":
			out = append(out, Finding{service, f.File, f.Line, Cannot, f.What, f.fix.line, true})
		default:
			out = append(out, Finding{Service: service, File: f.File, Line: f.Line, Status: Cannot, Why: strings.TrimSuffix(f.What+"; "+f.Instead, "; ")})
		}
	}
	m.findPublic(own, why)
	for _, s := range m.services {
		out = append(out, m.finding(s, own[s.Name], why[s.Name]))
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out
}

func (m *mapper) finding(s service, own, why []string) Finding {
	at := m.atKey("services", s.Name)
	f := Finding{Service: s.Name, File: at.src.name, Line: at.line, Status: Runs}
	switch {
	case len(own) > 0:
		f.Status, f.Why = Cannot, strings.Join(why, "; ")
		f.Line, f.Add = m.insert(s.Name, at, slices.Compact(own))
	case s.stays:
		f.Status, f.Why = Stays, "it is left out: "+s.own.Skip
	case s.out.Kind == app.KindPostgres && s.out.Container != nil:
		f.Why = "it runs as a container of " + quote(clip(s.Image)) + ", whose data Greenroom cares for"
	case s.out.Kind == app.KindPostgres:
		f.Status, f.Why = Served, fmt.Sprintf("Greenroom runs a PostgreSQL server in the place of %s", s.Image)
	case s.docker && s.Build != nil:
		f.Why = "it runs as a container of the image that is built for it"
	case s.docker:
		f.Why = "it runs as a container of " + quote(clip(s.Image))
	default:
		f.Why = "its command is " + quote(clip(strings.Join(s.out.Command, " ")))
	}
	return f
}

// insert is the line below which keys of x-greenroom go, and their lines, indented as the service's own.
func (m *mapper) insert(service string, at place, keys []string) (line int, add string) {
	indent := strings.Repeat(" ", at.column+1)
	lines := []string{indent + "x-greenroom:"}
	line = at.line
	if first := at.src.keys("services", service); len(first) > 0 {
		column := at.src.atKey("services", service, first[0]).column
		indent = strings.Repeat(" ", column-1)
		lines[0] = indent + "x-greenroom:"
	}
	if own := at.src.find("services", service, "x-greenroom"); own.depth == 3 {
		line, lines = own.key.Line, nil
	}
	for _, k := range keys {
		lines = append(lines, indent+"  "+k)
	}
	return line, strings.Join(lines, "\n")
}

// findPublic makes the likeliest service public when none is: its proxy may be what can't run here.
func (m *mapper) findPublic(own, why map[string][]string) {
	best, score := -1, 0
	for i, s := range m.services {
		if s.stays || s.foreign || s.out.Kind == app.KindPostgres || s.out.Job || s.docker && s.out.Protocol == app.TCP {
			continue
		}
		if s.out.Public || slices.Contains(own[s.Name], "public: true") {
			return
		}
		points := 0
		if s.out.Port > 0 {
			points += 2
		}
		if slices.Contains([]string{"web", "app", "frontend", "server", "site", "www"}, s.Name) {
			points++
		}
		if points > score {
			best, score = i, points
		}
	}
	if best < 0 {
		return
	}
	s := m.services[best]
	if s.out.Port == 0 {
		own[s.Name] = append(own[s.Name], "port: 8080")
	}
	own[s.Name] = append(own[s.Name], "public: true")
	why[s.Name] = append(why[s.Name], "no service that can run publishes a port for the users")
}

// serviceAt is the service in whose lines a fault stands.
func (m *mapper) serviceAt(f Fault) string {
	name, line := "", 0
	for _, src := range m.sources {
		if src.name != f.File || src.find("services").depth == 0 || f.Line < src.atKey("services").line {
			continue
		}
		for _, s := range src.keys("services") {
			if at := src.atKey("services", s); at.line <= f.Line && at.line > line {
				name, line = s, at.line
			}
		}
		for _, key := range src.keys() { // a section behind the services
			if at := src.atKey(key); at.line <= f.Line && at.line > line {
				name = ""
			}
		}
	}
	return name
}
