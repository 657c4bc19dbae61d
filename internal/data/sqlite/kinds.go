package sqlite

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"greenroom/internal/mask"
)

// kindOf reads a declared type, of which SQLite itself takes only a hint. A column without a type may hold anything, and
// is text, since that is what people put there.
func kindOf(declared string) mask.Kind {
	typ := strings.ToUpper(declared)
	if strings.HasPrefix(typ, "INTERVAL") || strings.HasPrefix(typ, "POINT") { // no number, though there is INT in them
		return mask.KindText
	}
	for _, k := range []struct {
		kind  mask.Kind
		words []string
	}{
		{mask.KindBoolean, []string{"BOOL"}},
		{mask.KindUUID, []string{"UUID", "GUID", "UNIQUEIDENTIFIER"}},
		{mask.KindJSON, []string{"JSON"}},
		{mask.KindXML, []string{"XML"}},
		{mask.KindNetwork, []string{"INET", "CIDR", "MACADDR"}},
		{mask.KindText, []string{"CHAR", "CLOB", "TEXT", "STRING"}},
		{mask.KindBytes, []string{"BLOB", "BINARY", "BYTE", "IMAGE"}},
		{mask.KindTime, []string{"DATE", "TIME"}},
		{mask.KindNumber, []string{"INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "MONEY", "BIT", "SERIAL", "YEAR", "CURRENCY"}},
	} {
		for _, word := range k.words {
			if strings.Contains(typ, word) {
				return k.kind
			}
		}
	}
	return mask.KindText
}

var lengthOf = regexp.MustCompile(`(?i)CHAR[A-Z ]*\(\s*(\d{1,9})\s*\)`)

// lengthIn is the most characters that a declared type takes; SQLite itself does not count them.
func lengthIn(declared string) int {
	m := lengthOf.FindStringSubmatch(declared)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

var (
	timeText = regexp.MustCompile(`^(` + dateText + `|` + hourText + `|` + dateText + `[T ]` + hourText + `)` +
		` ?(Z|[+-]\d\d(:?\d\d)?)?( [A-Z]{1,5})?( m=[+-][0-9.]{1,20})?$`)
	boolText = regexp.MustCompile(`^(?i:true|false|t|f|yes|no|y|n|on|off|0|1)$`)
	uuidText = regexp.MustCompile(`^\{?[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\}?$`)
)

// Dates as people and libraries write them. Every one has a year, so that no telephone or insurance number is one.
const (
	dateText = `((19|20)\d\d[-/.]?\d{1,2}[-/.]?\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](19|20)\d\d)`
	hourText = `\d\d:?\d\d(:?\d\d([.,]\d{1,9})?)?`
)

// fits says whether a value is what its column's kind says. SQLite lets anything into any column: a rule that keeps
// numbers must not let a name through that stands in a column of numbers.
func fits(kind mask.Kind, v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case int64:
		return kind != mask.KindUUID && kind != mask.KindNetwork && (kind != mask.KindBoolean || v == 0 || v == 1)
	case float64:
		return kind != mask.KindUUID && kind != mask.KindNetwork && kind != mask.KindBoolean
	case []byte:
		switch kind {
		case mask.KindBytes:
			return true
		case mask.KindText, mask.KindJSON, mask.KindXML: // a text that was stored as bytes
			return utf8.Valid(v)
		}
		return kind == mask.KindUUID && len(v) == 16
	case string:
		switch kind {
		case mask.KindNumber:
			return false // SQLite itself has made numbers of all texts that are some
		case mask.KindBoolean:
			return boolText.MatchString(v)
		case mask.KindTime:
			return timeText.MatchString(v)
		case mask.KindUUID:
			return uuidText.MatchString(v)
		}
	}
	return true
}
