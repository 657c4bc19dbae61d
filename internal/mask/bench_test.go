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

// shopRow is a customer as the shop of bench/data has them: a name, an address and so on are some of a few thousand words, some
// of them much more frequent than others.
func shopRow(n uint64) [][]byte {
	next := n
	draw := func(most uint64) uint64 {
		next += 0x9e3779b97f4a7c15
		z := (next ^ next>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return (z ^ z>>31) % most
	}
	word := func(most uint64) string {
		f := float64(draw(1<<20)) / (1 << 20)
		k := uint64(f * f * f * float64(most))
		w := fmt.Sprintf("%d", k*2654435761+most)
		for i, c := range "0123456789" {
			w = strings.ReplaceAll(w, string(c), string("aeioulmnrs"[i]))
		}
		return strings.ToUpper(w[:1]) + w[1:4+k%6]
	}
	row := [][]byte{
		[]byte(word(2000) + " " + word(40000)),
		fmt.Appendf(nil, "%08x.%d@%s.example.com", draw(1<<32), n, []string{"mail", "post", "web", "inbox"}[n%4]),
		fmt.Appendf(nil, "+49 30 %07d", n*7919%10000000),
		fmt.Appendf(nil, "%s Road %d, %d %s", word(5000), draw(300), 10000+draw(89999), word(3000)),
		[]byte(time.Date(1940, 1, 1+int(n*17%25000), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)),
		nil,
	}
	if n%3 == 0 {
		row[5] = fmt.Appendf(nil, "Please ring at the back door, order %06x came late twice", draw(1<<24))
	}
	return row
}

// BenchmarkRows masks rows as a snapshot does, with a sieve.
func BenchmarkRows(b *testing.B) {
	table := Table{Name: "customers"}
	rules := TableRules{Columns: map[string]Rule{}}
	for _, use := range []string{"name", "email", "phone", "address", "date", "text"} {
		kind := KindText
		if use == "date" {
			kind = KindTime
		}
		table.Columns = append(table.Columns, Column{Name: use, Type: string(kind), Kind: kind})
		rules.Columns[use] = Rule{Use: use}
	}
	m, err := Compile(Rules{Tables: map[string]TableRules{"customers": rules}}, testKey(1), Shape{Tables: []Table{table}})
	if err != nil {
		b.Fatal(err)
	}
	rows := make([][][]byte, 1<<17)
	for i := range rows {
		rows[i] = shopRow(uint64(i))
	}
	for _, watched := range []bool{false, true} {
		name := map[bool]string{false: "masked", true: "masked and watched"}[watched]
		b.Run(name, func(b *testing.B) {
			t, _ := m.Table("customers")
			if watched {
				t.Watch(NewSieve(Canaries, nil))
			}
			var dst []byte
			i := 0
			b.ReportAllocs()
			begin := spent()
			for b.Loop() {
				for column, value := range rows[i%len(rows)] {
					if value != nil {
						dst = t.Value(dst[:0], column, value)
					}
				}
				i++
			}
			b.ReportMetric(float64((spent()-begin).Nanoseconds())/float64(b.N), "ns/row/core")
		})
	}
}
