package definition

import (
	"encoding/json"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v4"

	"greenroom/internal/app"
)

// The keys of greenroom.yaml. The published schema is reflected from these types, and the same schema finds unknown keys
// and wrong types in a file; the rules between keys are in policy.go and checks.go. Every tag has omitempty, because the
// reflection takes a tag without it for a key that must be there.

type fileKeys struct {
	App          string                      `yaml:"app" jsonschema:"pattern=^[a-z][a-z0-9-]{0\\,30}$" jsonschema_description:"The app's name: small letters, digits and -, at most 31."`
	Compose      words                       `yaml:"compose,omitempty" jsonschema_description:"The Compose file or files that are production, relative to this file. Default: compose.yaml."`
	Driver       string                      `yaml:"driver,omitempty" jsonschema:"enum=process,enum=docker,enum=command" jsonschema_description:"What runs services: process, plain processes on this machine; docker, containers of a Docker Engine; command, the team's own deploy command. Default: process."`
	Deploy       *deployKey                  `yaml:"deploy,omitempty" jsonschema_description:"With driver: command, the command that makes a release live in an environment. It runs in the release's files, with GREENROOM_APP, GREENROOM_ENVIRONMENT, GREENROOM_RELEASE, GREENROOM_PREVIOUS_RELEASE and GREENROOM_URL."`
	Rollback     *commandKey                 `yaml:"rollback,omitempty" jsonschema_description:"With driver: command, the command that makes the release before live again: GREENROOM_RELEASE is the one to go back to. Default: that one is deployed."`
	Status       *commandKey                 `yaml:"status,omitempty" jsonschema_description:"With driver: command, the command that tells whether GREENROOM_RELEASE is live: exit code 0 says so. Where the last line of its standard output ends with the name of a release, that one is taken for the one that is live."`
	Stop         *commandKey                 `yaml:"stop,omitempty" jsonschema_description:"With driver: command, the command that takes the app away, for greenroom down. Default: it stays."`
	Environments map[string]*environmentKeys `yaml:"environments,omitempty" jsonschema_description:"The running copies of the app. Production is what Compose says, every other one is production with declared differences. Default: staging, and production after it."`
	Migrations   *migrationsKeys             `yaml:"migrations,omitempty" jsonschema_description:"How a release changes the database's schema."`
	Checks       map[string]*checkKeys       `yaml:"checks,omitempty" jsonschema_description:"The questions that a release must answer."`
	Gates        map[string]*gateKeys        `yaml:"gates,omitempty" jsonschema_description:"What an environment demands. Default: production demands that every check, own and built in, has passed in a rehearsal."`
	Roles        rolesKeys                   `yaml:"roles,omitempty" jsonschema_description:"Who may do what: lists of system users, as anna, and of groups, as '@oncall'. A right that is not listed is the owner's, which is the user that Greenroom runs as, and root; one with an empty list is nobody's. The owner can always apply a policy."`
	Keys         map[string]*trustedKeys     `yaml:"keys,omitempty" jsonschema_description:"Whose evidence counts beside this Greenroom's own. Default: that of the builders who are users here, for checks at build."`
}

type environmentKeys struct {
	After       string                       `yaml:"after,omitempty" jsonschema_description:"A release has to be live and healthy in this environment first."`
	Scale       *scaleKey                    `yaml:"scale,omitempty" jsonschema_description:"Replicas of each service, or a share of production's such as 4/10, rounded up. Default: production's own number."`
	Config      map[string]configKey         `yaml:"config,omitempty" jsonschema_description:"Variables that differ from production's."`
	Differences []differenceKeys             `yaml:"differences,omitempty" jsonschema_description:"Declared differences from production that no other key sets."`
	Hosts       []string                     `yaml:"hosts,omitempty" jsonschema_description:"Host names that lead to the environment, beside its own address."`
	Rollout     *rolloutKeys                 `yaml:"rollout,omitempty" jsonschema_description:"How traffic moves to a new release."`
	Accept      map[string]map[string]string `yaml:"accept,omitempty" jsonschema_description:"Dangerous settings of containers that production may have, with the reason: by service, then by the setting, as privileged or cap_add SYS_ADMIN. In production alone."`
	URL         string                       `yaml:"url,omitempty" jsonschema_description:"With driver: command, where the app answers: checks get it as APP_URL, and it is probed there."`
	Probe       *probeKeys                   `yaml:"probe,omitempty" jsonschema_description:"With driver: command, what is asked at url while a release goes live and is watched. Default: /up, 5 times a second."`
	Data        *dataKeys                    `yaml:"data,omitempty" jsonschema_description:"Where the data of each rehearsal comes from: a masked copy of production's. Default: a fresh database, with the seed."`
}

