package key

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

const privateType = "PRIVATE KEY" // of a PEM block that holds PKCS#8

func formatPrivate(private ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil { // an ed25519 key always has a PKCS#8 form
		panic(fmt.Sprintf("private key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der})
}

// readPrivate reads a private key; one that is not there is fs.ErrNotExist.
func readPrivate(file string) (ed25519.PrivateKey, error) {
	if err := guard(file, 0, 0o077); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	private, err := parsePrivate(b)
	if err != nil {
		return nil, damaged(file, err)
	}
	return private, nil
}

func parsePrivate(b []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != privateType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one PEM block of type " + privateType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an ed25519 key")
	}
	return private, nil
}

// publicPrefix begins the names of public keys.
const publicPrefix = "public-"

func publicName(n int) string { return fmt.Sprintf("%s%04d.pem", publicPrefix, n) }

// readPublics reads the public keys of a folder in their order. One that is missing among them is damage: what it signed
// would count no more.
func readPublics(dir string) ([]ed25519.PublicKey, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []ed25519.PublicKey
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), publicPrefix) {
			continue
		}
		public, err := readPublic(filepath.Join(dir, publicName(len(all)+1)))
		if err != nil {
			return nil, err
		}
		all = append(all, public)
	}
	return all, nil
}

func readPublic(file string) (ed25519.PublicKey, error) {
	err := guard(file, 0, 0o022)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(file, err)
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	public, err := evidence.ParsePublic(string(b))
	if err != nil {
		return nil, damaged(file, err)
	}
	return public, nil
}

// guard sees to it that a file or folder is this user's, of that type, and has none of those permissions.
func guard(name string, kind, forbidden fs.FileMode) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if info.Mode().Type() != kind || info.Mode().Perm()&forbidden != 0 {
		return problem.New(problem.Blocked, "%s has the permissions %v; nobody else may get at keys", name, info.Mode()).
			WithHint("chmod go= %s; if somebody else can have read it, greenroom key rotate and then greenroom key revoke", name)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return problem.New(problem.Blocked, "the key %s belongs to another user", name).
			WithHint("run Greenroom as the user that it belongs to")
	}
	return nil
}

func damaged(file string, err error) error {
	return problem.New(problem.Fail, "the key %s is damaged: %w", file, err).
		WithHint("put the folder %s back from a backup", filepath.Dir(file))
}
