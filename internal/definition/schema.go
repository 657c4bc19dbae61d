package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is the JSON schema (draft 2020-12) of greenroom.yaml, for editors. Load judges by the same one.
func Schema() ([]byte, error) {
	s := fileSchema()
	s.Title = FileName
	s.Description = "The definition of an app for Greenroom. Of a service in the Compose files, x-greenroom says how it runs as a plain process: see $defs/x-greenroom."
	s.Definitions = jsonschema.Definitions{"x-greenroom": reflector().Reflect(serviceKeys{})}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return append(b, '\n'), nil
}

func reflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: true, Anonymous: true}
}

// fileSchema is reflected, with what a Go type can't say: a file that is under way may have keys without a value, which
// are as good as absent for environments and gates.
func fileSchema() *jsonschema.Schema {
	s := reflector().Reflect(fileKeys{})
	for _, key := range []string{"environments", "gates"} {
		group, _ := s.Properties.Get(key)
		group.AdditionalProperties = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "null"}, group.AdditionalProperties}}
	}
	return s
}

// rules is a compiled schema beside its document, which knows the keys for suggestions.
type rules struct {
	compiled *validator.Schema
	document any
}

var fileRules = sync.OnceValue(func() rules { return compile(fileSchema()) })

var serviceRules = sync.OnceValue(func() rules { return compile(reflector().Reflect(serviceKeys{})) })

// compile can't fail on the schemas of this package, which its tests compile.
func compile(s *jsonschema.Schema) rules {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err))
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err))
	}
	c := validator.NewCompiler()
	if err := c.AddResource("definition.json", doc); err != nil {
		panic(fmt.Sprintf("schema: %v", err))
	}
	compiled, err := c.Compile("definition.json")
	if err != nil {
		panic(fmt.Sprintf("schema: %v", err))
	}
	return rules{compiled, doc}
}

// known are the keys that the schema has for the mapping at a path.
func (r rules) known(path []string) []string {
	var keys []string
	for _, s := range under(r.document, path) {
		props, _ := s["properties"].(map[string]any)
		for k := range props {
			keys = append(keys, k)
		}
	}
	return keys
}

// under are the schemas that can hold for the value at a path.
func under(schema any, path []string) []map[string]any {
	s, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	var out []map[string]any
	forms, _ := s["anyOf"].([]any)
	for _, sub := range forms {
		out = append(out, under(sub, path)...)
	}
	if len(path) == 0 {
		return append(out, s)
	}
	props, _ := s["properties"].(map[string]any)
	next, ok := props[path[0]]
	if !ok {
		next = s["additionalProperties"]
	}
	if items, ok := s["items"]; ok {
		next = items
	}
	return append(out, under(next, path[1:])...)
}
