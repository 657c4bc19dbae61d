package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	composeschema "github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

// What compose-go refuses it tells with its first error and a dotted path. The files here are then checked again for
// everything that is wrong, with positions; only what that does not find is told in compose-go's words.

var composeRules = sync.OnceValue(func() *validator.Schema {
	c := validator.NewCompiler()
	c.RegisterFormat(&validator.Format{Name: "duration", Validate: func(v any) error {
		if s, ok := v.(string); ok && !strings.Contains(s, "$") {
			_, what, _ := duration(text(s), 0)
			if what != "" && !weeks.MatchString(s) {
				return errors.New("it is no duration")
			}
		}
		return nil
	}})
	doc, err := validator.UnmarshalJSON(strings.NewReader(composeschema.Schema))
	if err == nil {
		err = c.AddResource("compose.json", doc)
	}
	if err != nil {
		panic(fmt.Sprintf("compose schema: %v", err))
	}
	return c.MustCompile("compose.json")
})

// weeks are durations with units that Compose has and Go has not.
var weeks = regexp.MustCompile(`^(\d+(us|ms|s|m|h|d|w))+$`)

// refused reports why compose-go does not take the files.
func (p *project) refused(err error) {
	before := len(p.report.faults)
	for _, s := range p.allSources() {
		p.schemaFaults(s)
		p.portFaults(s)
	}
	p.extendsCircle()
	if len(p.report.faults) > before {
		return
	}
	for _, e := range split(err) {
		p.inComposeWords(e)
	}
}

// split takes apart what was joined.
func split(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { // the outermost is what was joined
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, split(e)...)
		}
		return out
	}
	return []error{err}
}

func (p *project) schemaFaults(s *source) {
	for _, doc := range s.docs {
		for _, v := range violations(composeRules(), plain(doc)) {
			at := s.at(v.path...)
			if v.key {
				at = s.atKey(v.path...)
			}
			if !v.unknown {
				p.report.fault(at, v.what, v.instead)
				continue
			}
			parent, key := v.path[:len(v.path)-1], last(v.path)
			known := composeKeys(parent)
			// A part that is wrong inside makes the whole of it unknown to unevaluatedProperties.
			if !slices.Contains(known, key) {
				p.report.fault(at, quote(clip(key))+" is no key of Compose's "+composeName(parent), unless(key, known))
			}
		}
	}
}

// portFaults reports ports in the short form that can't be read; compose-go tells them without a place.
func (p *project) portFaults(s *source) {
	for _, service := range s.keys("services") {
		path := []string{"services", service, "ports"}
		list, _ := plain(s.find(path...).value).([]any)
		if s.find(path...).depth < len(path) {
			continue
		}
		for i, item := range list {
			short, isText := item.(string)
			if n, isNumber := item.(int); isNumber {
				short, isText = strconv.Itoa(n), true
			}
			short, err := template.SubstituteWithOptions(short, p.vars.outside, template.WithoutLogging)
			if err == nil && isText {
				_, err = types.ParsePortConfig(short)
			}
			if _, isFraction := item.(float64); err != nil || isFraction {
				p.report.fault(s.at(append(path, strconv.Itoa(i))...), quote(clip(fmt.Sprint(item)))+" is no port", "write it in quotes as \"8080:80\", the port outside and the port inside")
			}
		}
	}
}

func composeName(parent []string) string {
	if len(parent) == 0 {
		return "files"
	}
	return quote(strings.Join(parent, "."))
}

// composeKeys are the keys that the Compose specification has for the mapping at a path.
func composeKeys(parent []string) []string {
	depth := len(parent)
	names := map[string]bool{}
	parts := slices.Clone(parent)
	for i, part := range parts {
		if strings.Trim(part, "0123456789") == "" {
			parts[i] = tree.PathMatchList
		}
	}
	path := tree.NewPath(parts...)
	for _, p := range composeschema.AttributePaths() {
		parts := p.Parts()
		if len(parts) == depth+1 && parts[depth] != tree.PathMatchAll && (depth == 0 || path.Matches(p.Parent())) {
			names[parts[depth]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

var (
	interpolating = regexp.MustCompile(`error while interpolating \S+: `)
	bracketed     = regexp.MustCompile(`(services|volumes|networks|secrets)\[([^\]]+)\]`)
	openedFile    = regexp.MustCompile(`open (\S+): no such file`)
	dottedPath    = regexp.MustCompile(`\b(services|volumes|networks|secrets|configs|include|jobs)\.[^\s:,;"'` + "`" + `]+`)
	namedService  = regexp.MustCompile(`(?:service|services) "?([A-Za-z0-9._-]+)"?`)
)

// inComposeWords tells one error of compose-go where it most likely belongs.
func (p *project) inComposeWords(err error) {
	msg := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), p.dir+"/", "")), " ")
	msg = strings.TrimSuffix(msg, ": invalid compose project")
	p.report.fault(p.suspect(msg), "Compose does not take this: "+interpolating.ReplaceAllString(msg, ""), "")
}

