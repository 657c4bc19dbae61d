package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/release"
)

// Where the archive of an image says which images are in it, and what they are called: for the Engine's own store, and for containerd's.
const (
	engineManifest = "manifest.json"
	engineNames    = "repositories"
	containerdName = "io.containerd.image.name"
)

const (
	maxHeld  = 32 << 20 // bytes of an archive's documents that are looked at
	maxLinks = 40       // that lead to a file
)

// CheckImage says why an archive is not that of the image with this id, alone and without a name, as a build packs it. A name in it
// would become that image's wherever it is loaded, whoever's image had it before. All of it is read.
func CheckImage(archive io.Reader, id string) error {
	c := imageCheck{files: map[string]imageFile{}}
	if err := scan(archive, c.entry); err != nil {
		return err
	}
	if index, ok := c.files[ocispec.ImageIndexFile]; ok {
		if err := namelessIndex(index.text); err != nil {
			return err
		}
	}
	list, ok := c.files[engineManifest]
	if !ok {
		return errors.New("it has no list of images")
	}
	image, err := oneNameless(list.text)
	if err != nil {
		return err
	}
	return c.is(image, release.Digest(id))
}

// imageCheck is what is known of an archive's files.
type imageCheck struct {
	files map[string]imageFile
	held  int64
}

type imageFile struct {
	link   string
	digest release.Digest
	text   []byte // nil where it is no document
}

// entry reads one file of the archive. Which are documents is told by one that comes late.
func (c *imageCheck) entry(e entry, content io.Reader) error {
	if e.name == engineNames {
		return errors.New("it gives images names")
	}
	f := imageFile{link: e.link}
	if !e.isLink() {
		sum := sha256.New()
		content = io.TeeReader(content, sum)
		first := make([]byte, 1)
		n, err := io.ReadFull(content, first)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 1 && (first[0] == '{' || first[0] == '[') && e.size <= maxDocument && c.held+e.size <= maxHeld {
			c.held += e.size
			if f.text, err = io.ReadAll(io.MultiReader(bytes.NewReader(first), content)); err != nil {
				return err
			}
		} else if _, err := io.Copy(io.Discard, content); err != nil {
			return err
		}
		f.digest = release.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
	}
	c.files[e.name] = f
	return nil
}

// find follows the symlinks with which an Engine saves a layer once that several images have.
func (c *imageCheck) find(name string) imageFile {
	f := c.files[path.Clean(name)]
	for n := 0; f.link != "" && n < maxLinks; n++ {
		name = path.Join(path.Dir(name), f.link)
		f = c.files[name]
	}
	return f
}

// is compares what is in the archive with an image's id: the digest of its config in an Engine's own store, that of its manifest in
// containerd's. The one names the layers as they are unpacked, the other as they travel.
func (c *imageCheck) is(image listedImage, id release.Digest) error {
	config := c.find(image.Config)
	var want []string
	if config.digest == id {
		var parsed ocispec.Image
		if err := json.Unmarshal(config.text, &parsed); err != nil {
			return fmt.Errorf("its config: %w", err)
		}
		for _, d := range parsed.RootFS.DiffIDs {
			want = append(want, string(d))
		}
	} else {
		man, ok := c.manifest(id, config.digest, true)
		if !ok {
			return fmt.Errorf("it is not the image %s, but %s", id, orElse(string(config.digest), "none"))
		}
		for _, l := range man.Layers {
			want = append(want, string(l.Digest))
		}
	}
	var got []string
	for _, name := range image.Layers {
		got = append(got, string(c.find(name).digest))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("its layers are not those of the image %s", id)
	}
	return nil
}

// manifest is the one of that digest, or one that the index of that digest names, with this config.
func (c *imageCheck) manifest(id, config release.Digest, mayIndex bool) (man ocispec.Manifest, ok bool) {
	if !id.Valid() {
		return man, false
	}
	f := c.find(blobsInArchive + hexOf(id))
	if f.digest != id || json.Unmarshal(f.text, &man) != nil {
		return man, false
	}
	if release.Digest(man.Config.Digest) == config {
		return man, true
	}
	var index ocispec.Index
	if !mayIndex || json.Unmarshal(f.text, &index) != nil {
		return man, false
	}
	for _, m := range index.Manifests {
		if d := release.Digest(m.Digest); d.Valid() {
			if man, ok := c.manifest(d, config, false); ok {
				return man, true
			}
		}
	}
	return man, false
}

