package mask

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestJSONPaths: what a path names, and what none names.
func TestJSONPaths(t *testing.T) {
	r, err := RuleOf("json", map[string]any{
		"$.a": "email", "$.items[*].note": "keep", "$.p": "null", "$.c": "constant 5", "$.flag": "constant false",
		"$.keep": "keep", "$.keep.not": "text", "$.*.id": "keep", `$["x.y"]`: "keep", "$.n": map[string]any{"number": "7..7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mask := ruleMasker(1, false, r)
	text := maskerOf(t, 1, false, "text")
	email := maskerOf(t, 1, false, "email")
	for _, c := range []struct{ name, in, want string }{
		{"a path's rule", `{"a": "x@y.de"}`, `{"a": "` + email("x@y.de") + `"}`},
		{"elements", `{"items":[{"note":"hello","other":"hello"}, {"note":null}]}`, `{"items":[{"note":"hello","other":"` + text("hello") + `"}, {"note":null}]}`},
		{"null takes the place of all below", `{"p":{"q":[1,2]}}`, `{"p":null}`},
		{"null stays null", `{"c":null}`, `{"c":null}`},
		{"a constant of the same type", `{"c":7,"flag":true}`, `{"c":5,"flag":false}`},
		{"a constant for a string", `{"c":"x"}`, `{"c":"5"}`},
		{"what lies below, and the longer path", `{"keep":{"x":["y",3],"not":"abc"}}`, `{"keep":{"x":["y",3],"not":"` + text("abc") + `"}}`},
		{"any member", `{"foo":{"id":"stay","is":"abc"}}`, `{"foo":{"id":"stay","is":"` + text("abc") + `"}}`},
		{"a name with a point", `{"x.y":"stay"}`, `{"x.y":"stay"}`},
		{"a range", `{"n":3}`, `{"n":7}`},
		{"true, false, null and zero stay", `[true,false,null,0]`, `[true,false,null,0]`},
		{"an address as a name of a member", `{"Anna@mail.de":true}`, `{"` + email("Anna@mail.de") + `":true}`},
		{"an escaped string", `{"a":"x\u0040y.de"}`, `{"a":"` + email("x@y.de") + `"}`},
		{"a string as any", `"abc"`, `"` + text("abc") + `"`},
		{"no JSON", `{"a":`, text(`{"a":`)},
	} {
		if got := mask(c.in); got != c.want {
			t.Errorf("%s: %s becomes %s, not %s", c.name, c.in, got, c.want)
		}
	}
}

func anyJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.OneOf(rapid.String(), valuesFor("email"), valuesFor("url"), valuesFor("date"), valuesFor("number")).Draw(t, "string")
		case 1:
			return rapid.Float64Range(-1e15, 1e15).Draw(t, "number")
		case 2:
			return rapid.Bool().Draw(t, "bool")
		case 3:
			return nil
		case 4:
			return rapid.IntRange(-1000, 1000).Draw(t, "int")
		case 5:
			return rapid.SliceOfN(anyJSON(depth-1), 0, 4).Draw(t, "array")
		}
		return rapid.MapOfN(rapid.OneOf(rapid.StringMatching(`[a-z]{1,5}`), rapid.String(), valuesFor("email")), anyJSON(depth-1), 0, 4).Draw(t, "object")
	})
}

// TestJSONStaysJSON: valid, with the same structure, and no string of letters as it was.
func TestJSONStaysJSON(t *testing.T) {
	mask := maskerOf(t, 2, false, "json")
	rapid.Check(t, func(t *rapid.T) {
		in, err := json.Marshal(anyJSON(3).Draw(t, "json"))
		if err != nil {
			t.Skip("not to be written")
		}
		sameStructure(t, in, []byte(mask(string(in))))
	})
}

type failer interface{ Fatalf(string, ...any) }

func sameStructure(t failer, in, out []byte) {
	if !json.Valid(out) {
		t.Fatalf("%s becomes %s, which is no JSON", in, out)
	}
	a, b := json.NewDecoder(strings.NewReader(string(in))), json.NewDecoder(strings.NewReader(string(out)))
	a.UseNumber()
	b.UseNumber()
	for {
		x, errX := a.Token()
		y, errY := b.Token()
		if errX != nil || errY != nil {
			if !errors.Is(errX, io.EOF) || !errors.Is(errY, io.EOF) {
				t.Fatalf("%s becomes %s: %v, %v", in, out, errX, errY)
			}
			return
		}
		if typeOf(x) != typeOf(y) {
			t.Fatalf("%s becomes %s: %v for %v", in, out, y, x)
		}
	}
}

func typeOf(token json.Token) any {
	switch token.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	}
	return token
}

