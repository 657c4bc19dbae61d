// Package key keeps private signing keys: one active key in a folder, and the public halves of all that came before.
//
//	private.pem      the active key: PEM, PKCS#8, readable by its owner only
//	next.pem         the one that is prepared to follow it, likewise
//	public-0001.pem  the public halves in their order: PEM, PKIX, as openssl and cosign read them
//
// A key is active from the instant in which its file is renamed to private.pem; everything else is done before, so a kill
// leaves either the old key or the new one, with all public halves.
package key

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"greenroom/internal/atomicfile"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

const (
	activeName = "private.pem"
	nextName   = "next.pem"
)

// Ring is the keys in one folder. It is safe for concurrent use, and for several processes as long as only one of them
// rotates.
type Ring struct {
	dir string

	mu      sync.Mutex
	active  ed25519.PrivateKey
	publics []ed25519.PublicKey // the active one's last
}

// Open reads the keys in dir, and makes folder and first key where there are none. Private keys that others can read, or
// that are somebody else's, are Blocked: they may be known already, or planted. So are public keys and a folder that
// others can write.
func Open(dir string) (*Ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := guard(dir, fs.ModeDir, 0o022); err != nil {
		return nil, err
	}
	r := &Ring{dir: dir}
	var err error
	if r.active, err = obtain(dir, activeName); err != nil {
		return nil, err
	}
	return r, r.loadPublics()
}

// Signer signs with the active key.
func (r *Ring) Signer() evidence.Signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return evidence.NewSigner(r.active)
}

// Publics are the public keys of the folder, the active one last.
func (r *Ring) Publics() []ed25519.PublicKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.publics)
}

// Prepare makes the next key and keeps it beside the active one; preparing twice gives the same one. Activate makes it the
// active one and removes the private half of the old: so a kill between the two leaves a key that can still sign.
func (r *Ring) Prepare() (evidence.Signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := obtain(r.dir, nextName)
	if err != nil {
		return evidence.Signer{}, err
	}
	return evidence.NewSigner(next), nil
}

// Activate makes the prepared key the active one, if it is that one. Where it is the active one already, nothing is to be
// done.
func (r *Ring) Activate(id evidence.KeyID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if evidence.NewSigner(r.active).ID() == id {
		return nil
	}
	next, err := readPrivate(filepath.Join(r.dir, nextName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || evidence.NewSigner(next).ID() != id {
		return problem.New(problem.Fail, "the key %s was not prepared in %s", id, r.dir).
			WithHint("put the folder of the keys back from a backup")
	}
	public := next.Public().(ed25519.PublicKey)
	if err := keepPublic(r.dir, public); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(r.dir, nextName), filepath.Join(r.dir, activeName)); err != nil {
		return err
	}
	r.active, r.publics = next, append(r.publics, public)
	return errors.Join(atomicfile.SyncDir(r.dir), sweep(r.dir))
}

// loadPublics reads the public halves. The active one's is written anew where a kill came before it was; that of a key that
// is only prepared does not count yet.
func (r *Ring) loadPublics() error {
	active := r.active.Public().(ed25519.PublicKey)
	if err := keepPublic(r.dir, active); err != nil {
		return err
	}
	all, err := readPublics(r.dir)
	if err != nil {
		return err
	}
	next, err := readPrivate(filepath.Join(r.dir, nextName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, p := range all {
		if !p.Equal(active) && (next == nil || !p.Equal(next.Public())) {
			r.publics = append(r.publics, p)
		}
	}
	r.publics = append(r.publics, active)
	return nil
}

// obtain reads the private key of that name, which it makes once. Of two processes that make it at the same time one
// wins, and both go on with what that one wrote.
func obtain(dir, name string) (ed25519.PrivateKey, error) {
	file := filepath.Join(dir, name)
	private, err := readPrivate(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return private, err
	}
	if _, private, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(dir, leftover+"*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // what is left of it, sweep removes
	whole := filepath.Join(tmp, name)
	if err := atomicfile.Write(whole, formatPrivate(private), 0o600); err != nil {
		return nil, err
	}
	// A link, unlike a rename, never replaces a key that is there.
	if err := os.Link(whole, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return nil, err
	}
	return readPrivate(file)
}

// leftover is how the names of the folders begin in which keys are made. A kill may leave one, with a private key in it.
const leftover = ".key-"

// sweep removes them, so that the private half of a key that is no longer used stands nowhere.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), leftover) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// keepPublic writes a public key after those that are there, unless it is among them.
func keepPublic(dir string, public ed25519.PublicKey) error {
	all, err := readPublics(dir)
	if err != nil || slices.ContainsFunc(all, func(p ed25519.PublicKey) bool { return bytes.Equal(p, public) }) {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, publicName(len(all)+1)), evidence.FormatPEM(public), 0o644)
}