type deployKeys struct {
	Run     string          `yaml:"run" jsonschema_description:"A shell command; exit code 0 says that it worked."`
	Timeout text            `yaml:"timeout,omitempty" jsonschema_description:"How long it may take, as 10m; then its whole process group is ended. Default: 10m."`
	Build   string          `yaml:"build,omitempty" jsonschema_description:"A shell command that is run once, in the repository, before its files are packed."`
	Files   []string        `yaml:"files,omitempty" jsonschema_description:"Files and folders of the repository that travel with the release for the commands. Default: all of it but what .dockerignore and .git hide."`
	Env     map[string]text `yaml:"env,omitempty" jsonschema_description:"Variables that the commands get: production's configuration, from which an environment's config may differ."`
	Secrets []string        `yaml:"secrets,omitempty" jsonschema_description:"Names of secrets that the commands get, as variables of those names."`
}

// deployKey is a shell command, or one with what it needs.
type deployKey deployKeys

type commandKeys struct {
	Run     string `yaml:"run" jsonschema_description:"A shell command."`
	Timeout text   `yaml:"timeout,omitempty" jsonschema_description:"How long it may take, as 30s. Default: 10m, and 30s for status."`
}

// commandKey is a shell command, or one with its time.
type commandKey commandKeys

type probeKeys struct {
	Path    string `yaml:"path,omitempty" jsonschema_description:"The path that is asked. Default: /up."`
	Rate    text   `yaml:"rate,omitempty" jsonschema_description:"Questions a second, from 1 to 100. Default: 5."`
	Timeout text   `yaml:"timeout,omitempty" jsonschema_description:"How long an answer may take, as 5s. Default: 5s."`
}

type dataKeys struct {
	From        string `yaml:"from" jsonschema_description:"The environment whose data is copied: production."`
	Mask        string `yaml:"mask" jsonschema_description:"The file that says what becomes of each column, relative to this one. greenroom mask init writes it."`
	Replica     string `yaml:"replica,omitempty" jsonschema_description:"The name of a secret of production's: the address of a read replica that is copied in place of the database itself."`
	Rate        text   `yaml:"rate,omitempty" jsonschema_description:"The most that a copy reads of production, as 50MB/s. Default: as fast as it goes."`
	Keep        text   `yaml:"keep,omitempty" jsonschema_description:"How many snapshots are kept. Default: 3."`
	NotIsolated string `yaml:"not_isolated,omitempty" jsonschema_description:"Why the data may be where processes can reach the network, in words. Default: where a stage can't be isolated, the data is refused."`
}

type scaleKeys struct {
	To      text   `yaml:"to" jsonschema_description:"Replicas of each service, or a share of production's such as 4/10."`
	Because string `yaml:"because,omitempty" jsonschema_description:"Why it differs from production. Required in the environment that production comes after."`
	Until   text   `yaml:"until,omitempty" jsonschema_description:"The last day on which it may differ, as 2027-06-30."`
}

// scaleKey is a number, a share, or both parts with a reason.
type scaleKey scaleKeys

type configKeys struct {
	Value   text   `yaml:"value" jsonschema_description:"The variable's value here."`
	Because string `yaml:"because,omitempty" jsonschema_description:"Why it differs from production. Required in the environment that production comes after."`
}

// configKey is a value, or a value with a reason.
type configKey configKeys

type differenceKeys struct {
	Fact    string `yaml:"fact" jsonschema_description:"The fact that differs, such as database.settings.shared_buffers."`
	Because string `yaml:"because" jsonschema_description:"Why."`
	Until   text   `yaml:"until,omitempty" jsonschema_description:"The last day on which it may differ, as 2027-06-30."`
}

type rolloutKeys struct {
	Steps     []text `yaml:"steps,omitempty" jsonschema_description:"Shares of the traffic that the new release gets, rising, the last 100%. Default: [100%]."`
	Watch     text   `yaml:"watch,omitempty" jsonschema_description:"How long each share is watched before the next, and all of it at the end, as 5m. Default: 1m."`
	MaxErrors text   `yaml:"max_errors,omitempty" jsonschema_description:"Share of failed answers that takes the rollout back, as 0.5%. Default: 1%."`
	Drain     text   `yaml:"drain,omitempty" jsonschema_description:"How long requests to the old release may take to end, as 30s. Default: 30s."`
	Downtime  string `yaml:"downtime,omitempty" jsonschema:"enum=accept" jsonschema_description:"accept: where the old release can't live on the new schema, stop it first and show a maintenance page."`
}

