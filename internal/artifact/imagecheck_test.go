package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/problem"
	"greenroom/internal/release"
)

// packed is an archive of these files, by name; a content that begins with "->" makes a symlink.
func packed(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var headers []tar.Header
	for _, file := range slices.Sorted(maps.Keys(files)) {
		h := tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Uname: files[file]}
		if target, ok := strings.CutPrefix(files[file], "->"); ok {
			h = tar.Header{Name: file, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}
		}
		headers = append(headers, h)
	}
	return archive(t, headers...)
}

func digestOfText(text string) string { return string(release.Of([]byte(text))) }

// changed are files with some of them changed; one that is "" is left out.
func changed(files map[string]string, pairs ...string) map[string]string {
	files = maps.Clone(files)
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(files, pairs[i])
		}
	}
	return files
}

// TestCheckImage: what a build packs is taken for the image that it is, and for no other; and nothing is that would change what a
// name stands for where it is loaded.
func TestCheckImage(t *testing.T) {
	const list, index = `[{"Config":"a.json","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar"]}]`, `{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:00","size":1}]}`
	named := func(key string) string {
		return strings.Replace(index, `"size":1`, `"size":1,"annotations":{"`+key+`":"postgres:16"}`, 1)
	}
	config := fmt.Sprintf(`{"rootfs":{"type":"layers","diff_ids":[%q,%[1]q]}}`, digestOfText("layer"))
	image := map[string]string{"a.json": config, "manifest.json": list, "one/layer.tar": "layer", "two/layer.tar": "->../one/layer.tar"}
	with := func(pairs ...string) map[string]string { return changed(image, pairs...) }
	id := digestOfText(config)

	// As containerd's store has it: the id is a manifest's or an index's, and layers are named as they travel.
	man := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q},"layers":[{"digest":%q}]}`, id, digestOfText("zipped"))
	many := fmt.Sprintf(`{"manifests":[{"digest":%q},{"digest":%q}]}`, digestOfText("another machine's"), digestOfText(man))
	blob := func(text string) string { return "blobs/sha256/" + digestOfText(text)[7:] }
	contained := map[string]string{
		blob(config): config, blob("zipped"): "zipped", blob(man): man, blob(many): many,
		"manifest.json": fmt.Sprintf(`[{"Config":%q,"Layers":[%q]}]`, blob(config), blob("zipped")),
	}
	for name, c := range map[string]struct {
		id    string
		files map[string]string
		want  string
	}{
		"one without a name":            {id, image, ""},
		"with an index":                 {id, with("index.json", index), ""},
		"by its manifest":               {digestOfText(man), contained, ""},
		"by an index":                   {digestOfText(many), contained, ""},
		"another image":                 {digestOfText("x"), image, "it is not the image " + digestOfText("x") + ", but " + id},
		"no id":                         {"postgres", image, "it is not the image postgres"},
		"a config that was changed":     {id, with("a.json", config+" "), "it is not the image " + id},
		"no config":                     {id, with("a.json", ""), "it is not the image " + id + ", but none"},
		"a layer that was changed":      {id, with("one/layer.tar", "Layer"), "layers are not those"},
		"a layer that is missing":       {id, with("one/layer.tar", ""), "layers are not those"},
		"a layer in a circle":           {id, with("one/layer.tar", "->../two/layer.tar"), "layers are not those"},
		"a layer too few":               {id, with("manifest.json", strings.Replace(list, `,"two/layer.tar"`, "", 1)), "layers are not those"},
		"a manifest that was changed":   {digestOfText(man), changed(contained, blob(man), man+" "), "it is not the image"},
		"a manifest of another config":  {digestOfText(man), changed(contained, "manifest.json", `[{"Config":"manifest.json"}]`), "it is not the image"},
		"another layer of a manifest's": {digestOfText(man), changed(contained, blob("zipped"), "other"), "layers are not those"},
		"a name":                        {id, with("manifest.json", strings.Replace(list, "null", `["postgres:16"]`, 1)), `called "postgres:16"`},
		"a key in small letters":        {id, with("manifest.json", strings.Replace(list, `"RepoTags":null`, `"repotags":["postgres:16"]`, 1)), `called "postgres:16"`},
		"two images":                    {id, with("manifest.json", "["+list[1:len(list)-1]+","+list[1:]), "holds 2 images"},
		"no image":                      {id, with("manifest.json", "[]"), "holds 0 images"},
		"no list":                       {id, map[string]string{"index.json": index}, "no list of images"},
		"a list that is none":           {id, with("manifest.json", list+"x"), "list of images"},
		"names in an old form":          {id, with("repositories", `{"postgres":{"16":"a"}}`), "gives images names"},
		"a name in an index":            {id, with("index.json", named("io.containerd.image.name")), `called "postgres:16"`},
		"a reference in an index":       {id, with("index.json", named("org.opencontainers.image.ref.name")), `called "postgres:16"`},
		"an index that is none":         {id, with("index.json", "]"), "its index"},
		"a list that is a link":         {id, with("manifest.json", "->a.json", "a.json", list), "no list of images"},
		"a list under another's name":   {id, map[string]string{"a.json": list}, "no list of images"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckImage(bytes.NewReader(packed(t, c.files)), c.id)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	again := archive(t, tar.Header{Name: "x/../manifest.json", Typeflag: tar.TypeReg, Mode: 0o644, Uname: list})
	if err := CheckImage(bytes.NewReader(again), id); err == nil {
		t.Error("a list by another way is taken")
	}
}

// imageFiles is the artifact of an image with this text, and its id.
func imageFiles(t testing.TB, text string) (artifact []byte, id string) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"made": text, "rootfs": map[string]any{"diff_ids": []string{digestOfText(text)}}})
	must(t, err)
	inner := packed(t, map[string]string{
		"a.json": string(config), "layer.tar": text, "manifest.json": `[{"Config":"a.json","Layers":["layer.tar"]}]`,
	})
	return packed(t, map[string]string{ImageArchive: string(inner)}), string(release.Of(config))
}

// TestImportChecksImages: a release whose image is not the one that it names is not taken, neither with the artifact nor by the name of
// one that is here; and what is here is handed on for no other image.
func TestImportChecksImages(t *testing.T) {
	one, oneID := imageFiles(t, "one")
	two, twoID := imageFiles(t, "two")
	a := artifactOf(one)
	brings := func(layers map[string][]byte, ids ...string) []byte {
		return handmade{layers: layers, release: func(r *release.Release) {
			for i, id := range ids {
				s := container(string(rune('a'+i)), "x:1", nil)
				s.Image = id
				r.Contents.Services = append(r.Contents.Services, s)
				r.Files[ImageFiles(s.Name)] = a
				if content, ok := layers[ImageFiles(s.Name)]; ok {
					r.Files[ImageFiles(s.Name)] = artifactOf(content)
				}
			}
		}}.bytes(t)
	}
	s := open(t)
	for name, c := range map[string]struct {
		bundle []byte
		want   string
	}{
		"another image": {brings(map[string][]byte{"image/a": two}, oneID), "the image of a: it is not the image " + oneID + ", but " + twoID},
		"two in one":    {brings(map[string][]byte{"image/a": one}, oneID, twoID), "is to be two images: of a and of b"},
		"something":     {brings(map[string][]byte{"image/a": packed(t, map[string]string{"x": "x"})}, oneID), `it has "x" in it`},
		"nothing":       {brings(map[string][]byte{"image/a": packed(t, nil)}, oneID), "it has no image in it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Import(t.Context(), bytes.NewReader(c.bundle))
			wantProblem(t, err, problem.Invalid, c.want)
			_, _, err = s.ImportBundle(t.Context(), bytes.NewReader(c.bundle))
			wantProblem(t, err, problem.Invalid, c.want)
		})
	}
	_, err := s.Import(t.Context(), bytes.NewReader(brings(map[string][]byte{"image/a": one}, oneID)))
	must(t, err)
	for range 2 { // the second time it is remembered
		_, err = s.Import(t.Context(), bytes.NewReader(brings(nil, oneID, oneID)))
		must(t, err)
		_, err = s.Import(t.Context(), bytes.NewReader(brings(nil, twoID)))
		wantProblem(t, err, problem.Invalid, "the image of a: it is not the image "+twoID)
	}
	if !s.HasImage(t.Context(), a, oneID) || s.HasImage(t.Context(), a, twoID) || s.HasImage(t.Context(), artifactOf(two), twoID) {
		t.Error("it has another image than the one that came")
	}
	process := handmade{layers: map[string][]byte{"image/a": packed(t, map[string]string{"x": "x"})}, release: func(r *release.Release) {
		r.Contents.Services = []app.Service{{Name: "a", Kind: app.KindProcess}}
	}}
	_, err = s.Import(t.Context(), bytes.NewReader(process.bytes(t)))
	must(t, err)
}

// TestNamed: an archive with a name is the same image, but for the name, to an Engine that goes by the list of images.
func TestNamed(t *testing.T) {
	config := fmt.Sprintf(`{"rootfs":{"diff_ids":[%q,%[1]q]}}`, digestOfText("layer"))
	files := map[string]string{
		"a.json": config, "one/layer.tar": "layer", "two/layer.tar": "->../one/layer.tar",
		"manifest.json": `[{"Config":"a.json","repotags":[],"Layers":["one/layer.tar","two/layer.tar"]}]`,
	}
	r := Named(bytes.NewReader(packed(t, files)), "ours:1")
	got, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	named := `[{"Config":"a.json","RepoTags":["ours:1"],"Layers":["one/layer.tar","two/layer.tar"]}]`
	if want := packed(t, changed(files, "manifest.json", named)); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, archive := range map[string][]byte{
		"nonsense": []byte("nonsense"), "cut off": packed(t, files)[:600], "a name": packed(t, changed(files, "manifest.json", named)),
	} {
		r := Named(bytes.NewReader(archive), "ours:1")
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("%s was given a name", name)
		}
		must(t, r.Close())
	}
	r = Named(bytes.NewReader(packed(t, files)), "ours:1") // who stops reading ends it: goleak sees
	must(t, r.Close())
}
