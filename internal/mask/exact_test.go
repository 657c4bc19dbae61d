package mask

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestWholeDomains: over all values of a small domain a mask is a permutation of it, without one that stays.
func TestWholeDomains(t *testing.T) {
	letters := func(n int) (all []string) {
		all = []string{""}
		for range n {
			var longer []string
			for _, v := range all {
				for c := 'a'; c <= 'z'; c++ {
					longer = append(longer, v+string(c))
				}
			}
			all = longer
		}
		return all
	}
	numbers := func(from, to int, format string) (all []string) {
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprintf(format, i))
		}
		return all
	}
	days := func(from time.Time, n int) (all []string) {
		for i := range n {
			all = append(all, from.AddDate(0, 0, i).Format(time.DateOnly))
		}
		return all
	}
	var minutes, bytes []string
	for i := 1; i < 24*60; i++ {
		minutes = append(minutes, fmt.Sprintf("%02d:%02d:00", i/60, i%60))
	}
	for i := range 1 << 12 {
		bytes = append(bytes, fmt.Sprintf(`\x%04x`, i*16+i%16))
	}
	for _, c := range []struct {
		name, rule string
		domain     []string
		closed     bool // what comes out is of the domain
	}{
		{"one letter", "text", letters(1), true},
		{"two letters", "text", letters(2), true},
		{"three letters", "username", letters(3), true},
		{"one digit", "text", numbers(1, 9, "%d"), true},
		{"two digits", "postcode", numbers(10, 99, "%d"), true},
		{"one digit as number", "number", numbers(1, 9, "%d"), true},
		{"tinyint", "number", numbers(100, 127, "%d"), true},
		{"above it", "number", numbers(128, 255, "%d"), true},
		{"smallint", "number", numbers(10000, 32767, "%d"), true},
		{"negative smallint", "number", numbers(10000, 32768, "-%d"), true},
		{"above it, with cents", "number", numbers(10000, 99999, "%d"), true},
		{"places behind the point", "number", slices.DeleteFunc(numbers(100, 999, "0.%d"), func(v string) bool { return v[4] == '0' }), true},
		{"digits of a token", "token", numbers(0, 999, "%03d"), true},
		{"hexadecimal digits", "token", numbers(0, 1<<12-1, "%03x"), false},
		{"days of years", "date 5d", days(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), 2000), false},
		{"minutes of a day", "date", minutes, true},
		{"bytes", "bytes", bytes, false},
		{"names", "name", letters(2), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mask := maskerOf(t, 1, true, c.rule)
			in := map[string]bool{}
			for _, v := range c.domain {
				in[v] = true
			}
			seen := map[string]string{}
			for _, v := range c.domain {
				out := mask(v)
				switch {
				case out == v:
					t.Fatalf("%s stays", v)
				case seen[out] != "":
					t.Fatalf("%s and %s become %s", seen[out], v, out)
				case c.closed && !in[out]:
					t.Fatalf("%s becomes %s, which is not of the domain", v, out)
				}
				seen[out] = v
			}
		})
	}
}

// TestIndex: the permutation of numbers below n, for each small n and for large ones.
func TestIndex(t *testing.T) {
	k := newKeyed(testKey(1), "index")
	for n := uint64(2); n < 200; n++ {
		seen := make([]bool, n)
		for x := range n {
			y := k.index(tweak{}, x, n)
			if y >= n || y == x || seen[y] {
				t.Fatalf("of %d, %d becomes %d", n, x, y)
			}
			seen[y] = true
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(2, 9_000_000_000_000_000_000).Draw(t, "n")
		x := rapid.Uint64Range(0, n-1).Draw(t, "x")
		if y := k.index(tweak{}, x, n); y >= n || y == x {
			t.Fatalf("of %d, %d becomes %d", n, x, y)
		}
	})
}

// TestTypesStillTakeIt: a number never passes what is greatest in a type that it was in.
func TestTypesStillTakeIt(t *testing.T) {
	mask := maskerOf(t, 1, true, "number")
	rapid.Check(t, func(t *rapid.T) {
		for _, bits := range []int{8, 16, 32, 64} {
			v := rapid.Int64Range(-1<<(bits-1), 1<<(bits-1)-1).Draw(t, "value")
			var got int64
			if _, err := fmt.Sscan(mask(fmt.Sprint(v)), &got); err != nil || got < -1<<(bits-1) || got > 1<<(bits-1)-1 || len(fmt.Sprint(got)) != len(fmt.Sprint(v)) {
				t.Fatalf("%d of %d bits becomes %s: %v", v, bits, mask(fmt.Sprint(v)), err)
			}
		}
	})
}

