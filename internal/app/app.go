// Package app is the definition as types: what an app is made of, and the policy that judges its releases.
//
// Two parts with two fates: Contents travels with a release (services, database, migrations, checks), Policy stays
// with the daemon (environments, differences, gates) and takes effect only when a person registers it, so that a
// release can't bring a weaker gate along.
package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"greenroom/internal/layout"
	"greenroom/internal/mask"
	"greenroom/internal/migration"
)

// App is one product, as greenroom.yaml and its Compose files define it.
type App struct {
	Name     string   `json:"name"`
	Contents Contents `json:"contents"`
	Policy   Policy   `json:"policy"`
}

// Contents is what a release carries of the definition. Configuration in it is production's.
type Contents struct {
	Services   []Service   `json:"services"` // sorted by name
	Database   *Database   `json:"database,omitempty"`
	Migrations *Migrations `json:"migrations,omitempty"`
	Checks     []Check     `json:"checks,omitempty"` // sorted by name
	Deploy     *Deploy     `json:"deploy,omitempty"` // nil: Greenroom runs the services
}

// Service returns the service of that name.
func (c Contents) Service(name string) (Service, bool) {
	for _, s := range c.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Public returns the service that answers on the environment's address: the one that publishes a port.
func (c Contents) Public() (Service, bool) {
	for _, s := range c.Services {
		if s.Public {
			return s, true
		}
	}
	return Service{}, false
}

// Kind says what runs a service.
type Kind string

// The kinds of service.
const (
	KindProcess   Kind = "process"   // a command of the app's own
	KindContainer Kind = "container" // a container of an Engine's
	KindPostgres  Kind = "postgres"  // a PostgreSQL server that Greenroom runs itself
)

// Protocol is what is spoken on a service's port.
type Protocol string

// The protocols that the edge balances.
const (
	HTTP Protocol = "http"
	TCP  Protocol = "tcp"
)

// Order says whether a service's new replicas start before the old ones stop.
type Order string

// The orders of Compose's update_config.
const (
	StartFirst Order = "start-first"
	StopFirst  Order = "stop-first" // for what must not run twice
)

// Service is one part of the app that runs.
//
// Values of Env and the words of Command may hold ${VARIABLE}: <SERVICE>_HOST, <SERVICE>_PORT, PORT, <VOLUME>_DIR and
// SQLITE_PATH are known only where a service runs, and are put in there (see Variables).
type Service struct {
	Name      string            `json:"name"`
	Kind      Kind              `json:"kind"`
	Image     string            `json:"image,omitempty"` // a container's by id, "sha256:…"; else what the Compose file says
	Build     *Build            `json:"-"`               // how the builder makes its files; not part of a release
	Command   []string          `json:"command,omitempty"`
	Dir       string            `json:"dir,omitempty"` // working folder inside the service's files, "" is their root
	Env       map[string]string `json:"env,omitempty"`
	Secrets   []string          `json:"secrets,omitempty"` // names; each becomes a variable of that name
	Port      int               `json:"port,omitempty"`    // the port it listens on in its container; 0: none. The process driver gives PORT
	Protocol  Protocol          `json:"protocol,omitempty"`
	Public    bool              `json:"public,omitempty"`
	Replicas  int               `json:"replicas"`
	Health    Health            `json:"health"`
	DependsOn []Dependency      `json:"depends_on,omitempty"` // sorted by service
	Order     Order             `json:"order"`
	Stop      Stop              `json:"stop"`
	Volumes   []string          `json:"volumes,omitempty"` // names of folders in the environment's data
	Restart   bool              `json:"restart"`           // started again when it ends, with back-off
	Job       bool              `json:"job,omitempty"`     // runs to its end before those that depend on it start
	// Container is what a container has besides; nil for all that is none.
	Container *Container `json:"container,omitempty"`
}

// Released says whether the service is started and stopped with its release. A database server outlives releases.
func (s Service) Released() bool { return s.Kind != KindPostgres }

// Build is how a service's files are made, once, in the repository.
type Build struct {
	Context string   `json:"context"` // folder, relative to the repository
	Run     string   `json:"run"`     // a shell command, run in Context; may be empty
	Files   []string `json:"files"`   // what travels, relative to Context; empty: all but what .dockerignore and .git hide
}

// Health is how one knows that a replica can take traffic. Exactly one of HTTP, Command and TCP is set, or none: then
// a service is healthy once it runs.
type Health struct {
	HTTP     string        `json:"http,omitempty"`    // a path; 2xx and 3xx are healthy
	Command  []string      `json:"command,omitempty"` // exit code 0 is healthy; ["CMD-SHELL", x] and ["CMD", …] are resolved already
	TCP      bool          `json:"tcp,omitempty"`     // it accepts a connection
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Retries  int           `json:"retries"`
	Start    time.Duration `json:"start"` // how long it may take to become healthy after its start
}

// Condition is what a service waits for in another.
type Condition string

// The conditions of Compose's depends_on.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is a service that has to be there first.
type Dependency struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
}

