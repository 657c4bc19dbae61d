package mask

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func testKey(b byte) Key { return Key(bytes.Repeat([]byte{b}, KeySize)) }

// maskerOf is a rule on its own, as it is where no column is unique (or all are), and none has a limit.
func maskerOf(t testing.TB, key byte, unique bool, rule string) func(string) string {
	t.Helper()
	r, err := ParseRule(rule)
	if err != nil {
		t.Fatal(err)
	}
	return ruleMasker(key, unique, r)
}

func ruleMasker(key byte, unique bool, r Rule) func(string) string {
	facts := map[string]family{}
	for _, u := range Uses {
		facts[familyOf(u.Name)] = family{unique: unique}
	}
	m := newWorker(testKey(key), facts).masker(r)
	return func(v string) string { return string(m.mask(nil, []byte(v))) }
}

// valuesFor draws what columns of a use hold, and what they should not.
func valuesFor(use string) *rapid.Generator[string] {
	own := map[string]string{
		"email":    `[A-Za-z][a-z0-9.+]{0,9}@[a-zA-Z0-9]{1,8}(\.[a-z]{2,4})?`,
		"phone":    `(\+|0|\()?[1-9][0-9]{2,4}[ -/)]?[0-9]{3,8}`,
		"number":   `-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,6})?`,
		"date":     `(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])( ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\+0[0-9])?)?`,
		"uuid":     `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
		"token":    `([0-9]{1,20}|[0-9a-f]{1,20}|[A-F0-9]{1,20}|[0-9a-zA-Z_-]{1,20})`,
		"ip":       `([1-9]|1[0-9]{2})(\.([0-9]|1[0-9]{2})){3}(/(8|16|24|32))?`,
		"url":      `https?://[a-z]{1,8}(\.[a-z]{2,3}){1,2}(:[0-9]{2,4})?(/[a-zA-Z0-9%_-]{0,6})?`,
		"bytes":    `\\x([0-9a-f]{2}){1,80}`,
		"name":     `[A-Z][a-zäöü]{0,9}( [A-Z][a-z'-]{0,9}){0,2}`,
		"address":  `[A-Z][a-z]{2,9} ?(street|straße) [1-9][0-9]{0,2}[a-c]?, [0-9]{5} [A-Z][a-z]{2,6}`,
		"postcode": `[A-Z]{0,2}[0-9]{1,5}( [0-9][A-Z]{2})?`,
		"username": `[a-zA-Z][a-z0-9_]{0,12}`,
	}
	pattern, ok := own[use]
	if !ok {
		pattern = own["name"]
	}
	anything := rapid.StringN(1, 60, 200)
	if use == "bytes" {
		return rapid.StringMatching(pattern)
	}
	return rapid.OneOf(rapid.StringMatching(pattern), rapid.StringMatching(pattern), rapid.StringMatching(pattern),
		rapid.StringMatching(own["number"]), rapid.StringMatching(own["date"]), rapid.StringMatching(`[a-z]{1,3}`), anything)
}

// scalarUses are the uses that a text can have and that make something else of it.
func scalarUses() (uses []string) {
	for _, u := range Uses {
		switch u.Name {
		case "keep", "null", "constant", "array", "json", "xml":
		default:
			uses = append(uses, u.Name)
		}
	}
	return uses
}

// TestDifferentStaysDifferent: where a column is unique, no two values come out as one, nor any two that are the same to
// an index over lower(…) and were not before.
func TestDifferentStaysDifferent(t *testing.T) {
	for _, use := range scalarUses() {
		t.Run(use, func(t *testing.T) {
			mask := maskerOf(t, 1, true, use)
			values := valuesFor(use)
			rapid.Check(t, func(t *rapid.T) {
				seen, folded := map[string]string{}, map[string]string{}
				for _, v := range rapid.SliceOfNDistinct(values, 2, 40, rapid.ID).Draw(t, "values") {
					out := mask(v)
					if before, ok := seen[out]; ok {
						t.Fatalf("%q and %q both become %q", before, v, out)
					}
					seen[out] = v
					if use == "token" || use == "hash" || use == "bytes" {
						continue
					}
					low := strings.ToLower(out)
					if before, ok := folded[low]; ok && !strings.EqualFold(before, v) {
						t.Fatalf("%q and %q both become %q in small letters", before, v, low)
					}
					folded[low] = v
				}
			})
		})
	}
}

// TestNothingComesOutAsItWentIn: but what has no letter and no digit other than leading zeros.
func TestNothingComesOutAsItWentIn(t *testing.T) {
	for _, use := range scalarUses() {
		for _, unique := range []bool{false, true} {
			t.Run(use, func(t *testing.T) {
				mask := maskerOf(t, 2, unique, use)
				values := valuesFor(use)
				rapid.Check(t, func(t *rapid.T) {
					v := values.Draw(t, "value")
					if out := mask(v); out == v && hasMaskable(v) {
						t.Fatalf("%q stays what it is", v)
					}
				})
			})
		}
	}
}