// suspect is the place that a message of compose-go most likely speaks of.
func (p *project) suspect(msg string) place {
	msg = bracketed.ReplaceAllString(msg, "$1.$2")
	if m := dottedPath.FindString(msg); m != "" {
		return p.at(strings.FieldsFunc(m, func(r rune) bool { return strings.ContainsRune(".[]'", r) })...)
	}
	if strings.Contains(msg, "include cycle") {
		return p.atKey("include")
	}
	if m := openedFile.FindStringSubmatch(msg); m != nil {
		for _, s := range p.allSources() {
			for i, line := range s.lines {
				if column := strings.Index(line, m[1]); column >= 0 {
					return place{s, i + 1, column + 1}
				}
			}
		}
	}
	if m := namedService.FindStringSubmatch(msg); m != nil && p.find("services", m[1]).value != nil {
		return p.atKey("services", m[1])
	}
	return p.sources[0].whole()
}

// inconsistent reports names in the merged files that lead nowhere.
func (p *project) inconsistent(dict map[string]any, err error) {
	before := len(p.report.faults)
	services, _ := dict["services"].(map[string]any)
	for _, name := range sortedKeys(services) {
		s, _ := services[name].(map[string]any)
		for kind, known := range map[string]map[string]any{"depends_on": services, "networks": mapping(dict["networks"]), "volumes": mapping(dict["volumes"]),
			"secrets": mapping(dict["secrets"]), "configs": mapping(dict["configs"])} {
			p.lead(name, kind, mentioned(s[kind]), known)
		}
		test, _ := mapping(s["healthcheck"])["test"].([]any)
		if len(test) > 0 && !slices.Contains([]any{"CMD", "CMD-SHELL", "NONE"}, test[0]) {
			p.report.fault(p.at("services", name, "healthcheck", "test"), "the test begins with "+quote(clip(fmt.Sprint(test[0]))), "begin the list with CMD, CMD-SHELL or NONE, or write one text")
		}
	}
	p.dependsCircle(services)
	if len(p.report.faults) == before {
		p.inComposeWords(err)
	}
}

func (p *project) lead(service, kind string, names []string, known map[string]any) {
	top := kind
	if kind == "depends_on" {
		top = "services"
	}
	for _, n := range names {
		if _, ok := known[n]; ok || (kind == "networks" && n == "default") {
			continue
		}
		instead := unless(n, sortedKeys(known))
		if !strings.HasPrefix(instead, "did you mean") && top != "services" {
			instead = "declare it under " + quote(top+":")
		}
		p.report.fault(p.mention(service, kind, n), quote(clip(n))+" is not among the "+top, instead)
	}
}

// mention is where a service names something of a list whose items have several forms.
func (p *project) mention(service, kind, name string) place {
	path := []string{"services", service, kind}
	for i := range 100 {
		item := p.find(append(path, fmt.Sprint(i))...)
		if item.value == nil {
			break
		}
		v := plain(item.value)
		if m, ok := v.(map[string]any); ok {
			v = m["source"]
		}
		if s, _ := v.(string); s == name || strings.HasPrefix(s, name+":") {
			return p.at(append(path, fmt.Sprint(i))...)
		}
	}
	return p.atKey(append(path, name)...)
}

// find is what a whole path leads to in the last file that has it.
func (p *project) find(path ...string) found {
	all := p.allSources()
	for i := len(all) - 1; i >= 0; i-- {
		if f := all[i].find(path...); f.depth == len(path) {
			return f
		}
	}
	return found{}
}

// mentioned are the names in a service's attribute, in compose-go's own form.
func mentioned(v any) []string {
	if m, ok := v.(map[string]any); ok {
		return sortedKeys(m)
	}
	var out []string
	list, _ := v.([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		if t, isVolume := m["type"]; isVolume && t != "volume" {
			continue
		}
		if s, _ := m["source"].(string); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func mapping(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// checkKeys holds every x-greenroom in the files against its schema.
func (p *project) checkKeys() {
	for _, s := range p.allSources() {
		if at := s.find("x-greenroom"); at.depth == 1 {
			p.report.fault(s.atKey("x-greenroom"), "`x-greenroom` stands outside a service", "put it into the service that it is about")
		}
		for _, name := range s.keys("services") {
			path := []string{"services", name, "x-greenroom"}
			f := s.find(path...)
			if f.depth < len(path) {
				continue
			}
			for _, v := range violations(serviceRules().compiled, plain(f.value)) {
				whole := append(slices.Clone(path), v.path...)
				at := s.at(whole...)
				if v.key {
					at = s.atKey(whole...)
				}
				if !v.unknown {
					p.report.fault(at, v.what, v.instead)
					continue
				}
				key := last(v.path)
				p.report.fault(at, quote(clip(key))+" is no key of `x-greenroom`", unless(key, serviceRules().known(v.path[:len(v.path)-1])))
			}
		}
	}
}

// decodeService reads a service's x-greenroom, merged by compose-go, with variables put in.
func (p *project) decodeService(name string) serviceKeys {
	var k serviceKeys
	v, err := p.expandAll(p.merged(name)["x-greenroom"])
	if err != nil {
		p.report.fault(p.atKey("services", name, "x-greenroom"), clip(err.Error()), "")
		return k
	}
	b, err := json.Marshal(v)
	if err == nil {
		_ = json.Unmarshal(b, &k) // wrong types were told by the schema
	}
	return k
}

// expandAll puts variables into all texts of a value.
func (p *project) expandAll(v any) (any, error) {
	switch x := v.(type) {
	case string:
		return p.vars.expand(x)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			var err error
			if out[i], err = p.expandAll(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			var err error
			if out[k], err = p.expandAll(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return v, nil
	}
}
