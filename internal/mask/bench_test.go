package mask

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spent is the processor's time that this process has had: what a machine with other work to do can be measured by.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchValues are values of a use as production has them.
func benchValues(use string) [][]byte {
	form := map[string]string{
		"email": "anna.example%d@mail%[2]d.example.org", "phone": "+49 170 55%06d", "number": "%d.50", "date": "2026-11-%02[2]d 10:%02[2]d:07.123456",
		"uuid": "018f3a5c-1d2e-4f60-8a7b-%012x", "token": "tok_%032x", "ip": "203.0.113.%[2]d", "url": "https://shop%[2]d.example.com/item/%[1]d?q=a",
		"iban": "DE89370400440532013000", "card": "4111 1111 1111 1111", "bytes": `\x%064x`, "text": "Please call before noon, order %d is for the neighbour",
		"address": "Long Street %d, 10%03[2]d Town", "postcode": "1%04[2]d", "company": "Tools %d and Sons", "username": "user%d",
		"xml":  `<order id="%d"><note lang="en">Please ring twice</note></order>`,
		"json": `{"email": "anna%d@mail.example.org", "tags": ["red", "blue"], "address": {"street": "Long Street 5", "zip": "10115"}, "age": 37, "ok": true}`,
	}[use]
	if form == "" {
		form = "Anna%[2]c Lastname%[2]c"
	}
	values := make([][]byte, 1000)
	for i := range values {
		small := i%28 + 1
		if strings.Contains(form, "%[2]c") {
			small += 'a'
		}
		text := fmt.Sprintf(form, i*7919, small)
		text, _, _ = strings.Cut(text, "%!(EXTRA")
		values[i] = []byte(text)
	}
	return values
}

func BenchmarkUses(b *testing.B) {
	for _, u := range Uses {
		r := Rule{Use: u.Name}
		switch u.Name {
		case "keep", "null", "constant":
			continue
		case "array":
			r.Of = &Rule{Use: "text"}
		}
		for _, unique := range []bool{false, true} {
			if unique && u.Unique != UniqueOnDemand {
				continue
			}
			name := u.Name
			if unique {
				name += "/unique"
			}
			b.Run(name, func(b *testing.B) {
				m := newWorker(testKey(1), map[string]family{familyOf(u.Name): {unique: unique}}).masker(r)
				values := benchValues(u.Name)
				if u.Name == "array" {
					for i := range values {
						values[i] = fmt.Appendf(nil, `{red,"%s",NULL}`, values[i])
					}
				}
				var dst []byte
				bytes := 0
				b.ReportAllocs()
				i := 0
				begin := spent()
				for b.Loop() {
					v := values[i%len(values)]
					i++
					bytes += len(v)
					dst = m.mask(dst[:0], v)
				}
				b.ReportMetric(float64(b.N)/(spent()-begin).Seconds(), "values/s/core")
				b.SetBytes(int64(bytes / b.N))
			})
		}
	}
}
