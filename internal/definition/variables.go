package definition

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// variables are what ${NAME} can stand for.
type variables struct {
	lookup  func(string) (string, bool)
	running map[string]bool // known only where a service runs
}

// newVariables reads the .env file that lies beside the definition, as Compose does. What the caller's environment says
// counts more.
func newVariables(dir string, o Options, r *report) variables {
	outer := o.Lookup
	if outer == nil {
		outer = func(string) (string, bool) { return "", false }
	}
	v := variables{lookup: outer}
	f, err := os.Open(filepath.Join(dir, ".env"))
	if err != nil {
		return v
	}
	defer f.Close() //nolint:errcheck // only read
	env, err := dotenv.ParseWithLookup(io.LimitReader(f, maxFile), outer)
	if err != nil {
		r.fault(place{src: &source{name: ".env"}}, "the file can't be read: "+clip(err.Error()), "")
		return v
	}
	v.lookup = func(name string) (string, bool) {
		if s, ok := outer(name); ok {
			return s, true
		}
		s, ok := env[name]
		return s, ok
	}
	return v
}

// variableOf is the stem of a service's or volume's variables: db-main has DB_MAIN_HOST.
func variableOf(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(name))
}

// known learns the names that stay as they are: those of services that run here, and of volumes, which containers find where
// they are mounted.
func (v *variables) known(raw map[string]any, docker bool) {
	v.running = map[string]bool{"PORT": true, "SQLITE_PATH": !docker}
	services, _ := raw["services"].(map[string]any)
	for name, s := range services {
		if m, _ := s.(map[string]any); v.runs(m) {
			v.running[variableOf(name)+"_HOST"], v.running[variableOf(name)+"_PORT"] = true, true
		}
	}
	volumes, _ := raw["volumes"].(map[string]any)
	for name := range volumes {
		v.running[variableOf(name)+"_DIR"] = !docker
	}
}

// runs says whether a service is one of the app's: its profile is active and it is not left out.
func (v variables) runs(service map[string]any) bool {
	if x, _ := service["x-greenroom"].(map[string]any); x["skip"] != nil {
		return false
	}
	list, _ := service["profiles"].([]any)
	if len(list) == 0 {
		return true
	}
	active := v.profiles()
	return slices.ContainsFunc(list, func(p any) bool { return slices.Contains(active, fmt.Sprint(p)) }) || slices.Contains(active, "*")
}

// profiles are the active ones, as Compose's own variable says.
func (v variables) profiles() []string {
	s, _ := v.lookup("COMPOSE_PROFILES")
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// keep looks a variable up for a text in which those that are known only at run time stay.
func (v variables) keep(name string) (string, bool) {
	if v.running[name] {
		return "${" + name + "}", true
	}
	return v.lookup(name)
}

// outside looks a variable up for a text that Compose reads before anything runs, where those that are known only at run
// time have their defaults.
func (v variables) outside(name string) (string, bool) {
	if v.running[name] {
		return "", false
	}
	return v.lookup(name)
}

// expand puts variables into a text of raw.
func (v variables) expand(s string) (string, error) {
	return template.SubstituteWithOptions(s, v.keep, template.WithoutLogging)
}

// environment is what Compose files mention, as compose-go wants it: a map, since an included file adds its own.
func (v variables) environment(sources []*source) types.Mapping {
	env := types.Mapping{}
	for _, s := range sources {
		for _, ref := range s.references() {
			if value, ok := v.outside(ref.name); ok {
				env[ref.name] = value
			}
		}
	}
	return env
}