type migrationsKeys struct {
	Run         string            `yaml:"run,omitempty" jsonschema_description:"A shell command in the release's files, with the environment's variables. This, dir or at."`
	Dir         string            `yaml:"dir,omitempty" jsonschema_description:"A folder of migrations as goose, golang-migrate or Flyway lay them out, relative to this file. Greenroom runs them itself and keeps the tool's own version table."`
	Tool        string            `yaml:"tool,omitempty" jsonschema:"enum=goose,enum=golang-migrate,enum=flyway" jsonschema_description:"Whose layout dir has. Default: what the names of its files say."`
	At          string            `yaml:"at,omitempty" jsonschema:"enum=start" jsonschema_description:"start: the service migrates itself when it starts; one replica is then started alone first."`
	Down        string            `yaml:"down,omitempty" jsonschema_description:"A shell command that takes the schema back to the release before, beside run or at: start. A folder has its own way down."`
	Version     string            `yaml:"version,omitempty" jsonschema_description:"A query whose one value is the schema's version."`
	Invariants  map[string]string `yaml:"invariants,omitempty" jsonschema_description:"What is true of the data before and after: queries by name, each of which finds no row."`
	Budget      *budgetKeys       `yaml:"budget,omitempty" jsonschema_description:"What a migration may do to those who use the database."`
	LockTimeout text              `yaml:"lock_timeout,omitempty" jsonschema_description:"How long a statement in production waits for a lock before it lets everybody else pass and tries again, as 500ms. Default: blocked_reads or blocked_writes, the shorter one."`
	Blockers    string            `yaml:"blockers,omitempty" jsonschema:"enum=end" jsonschema_description:"end: sessions that stand in a migration's way in production are ended. Default: they are named and waited for."`
	Seed        string            `yaml:"seed,omitempty" jsonschema_description:"A shell command that fills a fresh database outside production."`
	Service     string            `yaml:"service,omitempty" jsonschema_description:"The service whose files and variables the commands get. Default: the service that users reach."`
	Timeout     text              `yaml:"timeout,omitempty" jsonschema_description:"How long a migration may take, as 15m. Default: 15m."`
}

type budgetKeys struct {
	BlockedReads  text `yaml:"blocked_reads,omitempty" jsonschema_description:"The longest that reads of a table may stand still, as 250ms. Default: 250ms."`
	BlockedWrites text `yaml:"blocked_writes,omitempty" jsonschema_description:"The longest that writes to a table may stand still, as 1s. Default: 1s."`
	Duration      text `yaml:"duration,omitempty" jsonschema_description:"The longest that the whole migration may take, as 5m. Default: no limit but timeout."`
	Growth        text `yaml:"growth,omitempty" jsonschema_description:"How much the disk may fill, write-ahead log included, as 2GB. Default: no limit."`
	RowsLost      text `yaml:"rows_lost,omitempty" jsonschema_description:"How many rows may be gone, or any. Default: 0."`
}

type checkKeys struct {
	Run        string   `yaml:"run" jsonschema_description:"A shell command; exit code 0 is a pass. It has APP_URL, DATABASE_URL and the environment's variables."`
	At         string   `yaml:"at,omitempty" jsonschema:"enum=build" jsonschema_description:"build: run where the build runs."`
	Journey    bool     `yaml:"journey,omitempty" jsonschema_description:"It does what a user does: in a rehearsal it also runs with the old release."`
	Production bool     `yaml:"production,omitempty" jsonschema_description:"It may run in production, after the switch."`
	Files      []string `yaml:"files,omitempty" jsonschema_description:"Files and folders of the repository that travel with the release for it. Default: those that run names."`
	Report     string   `yaml:"report,omitempty" jsonschema_description:"The JUnit XML file that the command writes, or go for go test -json on its standard output."`
	Timeout    text     `yaml:"timeout,omitempty" jsonschema_description:"How long it may take, as 10m. Default: 10m."`
	DependsOn  []string `yaml:"depends_on,omitempty" jsonschema:"enum=release,enum=schema,enum=config,enum=secrets,enum=flags,enum=sizes" jsonschema_description:"The parts of the baseline that its evidence depends on. Default: all."`
}

type gateKeys struct {
	Soak   text                  `yaml:"soak,omitempty" jsonschema_description:"How long a release has to be live in the environment before, as 30m."`
	Except map[string]exceptKeys `yaml:"except,omitempty" jsonschema_description:"Checks that the gate does not ask for."`
}

type exceptKeys struct {
	Because string `yaml:"because" jsonschema_description:"Why."`
	Until   text   `yaml:"until" jsonschema_description:"The last day of the exception, as 2026-12-31."`
}

// rolesKeys are the people who hold a right.
type rolesKeys map[string][]string

