package mask

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// misfit says why a sound rule of a use for the column's kind can't be the column's; "" where it can.
func misfit(t *Table, col Column, r Rule) string {
	switch {
	case r.Use == "null" && (col.NotNull || col.Key):
		return "it must not be null"
	case r.Use == "constant":
		return badConstant(col, r.Value)
	case r.Use == "array" && col.Kind == KindArray:
		return badElements(t, col, *r.Of)
	case r.Use == "hash" && col.Kind == KindText && col.Length > 0 && col.Length < hashLeast:
		return fmt.Sprintf("hash needs room for %d characters, and the column takes %d; text and token keep within any length", hashLeast, col.Length)
	case r.Use == "email" && col.Length > 0 && col.Length < emailLeast:
		return fmt.Sprintf("email needs room for %d characters, and the column takes %d; text keeps within any length", emailLeast, col.Length)
	case r.Use == "url" && col.Length > 0 && col.Length < urlLeast:
		return fmt.Sprintf("url needs room for %d characters, and the column takes %d; text keeps within any length", urlLeast, col.Length)
	}
	return ""
}

// badElements says why an array's elements can't have a rule.
func badElements(t *Table, col Column, of Rule) string {
	element := Column{Name: col.Name, Type: strings.TrimSuffix(strings.TrimSpace(col.Type), "[]"), Length: col.Length}
	element.Kind = elementKind(element.Type)
	u, _ := UseOf(of.Use)
	if element.Kind != KindOther && !u.takes(element.Kind) {
		return fmt.Sprintf("%s is not for elements that are %s (%s)", of.Use, kindWords(element.Kind), element.Type)
	}
	if element.Kind == KindOther && of.Use == "constant" {
		return ""
	}
	return misfit(t, element, of)
}

// elementKind is the kind of an array's elements by their type's name; KindOther where that doesn't tell.
func elementKind(name string) Kind {
	name = strings.ToLower(name)
	if i := strings.IndexByte(name, '('); i >= 0 {
		name = name[:i]
	}
	switch strings.TrimSpace(name) {
	case "text", "character varying", "varchar", "character", "char", "bpchar", "citext", "name":
		return KindText
	case "smallint", "integer", "bigint", "int2", "int4", "int8", "numeric", "decimal", "real", "double precision", "float4", "float8":
		return KindNumber
	case "boolean", "bool":
		return KindBoolean
	case "date", "timestamp", "timestamp without time zone", "timestamp with time zone", "timestamptz":
		return KindTime
	case "uuid":
		return KindUUID
	case "json", "jsonb":
		return KindJSON
	case "xml":
		return KindXML
	case "bytea":
		return KindBytes
	case "inet", "cidr", "macaddr", "macaddr8":
		return KindNetwork
	}
	return KindOther
}

// badConstant says why a constant can't be a column's value.
func badConstant(col Column, value string) string {
	is := func(ok bool) string {
		if ok {
			return ""
		}
		return fmt.Sprintf("the constant %q is no value of %s", value, col.Type)
	}
	b := []byte(value)
	switch col.Kind {
	case KindNumber:
		_, ok := parseNumber(b)
		return is(ok || isNotFinite(b))
	case KindBoolean:
		return is(slices.Contains([]string{"t", "f", "true", "false", "0", "1"}, value))
	case KindTime:
		_, ok := parseMoment(b)
		return is(ok || isEndless(b))
	case KindUUID:
		return is(isUUID(b))
	case KindJSON:
		return is(json.Valid(b))
	case KindEnum:
		if !slices.Contains(col.Labels, value) {
			return fmt.Sprintf("the constant %q is none of %s", value, strings.Join(col.Labels, ", "))
		}
	case KindArray:
		return is(strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") || strings.HasPrefix(value, "["))
	case KindText:
		if n := utf8.RuneCountInString(value); col.Length > 0 && n > col.Length {
			return fmt.Sprintf("the constant %q has %d characters, and the column takes %d", value, n, col.Length)
		}
	}
	return ""
}

// meets says why a rule may make the same of different values; "" where it doesn't.
func meets(r Rule) string {
	u, _ := UseOf(r.Use)
	switch {
	case u.Unique == UniqueNever:
		return r.Use + " makes the same of different values"
	case r.Low != "":
		return "a range has fewer numbers than there may be values"
	case r.Of != nil:
		return meets(*r.Of)
	}
	for p, rule := range r.Paths {
		if what := meets(rule); what != "" {
			return "at " + p + " " + what
		}
	}
	return ""
}

func kindWords(k Kind) string {
	switch k {
	case KindNumber:
		return "numbers"
	case KindBoolean:
		return "booleans"
	case KindTime:
		return "dates and times"
	case KindEnum:
		return "enumerations"
	case KindUUID:
		return "UUIDs"
	case KindXML:
		return "XML"
	case KindJSON:
		return "JSON"
	case KindArray:
		return "arrays"
	case KindNetwork:
		return "network addresses"
	case KindOther:
		return "this type"
	}
	return string(k)
}
