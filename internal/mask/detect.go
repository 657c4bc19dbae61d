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
		if d.in(b) {
			return d.what, true
		}
	}
	return "", false
}

type detector struct {
	what string
	in   func(text []byte) bool
}

// detectors are looked through in their order: what is more precise stands first.
var detectors = []detector{
	{"an e-mail address", hasEmail},
	{"a web address with a user in it", hasUserURL},
	{"a bank account", func(b []byte) bool { return anyField(b, isIBAN) || isIBAN(b) }},
	{"a card's number", hasCard},
	{"a network address", func(b []byte) bool { return anyField(b, isOutsideAddress) }},
	{"a UUID", func(b []byte) bool { return anyField(b, isUUID) }},
	{"a phone number", hasPhone},
	{"a secret", func(b []byte) bool { return anyField(b, looksSecret) }},
	{"a long number", hasLongNumber},
	{"an address", hasAddress},
	{"a person's name", looksLikeName},
}

// keyDetectors are the detectors that are sure enough to change the name of a JSON member.
var keyDetectors = []func([]byte) bool{isEmail, isIBAN, isCard, isOutsideAddress, hasPhone}

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

// hasEmail leaves addresses alone that are reserved: nobody has one.
func hasEmail(text []byte) bool {
	for {
		begin, end, ok := address(text)
		if !ok {
			return false
		}
		domain := text[begin:end]
		domain = domain[bytes.IndexByte(domain, '@')+1:]
		if bytes.IndexByte(domain, '.') > 0 && !isReserved(domain) {
			return true
		}
		text = text[end:]
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

func hasUserURL(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("://"))
		if i < 0 {
			return false
		}
		text = text[i+3:]
		end := bytes.IndexAny(text, "/?# \t\r\n\"'")
		if end < 0 {
			end = len(text)
		}
		if bytes.IndexByte(text[:end], '@') > 0 {
			return true
		}
	}
}

// anyField says whether one of a text's parts is so: what stands between blanks and marks.
func anyField(text []byte, is func([]byte) bool) bool {
	for len(text) > 0 {
		end := bytes.IndexAny(text, " \t\r\n\"'(),;<>[]{}|=")
		if end < 0 {
			end = len(text)
		}
		if field := bytes.Trim(text[:end], ".:!?"); len(field) > 0 && is(field) {
			return true
		}
		text = text[min(end+1, len(text)):]
	}
	return false
}

// hasCard looks at runs of digits, blanks and dashes.
func hasCard(text []byte) bool {
	return anyRun(text, func(run []byte) bool { return isCard(run) && run[0] != '0' })
}

// anyRun says whether one of a text's runs of digits is so, with the marks in it that numbers are written with.
func anyRun(text []byte, is func([]byte) bool) bool {
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
		if (end == len(text) || !isAlnum(text[end])) && len(run) > 0 && is(run) {
			return true
		}
		i = end
	}
	return false
}

func countDigits(text []byte) (n int) {
	for _, c := range text {
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// hasPhone wants a number that is written like one: with a plus, or a leading zero and marks between groups.
func hasPhone(text []byte) bool {
	return anyRun(text, func(run []byte) bool {
		n := countDigits(run)
		if n < phoneLeast || n > 15 || looksLikeMoment(run) || len(run) >= 10 && looksLikeMoment(run[:10]) {
			return false
		}
		if run[0] == '+' || run[0] == '(' {
			return true
		}
		if bytes.Count(run, []byte{'.'}) > 0 && parsesAsNumber(run) {
			return false
		}
		marks := len(run) - n
		return marks > 0 && (run[0] == '0' || marks >= 2) && n >= 9
	})
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

// hasLongNumber leaves numbers alone that are round: limits and units.
func hasLongNumber(text []byte) bool {
	return anyField(text, func(f []byte) bool {
		return len(f) >= longNumber && allDigits(f) && len(bytes.TrimRight(f, "0")) > 4
	})
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
		case bytes.IndexByte([]byte("+/=_-."), c) < 0:
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
