package definition

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

// env is a service's environment: its env files, then its environment, with the variables that are known only at run time
// left in place.
func (m *mapper) env(s *service) map[string]string {
	env := map[string]string{}
	for i, f := range s.EnvFiles {
		m.envFile(s, i, f, env)
	}
	for _, v := range m.environment(s.Name) {
		at := m.at("services", s.Name, "environment", v.name)
		switch {
		case m.docker && containerVariable.MatchString(v.name): // the Engine hands on names that no shell knows
		case !variableForm.MatchString(v.name):
			m.report.fault(at, quote(clip(v.name))+" can't be a variable's name", "letters, digits and _, no digit first")
			continue
		}
		if !v.given { // Compose passes on what the caller's environment has
			if value, ok := m.vars.keep(v.name); ok {
				env[v.name] = value
			} else {
				m.report.notice(at, v.name+" is not set, so "+s.Name+" does not get it", "give it a value, or make it a secret")
			}
			continue
		}
		value, err := m.vars.expand(v.value)
		if err != nil {
			m.report.fault(at, clip(err.Error()), "")
		}
		env[v.name] = value
	}
	return env
}

// variable is one entry of a service's environment as it was written.
type variable struct {
	name, value string
	given       bool // it has a value
}

// environment reads both forms of the attribute out of raw, sorted by name.
func (m *mapper) environment(service string) []variable {
	values := map[string]variable{}
	switch e := m.merged(service)["environment"].(type) {
	case map[string]any:
		for name, v := range e {
			values[name] = variable{name, textOf(v), v != nil}
		}
	case []any:
		for _, item := range e {
			name, value, given := strings.Cut(fmt.Sprint(item), "=")
			values[name] = variable{name, value, given}
		}
	}
	var out []variable
	for _, name := range sortedKeys(values) {
		out = append(out, values[name])
	}
	return out
}

func textOf(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// envFile reads one env file. compose-go would do it too, and would take the default of ${DB_HOST:-db}.
func (m *mapper) envFile(s *service, i int, f types.EnvFile, into map[string]string) {
	at := m.at("services", s.Name, "env_file", fmt.Sprint(i))
	file, err := os.Open(f.Path)
	if err != nil {
		if bool(f.Required) || !os.IsNotExist(err) {
			m.report.fault(at, "the env file can't be read: "+cause(err), "create it, or write `{path: …, required: false}`")
		}
		return
	}
	defer file.Close() //nolint:errcheck // only read
	lookup := func(name string) (string, bool) {
		if v, ok := into[name]; ok {
			return v, true
		}
		return m.vars.keep(name)
	}
	values := map[string]string{}
	if err := dotenv.ParseWithFormat(io.LimitReader(file, maxFile), f.Path, values, lookup, f.Format); err != nil {
		m.report.fault(at, "the env file can't be read: "+clip(strings.ReplaceAll(err.Error(), m.dir+"/", "")), "")
		return
	}
	for name, v := range values {
		into[name] = v
	}
}

// secrets are the names that a service gets as variables.
func (m *mapper) secrets(s *service) []string {
	var out []string
	for _, x := range s.Secrets {
		at := m.mention(s.Name, "secrets", x.Source)
		switch {
		case !variableForm.MatchString(x.Source):
			m.report.fault(at, quote(clip(x.Source))+" can't be a secret's name, since it becomes a variable", "letters, digits and _, no digit first")
			continue
		case !s.contained() && x.Target != "" && x.Target != x.Source && x.Target != "/run/secrets/"+x.Source:
			m.report.fault(at, fmt.Sprintf("the secret %s can't be handed over as %s", x.Source, quote(clip(x.Target))), "a secret becomes a variable of its own name: remove `target`")
		}
		if _, both := s.out.Env[x.Source]; both {
			m.report.fault(m.at("services", s.Name, "environment", x.Source), fmt.Sprintf("%s has %s as a variable and as a secret", s.Name, x.Source), "keep the secret")
		}
		out = append(out, x.Source)
	}
	return sortedUnique(out)
}

// topLevelSecrets reports secrets that come from anywhere but Greenroom's own store.
func (m *mapper) topLevelSecrets() {
	for _, name := range sortedKeys(m.model.Secrets) {
		s := m.model.Secrets[name]
		if s.External {
			if s.Name != "" && s.Name != name {
				m.report.fault(m.at("secrets", name, "name"), fmt.Sprintf("the secret %s has another name outside", name), "Greenroom knows it as "+quote(name)+": remove `name`")
			}
			continue
		}
		from, key := "a file", "file"
		if s.Environment != "" {
			from, key = "a variable of whoever loads it", "environment"
		}
		set := "greenroom secret set " + name + " --environment production"
		if s.File != "" {
			set += " <" + clip(strings.TrimPrefix(s.File, m.dir+"/"))
		}
		m.report.fault(m.atKey("secrets", name, key), fmt.Sprintf("the secret %s comes from %s", name, from), "write `external: true`, and set it for each environment: `"+set+"`")
	}
}

// plainSecrets tells of values in production that look like secrets by their name.
func (m *mapper) plainSecrets() {
	for _, s := range m.services {
		if s.stays || s.out.Kind == app.KindPostgres {
			continue
		}
		for _, name := range sortedKeys(s.out.Env) {
			if secretName(name) && isLiteral(s.out.Env[name]) {
				m.report.notice(m.at("services", s.Name, "environment", name), name+" looks like a secret, and its value travels with every release", "name it under `secrets:` with `external: true`, and set it with `greenroom secret set`")
			}
		}
	}
}

// secretName says whether a variable's name speaks of a secret. Names of files and public keys don't.
func secretName(name string) bool {
	words := strings.Split(strings.ToUpper(name), "_")
	for _, w := range []string{"FILE", "PATH", "PUBLIC", "URL", "HOST", "TTL", "EXPIRY"} {
		if slices.Contains(words, w) {
			return false
		}
	}
	for _, w := range []string{"PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "CREDENTIALS"} {
		if slices.Contains(words, w) {
			return true
		}
	}
	return words[len(words)-1] == "KEY"
}

func isLiteral(v string) bool {
	switch strings.ToLower(v) {
	case "", "true", "false", "yes", "no", "0", "1":
		return false
	}
	return !strings.Contains(v, "${") && !strings.HasPrefix(v, "/run/secrets/")
}
