package definition

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// project is what the Compose files say, read three ways: sources for positions, raw as compose-go merged it before any
// variable was put in, and model with all of them put in.
//
// raw exists because <SERVICE>_HOST, PORT and their like are known only where a service runs: where they may stand (the
// environment, commands, x-greenroom) the texts come from raw and keep them, everything else comes from model, where they
// have the defaults that Compose would take.
type project struct {
	dir     string
	docker  bool // services are containers
	report  *report
	files   []string
	sources []*source // the named files and what they include, in the order of merging
	bases   []*source // files that services extend
	raw     map[string]any
	model   *types.Project
	vars    variables
}

// noImage stands for the image of services that have none, which Compose demands and plain processes don't need.
const noImage = "process.invalid/"

// readProject reads the Compose files, given relative to dir. It returns nil when there is nothing to go on with.
func readProject(ctx context.Context, dir, driver string, files []string, o Options, r *report) *project {
	// compose-go warns through logrus's global logger; what it warns of is told here with a position.
	logrus.SetOutput(io.Discard)
	p := &project{dir: dir, docker: driver == driverDocker, report: r, files: files}
	if len(files) == 0 || !p.readSources() {
		return nil
	}
	p.vars = newVariables(dir, o, r)
	if !p.readRaw(ctx) {
		return nil
	}
	p.vars.known(p.raw, p.docker)
	p.checkKeys()
	p.unset()
	if !p.readModel(ctx) {
		return nil
	}
	return p
}

// readSources reads the named files and all that they include or extend.
func (p *project) readSources() bool {
	ok := true
	for _, f := range p.files {
		s, read := readSource(filepath.Join(p.dir, filepath.FromSlash(f)), f, p.report)
		if !read {
			ok = false
			continue
		}
		p.sources = append(p.sources, s)
	}
	seen := map[string]bool{}
	for _, s := range p.sources {
		seen[s.path] = true
	}
	for i := 0; i < len(p.sources); i++ {
		ok = p.follow(p.sources[i], seen) && ok
	}
	return ok && len(p.sources) > 0
}

// maxFiles bounds what one definition can pull in.
const maxFiles = 100

// follow reads the files that s includes and extends, as far as they can be known before compose-go reads them: a path
// with a variable in it, or one that is not there, is left to it.
func (p *project) follow(s *source, seen map[string]bool) bool {
	ok := true
	read := func(path string) *source {
		abs := filepath.Join(filepath.Dir(s.path), filepath.FromSlash(path))
		if info, err := os.Stat(abs); err != nil || !info.Mode().IsRegular() || seen[abs] || len(seen) > maxFiles {
			return nil
		}
		seen[abs] = true
		next, good := readSource(abs, p.name(abs), p.report)
		if !good {
			ok = false
			return nil
		}
		return next
	}
	for _, doc := range s.docs {
		m, _ := plain(doc).(map[string]any)
		for _, path := range included(m["include"]) {
			if next := read(path); next != nil {
				p.sources = append(p.sources, next)
			}
		}
		services, _ := m["services"].(map[string]any)
		for _, path := range extended(services) {
			if next := read(path); next != nil {
				p.bases = append(p.bases, next)
			}
		}
	}
	return ok
}

func included(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			item = m["path"]
		}
		switch x := item.(type) {
		case string:
			out = append(out, x)
		case []any:
			for _, path := range x {
				out = append(out, fmt.Sprint(path))
			}
		}
	}
	return out
}

func extended(services map[string]any) []string {
	var out []string
	for _, name := range sortedKeys(services) {
		s, _ := services[name].(map[string]any)
		e, _ := s["extends"].(map[string]any)
		if f, ok := e["file"].(string); ok {
			out = append(out, f)
		}
	}
	return out
}

// name is what messages call a file: its path in the repository where it is in there.
func (p *project) name(abs string) string {
	if rel, err := filepath.Rel(p.dir, abs); err == nil {
		return filepath.ToSlash(rel)
	}
	return abs
}

