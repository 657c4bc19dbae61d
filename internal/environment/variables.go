package environment

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"greenroom/internal/account"
	"greenroom/internal/app"
	"greenroom/internal/release"
)

// defaultPath is where programs are looked for when the daemon itself has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// variables is what a service, a migration or a check of one release gets to know of the environment that it is in.
type variables struct {
	environment string
	release     release.Digest
	contents    app.Contents
	config      map[string]app.Config // what the environment declares different from production
	secrets     map[string]string     // all of the environment's; each service gets those that it names
	addresses   map[string]string     // service -> host:port of its local balancer or server
	data        string                // the environment's data folder
	database    string                // DATABASE_URL, "" without a database
	port        int                   // the replica's own port, 0 for none
	resident    account.User          // whom the process runs as
	network     string                // file of the network namespace that it runs in, "" for the machine's
}

// placeholder is a variable that is known only where a service runs.
var placeholder = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// of is the whole environment of a process of the service: nothing is inherited from the daemon but PATH and the zone.
// Later lines win: what Greenroom knows, production's configuration, the environment's differences, secrets.
func (v variables) of(s app.Service) map[string]string {
	known := v.known()
	env := map[string]string{
		"PATH":                  pathOr(os.Getenv("PATH")),
		"HOME":                  v.data,
		"LANG":                  "C.UTF-8",
		"GREENROOM_ENVIRONMENT": v.environment,
		"GREENROOM_RELEASE":     v.release.Short(),
	}
	for name, value := range known {
		env[name] = value
	}
	for name, value := range s.Env {
		env[name] = expand(value, known)
	}
	for name, c := range v.config {
		env[name] = expand(c.Value, known)
	}
	for _, name := range s.Secrets {
		if value, ok := v.secrets[name]; ok {
			env[name] = value
		}
	}
	if db := v.contents.Database; db != nil && v.database != "" && (db.External || env[db.Variable] == "") {
		env[db.Variable] = v.database
	}
	return env
}

// secretsOf are the values of the secrets that stand in the service's environment: those that it names, and the one in
// the database's address.
func (v variables) secretsOf(s app.Service) []string {
	names := s.Secrets
	if db := v.contents.Database; db != nil {
		names = append(slices.Clone(names), db.PasswordSecret, db.Variable)
	}
	var values []string
	for _, name := range names {
		if value, ok := v.secrets[name]; ok {
			values = append(values, value)
		}
	}
	return values
}

// forCheck is the environment of a check: it knows every address, the database, and no secret but those that it needs
// to reach the database.
func (v variables) forCheck(appURL string) map[string]string {
	env := v.of(app.Service{})
	delete(env, "PORT")
	env["APP_URL"] = appURL
	if v.database != "" {
		env["DATABASE_URL"] = v.database
	}
	return env
}

// known are the values of the placeholders.
func (v variables) known() map[string]string {
	known := map[string]string{}
	for service, address := range v.addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		known[constant(service)+"_HOST"] = host
		known[constant(service)+"_PORT"] = port
	}
	for _, s := range v.contents.Services {
		for _, volume := range s.Volumes {
			known[constant(volume)+"_DIR"] = filepath.Join(v.data, volume)
		}
	}
	if db := v.contents.Database; db != nil && db.Engine == app.SQLite {
		known["SQLITE_PATH"] = filepath.Join(v.data, db.File)
	}
	if v.port != 0 {
		known["PORT"] = strconv.Itoa(v.port)
	}
	return known
}

// command is a service's command with its placeholders filled in.
func (v variables) command(s app.Service) []string {
	known := v.known()
	words := make([]string, len(s.Command))
	for i, w := range s.Command {
		words[i] = expand(w, known)
	}
	return words
}

// expand fills in the placeholders that are known and leaves every other one to the shell.
func expand(value string, known map[string]string) string {
	return placeholder.ReplaceAllStringFunc(value, func(m string) string {
		if v, ok := known[m[2:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

// constant is how a service's or a volume's name is written in a variable's.
func constant(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

func pathOr(p string) string {
	if p == "" {
		return defaultPath
	}
	return p
}

// list is an environment as a process gets it, sorted.
func list(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}
