package mask

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// detectMost is how much of a text is looked at.
const detectMost = 1 << 16

// Detect says what of a person's a text holds, or seems to: "an e-mail address". It is for texts that have no column,
// as those of the schema; it errs on the side of caution with digits, and misses names that are one word or in small
// letters.
func Detect(text string) (what string, ok bool) {
	b := []byte(text[:min(len(text), detectMost)])
	for _, d := range detectors {
		if _, _, ok := d.find(b); ok {
			return d.what, true
		}
	}
	return "", false
}

type detector struct {
	what string
	find func(text []byte) (begin, end int, ok bool)
	sure bool // no word of a program looks like this
}

// detectors are looked through in their order: what is more precise stands first.
var detectors = []detector{
	{"an e-mail address", findEmail, true},
	{"a web address with a user in it", findUserURL, true},
	{"a bank account", findIBAN, true},
	{"a card's number", findCard, true},
	{"a network address", fields(isOutsideAddress), true},
	{"a UUID", fields(isUUID), false},
	{"a phone number", findPhone, true},
	{"a secret", fields(looksSecret), true},
	{"a long number", fields(isLongNumber), false},
	{"an address", whole(hasAddress), false},
	{"a person's name", whole(looksLikeName), false},
}

// whole is a detector that can say of a text as a whole only.
func whole(is func([]byte) bool) func([]byte) (int, int, bool) {
	return func(text []byte) (int, int, bool) { return 0, len(text), is(text) }
}

// fields is a detector of a text's parts: what stands between blanks and marks.
func fields(is func([]byte) bool) func([]byte) (int, int, bool) {
	return func(text []byte) (begin, end int, ok bool) {
		for begin < len(text) {
			end = begin + bytes.IndexAny(text[begin:], " \t\r\n\"'(),;<>[]{}|=")
			if end < begin {
				end = len(text)
			}
			if field := bytes.Trim(text[begin:end], ".:!?"); len(field) > 0 && is(field) {
				begin += bytes.Index(text[begin:end], field)
				return begin, begin + len(field), true
			}
			begin = end + 1
		}
		return 0, 0, false
	}
}

// keyDetectors are the detectors that are sure enough to change the name of a JSON member.
var keyDetectors = []func([]byte) bool{isEmail, isIBAN, isCard, isOutsideAddress, isPhone}

// personalKey says whether the name of a JSON member is a value of a person's, as where a map has addresses for keys.
func personalKey(name []byte) bool {
	if len(name) < 6 {
		return false
	}
	for _, in := range keyDetectors {
		if in(name) {
			return true
		}
	}
	return false
}

// findEmail leaves addresses alone that are reserved: nobody has one.
func findEmail(text []byte) (begin, end int, ok bool) {
	for from := 0; ; from = end {
		if begin, end, ok = address(text[from:]); !ok {
			return 0, 0, false
		}
		begin, end = begin+from, end+from
		domain := text[begin:end]
		domain = domain[bytes.IndexByte(domain, '@')+1:]
		if bytes.IndexByte(domain, '.') > 0 && !isReserved(domain) {
			return begin, end, true
		}
	}
}

// isReserved says whether a domain is one of those that are nobody's.
func isReserved(domain []byte) bool {
	d := strings.ToLower(string(domain))
	for _, r := range []string{"example", "test", "invalid", "localhost", "example.com", "example.net", "example.org"} {
		if d == r || strings.HasSuffix(d, "."+r) {
			return true
		}
	}
	return false
}

func findUserURL(text []byte) (begin, end int, ok bool) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte("://"))
		if i < 0 {
			return 0, 0, false
		}
		host := from + i + 3
		begin = host - 3
		for begin > from && isScheme(text[begin-1:begin]) {
			begin--
		}
		end = host + bytes.IndexAny(text[host:], " \t\r\n\"'")
		if end < host {
			end = len(text)
		}
		authority, _, _ := bytes.Cut(text[host:end], []byte{'/'})
		at := bytes.LastIndexByte(authority, '@')
		if at > 0 && begin < host-3 && !isReserved(bytes.TrimRight(authority[at+1:], ":0123456789")) {
			return begin, end, true
		}
		from = end
	}
}

// findIBAN looks for one that is written together, and for a text that is one in groups.
func findIBAN(text []byte) (begin, end int, ok bool) {
	if isIBAN(text) {
		return 0, len(text), true
	}
	return fields(isIBAN)(text)
}

func findCard(text []byte) (begin, end int, ok bool) {
	return findRun(text, func(run []byte) bool { return isCard(run) && run[0] != '0' })
}

