package definition

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

const defaultGrace = 10 * time.Second // Compose's

// mapper turns services of Compose into services of the app.
type mapper struct {
	*project
	policy   app.Policy // says which dangerous settings are accepted
	configs  int        // bytes of all configs
	services []service
	jobs     map[string]bool // services that others wait for to end
}

// service is one of them under way.
type service struct {
	types.ServiceConfig
	docker  bool        // it is a container
	own     serviceKeys // x-greenroom
	out     app.Service
	extra   []app.Port // published beside out.Port
	stays   bool       // it is skipped
	foreign bool       // its image can't run here, which is told already
}

// serviceNameForm is wider than that of the app's own names: Compose files in use have underscores.
var serviceNameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)

func (m *mapper) contents() app.Contents {
	m.jobs = map[string]bool{}
	for _, s := range m.serviceOrder() {
		for name, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionCompletedSuccessfully {
				m.jobs[name] = true
			}
		}
		m.services = append(m.services, service{ServiceConfig: s, docker: m.docker, own: m.decodeService(s.Name)})
	}
	m.topLevel()
	var c app.Contents
	stems := map[string]string{}
	for i := range m.services {
		s := &m.services[i]
		if s.stays = s.own.Skip != ""; s.stays {
			m.report.notice(m.atKey("services", s.Name), s.Name+" is left out: "+clip(s.own.Skip), "")
			continue
		}
		if !serviceNameForm.MatchString(s.Name) {
			m.report.fault(m.atKey("services", s.Name), quote(clip(s.Name))+" can't be a service's name", "names are small letters, digits, - and _, begin with a letter and have at most 31 characters")
		} else if other, taken := stems[variableOf(s.Name)]; taken {
			m.report.fault(m.atKey("services", s.Name), fmt.Sprintf("%s and %s would have the same variable %s_HOST", other, s.Name, variableOf(s.Name)), "rename one of them")
		}
		stems[variableOf(s.Name)] = s.Name
		m.service(s)
	}
	m.choosePublic()
	for _, s := range m.services {
		if !s.stays {
			c.Services = append(c.Services, s.out)
		}
	}
	m.profiles()
	if len(c.Services) == 0 && !m.report.failed() {
		m.report.fault(m.sources[0].atKey("services"), "there is no service", "the app needs at least one")
	}
	c.Database = m.database()
	m.plainSecrets()
	return c
}

// profiles tells of the services that no active profile has.
func (m *mapper) profiles() {
	for _, name := range sortedKeys(m.model.DisabledServices) {
		m.report.notice(m.atKey("services", name, "profiles"), name+" is left out: the profile "+quoteAll(m.model.DisabledServices[name].Profiles)+" is not active", "name it in COMPOSE_PROFILES if it is part of production")
	}
}

// service fills in one service. The order matters: health asks for the port, order for the replicas.
func (m *mapper) service(s *service) {
	s.out = app.Service{Name: s.Name, Kind: m.kind(s), Replicas: m.replicas(s), Job: m.jobs[s.Name]}
	m.attributes(s)
	if m.docker {
		m.processKeys(s)
	}
	s.out.Stop = app.Stop{Signal: "SIGTERM", Grace: defaultGrace}
	if s.StopSignal != "" {
		s.out.Stop.Signal = m.signal(s)
	}
	if s.StopGracePeriod != nil {
		s.out.Stop.Grace = time.Duration(*s.StopGracePeriod)
	}
	s.out.Restart = m.restart(s)
	s.out.DependsOn = m.dependsOn(s)
	s.out.Env = m.env(s)
	s.out.Secrets = m.secrets(s)
	if s.out.Kind == app.KindPostgres {
		s.out.Port, s.out.Protocol = postgresPort, app.TCP
		if m.docker {
			m.container(s)
		} else {
			s.out.Image = s.Image
		}
		s.out.Health = m.timing(s, app.Health{TCP: true})
		s.out.Order = app.StopFirst
		return
	}
	if m.docker {
		m.containerPort(s)
		m.container(s)
	} else {
		m.port(s)
		m.build(s)
		s.out.Command = m.command(s)
		s.out.Volumes = m.volumes(s)
		m.addresses(s)
	}
	s.out.Health = m.health(s)
	s.out.Order = m.order(s)
}