// TestSameNumberWrittenOtherwise: to a unique column 2.5 and 2.50 are one number, and a whole one can be cast to an integer.
func TestSameNumberWrittenOtherwise(t *testing.T) {
	mask := maskerOf(t, 1, true, "number")
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{0,3}[1-9])?`).Draw(t, "number")
		zeros := rapid.StringMatching(`0{1,3}`).Draw(t, "zeros")
		if !strings.Contains(v, ".") {
			zeros = "." + zeros
		}
		if one, two := mask(v)+zeros, mask(v+zeros); one != two {
			t.Fatalf("%s and %s become %s and %s", v, v+zeros, one, two)
		}
	})
}

func TestRange(t *testing.T) {
	for rule, in := range map[string][2]float64{"number 18..99": {18, 99}, "number -90..90": {-90, 90}, "number 0.5..1.5": {0.5, 1.5}, "number -2.75..-2.25": {-2.75, -2.25}} {
		mask := maskerOf(t, 1, false, rule)
		rapid.Check(t, func(t *rapid.T) {
			v := valuesFor("number").Filter(func(v string) bool { _, ok := parseNumber([]byte(v)); return ok }).Draw(t, "value")
			var got float64
			if _, err := fmt.Sscan(mask(v), &got); err != nil || got < in[0] || got > in[1] {
				t.Fatalf("%s of %s is %s", rule, v, mask(v))
			}
		})
	}
}

// TestDatesStayNear: valid, within the shift, in the same form, and exact to the same.
func TestDatesStayNear(t *testing.T) {
	mask := maskerOf(t, 1, false, "date 10d")
	forms := []string{time.DateOnly, time.DateTime, "2006-01-02T15:04:05Z", "2006-01-02 15:04:05.000000-07", "2006-01-02 15:04"}
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom(forms).Draw(t, "form")
		at := time.Unix(rapid.Int64Range(-1e11, 2e11).Draw(t, "at"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000).UTC()
		at = at.Truncate(rapid.SampledFrom([]time.Duration{1, time.Minute, 24 * time.Hour}).Draw(t, "exact to"))
		v := at.Format(form)
		before, err := time.Parse(form, v)
		if err != nil || at.Year() < 1 || at.Year() > 9998 {
			t.Skip()
		}
		after, err := time.Parse(form, mask(v))
		if err != nil {
			t.Fatalf("%s becomes %s: %v", v, mask(v), err)
		}
		if d := after.Sub(before).Abs(); d == 0 || d > 10*24*time.Hour {
			t.Fatalf("%s becomes %s", v, mask(v))
		}
		isDay := func(t time.Time) bool { return t.Truncate(24 * time.Hour).Equal(t) }
		if isDay(before) != isDay(after) {
			t.Fatalf("%s becomes %s: midnight", v, mask(v))
		}
	})
	for _, v := range []string{"infinity", "-infinity"} {
		if got := mask(v); got != v {
			t.Errorf("%s becomes %s", v, got)
		}
	}
	for _, v := range []string{"0044-03-15 BC", "12345-01-01", "1764151200", "1764151200123", "0001-01-01"} {
		if got := mask(v); got == v || strings.HasSuffix(v, "BC") != strings.HasSuffix(got, "BC") && v != "0001-01-01" || len(v) != len(got) && v != "0001-01-01" {
			t.Errorf("%s becomes %s", v, got)
		}
	}
}

// TestNobodysAddresses: no masked address can be written to, dialled or opened.
func TestNobodysAddresses(t *testing.T) {
	for _, unique := range []bool{false, true} {
		email, phone, ip, url := maskerOf(t, 1, unique, "email"), maskerOf(t, 1, unique, "phone"), maskerOf(t, 1, unique, "ip"), maskerOf(t, 1, unique, "url")
		rapid.Check(t, func(t *rapid.T) {
			v := valuesFor("email").Filter(func(v string) bool { return isEmail([]byte(v)) }).Draw(t, "email")
			if out := email(v); !isReserved([]byte(out[strings.LastIndexByte(out, '@')+1:])) || !strings.EqualFold(out, email(strings.ToLower(v))) {
				t.Fatalf("%s becomes %s", v, out)
			}
			v = rapid.StringMatching(`(\+|0|\(0)[1-9][0-9]{2}[)/ -]?[0-9]{4,8}`).Draw(t, "phone")
			out := phone(v)
			digits := strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, out)
			if lead := map[bool]string{false: "000", true: "0"}[strings.HasPrefix(v, "+")]; !strings.HasPrefix(digits, lead) || !unique && countDigits([]byte(v)) != len(digits) {
				t.Fatalf("%s becomes %s", v, out)
			}
			v = rapid.StringMatching(`https?://([a-z]+:[a-z]+@)?[a-z]{2,8}\.(de|com)(:80)?(/[a-z%]{0,5})?`).Draw(t, "url")
			if out := url(v); !strings.Contains(out, ".example") {
				t.Fatalf("%s becomes %s", v, out)
			}
			if v := rapid.StringMatching(`(1[0-9]{2}\.){3}[1-9]`).Draw(t, "ip"); !unique && !strings.HasPrefix(ip(v), "10.") {
				t.Fatalf("%s becomes %s", v, ip(v))
			}
		})
	}
}

