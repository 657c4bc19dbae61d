package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/problem"
)

// Files come into the created container through the Engine's archive, before it starts. They lie in the container's own
// layer, which is removed with it, and nothing that the Engine tells of a container has them. A folder of a root file system
// that nobody may write to, the Engine included, or of a file system in memory, which is made when the container starts and would
// hide them, gets a volume; it is the replica's alone.

// filesBy are a container's files by the folder that they are in.
func filesBy(files []driver.File) map[string][]driver.File {
	by := map[string][]driver.File{}
	for _, f := range files {
		dir := path.Dir(f.Target)
		by[dir] = append(by[dir], f)
	}
	return by
}

// fileFolders are those that need a volume, sorted.
func fileFolders(s driver.Spec) []string {
	var dirs []string
	for dir := range filesBy(s.Container.Files) {
		if needsVolume(s.Container, dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// needsVolume says whether what is put into a folder of a container would not be there when it runs, or can't be put there.
func needsVolume(c *driver.Container, dir string) bool {
	over, memory := above(c, dir)
	return memory || over == "" && c.ReadOnly
}

// above is where the innermost of what is mounted over a folder is, "" for nothing, and whether that is a file system in memory.
func above(c *driver.Container, dir string) (over string, memory bool) {
	over = app.Innermost(dir, c.Mounted())
	return over, slices.ContainsFunc(c.Tmpfs, func(t driver.Tmpfs) bool { return t.Target == over })
}

func (d *Driver) fileVolume(s driver.Spec, n int) string {
	return d.named(s.ID, "files", strconv.Itoa(n))
}

func (d *Driver) fileMounts(s driver.Spec) []mount.Mount {
	var all []mount.Mount
	for n, dir := range fileFolders(s) {
		all = append(all, mount.Mount{Type: mount.TypeVolume, Source: d.fileVolume(s, n), Target: dir})
	}
	return all
}

func (d *Driver) ensureFileVolumes(ctx context.Context, s driver.Spec) error {
	for dir := range filesBy(s.Container.Files) {
		if over, memory := above(s.Container, dir); over != "" && !memory { // it would stay there when the container is gone
			return problem.New(problem.Invalid, "%s: a secret or config is to be in %s, and would be written into what is mounted at %s", s.ID, dir, over).
				WithHint("give it a target outside of %s, as /run/secrets/NAME, and build the release again", over)
		}
	}
	for n, dir := range fileFolders(s) {
		if dir == "/" {
			return problem.New(problem.Invalid, "%s: nothing can be put into / of a container whose root is read-only", s.ID).
				WithHint("give the secret or config a target in a folder, such as /run/secrets/NAME")
		}
		if slices.ContainsFunc(s.Container.Tmpfs, func(t driver.Tmpfs) bool { return t.Target == dir }) {
			return problem.New(problem.Invalid, "%s: nothing can be put into %s, which is empty in memory when the container starts", s.ID, dir).
				WithHint("give the secret or config a target in a folder of it, or leave the tmpfs out")
		}
		labels := d.labels(labelApp, s.App, labelEnvironment, s.Environment, labelReplica, s.ID)
		if err := d.ensureVolume(ctx, d.fileVolume(s, n), labels); err != nil {
			return err
		}
	}
	return nil
}

// putFiles puts a spec's files into its container.
func (d *Driver) putFiles(ctx context.Context, id string, s driver.Spec) error {
	if len(s.Container.Files) == 0 {
		return nil
	}
	var layer []driver.File
	for dir, files := range filesBy(s.Container.Files) {
		if !needsVolume(s.Container, dir) {
			layer = append(layer, files...)
			continue
		}
		if err := d.put(ctx, id, dir, archive(dir, nil, files), s); err != nil {
			return err
		}
	}
	if len(layer) == 0 {
		return nil
	}
	missing, err := d.missingFolders(ctx, id, layer)
	if err != nil {
		return err
	}
	return d.put(ctx, id, "/", archive("/", missing, layer), s)
}

func (d *Driver) put(ctx context.Context, id, dir string, content []byte, s driver.Spec) error {
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		_, err := d.engine.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: dir, Content: bytes.NewReader(content)})
		return err
	})
	if err == nil || errdefs.IsNotFound(err) {
		return err
	}
	return failed(err, "the secrets and configs of %s can't be put into its container", s.ID)
}

// missingFolders are those above the files that the image does not have, outermost first.
func (d *Driver) missingFolders(ctx context.Context, id string, files []driver.File) ([]string, error) {
	asked := map[string]bool{"/": true}
	var missing []string
	for _, f := range files {
		for dir := path.Dir(f.Target); !asked[dir]; dir = path.Dir(dir) {
			asked[dir] = true
			err := d.engine.ask(ctx, func(ctx context.Context) error {
				_, err := d.engine.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: dir})
				return err
			})
			if errdefs.IsNotFound(err) {
				missing = append(missing, dir)
			} else if err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// archive is a tar of files and of the folders that have to be made for them, with names below dir.
func archive(dir string, folders []string, files []driver.File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	below := func(name string) string { return strings.TrimPrefix(strings.TrimPrefix(name, dir), "/") }
	for _, f := range folders {
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: below(f) + "/", Mode: 0o755}))
	}
	for _, f := range files {
		mode := int64(f.Mode)
		if mode == 0 {
			mode = 0o444
		}
		must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: below(f.Target), Mode: mode, Uid: f.UID, Gid: f.GID, Size: int64(len(f.Content))}))
		_, err := w.Write(f.Content)
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// must is for what can't fail: an archive in memory, of lengths that are known.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// readSecretFile reads a secret back out of a container; "" where it is not there any more.
func (d *Driver) readSecretFile(ctx context.Context, id, name string) (string, error) {
	var content string
	err := d.engine.ask(ctx, func(ctx context.Context) error {
		got, err := d.engine.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: name})
		if err != nil {
			return err
		}
		defer got.Content.Close() //nolint:errcheck // read only
		r := tar.NewReader(got.Content)
		if _, err := r.Next(); err != nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(r, driver.MaxFile))
		content = string(b)
		return err
	})
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	return content, err
}
