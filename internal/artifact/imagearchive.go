package artifact

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// An image as the Engine saves it has its files in an order, and with times, that differ from one saving to the next. It is
// spread out and packed as an artifact is, so that the same image is the same bytes. Any Engine loads that.

// archive makes an image's archive in dir, ImageArchive.
func (b *builder) archive(ctx context.Context, id, dir string) (err error) {
	spread := filepath.Join(dir, "spread")
	if err := os.Mkdir(spread, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(spread)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close(), os.RemoveAll(spread)) }()
	if err := b.save(ctx, id, root); err != nil {
		return err
	}
	names, err := selection{names: []string{"."}}.list(root)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, ImageArchive))
	if err != nil {
		return err
	}
	return errors.Join(pack(root, names, cancellable{ctx, f}), f.Close())
}

// save spreads out below root what the Engine writes of an image.
func (b *builder) save(ctx context.Context, id string, root *os.Root) error {
	r, w := io.Pipe()
	saved := make(chan error, 1)
	go func() {
		err := b.Images.Save(ctx, id, w)
		_ = w.CloseWithError(err) // never fails
		saved <- err
	}()
	err := spread(r, root)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // the zeros behind the end of the archive
	}
	_ = r.CloseWithError(errors.Join(errors.New("what was saved is not read on"), err)) // never fails
	if bad := <-saved; err == nil || errors.Is(err, bad) {
		err = bad
	}
	return err
}

// spread writes the files and symlinks of an archive below root.
func spread(r io.Reader, root *os.Root) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir || name == "repositories" { // the latter are names, which an archive by id has none of
			continue
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = spreadFile(root, name, tr)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		default:
			err = fmt.Errorf("the image's archive has %q of type %q in it", h.Name, h.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

func spreadFile(root *os.Root, name string, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// Named is an archive that CheckImage takes, in which the image has a name: whoever loads it has the image with that name or not at
// all. It is to be closed.
func Named(archive io.Reader, name string) io.ReadCloser {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(giveName(archive, name, w)) }() // never fails
	return r
}

func giveName(archive io.Reader, name string, w io.Writer) error {
	tw := tar.NewWriter(w)
	err := scan(archive, func(e entry, content io.Reader) error {
		if e.name == engineManifest && !e.isLink() {
			list, err := io.ReadAll(io.LimitReader(content, maxDocument))
			if err != nil {
				return err
			}
			image, err := oneNameless(list)
			if err != nil {
				return err
			}
			image.RepoTags = []string{name}
			named, err := json.Marshal([]listedImage{image})
			if err != nil {
				return err
			}
			e.size, content = int64(len(named)), bytes.NewReader(named)
		}
		err := tw.WriteHeader(e.header())
		if err == nil && !e.isLink() {
			_, err = io.Copy(tw, content)
		}
		return err
	})
	if err != nil { // an archive that is cut off has no end
		return err
	}
	return tw.Close()
}