// findRun looks at runs of digits, with the marks in them that numbers are written with.
func findRun(text []byte, is func([]byte) bool) (begin, end int, ok bool) {
	for i := 0; i < len(text); {
		if c := text[i]; c != '+' && c != '(' && (c < '0' || c > '9') || i > 0 && isAlnum(text[i-1]) {
			i++
			continue
		}
		end := i + 1
		for end < len(text) && (text[end] >= '0' && text[end] <= '9' || bytes.IndexByte([]byte(" -/.()"), text[end]) >= 0) {
			end++
		}
		run := bytes.TrimRight(text[i:end], " -/.(")
		if last := i + len(run); (last == len(text) || !isAlnum(text[last])) && len(run) > 0 && is(run) {
			return i, last, true
		}
		i = end
	}
	return 0, 0, false
}

func countDigits(text []byte) (n int) {
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

func findPhone(text []byte) (begin, end int, ok bool) { return findRun(text, isPhone) }

// isPhone wants a number that is written like one: with a plus, or a leading zero and marks between groups.
func isPhone(text []byte) bool {
	n := countDigits(text)
	if n < phoneLeast || n > 15 || len(text) >= 10 && looksLikeMoment(text[:10]) || len(bytes.Trim(text, "+0123456789 -/.()")) > 0 {
		return false
	}
	if text[0] == '+' || text[0] == '(' {
		return true
	}
	marks := len(text) - n
	return !parsesAsNumber(text) && marks > 0 && (text[0] == '0' || marks >= 2) && n >= 9
}

func parsesAsNumber(text []byte) bool {
	_, ok := parseNumber(text)
	return ok
}

func isOutsideAddress(text []byte) bool {
	if a, ok := parseIPv4(text); ok {
		return a>>24 != 127 && a != 0 && a>>24 != 255 && a>>24 != 10
	}
	a, ok := parseIPv6(text)
	return ok && a != [16]byte{} && a != [16]byte{15: 1} && a[0] != 0xfe
}

const longNumber = 9 // digits

// isLongNumber leaves numbers alone that are round: limits and units.
func isLongNumber(text []byte) bool {
	return len(text) >= longNumber && allDigits(text) && len(bytes.TrimRight(text, "0")) > 4
}

const secretLeast = 20

// looksSecret says whether a word is one that no person made up: long, with digits among letters, and not in words.
func looksSecret(word []byte) bool {
	if len(word) < secretLeast {
		return false
	}
	digits, letters, turns := 0, 0, 0
	last := byte(0)
	for _, c := range word {
		class := tokenClass(c)
		switch {
		case class == tokenDigit:
			digits++
		case class != 0:
			letters++
			class = tokenLow
		case bytes.IndexByte([]byte("+/=_-."), c) >= 0:
			continue
		default:
			return false
		}
		if class != last {
			turns++
		}
		last = class
	}
	return digits >= 3 && letters >= 3 && turns >= 6
}

// streetWords are what a street's name ends with, or begins with, in small letters.
var streetWords = []string{"street", "st", "str", "road", "rd", "avenue", "ave", "lane", "drive", "boulevard", "blvd", "straße", "strasse", "weg", "platz", "allee", "gasse", "rue", "calle", "avenida", "plaza"}

// hasAddress wants a street's word with a number right before or behind it.
func hasAddress(text []byte) bool {
	words := bytes.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	isNumber := func(i int) bool {
		return i >= 0 && i < len(words) && len(words[i]) <= 5 && words[i][0] >= '1' && words[i][0] <= '9'
	}
	for i, w := range words {
		if !isCapitalised(w) {
			continue
		}
		low := strings.ToLower(string(w))
		for n, s := range streetWords {
			whole := low == s
			compound := n >= 2 && len(s) > 2 && strings.HasSuffix(low, s) && len(low) > len(s)+2
			if (whole || compound) && (isNumber(i+1) || isNumber(i-1) || isNumber(i-2) || isNumber(i+2)) {
				return true
			}
		}
	}
	return false
}

func isCapitalised(word []byte) bool {
	r, _ := utf8.DecodeRune(word)
	return unicode.IsUpper(r)
}

const nameMost = 4 // words

// looksLikeName wants a text that is nothing but two to four words, each a capital with small letters behind it. That
// strikes headings as well.
func looksLikeName(text []byte) bool {
	words := bytes.Fields(text)
	if len(words) < 2 || len(words) > nameMost {
		return false
	}
	for _, w := range words {
		small := 0
		for i, r := range string(w) {
			switch {
			case i == 0 && !unicode.IsUpper(r):
				return false
			case i > 0 && unicode.IsLower(r):
				small++
			case i > 0 && !unicode.IsUpper(r) && r != '-' && r != '\'' && r != '’' && r != '.':
				return false
			}
		}
		if small == 0 && !bytes.HasSuffix(w, []byte{'.'}) {
			return false
		}
	}
	return true
}
