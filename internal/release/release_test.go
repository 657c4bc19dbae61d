package release

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"greenroom/internal/app"
)

func shop() Release {
	return Release{
		Format: Format,
		App:    "shop",
		Contents: app.Contents{
			Services: []app.Service{{Name: "web", Kind: app.KindProcess, Command: []string{"bin/shop"}, Env: map[string]string{"B": "2", "A": "<1>"},
				Port: 80, Public: true, Replicas: 10, Health: app.Health{HTTP: "/up", Interval: time.Second}, Order: app.StartFirst}},
			Checks: []app.Check{{Name: "unit", Run: "go test ./... && echo", AtBuild: true, DependsOn: []string{}}},
		},
		Files: map[string]Artifact{"service/web": {Digest: Of([]byte("web")), Size: 3}, "checks": {Digest: Of(nil)}},
	}
}

func TestDigest(t *testing.T) {
	d := Of([]byte("abc"))
	if want := Digest("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); d != want {
		t.Errorf("got %s", d)
	}
	if d.Short() != "ba7816bf8f01" || !d.Valid() {
		t.Errorf("short %s, valid %v", d.Short(), d.Valid())
	}
	for _, bad := range []Digest{"", "sha256:", d[:70], d + "0", "sha512:" + d[7:], Digest(strings.ToUpper(string(d))), d[7:], "sha256:" + d[8:] + "g"} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
		_ = bad.Short() // whatever it is, it can be shown
	}
}

func TestParse(t *testing.T) {
	r := shop()
	back, err := Parse(r.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if back.Digest() != r.Digest() {
		t.Error("another digest")
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(shop().Bytes())
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(good), "", " "); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, document, want string }{
		{"nothing", "", "EOF"},
		{"not JSON", "release", "invalid character"},
		{"another format", strings.Replace(good, `"format":1`, `"format":2`, 1), "has format 2, this Greenroom reads 1"},
		{"an unknown key", strings.Replace(good, `"app":`, `"apq":1,"app":`, 1), `unknown field "apq"`},
		{"a key twice", strings.Replace(good, `"app":`, `"app":"blog","app":`, 1), "canonical"},
		{"a key in capitals", strings.Replace(good, `"app":`, `"App":`, 1), "canonical"},
		{"trailing data", good + "{}", "canonical"},
		{"a line's end", good + "\n", "canonical"},
		{"indented", indented.String(), "canonical"},
		{"written otherwise", strings.Replace(good, `\u003c`, "<", 1), "canonical"},
		{"cut off", good[:len(good)-1], "EOF"},
		{"a container of nothing", strings.Replace(good, `"kind":"process"`, `"kind":"container"`, 1), "the service web is a container of nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.document == good {
				t.Fatal("the case changes nothing")
			}
			if _, err := Parse([]byte(c.document)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What is parsed is what was written, to the byte, or it is refused.
func TestParseNeverChangesADocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(shop().Bytes())
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		if r, err := Parse(b); err == nil && (!bytes.Equal(r.Bytes(), b) || r.Digest() != Of(b)) {
			t.Fatalf("%q was parsed as something else", b)
		}
	})
}

func TestIdentityIsOverEverything(t *testing.T) {
	base := shop().Digest()
	for name, change := range map[string]func(r *Release){
		"app":        func(r *Release) { r.App = "blog" },
		"variable":   func(r *Release) { r.Contents.Services[0].Env["A"] = "2" },
		"replicas":   func(r *Release) { r.Contents.Services[0].Replicas++ },
		"check":      func(r *Release) { r.Contents.Checks[0].Run += " " },
		"migrations": func(r *Release) { r.Contents.Migrations = &app.Migrations{Run: "migrate"} },
		"files":      func(r *Release) { r.Files["checks"] = Artifact{Digest: Of([]byte("y")), Size: 1} },
	} {
		r := shop()
		change(&r)
		if r.Digest() == base {
			t.Errorf("%s is not part of the identity", name)
		}
	}
	built := shop()
	built.Contents.Services[0].Build = &app.Build{Context: ".", Run: "make"}
	if built.Digest() != base {
		t.Error("how it was built is part of the identity")
	}
}

// TestReleasesStay: a release without anything that came later has the digest that it had.
func TestReleasesStay(t *testing.T) {
	if got, want := shop().Digest(), Digest("sha256:25546891b0d8c6887e8857e2d129001ffb089d36390d8c8ff372dcc7ce863780"); got != want {
		t.Errorf("%s, was %s", got, want)
	}
}

func TestChanged(t *testing.T) {
	was := Baseline{PartRelease: "a", PartSchema: "s", PartSizes: "1"}
	is := Baseline{PartRelease: "b", PartSchema: "s", PartSecrets: "k"}
	for _, c := range []struct {
		parts []Part
		want  []Part
	}{
		{nil, nil},
		{[]Part{PartSchema}, nil},
		{[]Part{PartSizes, PartSchema, PartRelease}, []Part{PartRelease, PartSizes}},
		{Parts, []Part{PartRelease, PartSecrets, PartSizes}},
	} {
		if got := was.Changed(is, c.parts); !slices.Equal(got, c.want) {
			t.Errorf("Changed(%v) = %v, want %v", c.parts, got, c.want)
		}
	}
	var empty Baseline
	if got := empty.Changed(is, []Part{PartRelease}); len(got) != 1 {
		t.Errorf("an empty production that is not empty any more: %v", got)
	}
}