// kind says what runs a service, and reports an image that nothing here can run.
func (m *mapper) kind(s *service) app.Kind {
	if m.docker {
		return m.containerKind(s)
	}
	at := m.at("services", s.Name, "image")
	runs := len(s.own.Run.List) > 0
	hasImage := s.Image != "" && !strings.HasPrefix(s.Image, noImage)
	switch {
	case runs || s.Build != nil || !hasImage:
		return app.KindProcess
	case isPostgres(s.Image):
		return app.KindPostgres
	}
	what, instead, own := m.unservable(s)
	m.report.faultFix(at, what, instead, fix{service: s.Name, own: own})
	s.foreign = true
	return app.KindProcess
}

// unservable says why an image can't run as a plain process, and what the person can do.
func (m *mapper) unservable(s *service) (what, instead string, own []string) {
	known, ok := wellKnown(s.Image)
	if ok && known.extension != "" {
		what = fmt.Sprintf("the image %s is PostgreSQL with %s, which Greenroom's own server does not have", quote(s.Image), known.extension)
		instead = "use a server of yours that has it: make DATABASE_URL a secret, and leave this service out with " + skipLine("the database is given by DATABASE_URL")
		return what, instead, []string{"skip: the database is given by DATABASE_URL"}
	}
	what = fmt.Sprintf("the image %s can't run as a plain process", quote(s.Image))
	if ok && known.run != "" {
		own = []string{"run: " + known.run, fmt.Sprintf("port: %d", known.port), "protocol: " + known.protocol}
		return what, "where the program is installed, add " + ownLine(own) + ", or leave the service out with " + skipLine("…"), own
	}
	if ok && known.skip != "" {
		own = []string{"skip: " + known.skip}
		return what, "leave it out with " + ownLine(own) + ", or give it a command with `x-greenroom: {run: …}`", own
	}
	own = []string{"skip: it can't run here yet"}
	return what, "give it a command with `x-greenroom: {run: …}`, or leave it out with " + skipLine("…"), own
}

func ownLine(keys []string) string { return quote("x-greenroom: {" + strings.Join(keys, ", ") + "}") }

func skipLine(reason string) string { return ownLine([]string{"skip: " + reason}) }

func (m *mapper) replicas(s *service) int {
	n := s.GetScale()
	at := m.at("services", s.Name, "deploy", "replicas")
	if s.Scale != nil && m.find("services", s.Name, "scale").value != nil {
		at = m.at("services", s.Name, "scale")
	}
	switch {
	case n > maxReplicas:
		m.report.fault(at, fmt.Sprintf("%d replicas are more than %d", n, maxReplicas), "")
	case n > 1 && isPostgres(s.Image) && len(s.own.Run.List) == 0:
		m.report.fault(at, fmt.Sprintf("%d replicas of a database would be %d databases", n, n), "a database has one replica")
	case n > 1 && s.own.SQLite != "":
		m.report.fault(at, fmt.Sprintf("%d replicas can't share an SQLite file", n), "a service with SQLite has one replica")
	case n > 1 && m.jobs[s.Name]:
		m.report.fault(at, fmt.Sprintf("%s runs to its end before others start, and would do so %d times", s.Name, n), "a job has one replica")
	}
	return n
}

var signalForm = regexp.MustCompile(`^(SIG)?(HUP|INT|QUIT|ABRT|KILL|USR1|USR2|TERM|CONT|STOP|WINCH)$`)

func (m *mapper) signal(s *service) string {
	at := m.at("services", s.Name, "stop_signal")
	name := strings.ToUpper(s.StopSignal)
	if !signalForm.MatchString(name) {
		m.report.fault(at, quote(clip(s.StopSignal))+" is no signal that ends a process", "write a name, as SIGTERM, SIGINT or SIGQUIT")
	}
	return "SIG" + strings.TrimPrefix(name, "SIG")
}

