// Package secret keeps values that stand nowhere but in their store and in the environment of the service that names
// them: sealed at rest, and compared by keyed fingerprint.
package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"filippo.io/age"

	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
)

// The key files of a box, both readable by their owner only.
const (
	identityName    = "identity.age"    // an age X25519 identity, as age-keygen writes it
	fingerprintName = "fingerprint.key" // 32 random bytes in hex
)

// Box seals and opens secrets with the keys in one folder. It is safe for concurrent use.
type Box struct {
	identity *age.X25519Identity
	mac      []byte
}

// Open reads the keys in dir, and makes folder and keys where there are none. Keys that others can read, or that are
// someone else's, are Blocked: they may be known already, or planted.
func Open(dir string) (*Box, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	line, err := key(filepath.Join(dir, identityName), func() (string, error) {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return "", err
		}
		return id.String(), nil
	})
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(line)
	if err != nil {
		return nil, damaged(filepath.Join(dir, identityName), err)
	}
	line, err = key(filepath.Join(dir, fingerprintName), func() (string, error) {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		return hex.EncodeToString(b), err
	})
	if err != nil {
		return nil, err
	}
	mac, err := hex.DecodeString(line)
	if err == nil && len(mac) != 32 {
		err = fmt.Errorf("it holds %d bytes, not 32", len(mac))
	}
	if err != nil {
		return nil, damaged(filepath.Join(dir, fingerprintName), err)
	}
	return &Box{identity: identity, mac: mac}, nil
}

// Seal encrypts a value for this box. Sealing it again gives other bytes.
func (b *Box) Seal(plain []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, b.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal a secret: %w", err)
	}
	_, err = w.Write(plain)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("seal a secret: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open decrypts what Seal made. What was changed, or sealed with other keys, is a problem of code Fail.
func (b *Box) Open(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), b.identity)
	if err == nil {
		var plain []byte
		if plain, err = io.ReadAll(r); err == nil {
			return plain, nil
		}
	}
	return nil, problem.New(problem.Fail, "a sealed secret can't be opened: it was damaged, or sealed with another key: %w", err).
		WithHint("set it again with greenroom secret set")
}

// Fingerprint tells whether the secret of that name has the same value as another time, and nothing else: without this
// box's key nobody can compare it with a guess. It is HMAC-SHA256 in hex; the name is part of it, so that two secrets
// with one value don't show it.
func (b *Box) Fingerprint(name, value string) string {
	h := hmac.New(sha256.New, b.mac)
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(name)))
	h.Write(size[:]) // so that no part of a value can pass for a name's end
	h.Write([]byte(name))
	h.Write([]byte(value))
	return hex.EncodeToString(h.Sum(nil))
}

// key reads the key in that file, which generate makes once. Of two processes that make it at the same time one wins, and
// both go on with what that one wrote.
func key(name string, generate func() (string, error)) (string, error) {
	line, err := read(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return line, err
	}
	if line, err = generate(); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(name), ".key-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // only a temporary folder
	whole := filepath.Join(tmp, "key")
	if err := atomicfile.Write(whole, []byte(line+"\n"), 0o600); err != nil {
		return "", err
	}
	// A link, unlike a rename, never replaces a key that is there.
	if err := os.Link(whole, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := atomicfile.SyncDir(filepath.Dir(name)); err != nil {
		return "", err
	}
	return read(name)
}

func read(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", problem.New(problem.Blocked, "the key %s has the permissions %v; only its owner may read it", name, info.Mode()).
			WithHint("chmod 600 %s, if nobody else can have read it; otherwise remove it and set the secrets again", name)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return "", problem.New(problem.Blocked, "the key %s belongs to another user", name).
			WithHint("run Greenroom as the user that it belongs to")
	}
	b, err := os.ReadFile(name)
	return strings.TrimSpace(string(b)), err
}

func damaged(name string, err error) error {
	return problem.New(problem.Fail, "the key %s is damaged: %w", name, err).
		WithHint("put it back from a backup; without it the secrets have to be set again")
}
