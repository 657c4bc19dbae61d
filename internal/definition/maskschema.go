package definition

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/invopop/jsonschema"

	"greenroom/internal/mask"
)

// maskKeys are the keys of a file of rules. Load does not judge by this schema: what it says about a rule is better told
// by who reads rules. Its test holds the two together.
type maskKeys struct {
	Tables map[string]tableKey `yaml:"tables" jsonschema_description:"What becomes of each table that there is in production: by its name, as customers, or billing.invoices outside the default schema."`
}

// tableKey is the word none, or rules by column.
type tableKey struct{}

// ruleReference is where the schema of a rule stands, which holds rules.
const ruleReference = "#/$defs/rule"

// JSONSchema describes both forms.
func (tableKey) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Enum: []any{rowsNone}, Description: "The table is copied empty."},
		{Type: "object", AdditionalProperties: &jsonschema.Schema{Ref: ruleReference}, Description: "A rule for each column."},
	}}
}

// MaskSchema is the JSON schema (draft 2020-12) of mask.yaml, for editors.
func MaskSchema() ([]byte, error) {
	b, err := json.MarshalIndent(maskSchema(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return append(b, '\n'), nil
}

var maskSchema = sync.OnceValue(func() *jsonschema.Schema {
	s := reflector().Reflect(maskKeys{})
	s.Title = MaskName
	s.Description = "What becomes of each column of production's data on its way out, for Greenroom. A column that stands nowhere here stops the copy."
	s.Definitions = jsonschema.Definitions{"rule": ruleSchema()}
	return s
})

// ruleSchema describes a rule: a word with what it takes behind it, or a mapping of one use to what it takes.
func ruleSchema() *jsonschema.Schema {
	one := uint64(1)
	object := &jsonschema.Schema{
		Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
		MinProperties: &one, MaxProperties: &one,
	}
	var bare []any
	var pattern []string
	for _, u := range mask.Uses {
		if !slices.ContainsFunc(u.Args, func(a mask.Arg) bool { return a.Needed }) {
			bare = append(bare, u.Name)
		}
		if slices.ContainsFunc(u.Args, func(a mask.Arg) bool { return !a.Compound }) {
			pattern = append(pattern, regexp.QuoteMeta(u.Name))
		}
		args := argsSchema(u)
		args.Description = u.Says
		object.Properties.Set(u.Name, args)
	}
	return &jsonschema.Schema{
		Description: "What becomes of the column's values: a use, as email, or a use with what it takes, as {date: 30d}.",
		AnyOf: []*jsonschema.Schema{
			{Enum: bare, Description: "A use that takes nothing, or need not."},
			{Type: "string", Pattern: "^(" + strings.Join(pattern, "|") + ") .+$", Description: "A use and what it takes, as date 30d, number 18..99, constant free, array text."},
			{Type: "null", Description: "The use null."},
			object,
		},
	}
}

// argsSchema describes what stands behind a use in a mapping.
func argsSchema(u mask.Use) *jsonschema.Schema {
	rule := func() *jsonschema.Schema { return &jsonschema.Schema{Ref: ruleReference} }
	var forms []*jsonschema.Schema
	if !slices.ContainsFunc(u.Args, func(a mask.Arg) bool { return a.Needed }) {
		forms = append(forms, &jsonschema.Schema{Type: "null"})
	}
	object := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
	for _, a := range u.Args {
		of := scalarSchema()
		switch {
		case a.Rule && a.Compound: // rules by path, with or without the argument's name above them
			of = &jsonschema.Schema{Type: "object", AdditionalProperties: rule()}
			forms = append(forms, &jsonschema.Schema{Type: "object", PatternProperties: map[string]*jsonschema.Schema{`^\$`: rule()}, AdditionalProperties: jsonschema.FalseSchema})
		case a.Rule:
			of = rule()
			forms = append(forms, rule())
		}
		of.Description = a.Says
		if a.Needed {
			object.Required = append(object.Required, a.Name)
		}
		object.Properties.Set(a.Name, of)
	}
	if len(u.Args) > 0 {
		forms = append(forms, object)
		if !slices.ContainsFunc(u.Args, func(a mask.Arg) bool { return a.Rule }) {
			forms = append(forms, scalarSchema())
		}
	}
	return &jsonschema.Schema{AnyOf: forms}
}
