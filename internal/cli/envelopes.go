package cli

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// Bounds of what is read of a file that somebody handed over, in bytes where not told otherwise.
const (
	maxEnvelopes = 100_000 // number
	maxText      = 1 << 30 // of a file of envelopes
)

// envelopeFile is what was found in a file.
type envelopeFile struct {
	envelopes [][]byte // byte for byte
	bundle    bool     // it is a release's bundle, not a file of envelopes
	damaged   []string // names of blobs in a bundle that are not what they are called
}

// readEnvelopes reads one envelope, JSON lines of envelopes, or a bundle: what it is, is seen from how it begins.
func (s *shell) readEnvelopes(name string) (envelopeFile, error) {
	f, err := s.open(name)
	if err != nil {
		return envelopeFile{}, err
	}
	defer f.Close() //nolint:errcheck // only read from
	r := bufio.NewReaderSize(f, 64<<10)
	head, err := r.Peek(tarMagicAt + len(tarMagic))
	if err == nil && string(head[tarMagicAt:]) == tarMagic {
		b, err := readBundle(r)
		if err != nil {
			err = problem.New(problem.Fail, "%s is damaged or cut off: %w", name, err)
		}
		return b, err
	}
	envelopes, err := readLines(r)
	if err != nil {
		return envelopeFile{}, problem.New(problem.Invalid, "%s holds no envelopes, nor a bundle: %w", name, err)
	}
	return envelopeFile{envelopes: envelopes}, nil
}

// A tar archive has this at this place (POSIX.1-1988, ustar).
const (
	tarMagic   = "ustar"
	tarMagicAt = 257
)

// readLines reads JSON values one after the other, each as it stands there.
func readLines(r io.Reader) ([][]byte, error) {
	limited := &io.LimitedReader{R: r, N: maxText}
	d := json.NewDecoder(limited)
	var all [][]byte
	for {
		var one json.RawMessage
		err := d.Decode(&one)
		switch {
		case errors.Is(err, io.EOF) && limited.N > 0:
			return all, nil
		case limited.N == 0, len(one) > evidence.MaxEnvelope, len(all) == maxEnvelopes:
			return nil, errors.New("it is too large")
		case err != nil:
			return nil, err
		}
		all = append(all, one)
	}
}

// readBundle looks for envelopes among the blobs of an OCI image layout, whatever refers to them: what was left out is
// told by the list that is signed, not by the archive. Blobs that are not what their names say are damaged.
func readBundle(r io.Reader) (envelopeFile, error) {
	b := envelopeFile{bundle: true}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if want, ok := strings.CutPrefix(path.Clean(h.Name), "blobs/sha256/"); ok && h.Typeflag == tar.TypeReg {
			if err := b.blob(want, h.Size, t); err != nil {
				return b, err
			}
		}
	}
}

func (b *envelopeFile) blob(want string, size int64, r io.Reader) error {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	if size <= evidence.MaxEnvelope {
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if _, err := signature(content); err == nil {
			b.envelopes = append(b.envelopes, content)
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want {
		b.damaged = append(b.damaged, want)
	}
	if len(b.envelopes) > maxEnvelopes {
		return errors.New("it is too large")
	}
	return nil
}

// dsse is the form of an envelope (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md), to look into one
// that can't be verified. What counts is read by package evidence.
type dsse struct {
	PayloadType string `json:"payloadType"`
	Payload     []byte `json:"payload"`
	Signatures  []struct {
		KeyID string `json:"keyid"`
	} `json:"signatures"`
}

// signature is an envelope, unverified; an error where it is none.
func signature(envelope []byte) (dsse, error) {
	var e dsse
	if !bytes.HasPrefix(envelope, []byte("{")) {
		return e, errors.New("it is no JSON object")
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		return e, err
	}
	if e.PayloadType == "" || len(e.Signatures) == 0 {
		return e, errors.New("it is no signed envelope")
	}
	return e, nil
}
