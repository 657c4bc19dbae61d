package mask

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
)

// TestMasksStay pins what masks make of values: people have got to know them, and tests of theirs may name them. Where one is to
// change after all, the number in newKeyed does too, and the changelog says so.
func TestMasksStay(t *testing.T) {
	sum := sha256.New()
	for _, unique := range []bool{false, true} {
		facts := map[string]family{}
		for _, u := range Uses {
			facts[familyOf(u.Name)] = family{unique: unique}
		}
		w := newWorker(testKey(1), facts)
		for _, u := range Uses {
			r := Rule{Use: u.Name}
			switch u.Name {
			case "keep", "null", "constant":
				continue
			case "array":
				r.Of = &Rule{Use: "text"}
			}
			m := w.masker(r)
			for column, values := range pinned(u.Name) {
				for _, v := range values {
					if len(v) == 0 || u.Name == "bytes" && !bytes.HasPrefix(v, []byte(`\x`)) {
						continue
					}
					_, _ = fmt.Fprintf(sum, "%s %d %q\n", u.Name, column, m.mask(nil, v))
				}
			}
		}
	}
	if got, want := fmt.Sprintf("%x", sum.Sum(nil)), "0e296f9a58735b6c985de77c6744d23d807fe2c45c7ff990cf574e8a80334a68"; got != want {
		t.Errorf("what masks make of values is other than it was: %s", got)
	}
}

// pinned are values of a use, and values that anybody may have put into a column of it.
func pinned(use string) [][][]byte {
	all := [][][]byte{benchValues(use)[:200]}
	for n := range uint64(300) {
		all = append(all, shopRow(n*n))
	}
	long := bytes.Repeat([]byte("Long tales, of Ärzte and 医者 in 2026. "), 1800)
	for _, v := range []string{"1899-12-31 23:59:59.5+02", "2026-02-28T00:00:00Z", "0001-01-01 BC", "10:30", "1764150000", "Zoë", "О'Брайен", "a", "7", "\xff\xfe",
		"Straße 5", "x@y", "a@b.c, d@e.f", "+1", "0049 (30) 12-34", "00", string(long), string(long[3:])} {
		all[0] = append(all[0], []byte(v))
	}
	return all
}
