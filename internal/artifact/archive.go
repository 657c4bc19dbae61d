package artifact

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// An artifact is a tar of files and symlinks in the order of their names' bytes; times, owners and all of the modes but
// "executable" are left out. It is not compressed: a compressor's output is only the same for the same version of that
// compressor, and then a newer Greenroom would give the same files another identity.

// maxLink bounds the target of a symlink, in bytes; it is what Linux takes.
const maxLink = 4096

// entry is one file or symlink of an artifact.
type entry struct {
	name string
	link string // target, when it is a symlink
	exec bool
	size int64
}

func (e entry) isLink() bool { return e.link != "" }

// pack writes the named files below root as an artifact. Names come sorted.
func pack(root *os.Root, names []string, w io.Writer) error {
	tw := tar.NewWriter(w)
	t := newTree()
	buf := make([]byte, 128<<10)
	for _, name := range names {
		e, err := lstat(root, name)
		if err != nil {
			return err
		}
		if err := t.add(e.name, e.kind()); err != nil {
			return err
		}
		if err := tw.WriteHeader(e.header()); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if e.isLink() {
			continue
		}
		if err := copyFile(tw, root, e, buf); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return tw.Close()
}

// lstat reads what one file is, and refuses what can't travel.
func lstat(root *os.Root, name string) (entry, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return entry{}, err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return entry{name: name, exec: mode&0o100 != 0, size: info.Size()}, nil
	case mode.Type() == fs.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return entry{}, err
		}
		return entry{name: name, link: target}, checkLink(name, target)
	default:
		return entry{}, fmt.Errorf("%q is a %s, only files and symlinks can travel", name, kindName(mode))
	}
}

func kindName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeDevice != 0:
		return "device"
	case mode.IsDir():
		return "folder"
	default:
		return "special file"
	}
}

// copyFile writes exactly the bytes that the header promised.
func copyFile(w io.Writer, root *os.Root, e entry, buf []byte) (err error) {
	f, err := root.Open(e.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The struct hides the file's WriteTo, which would take a new buffer for every file.
	n, err := io.CopyBuffer(w, struct{ io.Reader }{io.LimitReader(f, e.size+1)}, buf)
	if n != e.size || errors.Is(err, tar.ErrWriteTooLong) {
		return errors.New("the file changed while it was read")
	}
	return err
}

func (e entry) kind() kind {
	if e.isLink() {
		return symlink
	}
	return file
}

func (e entry) header() *tar.Header {
	switch {
	case e.isLink():
		return &tar.Header{Typeflag: tar.TypeSymlink, Name: e.name, Linkname: e.link, Mode: 0o777}
	case e.exec:
		return &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: e.size, Mode: 0o755}
	default:
		return &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: e.size, Mode: 0o644}
	}
}

// scan reads an artifact and hands each entry with its content to visit, in order. It takes only what pack could have
// written, to the last byte of r.
func scan(r io.Reader, visit func(e entry, content io.Reader) error) error {
	tr := tar.NewReader(r)
	t := newTree()
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return onlyPadding(r)
		}
		if err != nil {
			return fmt.Errorf("not a tar archive: %w", err)
		}
		e, err := entryOf(h)
		if err != nil {
			return err
		}
		if err := t.add(e.name, e.kind()); err != nil {
			return err
		}
		if err := visit(e, tr); err != nil {
			return err
		}
	}
}

// entryOf turns a header into an entry, if pack could have written it.
func entryOf(h *tar.Header) (entry, error) {
	e := entry{name: h.Name, link: h.Linkname, exec: h.Mode == 0o755, size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Linkname != "" {
			return entry{}, fmt.Errorf("%q is a file with a target", h.Name)
		}
	case tar.TypeSymlink:
		if err := checkLink(h.Name, h.Linkname); err != nil {
			return entry{}, err
		}
		if len(h.Linkname) > maxLink {
			return entry{}, fmt.Errorf("the target of %q is longer than %d bytes", h.Name, maxLink)
		}
	default:
		return entry{}, fmt.Errorf("%q is neither a file nor a symlink (type %q)", h.Name, h.Typeflag)
	}
	for key := range h.PAXRecords { // whatever else there is would be a sparse file, an owner, a time
		if key != "path" && key != "linkpath" && key != "size" {
			return entry{}, fmt.Errorf("%q carries %s", h.Name, key)
		}
	}
	want := e.header()
	if h.Mode != want.Mode || h.Size != want.Size || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" ||
		h.Devmajor != 0 || h.Devminor != 0 || h.ModTime.Unix() != 0 {
		return entry{}, fmt.Errorf("%q carries an owner, a time or a mode", h.Name)
	}
	return e, nil
}

// onlyPadding reads r to its end and refuses anything but the zeros with which tar programs fill the last record.
func onlyPadding(r io.Reader) error {
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return err
	}
	if len(b) > most {
		return errors.New("there is something behind the end of the archive")
	}
	for _, c := range b {
		if c != 0 {
			return errors.New("there is something behind the end of the archive")
		}
	}
	return nil
}