// TestDeepJSON: what is deeper than a database takes it is masked as a text, whatever its size.
func TestDeepJSON(t *testing.T) {
	mask := maskerOf(t, 2, false, "json")
	for _, deep := range []int{100, jsonDeep - 1, 1_000_000} {
		in := strings.Repeat("[", deep) + `"Anna"` + strings.Repeat("]", deep)
		out := mask(in)
		if len(out) != len(in) || strings.Contains(out, "Anna") || out[:deep] != in[:deep] {
			t.Errorf("%d deep it has lost its shape", deep)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",{"b@c.de":null}]}`, `"\ud83d\ude00\u0041"`, `[1e5,-0.5,0,10.00]`, `{"a":"b"`, `[[[[]]]]`, "\"\xff\""} {
		f.Add(s)
	}
	mask := maskerOf(f, 3, false, "json")
	f.Fuzz(func(t *testing.T, in string) {
		if in == "" {
			return
		}
		out := mask(in)
		if json.Valid([]byte(in)) {
			sameStructure(t, []byte(in), []byte(out))
		}
	})
}

// TestXML: texts and values are masked, names, references and namespaces stay.
func TestXML(t *testing.T) {
	mask := maskerOf(t, 1, false, "xml")
	in := `<?xml version="1.0"?><a b="Anna" xmlns:x="http://x.y"> <!-- Anna --><c>Anna &amp; Bo</c><d/><![CDATA[x<y Anna]]>&#65;nna</a>`
	out := mask(in)
	if strings.Contains(out, "Anna") || strings.Contains(out, "nna<") {
		t.Errorf("the name is still in %s", out)
	}
	for _, stays := range []string{`<?xml version="1.0"?><a b="`, `xmlns:x="http://x.y"> <!-- `, ` --><c>`, " &amp; ", `</c><d/><![CDATA[`, `]]>`} {
		if !strings.Contains(out, stays) {
			t.Errorf("%q is not in %s", stays, out)
		}
	}
}

// elements are the names of a document's elements and attributes; nil for one that is not well-formed.
func elements(doc string) (names []string, ok bool) {
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, true
		}
		if err != nil {
			return nil, false
		}
		if s, is := token.(xml.StartElement); is {
			names = append(names, s.Name.Local)
			for _, a := range s.Attr {
				names = append(names, a.Name.Local)
			}
		}
	}
}

func FuzzXML(f *testing.F) {
	for _, s := range []string{`<a b="c">d &amp; &#65;<!-- e --></a>`, `<?xml version="1.0"?><a><![CDATA[x]]></a>`, `<!DOCTYPE a [<!ENTITY b "c">]><a/>`, `<a`, `<a b='"'/>`, `a]]>b`} {
		f.Add(s)
	}
	mask := maskerOf(f, 3, false, "xml")
	f.Fuzz(func(t *testing.T, in string) {
		if in == "" {
			return
		}
		out := mask(in)
		before, ok := elements(in)
		if !ok || strings.Contains(in, "<!") {
			return
		}
		after, ok := elements(out)
		if !ok || strings.Join(before, " ") != strings.Join(after, " ") {
			t.Fatalf("%q becomes %q", in, out)
		}
	})
}

// readArray reads an array as PostgreSQL does: its elements one behind the other, braces as themselves.
func readArray(text string) (elements []string, ok bool) {
	if i := strings.IndexByte(text, '='); strings.HasPrefix(text, "[") && i > 0 {
		text = text[i+1:]
	}
	depth, full := 0, false
	for i := 0; i < len(text); i++ {
		if c := text[i]; full && c != '}' && c != ',' {
			return nil, false
		}
		full = text[i] != '{' && text[i] != ','
		switch c := text[i]; c {
		case '{', '}', ',':
			depth += nesting(c)
			elements = append(elements, text[i:i+1])
			if depth == 0 {
				return elements, i == len(text)-1
			}
		case '"':
			element := ""
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
				if i < len(text) {
					element += text[i : i+1]
				}
			}
			if i >= len(text) || depth == 0 {
				return nil, false
			}
			elements = append(elements, "="+element)
		default:
			n := strings.IndexAny(text[i:], `{},"\`)
			if n <= 0 || depth == 0 || text[i+n] == '\\' {
				return nil, false
			}
			element := text[i : i+n]
			if strings.EqualFold(element, "NULL") {
				element = "null"
			} else {
				element = "=" + element
			}
			elements = append(elements, element)
			i += n - 1
		}
	}
	return nil, false
}

func sameArray(t failer, in, out string, of func(string) string) {
	before, ok := readArray(in)
	if !ok {
		return
	}
	after, ok := readArray(out)
	if !ok || len(before) != len(after) {
		t.Fatalf("%q becomes %q: another shape", in, out)
	}
	for i, element := range before {
		want := element
		if text, is := strings.CutPrefix(element, "="); is && text != "" {
			want = "=" + of(text)
		}
		if after[i] != want {
			t.Fatalf("%q becomes %q: element %d is %q, not %q", in, out, i, after[i], want)
		}
	}
}

func TestArray(t *testing.T) {
	mask, of := maskerOf(t, 1, false, "array text"), maskerOf(t, 1, false, "text")
	for _, in := range []string{`{a,"b c",NULL,{d,""}}`, `[0:1]={x,y}`, `{}`, `{"NULL","a\"b\\"}`, `{{1,2},{3,null}}`, `{ä,"x,y","{"}`} {
		sameArray(t, in, mask(in), of)
		if _, ok := readArray(in); !ok {
			t.Errorf("%s is an array", in)
		}
	}
	if got := ruleMasker(1, false, Rule{Use: "array", Of: &Rule{Use: "null"}})(`{a,"b"}`); got != "{NULL,NULL}" {
		t.Errorf("elements of null are %s", got)
	}
}

func FuzzArray(f *testing.F) {
	for _, s := range []string{`{a,"b c",NULL,{d,""}}`, `[0:1]={x,y}`, `{`, `{"a\`, `{a}b`, `{,}`, `{"a"b}`} {
		f.Add(s)
	}
	mask, of := maskerOf(f, 1, false, "array text"), maskerOf(f, 1, false, "text")
	f.Fuzz(func(t *testing.T, in string) {
		if in != "" {
			sameArray(t, in, mask(in), of)
		}
	})
}