// TestCheckDigits: what was valid is valid, of the same country or beginning.
func TestCheckDigits(t *testing.T) {
	iban, card := maskerOf(t, 1, false, "iban"), maskerOf(t, 1, false, "card")
	for _, v := range []string{"DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "gb82 west 1234 5698 7654 32"} {
		if out := iban(v); !isIBAN([]byte(out)) || out == v || out[:2] != v[:2] || len(out) != len(v) {
			t.Errorf("%s becomes %s", v, out)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[3-6][0-9]{3}([ -]?[0-9]{4}){2}[ -]?[0-9]{3}`).Draw(t, "card")
		for check := range 10 {
			if number := fmt.Sprintf("%s%d", v, check); isCard([]byte(number)) {
				if out := card(number); !isCard([]byte(out)) || out == number || out[0] != v[0] || len(out) != len(number) {
					t.Fatalf("%s becomes %s", number, out)
				}
			}
		}
	})
}

// TestNothingIsTooLong: no use makes more of a value than its column takes.
func TestNothingIsTooLong(t *testing.T) {
	for _, use := range scalarUses() {
		if use == "bytes" {
			continue
		}
		rapid.Check(t, func(t *rapid.T) {
			col := Column{Name: "c", Type: "text", Kind: KindText, Unique: rapid.Bool().Draw(t, "unique"), Length: rapid.IntRange(1, 80).Draw(t, "length")}
			m, err := Compile(Rules{Tables: map[string]TableRules{"t": {Columns: map[string]Rule{"c": {Use: use}}}}}, testKey(1), Shape{Tables: []Table{{Name: "t", Columns: []Column{col}}}})
			if err != nil {
				return
			}
			table, _ := m.Table("t")
			v := valuesFor(use).Draw(t, "value")
			if utf8.RuneCountInString(v) > col.Length {
				v = string([]rune(v)[:col.Length])
			}
			if out := table.Value(nil, 0, []byte(v)); utf8.RuneCount(out) > col.Length {
				t.Fatalf("%s of %q is %q, which %d characters don't hold", use, v, out, col.Length)
			}
		})
	}
}

// TestNoRoom: what has no room for a reserved name is a hash, different for each.
func TestNoRoom(t *testing.T) {
	facts := map[string]family{"email": {limit: 24}, "url": {limit: 42}, "hash": {limit: 25}}
	w := newWorker(testKey(1), facts)
	for use, values := range map[string][]string{
		"email": {"anna.with.a.long.name@mail.de", "berta.with.a.long.name@mail.de"},
		"url":   {"https://mail.de/a/path/that/is/so/long/that", "https://mail.de/a/path/that/is/so/long/thar"},
		"hash":  {"one", "two", `\x00`, `\x01`},
	} {
		m, seen := w.masker(Rule{Use: use}), map[string]bool{}
		for _, v := range values {
			out := string(m.mask(nil, []byte(v)))
			if seen[out] || len(out) > facts[use].limit || use != "hash" && !strings.Contains(out, "x.example") {
				t.Errorf("%s of %s is %s", use, v, out)
			}
			seen[out] = true
		}
	}
}

// TestLongTexts: they are permuted in parts, and each part as a whole.
func TestLongTexts(t *testing.T) {
	mask := maskerOf(t, 1, false, "text")
	long := strings.Repeat("Zoë wrote this. ", 3*textPart/16)
	out := mask(long)
	if len([]rune(out)) != len([]rune(long)) || strings.Contains(out, "wrote") || strings.Count(out, " ") != strings.Count(long, " ") {
		t.Error("a long text has lost its shape")
	}
	last := mask(long[:len(long)-2] + "! ")
	if last[:textPart/2] != out[:textPart/2] {
		t.Error("the first part depends on the last")
	}
	bytes := maskerOf(t, 1, false, "bytes")
	one, two := bytes(`\x`+strings.Repeat("00", 1000)), bytes(`\x`+strings.Repeat("00", 999)+"01")
	if len(one) != 2002 || one[2:1002] == two[2:1002] || one[1002:] == two[1002:] {
		t.Error("bytes don't depend on all of them")
	}
}

// TestUsesAreDocumented: what a file's schema and the docs are made from.
func TestUsesAreDocumented(t *testing.T) {
	for _, u := range Uses {
		if u.Says == "" || u.Unique == "" {
			t.Errorf("%s says nothing", u.Name)
		}
		r := Rule{Use: u.Name}
		switch u.Name {
		case "constant":
			r.Value = "x"
		case "array":
			r.Of = &Rule{Use: "text"}
		}
		if err := r.sound(); err != nil {
			t.Errorf("%s: %v", u.Name, err)
		}
		if u.Unique == UniqueNever != (meets(r) != "") {
			t.Errorf("%s: values that differ are said to be %s", u.Name, u.Unique)
		}
	}
	for _, k := range []Kind{KindText, KindNumber, KindBoolean, KindTime, KindEnum, KindUUID, KindJSON, KindXML, KindBytes, KindArray, KindNetwork, KindOther} {
		if got := UsesFor(k); !slices.Contains(got, "keep") || !slices.Contains(got, "null") {
			t.Errorf("%s can have %v", k, got)
		}
	}
}