// Stop is how a replica is asked to end.
type Stop struct {
	Signal string        `json:"signal"` // such as SIGTERM
	Grace  time.Duration `json:"grace"`  // how long until the whole group is killed
}

// Engine is a kind of database.
type Engine string

// The engines.
const (
	Postgres Engine = "postgres"
	SQLite   Engine = "sqlite"
)

// Database is the app's database. One of Service, URL (given, used as it is) or File says where it is.
type Database struct {
	Engine   Engine `json:"engine"`
	Service  string `json:"service,omitempty"` // the Compose service that is the server
	Variable string `json:"variable"`          // what its address is called, DATABASE_URL
	// URL is a given address outside Greenroom's care; "" when it is the secret called Variable.
	URL  string `json:"url,omitempty"`
	File string `json:"file,omitempty"` // SQLite: name in the environment's data folder
	Name string `json:"name,omitempty"` // PostgreSQL: the database
	User string `json:"user,omitempty"`
	// Password is the literal that the Compose file gives; PasswordSecret names a secret instead.
	Password       string `json:"password,omitempty"`
	PasswordSecret string `json:"password_secret,omitempty"`
	External       bool   `json:"external,omitempty"` // given by URL
}

// Migrations is how a release changes the schema. One of Run, Dir and AtStart is set.
type Migrations struct {
	Run     string      `json:"run,omitempty"`      // a shell command in the release's files
	Dir     string      `json:"dir,omitempty"`      // a folder in the release's files, in the layout of Tool; Greenroom runs it itself
	Tool    layout.Tool `json:"tool,omitempty"`     // whose layout and version table Dir has
	AtStart string      `json:"at_start,omitempty"` // the service that migrates itself when it starts
	Down    string      `json:"down,omitempty"`     // a shell command that takes the schema back to the release before, beside Run or AtStart
	Version string      `json:"version,omitempty"`  // a query whose one value is the schema's version
	// Invariants are queries that must find no row, by name: what is true of the data before and after.
	Invariants map[string]string `json:"invariants,omitempty"`
	Seed       string            `json:"seed,omitempty"`    // a shell command that fills a fresh database outside production
	Service    string            `json:"service,omitempty"` // whose files and variables the commands get
	Timeout    time.Duration     `json:"timeout"`
}

// Check is one question that a release must answer.
type Check struct {
	Name       string        `json:"name"`
	Run        string        `json:"run"`             // a shell command
	Files      []string      `json:"files,omitempty"` // what of the repository travels for it; relative paths
	AtBuild    bool          `json:"at_build,omitempty"`
	Journey    bool          `json:"journey,omitempty"`    // does what a user does: also run with the old release
	Production bool          `json:"production,omitempty"` // may run in production, after the switch
	Report     string        `json:"report,omitempty"`     // a JUnit XML file or glob that the command writes, or "go" for go test -json on its standard output
	Timeout    time.Duration `json:"timeout"`
	DependsOn  []string      `json:"depends_on"` // parts of the baseline, see release.Part
}

// Policy is the part of the definition that judges.
type Policy struct {
	App          string          `json:"app"`
	Environments []Environment   `json:"environments"` // in the order of the file
	Gates        map[string]Gate `json:"gates,omitempty"`
	// Roles say who may do what: system users, and groups as "@oncall". A right that is not listed is the owner's alone:
	// the user that the daemon runs as, and root. One with an empty list is nobody's. RightApply is the owner's in any
	// case, so that nobody can be locked out for good.
	Roles map[Right][]string `json:"roles,omitempty"`
	// Migrating is what a migration may do to production, and to those who are in its way.
	Migrating Migrating `json:"migrating,omitzero"`
	// Keys are whose evidence counts. Empty: this Greenroom's own key, and the builder's keys of its users.
	Keys []TrustedKey `json:"keys,omitempty"` // sorted by name
}

