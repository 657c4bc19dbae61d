package mask

import "slices"

// Use is a way to make values safe, and what a rule may say with it. The file's schema, its documentation and the
// messages about wrong rules come from this table.
type Use struct {
	Name  string
	Kinds []Kind // of columns that it can be used on; nil: all of them
	Args  []Arg
	Says  string // what it makes of a value
	// Unique is what becomes of a column whose values differ, when they have to differ afterwards.
	Unique Unique
}

// Arg is an argument of a use.
type Arg struct {
	Name     string // as in mask.yaml: low, high, shift
	Needed   bool
	Says     string
	Rule     bool // it is a rule itself (array), or a mapping of paths to rules (json)
	Compound bool // it can't stand in a scalar behind the use
}

// Unique says whether a use keeps different values different.
type Unique string

// What a use does to values that differ.
const (
	UniqueAlways   Unique = "always"   // they stay different, whatever the column is
	UniqueOnDemand Unique = "demanded" // they look better where they may meet; where one column of the use is unique, none of it do
	UniqueNever    Unique = "never"    // they meet: it is refused on columns that are unique or keys
)

var (
	onText    = []Kind{KindText}
	onNumbers = []Kind{KindNumber, KindText}
	onTimes   = []Kind{KindTime, KindText}
)

// Uses are all uses, in the order in which they are documented. The first three are for every kind of column.
//
// All of them leave null null and an empty text empty, make the same of the same value in every table, and differ in
// everything for another key.
var Uses = []Use{
	{Name: "keep", Says: "the value as it is", Unique: UniqueAlways},
	{Name: "null", Says: "null; not for columns that must not be null", Unique: UniqueNever},
	{Name: "constant", Says: "one value for all that are not null", Unique: UniqueNever,
		Args: []Arg{{Name: "value", Needed: true, Says: "the value, as the database writes it"}}},
	{Name: "text", Kinds: onText, Unique: UniqueAlways,
		Says: "other letters for letters and other digits for digits, at the same places: length, case, blanks, punctuation, leading zeros and what is castable stay"},
	{Name: "name", Kinds: onText, Unique: UniqueOnDemand,
		Says: "words that can be spoken, of the same length and case, the same for a word in name, first_name and last_name"},
	{Name: "first_name", Kinds: onText, Unique: UniqueOnDemand, Says: "as name"},
	{Name: "last_name", Kinds: onText, Unique: UniqueOnDemand, Says: "as name"},
	{Name: "username", Kinds: onText, Unique: UniqueAlways, Says: "as text, apart from it"},
	{Name: "email", Kinds: onText, Unique: UniqueAlways,
		Says: "an address below .example, which nobody can be written to at; the same people at the same provider, upper or lower case; eight characters longer where the column takes them"},
	{Name: "phone", Kinds: onText, Unique: UniqueOnDemand,
		Says: "a number of the same format that begins as none does, with +0 or 000; where one has to stay unique, those digits come in addition"},
	{Name: "company", Kinds: onText, Unique: UniqueOnDemand, Says: "words as in name, by themselves"},
	{Name: "address", Kinds: onText, Unique: UniqueOnDemand, Says: "words as in name and other numbers, by themselves"},
	{Name: "city", Kinds: onText, Unique: UniqueOnDemand, Says: "words as in name, by themselves"},
	{Name: "postcode", Kinds: onText, Unique: UniqueAlways, Says: "as text, apart from it"},
	{Name: "number", Kinds: onNumbers, Unique: UniqueAlways,
		Says: "another number with as many digits; zero, NaN and infinity stay; with a range one out of it, which is not for unique columns",
		Args: []Arg{{Name: "low", Says: "the least number of the range"}, {Name: "high", Says: "the greatest"}}},
	{Name: "date", Kinds: onTimes, Unique: UniqueAlways,
		Says: "another moment nearby, in the same form; infinity stays",
		Args: []Arg{{Name: "shift", Says: "at most this far away, in whole days: 30d, which is the default"}}},
	{Name: "uuid", Kinds: []Kind{KindUUID, KindText}, Unique: UniqueAlways, Says: "another UUID of the same version"},
	{Name: "token", Kinds: onText, Unique: UniqueAlways, Says: "random-looking characters of the same alphabet: digits, hexadecimal, or letters and digits"},
	{Name: "hash", Kinds: []Kind{KindText, KindBytes}, Unique: UniqueAlways, Says: "64 hexadecimal digits, fewer where the column takes fewer"},
	{Name: "ip", Kinds: []Kind{KindNetwork, KindText}, Unique: UniqueOnDemand,
		Says: "an address in 10.0.0.0/8 or 2001:db8::/32, a hardware address that is locally administered; another one of all where they have to stay unique, and of networks of less than 12 bits"},
	{Name: "url", Kinds: onText, Unique: UniqueAlways, Says: "the scheme, a host below .example, and all else as text; eight characters longer where the column takes them"},
	{Name: "iban", Kinds: onText, Unique: UniqueAlways, Says: "another account of the same country, with valid check digits"},
	{Name: "card", Kinds: onText, Unique: UniqueAlways, Says: "another number that begins with the same digit, with a valid check digit"},
	{Name: "bytes", Kinds: []Kind{KindBytes}, Unique: UniqueAlways, Says: "as many other bytes"},
	{Name: "xml", Kinds: []Kind{KindXML, KindText}, Unique: UniqueAlways, Says: "the same elements and attributes with values as text"},
	{Name: "json", Kinds: []Kind{KindJSON, KindText}, Unique: UniqueAlways,
		Says: "the same structure; what no path names is masked by its looks: strings as text, or as the e-mail address, URL, moment or UUID that they are, and numbers as number; true, false and null stay, and names of members that look personal don't",
		Args: []Arg{{Name: "paths", Rule: true, Compound: true, Says: "rules by path: $.address.street, $.items[*].note, $.*.id, $[\"a.b\"]; what lies below a path has its rule too"}}},
	{Name: "array", Kinds: []Kind{KindArray}, Unique: UniqueAlways,
		Says: "the same array with each element as the rule says; null elements stay",
		Args: []Arg{{Name: "of", Needed: true, Rule: true, Says: "the rule of the elements"}}},
}

// UseOf finds a use by its name.
func UseOf(name string) (Use, bool) {
	i := slices.IndexFunc(Uses, func(u Use) bool { return u.Name == name })
	if i < 0 {
		return Use{}, false
	}
	return Uses[i], true
}

func (u Use) takes(k Kind) bool { return u.Kinds == nil || slices.Contains(u.Kinds, k) }

// UsesFor are the names of the uses that a kind of column can take.
func UsesFor(k Kind) (names []string) {
	for _, u := range Uses {
		if u.takes(k) {
			names = append(names, u.Name)
		}
	}
	return names
}
