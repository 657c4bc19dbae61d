package definition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// violation is one thing that a schema has against a value.
type violation struct {
	path    []string
	key     bool // it is about the key, not about what it holds
	unknown bool // the key is none of the schema's
	what    string
	instead string
}

// violations are what a schema says against a value, in the order of their paths.
func violations(s *validator.Schema, value any) []violation {
	var ve *validator.ValidationError
	if !errors.As(s.Validate(value), &ve) {
		return nil
	}
	var out []violation
	for _, leaf := range leaves(ve) {
		out = append(out, describe(leaf)...)
	}
	slices.SortStableFunc(out, func(a, b violation) int { return slices.Compare(a.path, b.path) })
	return out
}

// leaves are the errors that are not made of others. Of several forms that a value may have, only the form that it comes
// nearest to is told.
func leaves(e *validator.ValidationError) []*validator.ValidationError {
	if len(e.Causes) == 0 {
		return []*validator.ValidationError{e}
	}
	causes := e.Causes
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		var best []*validator.ValidationError
		for _, c := range causes {
			if _, wrongForm := nearest(c, len(e.InstanceLocation)).ErrorKind.(*kind.Type); !wrongForm || deeper(c, e) {
				best = append(best, c)
			}
		}
		if len(best) == 0 {
			return []*validator.ValidationError{mergeTypes(e)}
		}
		causes = []*validator.ValidationError{slices.MaxFunc(best, func(a, b *validator.ValidationError) int {
			return cmp.Compare(reach(a), reach(b))
		})}
	}
	var out []*validator.ValidationError
	for _, c := range causes {
		out = append(out, leaves(c)...)
	}
	return out
}

// nearest is the first error below e that speaks about the value at depth itself.
func nearest(e *validator.ValidationError, depth int) *validator.ValidationError {
	for _, l := range leaves(e) {
		if len(l.InstanceLocation) == depth {
			return l
		}
	}
	return e
}

func deeper(e, than *validator.ValidationError) bool { return reach(e) > len(than.InstanceLocation) }

// reach is how deep into the value the errors of e go.
func reach(e *validator.ValidationError) int {
	n := len(e.InstanceLocation)
	for _, c := range e.Causes {
		n = max(n, reach(c))
	}
	return n
}

// mergeTypes makes one error of several forms that all want another type.
func mergeTypes(e *validator.ValidationError) *validator.ValidationError {
	all := &kind.Type{}
	for _, c := range e.Causes {
		for _, l := range leaves(c) {
			if t, ok := l.ErrorKind.(*kind.Type); ok && len(l.InstanceLocation) == len(e.InstanceLocation) {
				all.Got, all.Want = t.Got, append(all.Want, t.Want...)
			}
		}
	}
	return &validator.ValidationError{InstanceLocation: e.InstanceLocation, ErrorKind: all}
}

func describe(e *validator.ValidationError) []violation {
	at := e.InstanceLocation
	var out []violation
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			out = append(out, violation{path: append(slices.Clone(at), p), key: true, unknown: true})
		}
	case *kind.FalseSchema: // what unevaluatedProperties says of a key
		out = append(out, violation{path: at, key: true, unknown: true})
	case *kind.Required:
		for _, p := range k.Missing {
			out = append(out, violation{path: at, key: true, what: quote(p) + " is missing" + inside(at), instead: "add " + quote(p+": …")})
		}
	case *kind.Type:
		out = append(out, violation{path: at, what: fmt.Sprintf("%s is %s and has to be %s", quote(last(at)), typeName(k.Got), typeNames(k.Want))})
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = fmt.Sprint(w)
		}
		out = append(out, violation{path: at, what: fmt.Sprintf("%s can't be %v, only %s", quote(last(at)), k.Got, strings.Join(want, " or "))})
	default:
		out = append(out, violation{path: at, what: quote(last(at)) + ": " + k.LocalizedString(message.NewPrinter(language.English))})
	}
	return out
}

func inside(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return " in " + quote(strings.Join(path, "."))
}

// last is the name by which a person knows the value at a path: its key, or the list's and the number in it.
func last(path []string) string {
	switch {
	case len(path) == 0:
		return "the file"
	case len(path) > 1 && strings.Trim(path[len(path)-1], "0123456789") == "":
		return path[len(path)-2]
	default:
		return path[len(path)-1]
	}
}

func typeNames(want []string) string {
	var names []string
	for _, w := range want {
		if n := typeName(w); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " or ")
}

func typeName(json string) string {
	switch json {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "string":
		return "a text"
	case "number":
		return "a number"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	default:
		return "empty"
	}
}
