package mask

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestImmenseValues: what a mask takes beside a value, all in all, is less than three more of it, and some megabytes.
func TestImmenseValues(t *testing.T) {
	const (
		size  = 2 << 20
		fixed = 8 << 20
	)
	fill := func(before, again, after string) []byte {
		return []byte(before + strings.Repeat(again, (size-len(before)-len(after))/len(again)) + after)
	}
	for _, c := range []struct {
		rule  string
		kind  Kind
		value []byte
	}{
		{"text", KindText, fill("", "Hello you, for the 12th time. ", "")},
		{"text", KindText, fill("", "Zoë wrote 5 医者. ", "")},
		{"text", KindText, fill("", "7", "")},
		{"name", KindText, fill("", "Zoë Miller ", "")},
		{"address", KindText, fill("", "Long Street 5, 10115 Town; ", "")},
		{"username", KindText, fill("", "abc", "")},
		{"email", KindText, fill("", "somebody.else@mail.example.org, ", "")},
		{"token", KindText, fill("", "0f", "")},
		{"url", KindText, fill("https://example.com/", "abc/", "")},
		{"json", KindJSON, fill(`{"a": "`, `Hello you. `, `"}`)},
		{"json", KindJSON, fill(`{"a": "`, `Hello\nyou. `, `"}`)},
		{"json", KindJSON, fill(`[1`, `, "hello"`, `]`)},
		{"xml", KindXML, fill(`<a>`, `<b>hello</b>`, `</a>`)},
		{"bytes", KindBytes, fill(`\x`, `0f`, ``)},
		{"array text", KindArray, fill(`{a`, `,"hello you"`, `}`)},
		{"array text", KindArray, fill(`{"`, `hello you `, `"}`)},
	} {
		t.Run(fmt.Sprintf("%s of %.12s", c.rule, c.value), func(t *testing.T) {
			r, err := ParseRule(c.rule)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Compile(Rules{Tables: map[string]TableRules{"t": {Columns: map[string]Rule{"c": r}}}}, testKey(1),
				Shape{Tables: []Table{{Name: "t", Columns: []Column{{Name: "c", Type: string(c.kind), Kind: c.kind}}}}})
			if err != nil {
				t.Fatal(err)
			}
			masks, _ := m.Table("t")
			dst := make([]byte, 0, size+size/8)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			out := masks.Value(dst, 0, c.value)
			runtime.ReadMemStats(&after)
			if bytes.Equal(out, c.value) {
				t.Error("it came out as it went in")
			}
			took := after.TotalAlloc - before.TotalAlloc
			t.Logf("%.1f MB for %d MB", float64(took)/(1<<20), size>>20)
			if took > 3*size+fixed {
				t.Errorf("it took %d MB to mask %d MB", took>>20, size>>20)
			}
		})
	}
}
