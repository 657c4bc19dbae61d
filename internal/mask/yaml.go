package mask

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/problem"
)

// DefaultShift is how far a date moves at most, where the rule doesn't say.
const DefaultShift = "30d"

// rangeMark stands between low and high in a scalar: 18..99.
const rangeMark = ".."

// ParseRule reads a rule that is a scalar in mask.yaml: the use, and what it takes behind it.
//
//	email
//	date 30d
//	number 18..99
//	constant free
//	array text
//	array date 7d
func ParseRule(text string) (Rule, error) {
	use, rest, has := strings.Cut(text, " ")
	if !has {
		return RuleOf(use, nil)
	}
	if use != "constant" {
		rest = strings.TrimSpace(rest)
	}
	return RuleOf(use, rest)
}

// RuleOf makes a rule of a use and of what stands behind it in mask.yaml: nil, a scalar (string, bool, any number), or a
// mapping. The forms of a mapping's values are those that this function takes itself:
//
//	{date: 30d}                 {date: {shift: 30d}}
//	{number: 18..99}            {number: {low: 18, high: 99}}
//	{constant: free}            {constant: {value: free}}
//	{array: text}               {array: {date: 7d}}    {array: {of: {date: 7d}}}
//	{json: {$.email: email, "$.items[*].note": text}}
//
// It is Invalid where the use is unknown or takes no such thing.
func RuleOf(use string, args any) (Rule, error) {
	u, ok := UseOf(use)
	if !ok {
		return Rule{}, problem.New(problem.Invalid, "there is no use %q%s", use, nearest(use))
	}
	r := Rule{Use: use}
	switch a := args.(type) {
	case nil:
		if use == "constant" {
			return Rule{}, problem.New(problem.Invalid, "constant needs a value: constant free")
		}
	case map[string]any:
		if err := r.fromMap(u, a); err != nil {
			return Rule{}, err
		}
	default:
		if err := r.fromScalar(u, a); err != nil {
			return Rule{}, err
		}
	}
	if err := r.sound(); err != nil {
		return Rule{}, err
	}
	return r, nil
}

func (r *Rule) fromScalar(u Use, a any) error {
	text, err := scalar(a)
	if err != nil {
		return problem.New(problem.Invalid, "%s: %w", u.Name, err)
	}
	switch u.Name {
	case "constant":
		r.Value = text
	case "date":
		r.Shift = text
	case "number":
		low, high, ok := strings.Cut(text, rangeMark)
		if !ok {
			return problem.New(problem.Invalid, "number takes a range as 18..99, not %q", text)
		}
		r.Low, r.High = strings.TrimSpace(low), strings.TrimSpace(high)
	case "array":
		of, err := ParseRule(text)
		if err != nil {
			return err
		}
		r.Of = &of
	default:
		return problem.New(problem.Invalid, "%s takes nothing behind it, but there is %q", u.Name, text)
	}
	return nil
}

func (r *Rule) fromMap(u Use, args map[string]any) error {
	switch u.Name {
	case "json":
		return r.paths(args)
	case "array":
		return r.elements(args)
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if !slices.ContainsFunc(u.Args, func(a Arg) bool { return a.Name == name }) {
			return problem.New(problem.Invalid, "%s takes no %q%s", u.Name, name, u.argNames())
		}
		text, err := scalar(args[name])
		if err != nil {
			return problem.New(problem.Invalid, "%s of %s: %w", name, u.Name, err)
		}
		switch name {
		case "value":
			r.Value = text
		case "low":
			r.Low = text
		case "high":
			r.High = text
		case "shift":
			r.Shift = text
		}
	}
	if _, given := args["value"]; u.Name == "constant" && !given {
		return problem.New(problem.Invalid, "constant needs a value: {constant: free}")
	}
	return nil
}

// elements takes {array: {date: 7d}} and {array: {of: …}}.
func (r *Rule) elements(args map[string]any) error {
	if of, ok := args["of"]; ok && len(args) == 1 {
		rule, err := ruleOfAny(of)
		r.Of = &rule
		return err
	}
	rule, err := ruleOfAny(args)
	r.Of = &rule
	return err
}

// paths takes {json: {$.email: email}} and {json: {paths: {$.email: email}}}.
func (r *Rule) paths(args map[string]any) error {
	if inner, ok := args["paths"].(map[string]any); ok && len(args) == 1 {
		args = inner
	}
	r.Paths = make(map[string]Rule, len(args))
	for _, p := range slices.Sorted(maps.Keys(args)) {
		if _, err := parsePath(p); err != nil {
			return err
		}
		rule, err := ruleOfAny(args[p])
		if err != nil {
			return problem.New(problem.Invalid, "path %s: %w", p, err)
		}
		r.Paths[p] = rule
	}
	return nil
}

// ruleOfAny reads a rule inside a rule: a scalar, or a mapping with the use as its only key.
func ruleOfAny(v any) (Rule, error) {
	switch v := v.(type) {
	case string:
		return ParseRule(v)
	case map[string]any:
		if len(v) == 1 {
			for use, args := range v {
				return RuleOf(use, args)
			}
		}
	case nil: // what YAML makes of the word null
		return Rule{Use: "null"}, nil
	}
	return Rule{}, problem.New(problem.Invalid, "a rule is a use, as email, or one use with what it takes, as {date: 30d}")
}

// scalar is a YAML scalar's text, whatever type it was read as.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32), nil
	}
	return "", problem.New(problem.Invalid, "a single value is wanted")
}

func (u Use) argNames() string {
	if len(u.Args) == 0 {
		return ", or anything"
	}
	var names []string
	for _, a := range u.Args {
		names = append(names, a.Name)
	}
	return "; it takes " + strings.Join(names, ", ")
}

// nearest names the use that was probably meant, by its first letters, or all of them.
func nearest(use string) string {
	for _, u := range Uses {
		if len(use) >= 3 && (strings.HasPrefix(u.Name, use[:3]) || strings.Contains(use, u.Name)) {
			return fmt.Sprintf("; %s is one", u.Name)
		}
	}
	var names []string
	for _, u := range Uses {
		names = append(names, u.Name)
	}
	return "; there are " + strings.Join(names, ", ")
}