// restart: a service is started again unless Compose says no; a job never is.
func (m *mapper) restart(s *service) bool {
	if m.jobs[s.Name] {
		return false
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil && s.Deploy.RestartPolicy.Condition != "" {
		return s.Deploy.RestartPolicy.Condition != "none"
	}
	return s.Restart != types.RestartPolicyNo
}

func (m *mapper) dependsOn(s *service) []app.Dependency {
	var out []app.Dependency
	for _, name := range sortedKeys(s.DependsOn) {
		if !m.runsHere(name) {
			m.report.notice(m.mention(s.Name, "depends_on", name), s.Name+" does not wait for "+name+", which is left out", "")
			continue
		}
		out = append(out, app.Dependency{Service: name, Condition: app.Condition(s.DependsOn[name].Condition)})
	}
	return out
}

// runsHere says whether a name is one of the app's services and not left out.
func (m *mapper) runsHere(name string) bool {
	_, active := m.model.Services[name]
	return active && m.vars.runs(m.merged(name))
}

// build is how the service's files are made. A service that has an image and says nothing of files has none of its own:
// its program is on the machine.
func (m *mapper) build(s *service) {
	image := s.Image != "" && !strings.HasPrefix(s.Image, noImage)
	if s.Build == nil && image && s.own.Build == "" && len(s.own.Files) == 0 {
		return
	}
	b := &app.Build{Context: m.context(s), Run: s.own.Build, Files: []string{}}
	for i, f := range s.own.Files {
		if what := escapes(f); what != "" {
			m.report.fault(m.at("services", s.Name, "x-greenroom", "files", fmt.Sprint(i)), what, "name what lies in the build context")
			continue
		}
		b.Files = append(b.Files, path.Clean(filepath.ToSlash(f)))
	}
	slices.Sort(b.Files)
	b.Files = slices.Compact(b.Files)
	s.out.Build = b
	if s.own.Dir != "" {
		if what := escapes(s.own.Dir); what != "" {
			m.report.fault(m.at("services", s.Name, "x-greenroom", "dir"), what, "name a folder of the service's files")
		}
		s.out.Dir = path.Clean(filepath.ToSlash(s.own.Dir))
	}
}

// context is the folder of a service's build context, relative to the repository.
func (m *mapper) context(s *service) string {
	if s.Build == nil || s.Build.Context == "" {
		return "."
	}
	at := m.at(m.contextPath(s.Name)...)
	rel, err := filepath.Rel(m.dir, s.Build.Context)
	switch {
	case strings.Contains(s.Build.Context, "://") || strings.HasPrefix(s.Build.Context, "git@"):
		m.report.fault(at, "the build context "+quote(clip(s.Build.Context))+" is not in the repository", "a release is built from the repository's own files")
	case err != nil || !filepath.IsLocal(rel):
		m.report.fault(at, "the build context leads out of the repository", "name a folder of the repository")
	default:
		return filepath.ToSlash(rel)
	}
	return "."
}

// contextPath is where the build context stands: build: ./web or build: {context: ./web}.
func (m *mapper) contextPath(name string) []string {
	if f := m.find("services", name, "build", "context"); f.value != nil {
		return []string{"services", name, "build", "context"}
	}
	return []string{"services", name, "build"}
}

// volumes are the names of a service's folders. What is mounted from elsewhere is told by attributes.
func (m *mapper) volumes(s *service) []string {
	var out []string
	for i, v := range s.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		at := m.at("services", s.Name, "volumes", fmt.Sprint(i))
		if !serviceNameForm.MatchString(v.Source) {
			m.report.fault(at, quote(clip(v.Source))+" can't be a volume's name", "names are small letters, digits, - and _, begin with a letter and have at most 31 characters")
		}
		if !m.mentions(s, variableOf(v.Source)+"_DIR") {
			m.report.notice(at, fmt.Sprintf("%s exists only in a container; a plain process finds the volume %s where the variable %s_DIR says, and nothing of %s names it", v.Target, v.Source, variableOf(v.Source), s.Name),
				fmt.Sprintf("hand it over in the environment, as ${%s_DIR:-%s}", variableOf(v.Source), v.Target))
		}
		out = append(out, v.Source)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mentions says whether a service's environment or command uses a variable that is known where it runs.
func (m *mapper) mentions(s *service, variable string) bool {
	in := func(text string) bool { return strings.Contains(text, "${"+variable+"}") }
	for _, v := range s.out.Env {
		if in(v) {
			return true
		}
	}
	return slices.ContainsFunc(s.out.Command, in)
}

// order is whether new replicas start before the old ones stop. What must not run twice does not, unless Compose says so.
func (m *mapper) order(s *service) app.Order {
	given := ""
	if s.Deploy != nil && s.Deploy.UpdateConfig != nil {
		given = s.Deploy.UpdateConfig.Order
	}
	switch {
	case s.own.SQLite != "" && given == string(app.StartFirst):
		m.report.fault(m.at("services", s.Name, "deploy", "update_config", "order"), "two releases can't write to one SQLite file at once", "`order: stop-first`")
	case given != "":
		return app.Order(given)
	case s.own.SQLite != "", writes(s.out.Container), s.out.Replicas == 1 && s.out.Port == 0:
		return app.StopFirst
	}
	return app.StartFirst
}