// listedImage is an image in an archive's list.
type listedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func oneNameless(list []byte) (image listedImage, err error) {
	if list == nil {
		return image, fmt.Errorf("its %s is no list of images", engineManifest)
	}
	var images []listedImage
	if err := json.Unmarshal(list, &images); err != nil {
		return image, fmt.Errorf("its list of images: %w", err)
	}
	if len(images) != 1 {
		return image, fmt.Errorf("it holds %d images", len(images))
	}
	if names := images[0].RepoTags; len(names) > 0 {
		return image, fmt.Errorf("it would have its image called %.100q", names[0])
	}
	return images[0], nil
}

func namelessIndex(text []byte) error {
	if text == nil {
		return fmt.Errorf("its %s is no list of images", ocispec.ImageIndexFile)
	}
	var index ocispec.Index
	if err := json.Unmarshal(text, &index); err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	for _, m := range index.Manifests {
		for _, key := range []string{containerdName, ocispec.AnnotationRefName} {
			if name, ok := m.Annotations[key]; ok {
				return fmt.Errorf("it would have its image called %.100q", name)
			}
		}
	}
	return nil
}

// checkImageFiles reads an artifact that is to be a container's image.
func checkImageFiles(artifact io.Reader, id string) error {
	there := false
	err := scan(artifact, func(e entry, content io.Reader) error {
		if e.name != ImageArchive || e.isLink() {
			return fmt.Errorf("it has %q in it, which is no image", e.name)
		}
		there = true
		return CheckImage(content, id)
	})
	if err == nil && !there {
		err = errors.New("it has no image in it")
	}
	return err
}

// claim is what a release says of an artifact: that it is the image of a service, with that id.
type claim struct {
	artifact    release.Artifact
	service, id string
}

// claims are the images that a release says it has, each artifact once. One that is said to be two images is neither.
func claims(r release.Release) ([]claim, error) {
	var list []claim
	for _, s := range r.Contents.Services {
		a, ok := r.Files[ImageFiles(s.Name)]
		if !ok || s.Container == nil {
			continue
		}
		i := slices.IndexFunc(list, func(c claim) bool { return c.artifact.Digest == a.Digest })
		switch {
		case i < 0:
			list = append(list, claim{a, s.Name, s.Image})
		case list[i].id != s.Image:
			return nil, fmt.Errorf("artifact %s is to be two images: of %s and of %s", a.Digest.Short(), list[i].service, s.Name)
		}
	}
	return list, nil
}

// rememberedClaims bounds of how many images the store remembers what they are.
const rememberedClaims = 1 << 12

// HasImage says whether the store has an artifact that is the image of that id, and reads all of it to know.
func (s *Store) HasImage(ctx context.Context, a release.Artifact, id string) bool {
	return s.checkHeld(ctx, claim{artifact: a, id: id}) == nil
}

func (s *Store) checkHeld(ctx context.Context, c claim) error {
	content, err := s.open(c.artifact)
	if err != nil {
		return err
	}
	err = errors.Join(checkImageFiles(io.TeeReader(content, cancellable{ctx, io.Discard}), c.id), content.Close())
	if err == nil {
		s.remember(c)
	}
	return err
}

// checkHeldImages sees that what a release calls its images, and need not bring since the store has it, are these images.
func (s *Store) checkHeldImages(ctx context.Context, r release.Release, brought func(release.Artifact) bool) error {
	list, err := claims(r)
	if err != nil {
		return err
	}
	for _, c := range list {
		if brought(c.artifact) || s.remembers(c) {
			continue
		}
		if err := s.checkHeld(ctx, c); err != nil {
			return fmt.Errorf("the image of %s: %w", c.service, err)
		}
	}
	return nil
}

func (s *Store) remember(c claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.images == nil || len(s.images) >= rememberedClaims {
		s.images = map[release.Digest]string{}
	}
	s.images[c.artifact.Digest] = c.id
}

func (s *Store) remembers(c claim) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[c.artifact.Digest] == c.id
}