// hasMaskable says whether a text has a character of an alphabet of letters or digits. Zeros in front are none.
func hasMaskable(v string) bool {
	if isNotFinite([]byte(v)) || isEndless([]byte(v)) {
		return false
	}
	if _, ok := parseNumber([]byte(v)); ok {
		mantissa, _, _ := strings.Cut(strings.ToLower(v), "e")
		return strings.ContainsAny(mantissa, "123456789")
	}
	var r row
	r.take([]byte(v), asText)
	return slices.ContainsFunc(r.size, func(n uint32) bool { return n > 1 })
}

// TestSameInSame: the same value gives the same, in every worker; and another key gives another.
func TestSameInSame(t *testing.T) {
	for _, use := range scalarUses() {
		t.Run(use, func(t *testing.T) {
			one, two, other := maskerOf(t, 3, false, use), maskerOf(t, 3, false, use), maskerOf(t, 4, false, use)
			values := valuesFor(use)
			total, same := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				v := values.Draw(t, "value")
				before := one(v)
				two(values.Draw(t, "between"))
				if again := two(v); again != before {
					t.Fatalf("%q becomes %q and %q", v, before, again)
				}
				if hasMaskable(v) && utf8.RuneCountInString(v) > 7 {
					total++
					if other(v) == before {
						same++
					}
				}
			})
			if same > total/10 {
				t.Errorf("another key changes nothing for %d of %d values", same, total)
			}
		})
	}
}

// TestTextKeepsItsShape: length, blanks, punctuation, case, leading zeros, and what is castable.
func TestTextKeepsItsShape(t *testing.T) {
	for _, use := range []string{"text", "username", "postcode"} {
		mask := maskerOf(t, 5, false, use)
		rapid.Check(t, func(t *rapid.T) {
			v := valuesFor(use).Draw(t, "value")
			if !utf8.ValidString(v) {
				return
			}
			in, out := []rune(v), []rune(mask(v))
			if len(in) != len(out) {
				t.Fatalf("%q becomes %q: another length", v, string(out))
			}
			if use == "text" && looksLikeMoment([]byte(v)) {
				if !looksLikeMoment([]byte(string(out))) {
					t.Fatalf("%q becomes %q: no moment", v, string(out))
				}
				return
			}
			for i := range in {
				if a, b := shapeOf(in[i]), shapeOf(out[i]); a != b {
					t.Fatalf("%q becomes %q: other at %d", v, string(out), i)
				}
			}
			if leadingZeros(v) != leadingZeros(string(out)) {
				t.Fatalf("%q becomes %q: other leading zeros", v, string(out))
			}
		})
	}
}

func leadingZeros(v string) int { return len(v) - len(strings.TrimLeft(v, "0")) }

// shapeOf is what of a character's stays.
func shapeOf(r rune) any {
	switch {
	case r >= '0' && r <= '9':
		return '0'
	case r >= 'a' && r <= 'z':
		return 'a'
	case r >= 'A' && r <= 'Z':
		return 'A'
	case r < utf8.RuneSelf:
		return r
	}
	var as alphabets
	if a, _, capital := as.find(r); a != nil {
		return [2]any{a.at(0), capital}
	}
	return r
}

// FuzzUses: no value stops a mask, and none that has something to mask stays, or becomes another one the second time.
func FuzzUses(f *testing.F) {
	for _, s := range []string{"anna@mail.de", "@", "+49 170", "2026-11-26 10:00:00.5+01", "::1/64", "https://[::1]:80/%41", "DE89370400440532013000", `\x00`, "-0.5e+10", "İß\xff"} {
		f.Add(s)
	}
	var masks []func(string) string
	uses := scalarUses()
	for _, use := range uses {
		masks = append(masks, maskerOf(f, 1, false, use), maskerOf(f, 1, true, use))
	}
	f.Fuzz(func(t *testing.T, v string) {
		if v == "" {
			return
		}
		for i, mask := range masks {
			out := mask(v)
			if again := mask(v); again != out {
				t.Fatalf("%s of %q is %q and %q", uses[i/2], v, out, again)
			}
			if out == v && hasMaskable(v) {
				t.Fatalf("%s of %q is the same", uses[i/2], v)
			}
			if utf8.ValidString(v) && !utf8.ValidString(out) && uses[i/2] != "bytes" {
				t.Fatalf("%s of %q is %q: no UTF-8", uses[i/2], v, out)
			}
		}
	})
}