// JSONSchema knows the rights.
func (rolesKeys) JSONSchema() *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
	for _, r := range app.Rights {
		s.Properties.Set(string(r), &jsonschema.Schema{
			Type: "array", Items: &jsonschema.Schema{Type: "string"}, Description: "Who may " + r.Says() + ".",
		})
	}
	return s
}

type trustedKeys struct {
	Key          string   `yaml:"key,omitempty" jsonschema_description:"The public key: ed25519: and base64, or a PEM block of type PUBLIC KEY. This or file."`
	File         string   `yaml:"file,omitempty" jsonschema_description:"The PEM file of the public key in the repository."`
	Checks       []string `yaml:"checks,omitempty" jsonschema_description:"The checks that it may speak about. Default: all."`
	Environments []string `yaml:"environments,omitempty" jsonschema_description:"Where what it speaks about happened: environments, rehearsal (the stage) or build. Default: rehearsal and build."`
}

// serviceKeys are what x-greenroom on a service of Compose may hold.
type serviceKeys struct {
	Build    string   `yaml:"build,omitempty" json:"build" jsonschema_description:"A shell command that makes the service's files, run once in its build context."`
	Files    []string `yaml:"files,omitempty" json:"files" jsonschema_description:"What travels with the release, relative to the build context. Default: all of it."`
	Run      words    `yaml:"run,omitempty" json:"run" jsonschema_description:"The command that runs the service, a shell command or a list of words. It listens on the port that the variable PORT says."`
	Dir      string   `yaml:"dir,omitempty" json:"dir" jsonschema_description:"The working folder inside the service's files."`
	Port     int      `yaml:"port,omitempty" json:"port" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"The port of the service, where ports: and expose: name none."`
	Protocol string   `yaml:"protocol,omitempty" json:"protocol" jsonschema:"enum=http,enum=tcp" jsonschema_description:"What is spoken on the port. Default: http."`
	Public   *bool    `yaml:"public,omitempty" json:"public" jsonschema_description:"Whether users reach this service on the environment's address. Default: true for the only one that publishes a port."`
	SQLite   string   `yaml:"sqlite,omitempty" json:"sqlite" jsonschema_description:"The app's SQLite file, kept in the environment's data folder; the variable SQLITE_PATH leads to it."`
	Skip     string   `yaml:"skip,omitempty" json:"skip" jsonschema_description:"Why the service is left out."`
}

// text is a scalar as it stands in the file: 010 stays 010.
type text string

// UnmarshalYAML takes the scalar's own text.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		*t = text(n.Value)
	}
	return nil
}

// JSONSchema allows every scalar.
func (text) JSONSchema() *jsonschema.Schema { return scalarSchema() }

func scalarSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
}

// UnmarshalYAML takes a scalar or the mapping.
func (s *scaleKey) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return s.To.UnmarshalYAML(n)
	}
	return n.Decode((*scaleKeys)(s))
}

// UnmarshalYAML takes a scalar or the mapping.
func (k *deployKey) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&k.Run)
	}
	return n.Decode((*deployKeys)(k))
}

// JSONSchema describes both forms.
func (deployKey) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, reflector().Reflect(deployKeys{})}}
}

// UnmarshalYAML takes a scalar or the mapping.
func (k *commandKey) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&k.Run)
	}
	return n.Decode((*commandKeys)(k))
}

// JSONSchema describes both forms.
func (commandKey) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, reflector().Reflect(commandKeys{})}}
}

// JSONSchema describes both forms.
func (scaleKey) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "integer", Minimum: json.Number("1")}, {Type: "string"}, reflector().Reflect(scaleKeys{}),
	}}
}

// UnmarshalYAML takes a scalar or the mapping.
func (c *configKey) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return c.Value.UnmarshalYAML(n)
	}
	return n.Decode((*configKeys)(c))
}

// JSONSchema describes both forms.
func (configKey) JSONSchema() *jsonschema.Schema {
	s := scalarSchema()
	s.AnyOf = append(s.AnyOf, reflector().Reflect(configKeys{}))
	return s
}

// words is a text or a list of texts. One text alone is a list of one; Line tells them apart.
type words struct {
	List []string
	Line bool // it stood as a text, not as a list
}

// UnmarshalYAML takes both forms.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		if n.ShortTag() != "!!null" {
			*w = words{[]string{n.Value}, true}
		}
		return nil
	}
	return n.Decode(&w.List)
}

// UnmarshalJSON takes both forms; what compose-go hands over comes this way.
func (w *words) UnmarshalJSON(b []byte) error {
	var line string
	if json.Unmarshal(b, &line) == nil {
		*w = words{[]string{line}, true}
		return nil
	}
	return json.Unmarshal(b, &w.List)
}

// JSONSchema describes both forms.
func (words) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}},
	}}
}
