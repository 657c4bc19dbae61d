package artifact

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"greenroom/internal/atomicfile"
	"greenroom/internal/release"
)

// The store's index.json names every release, for OCI tools and for what goes through all of them; nobody needs it to find
// a release. It is JSON with a line for each, so that one more can be appended, whatever their number, and that opening
// the store reads only both ends.
//
// It is the one file that is not written as a whole, because it has tens of megabytes at 100,000 releases. What a kill
// leaves there is the last line cut off; its release is still in the folder of what comes in, so Open knows, and mends it.
// Each line but the first begins with its comma: the byte behind a line is a line break from the first to the last moment.
const (
	indexHead = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`
	indexTail = "\n]}\n"
	maxLine   = 64 << 10 // bytes of one line
)

// known is a release that the index names.
type known struct {
	id       release.Digest
	manifest release.Artifact
}

// knownBy reads an entry of an index.
func knownBy(entry []byte) (known, error) {
	var d ocispec.Descriptor
	if err := json.Unmarshal(entry, &d); err != nil {
		return known{}, fmt.Errorf("index.json: %w", err)
	}
	id, isID := digestOf(d.Annotations[ocispec.AnnotationRefName])
	man := release.Artifact{Digest: release.Digest(d.Digest), Size: d.Size}
	if !isID || !man.Digest.Valid() {
		return known{}, fmt.Errorf("index.json: %s is no release", d.Digest)
	}
	return known{id, man}, nil
}

// line is what goes between the entry before it and the index's tail.
func (k known) line(first bool) ([]byte, error) {
	entry, err := json.Marshal(manifestDescriptor(k.id, k.manifest))
	if first {
		return append([]byte("\n"), entry...), err
	}
	return append([]byte("\n,"), entry...), err
}

func (s *Store) indexPath() string { return filepath.Join(s.dir, ocispec.ImageIndexFile) }

// writeIndex writes the index anew.
func (s *Store) writeIndex(list []known) error {
	return atomicfile.WriteFrom(s.indexPath(), 0o644, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		_, err := b.WriteString(indexHead)
		for i, k := range list {
			line, bad := k.line(i == 0)
			if bad != nil {
				return bad
			}
			_, bad = b.Write(line)
			err = errors.Join(err, bad)
		}
		_, bad := b.WriteString(indexTail)
		return errors.Join(err, bad, b.Flush())
	})
}

// appendIndex adds a release to the index.
func (s *Store) appendIndex(k known) (err error) {
	f, err := os.OpenFile(s.indexPath(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := indexEnd(f)
	if err != nil {
		return err
	}
	line, err := k.line(end == int64(len(indexHead)))
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(line, indexTail...), end); err != nil {
		// The disk is full: what was there comes back, and needs no more room than it had.
		_, bad := f.WriteAt([]byte(indexTail), end)
		return errors.Join(err, bad, f.Truncate(end+int64(len(indexTail))))
	}
	return f.Sync()
}

// errNotLines says that an index has not the form that writeIndex gives it.
var errNotLines = errors.New("index.json is cut off, or was written by another version of Greenroom")

// indexEnd looks at both ends of the index and says where the next line goes.
func indexEnd(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	head, tail := make([]byte, len(indexHead)), make([]byte, len(indexTail))
	end := info.Size() - int64(len(tail))
	if end < int64(len(head)) {
		return 0, errNotLines
	}
	_, err = f.ReadAt(head, 0)
	_, bad := f.ReadAt(tail, end)
	if err = errors.Join(err, bad); err == nil && (string(head) != indexHead || string(tail) != indexTail) {
		err = errNotLines
	}
	return end, err
}

// checkIndex says, from both of its ends, whether the index is whole.
func (s *Store) checkIndex() error {
	f, err := os.Open(s.indexPath())
	if err != nil {
		return err
	}
	_, err = indexEnd(f)
	return errors.Join(err, f.Close())
}

// lines visits the entries in the index.
func (s *Store) lines(visit func(entry []byte) error) (err error) {
	f, err := os.Open(s.indexPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := indexEnd(f)
	if err != nil {
		return err
	}
	begin := int64(len(indexHead))
	lines := bufio.NewScanner(io.NewSectionReader(f, begin, end-begin))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if entry := bytes.TrimPrefix(lines.Bytes(), []byte(",")); len(entry) > 0 { // the first is behind a line break, too
			if err := visit(entry); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// listed says whether the index names a release.
func (s *Store) listed(id release.Digest) (found bool, err error) {
	name := []byte(`"` + hexOf(id) + `"`)
	err = s.lines(func(entry []byte) error {
		found = found || bytes.Contains(entry, name)
		return nil
	})
	return found, err
}

// all lists what the index names, each once.
func (s *Store) all() ([]known, error) {
	var list []known
	seen := map[release.Digest]bool{}
	err := s.lines(func(entry []byte) error {
		k, err := knownBy(entry)
		if err == nil && !seen[k.id] {
			seen[k.id], list = true, append(list, k)
		}
		return err
	})
	return list, err
}

// mendIndex gives an index that has another form the one that it has here: that of an earlier Greenroom, which wrote it in
// one line, or, if a kill may have come while it was appended to, one whose last line is cut off.
func (s *Store) mendIndex(killed bool) error {
	text, err := os.ReadFile(s.indexPath())
	if err != nil {
		return err
	}
	var earlier struct{ Manifests []json.RawMessage }
	if err := json.Unmarshal(text, &earlier); err != nil {
		if !killed {
			return fmt.Errorf("index.json: %w", err)
		}
		earlier.Manifests = wholeLines(text)
	}
	var list []known
	for _, entry := range earlier.Manifests {
		k, err := knownBy(entry)
		if err != nil {
			return err
		}
		list = append(list, k)
	}
	return s.writeIndex(list)
}

// wholeLines are the entries of an index that is cut off.
func wholeLines(text []byte) []json.RawMessage {
	var entries []json.RawMessage
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte(indexHead))) {
		if entry := bytes.TrimPrefix(bytes.TrimSpace(line), []byte(",")); json.Valid(entry) {
			entries = append(entries, entry)
		}
	}
	return entries
}
