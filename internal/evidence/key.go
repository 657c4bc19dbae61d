package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

// KeyID names a public key: "SHA256:" and the unpadded base64 of the hash over its SSH wire form (RFC 8709, section 4), as
// ssh-keygen -l and DSSE libraries print it.
type KeyID string

// IDOf is the name of a public key.
func IDOf(public ed25519.PublicKey) KeyID {
	const kind = "ssh-ed25519"
	wire := make([]byte, 0, 4+len(kind)+4+ed25519.PublicKeySize)
	wire = binary.BigEndian.AppendUint32(wire, uint32(len(kind)))
	wire = append(wire, kind...)
	wire = binary.BigEndian.AppendUint32(wire, uint32(len(public)))
	wire = append(wire, public...)
	sum := sha256.Sum256(wire)
	return KeyID("SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]))
}

// publicPrefix begins a public key as the definition has it.
const publicPrefix = "ed25519:"

// ParsePublic reads a public key: "ed25519:" and base64, as the definition has it, or a PEM block of type PUBLIC KEY
// (PKIX), as openssl and cosign write it.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	if encoded, ok := strings.CutPrefix(text, publicPrefix); ok {
		raw, err := decode64(encoded)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%q is not the base64 of an ed25519 public key's %d bytes", text, ed25519.PublicKeySize)
		}
		return raw, nil
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, fmt.Errorf("a public key is %sBASE64, or a PEM block as `openssl pkey -pubout` writes it", publicPrefix)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("the PEM block is a %s, not a PUBLIC KEY", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("there is more than one public key")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the public key can't be read: %w", err)
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a public key, but not an ed25519 one: `openssl genpkey -algorithm ed25519` makes one")
	}
	return public, nil
}

// FormatPublic is the form of the definition: "ed25519:" and base64.
func FormatPublic(public ed25519.PublicKey) string {
	return publicPrefix + base64.StdEncoding.EncodeToString(public)
}

// FormatPEM is the PEM form.
func FormatPEM(public ed25519.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil { // an ed25519 key always has a PKIX form
		panic(fmt.Sprintf("public key: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Signer signs with a private key that nothing else sees.
type Signer struct{ private ed25519.PrivateKey }

// NewSigner is a signer with that key.
func NewSigner(private ed25519.PrivateKey) Signer { return Signer{private} }

// Public is the key that proves its signatures.
func (s Signer) Public() ed25519.PublicKey { return s.private.Public().(ed25519.PublicKey) }

// ID names its key.
func (s Signer) ID() KeyID { return IDOf(s.Public()) }

// Key is a public key, and what its signatures count for. The zero values of Checks and Environments trust it with
// nothing; Any trusts it with all.
type Key struct {
	ID           KeyID
	Public       ed25519.PublicKey
	Name         string      // what people call it: "this Greenroom", "staging", "builder anna"
	Own          bool        // this Greenroom's: the only ones that may sign its log
	Checks       []string    // names of checks, or Any
	Environments []string    // environments, Stage, Build, or Any
	Retired      int64       // Seq of the log's entry that retired it: what was recorded later doesn't count; 0: in use
	Revoked      *Revocation // nothing of it counts, whenever it was signed
}

// Any stands for all checks, or all environments.
const Any = "*"

// The places of a Statement, and of a Key, beside the environments of a policy.
const (
	Stage = "rehearsal" // the stage
	Build = "build"     // where the release was built; also the Run of statements from there
)

// Revocation says why a key's signatures count no more.
type Revocation struct {
	At      time.Time
	Because string
}

// String is what people are told of a key.
func (k Key) String() string {
	if k.Name == "" {
		return string(k.ID)
	}
	return fmt.Sprintf("%s (%s)", k.Name, k.ID)
}

// May says whether the key's word counts for what the statement is about; the reason where it does not.
func (k Key) May(s Statement) error {
	switch {
	case k.Revoked != nil:
		return k.revoked()
	case !slices.Contains(k.Checks, Any) && !slices.Contains(k.Checks, s.Result.Check):
		return fmt.Errorf("the key %s is not trusted with the check %s", k, s.Result.Check)
	case !slices.Contains(k.Environments, Any) && !slices.Contains(k.Environments, s.Environment):
		return fmt.Errorf("the key %s is not trusted with what happens in %s", k, s.Environment)
	}
	return nil
}

func (k Key) revoked() error {
	return fmt.Errorf("the key %s was revoked on %s: %s", k, k.Revoked.At.UTC().Format(time.DateOnly), k.Revoked.Because)
}

// verify says whether sig is this key's over message.
func (k Key) verify(message, sig []byte) bool {
	return len(k.Public) == ed25519.PublicKeySize && ed25519.Verify(k.Public, message, sig)
}

// Keys are those that a Greenroom knows. Two of the same ID are an error wherever they are used.
type Keys []Key

// Find returns the key of that name, if exactly one has it.
func (k Keys) Find(id KeyID) (Key, bool) {
	key, err := k.one(id)
	return key, err == nil
}

// one finds a key, and sees to it that its name is its own: signatures name keys, and nobody may answer for another.
func (k Keys) one(id KeyID) (Key, error) {
	at := -1
	for i := range k {
		if k[i].ID != id {
			continue
		}
		if at >= 0 {
			return Key{}, fmt.Errorf("two keys are called %s", id)
		}
		at = i
	}
	switch {
	case at < 0:
		return Key{}, fmt.Errorf("nobody here knows the key %s", id)
	case IDOf(k[at].Public) != id:
		return Key{}, fmt.Errorf("the key that is called %s is another one", id)
	}
	return k[at], nil
}

// decode64 reads base64 (RFC 4648, section 4) strictly: padded, without line ends, without stray bits, so that two texts
// never mean the same.
func decode64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the package ignores
		return nil, fmt.Errorf("base64 with line ends")
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}