// Environment returns the environment of that name.
func (p Policy) Environment(name string) (Environment, bool) {
	for _, e := range p.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Production is the environment that no other comes after; the last of the file where there are several.
func (p Policy) Production() (Environment, bool) {
	followed := map[string]bool{}
	for _, e := range p.Environments {
		followed[e.After] = true
	}
	if e, ok := p.Environment("production"); ok {
		return e, true
	}
	for i := len(p.Environments) - 1; i >= 0; i-- {
		if !followed[p.Environments[i].Name] {
			return p.Environments[i], true
		}
	}
	return Environment{}, false
}

// Digest identifies the policy: sha256 over its canonical JSON.
func (p Policy) Digest() string { return digest(p) }

func digest(v any) string {
	sum := sha256.Sum256(canonical(v))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonical is the JSON of a policy or a part of it, in which the keys of mappings are sorted.
func canonical(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // only texts, numbers, dates and lists of them
		panic(fmt.Sprintf("policy: %v", err))
	}
	return b
}

// Environment is one running copy of the app, and how it differs from production.
type Environment struct {
	Name        string            `json:"name"`
	After       string            `json:"after,omitempty"` // a release was live and healthy there first
	Scale       Scale             `json:"scale"`
	Config      map[string]Config `json:"config,omitempty"`
	Differences []Difference      `json:"differences,omitempty"`
	Hosts       []string          `json:"hosts,omitempty"`
	Rollout     Rollout           `json:"rollout"`
	Data        *Data             `json:"data,omitempty"` // nil: a fresh database, with the seed
	// Accept are the dangerous settings of services that may be here, with the reason: by service, then as Service.Dangers
	// names them. Only production's counts.
	Accept map[string]map[string]string `json:"accept,omitempty"`
	// URL is where the app answers that its team deploys itself, "" for all others: those answer at the edge.
	URL   string `json:"url,omitempty"`
	Probe *Probe `json:"probe,omitempty"` // what is asked there; nil is DefaultProbe
}

// Data is where an environment's data comes from, anew for each rehearsal.
type Data struct {
	From  string     `json:"from"`  // the environment that it is a masked copy of
	Mask  string     `json:"mask"`  // the file that the rules stand in, for messages
	Rules mask.Rules `json:"rules"` // what the file says
	// Replica names a secret of From's: the URL of a read replica that is copied in place of the database itself.
	Replica string `json:"replica,omitempty"`
	Rate    int64  `json:"rate,omitempty"` // bytes a second that a copy may read; 0 is as fast as it goes
	Keep    int    `json:"keep,omitempty"` // snapshots that are kept; 0 is 3
	// NotIsolated is why data may be where processes can reach the network; "": it may not.
	NotIsolated string `json:"not_isolated,omitempty"`
}

// Migrating is what a migration may do to production.
type Migrating struct {
	Budget migration.Budget `json:"budget,omitzero"`
	// LockTimeout is how long a statement in production waits for a lock before it lets everybody else pass and tries again;
	// 0 is the budget's blocked_reads, or writes where that is shorter.
	LockTimeout time.Duration `json:"lock_timeout,omitempty"`
	// EndBlockers says that sessions which stand in a migration's way are ended; else they are named and waited for.
	EndBlockers bool `json:"end_blockers,omitempty"`
}

// Scale is how many replicas an environment has: a number of each service, or a share of production's rounded up.
// The zero value is production's own number.
type Scale struct {
	Replicas int       `json:"replicas,omitempty"`
	Num      int       `json:"num,omitempty"`
	Den      int       `json:"den,omitempty"`
	Because  string    `json:"because,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// Of is the number of replicas for a service that has n in production, at least 1 when n is.
func (s Scale) Of(n int) int {
	switch {
	case n <= 0:
		return 0
	case s.Replicas > 0:
		return s.Replicas
	case s.Den > 0:
		return max(1, (n*s.Num+s.Den-1)/s.Den)
	default:
		return n
	}
}

// sameSize says whether both mean the same numbers of replicas; the reason and the last day are nothing to that.
func (s Scale) sameSize(t Scale) bool {
	return s.Replicas == t.Replicas && s.Num == t.Num && s.Den == t.Den
}

// Config is one variable that differs from production's.
type Config struct {
	Value   string `json:"value"`
	Because string `json:"because,omitempty"`
}

// Difference is a declared difference from production that no other key sets.
type Difference struct {
	Fact    string    `json:"fact"`
	Because string    `json:"because"`
	Until   time.Time `json:"until,omitzero"`
}

// Rollout is the traffic part of a promotion.
type Rollout struct {
	Steps     []int         `json:"steps"`      // shares in percent, rising, the last is 100
	Watch     time.Duration `json:"watch"`      // how long the whole traffic is watched afterwards, and each share before it
	MaxErrors float64       `json:"max_errors"` // share of failed answers (0.005 is 0.5 %) that ends it
	Drain     time.Duration `json:"drain"`      // how long requests under way may take to end
	Downtime  bool          `json:"downtime"`   // downtime: accept
}

// Gate is what an environment demands.
type Gate struct {
	Soak   time.Duration     `json:"soak,omitempty"` // live that long in the environment it comes after
	Except map[string]Except `json:"except,omitempty"`
}

// Except is a check that the gate does not ask for.
type Except struct {
	Because string    `json:"because"`
	Until   time.Time `json:"until,omitzero"`
}
