package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestRedactor(t *testing.T) {
	const password = "p@ss/w\"o rd<1>"
	basic := base64.StdEncoding.EncodeToString([]byte("shop:" + password))
	quoted, err := json.Marshal(map[string]string{"password": password})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, in, want string }{
		{"as it is", "login with " + password + ".", "login with ***."},
		{"twice", password + " " + password, "*** ***"},
		{"back to back", "<" + password + password + ">", "<***>"},
		{"in a query", "?p=" + url.QueryEscape(password) + "&x=1", "?p=***&x=1"},
		{"in a path", "/" + url.PathEscape(password) + "/x", "/***/x"},
		{"in a URL", (&url.URL{Scheme: "postgres", User: url.UserPassword("shop", password), Host: "db"}).String(), "postgres://shop:***@db"},
		{"with escapes in small letters", "%2f p%40ss%2fw%22o+rd%3c1%3e", "%2f ***"},
		{"in JSON", string(quoted), `{"password":"***"}`},
		{"a line of a key", "2026 second line 12345 end", "2026 *** end"},
		{"short values stay", "abc", "abc"},
		{"nothing", "nothing to see here, p@ss/w", "nothing to see here, p@ss/w"},
	}
	r := New(password, "abc", "first line 12345\nsecond line 12345\n")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := r.String(c.in); got != c.want {
				t.Errorf("%q became %q, want %q", c.in, got, c.want)
			}
		})
	}
	t.Run("in basic authentication", func(t *testing.T) {
		got := r.String("Authorization: Basic " + basic)
		// The characters that it shares with its neighbours are all that may stay.
		if len(got) > len("Authorization: Basic ")+len(basic)/2 || !strings.Contains(got, "***") {
			t.Error(got)
		}
	})
}

func TestRedactorWithoutValues(t *testing.T) {
	if got := New().String("as it is"); got != "as it is" {
		t.Error(got)
	}
}

// TestReader reads in pieces of every size what comes byte by byte.
func TestReader(t *testing.T) {
	r := New("hunter22", "postgres://shop:s3cret-word@db.example.com/shop")
	const in, want = "hunt hunter22 at s3cret-word, hunter2", "hunt *** at ***, hunter2"
	for size := 1; size < 2*len(in); size++ {
		got, err := io.ReadAll(&piecemeal{r.Reader(iotest.OneByteReader(strings.NewReader(in))), size})
		if err != nil || string(got) != want {
			t.Fatalf("%d bytes at a time: %q, %v", size, got, err)
		}
	}
}

// piecemeal reads at most so many bytes at once.
type piecemeal struct {
	io.Reader
	size int
}

func (p *piecemeal) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(p.size, len(b))]) }

func TestMaskHoldsNothingOfAValue(t *testing.T) {
	r := New("***", "****", "#~%.-_=+")
	if got := r.String("a****b"); strings.Contains(got, "*") || !strings.HasPrefix(got, "a") {
		t.Error(got)
	}
}

func TestWriterHandsOnWhatIsClear(t *testing.T) {
	var out bytes.Buffer
	w := New("hunter22").Writer(&out)
	for _, step := range []struct{ in, want string }{
		{"line\n", "line\n"},
		{"the password is hun", "line\nthe password is "},
		{"ter22\n", "line\nthe password is ***\n"},
		{"hunter2", "line\nthe password is ***\n"},
	} {
		if _, err := io.WriteString(w, step.in); err != nil || out.String() != step.want {
			t.Errorf("after %q: %q, %v; want %q", step.in, &out, err, step.want)
		}
	}
	if err := w.Close(); err != nil || !strings.HasSuffix(out.String(), "\nhunter2") {
		t.Errorf("after Close: %q, %v", &out, err)
	}
}

func TestWriterTellsOfErrors(t *testing.T) {
	full := errors.New("full")
	w := New("hunter22").Writer(failing{full})
	if _, err := io.WriteString(w, "text"); !errors.Is(err, full) {
		t.Error(err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestRedactorAgainstTheSlowWay compares any stream, in any pieces, with the definition done byte by byte: what a form
// covers is masked, all else is as it was.
func TestRedactorAgainstTheSlowWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab*\n/é")), 0, 12, -1), 0, 4).Draw(t, "values")
		r := New(values...)
		pieces := rapid.SliceOf(rapid.OneOf(
			rapid.StringOf(rapid.SampledFrom([]rune("ab*\n/é"))),
			rapid.SampledFrom(append(allForms(values), "x")),
		)).Draw(t, "input")
		input := strings.Join(pieces, "")

		var out bytes.Buffer
		w := r.Writer(&out)
		for rest := input; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := slowly(r, allForms(values), input); out.String() != want {
			t.Fatalf("%q became %q, want %q", input, &out, want)
		}
		for _, v := range values {
			if len(v) >= MinLength && strings.Contains(out.String(), v) {
				t.Fatalf("%q is in %q", v, &out)
			}
		}
	})
}

func allForms(values []string) (all []string) {
	for _, v := range values {
		if len(v) >= MinLength {
			all = append(all, formsOf(v)...)
		}
	}
	return all
}

func slowly(r *Redactor, forms []string, input string) string {
	hidden := make([]bool, len(input))
	for i := range len(input) {
		for _, f := range forms {
			if strings.HasPrefix(input[i:], f) {
				for k := range len(f) {
					hidden[i+k] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(input) {
		switch {
		case !hidden[i]:
			b.WriteByte(input[i])
		case i == 0 || !hidden[i-1]:
			b.Write(r.mask)
		}
	}
	return b.String()
}

// TestBase64Everywhere puts a value at any place of a longer text: of its base64 at most the ends may be seen.
func TestBase64Everywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 12, 40).Draw(t, "value")
		text := append(rapid.SliceOf(rapid.Byte()).Draw(t, "before"), value...)
		text = append(text, rapid.SliceOf(rapid.Byte()).Draw(t, "behind")...)
		encoded := base64.StdEncoding.EncodeToString(text)
		r := New(string(value))
		got := r.String(encoded)
		if hidden := len(encoded) - len(strings.ReplaceAll(got, string(r.mask), "")); hidden < len(value)*8/6-2 {
			t.Fatalf("only %d of %d characters of %s are hidden: %s", hidden, len(encoded), encoded, got)
		}
	})
}

func FuzzRedactor(f *testing.F) {
	f.Add("password", "the password is password", uint8(5))
	f.Fuzz(func(t *testing.T, value, input string, chunk uint8) {
		r := New(value)
		var out bytes.Buffer
		w := r.Writer(&out)
		for rest := input; rest != ""; {
			n := min(len(rest), int(chunk)+1)
			_, _ = io.WriteString(w, rest[:n])
			rest = rest[n:]
		}
		_ = w.Close()
		if len(value) >= MinLength && strings.Contains(out.String(), value) {
			t.Errorf("%q is in %q", value, &out)
		}
		if len(value) < MinLength && out.String() != input {
			t.Errorf("%q became %q", input, &out)
		}
	})
}

func BenchmarkRedactor(b *testing.B) {
	var values []string
	for i := range 20 {
		values = append(values, fmt.Sprintf("s3cret-%d-%x", i, i*7919*104729))
	}
	line := `{"time":"2026-03-01T12:00:00Z","level":"info","msg":"GET /cart 200","duration":"3.1ms","customer":4711}` + "\n"
	chunk := []byte(strings.Repeat(line, 300) + values[3] + "\n")
	w := New(values...).Writer(io.Discard)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}