func (p *project) details(env types.Mapping) types.ConfigDetails {
	d := types.ConfigDetails{WorkingDir: p.dir, Environment: env}
	for _, s := range p.sources[:len(p.files)] {
		d.ConfigFiles = append(d.ConfigFiles, types.ConfigFile{Filename: s.path, Content: []byte(strings.Join(s.lines, "\n"))})
	}
	return d
}

func named(o *loader.Options) { o.SetProjectName("app", true) }

func (p *project) readRaw(ctx context.Context) bool {
	options := func(o *loader.Options) {
		named(o)
		o.ResolvePaths = false
		o.SkipInterpolation, o.SkipValidation, o.SkipNormalization, o.SkipDefaultValues = true, true, true, true
	}
	raw, err := guarded(func() (map[string]any, error) {
		return loader.LoadModelWithContext(ctx, p.details(types.Mapping{}), options)
	})
	if err != nil {
		p.refused(err)
		return false
	}
	p.raw = raw
	return true
}

// guarded turns a panic of compose-go into an error: it takes some forms for granted that only its schema would refuse,
// and reads files before it asks the schema.
func guarded[T any](read func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("something has a form that it can't have: %v", r)
		}
	}()
	return read()
}

func (p *project) readModel(ctx context.Context) bool {
	options := func(o *loader.Options) {
		named(o)
		o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
		o.Profiles = p.vars.profiles()
		o.Interpolate.Substitute = func(s string, m template.Mapping) (string, error) {
			return template.SubstituteWithOptions(s, m, template.WithoutLogging)
		}
	}
	details := p.details(p.vars.environment(p.allSources()))
	dict, err := guarded(func() (map[string]any, error) { return loader.LoadModelWithContext(ctx, details, options) })
	if err != nil {
		p.refused(err)
		return false
	}
	services, _ := dict["services"].(map[string]any)
	for name, v := range services {
		if s, ok := v.(map[string]any); ok && s["image"] == nil && s["build"] == nil && s["provider"] == nil {
			s["image"] = noImage + strings.ToLower(name)
		}
	}
	p.model, err = guarded(func() (*types.Project, error) {
		return loader.ModelToProject(dict, loader.ToOptions(&details, []func(*loader.Options){options}), details)
	})
	if err != nil {
		p.inconsistent(dict, err)
		return false
	}
	return true
}

func (p *project) allSources() []*source { return append(slices.Clone(p.sources), p.bases...) }

// at is the position of something in the Compose files: where the last of them that has it says it, or the service that
// it was taken from by extends. What no file says has the position of what is next to it.
func (p *project) at(path ...string) place { return p.locate(path, false, 0) }

// atKey is the position of a key in the Compose files.
func (p *project) atKey(path ...string) place { return p.locate(path, true, 0) }

func (p *project) locate(path []string, key bool, hops int) place {
	var best found
	var in *source
	all := p.allSources()
	for i := len(all) - 1; i >= 0; i-- {
		if f := all[i].find(path...); in == nil || f.depth > best.depth {
			best, in = f, all[i]
		}
	}
	if best.depth < len(path) && len(path) > 2 && path[0] == "services" && hops < maxDepth {
		if base := p.base(path[1]); base != "" && base != path[1] {
			return p.locate(append([]string{"services", base}, path[2:]...), key, hops+1)
		}
	}
	return in.placeOf(best, key)
}

// base is the service that a service extends, or "".
func (p *project) base(name string) string {
	for _, s := range p.allSources() {
		for _, path := range [][]string{{"services", name, "extends", "service"}, {"services", name, "extends"}} {
			if f := s.find(path...); f.depth == len(path) {
				if v, ok := plain(f.value).(string); ok {
					return v
				}
			}
		}
	}
	return ""
}

// merged is a service of raw.
func (p *project) merged(name string) map[string]any {
	services, _ := p.raw["services"].(map[string]any)
	s, _ := services[name].(map[string]any)
	return s
}

// serviceOrder are the services of the model by name.
func (p *project) serviceOrder() []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, name := range p.model.ServiceNames() {
		out = append(out, p.model.Services[name])
	}
	return out
}
