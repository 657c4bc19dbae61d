package evidence

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"pgregory.net/rapid"
)

func TestKeyIDIsThatOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		by := signer(rapid.Byte().Draw(t, "seed"))
		want, err := dsse.SHA256KeyID(by.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got := by.ID(); string(got) != want {
			t.Fatalf("%s, others say %s", got, want)
		}
	})
}

func TestPublicKeysAreReadAsTheyAreWritten(t *testing.T) {
	public := signer(1).Public()
	text, block := FormatPublic(public), string(FormatPEM(public))
	for _, written := range []string{text, block, " " + text + "\n", "\n" + block + "\n", strings.ReplaceAll(block, "\n", "\r\n")} {
		if back, err := ParsePublic(written); err != nil || !back.Equal(public) {
			t.Errorf("%q: %v", written, err)
		}
	}
}

func TestPublicKeysThatAreNone(t *testing.T) {
	text, block := FormatPublic(signer(1).Public()), string(FormatPEM(signer(1).Public()))
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "a public key is ed25519:BASE64"},
		{"a word", "anna", "a public key is ed25519:BASE64"},
		{"no bytes", "ed25519:", "32 bytes"},
		{"too few", text[:len(text)-8] + "=", "32 bytes"},
		{"too many", publicPrefix + strings.Repeat("A", 44), "32 bytes"},
		{"two lines", text[:20] + "\n" + text[20:], "32 bytes"},
		{"a private key", strings.ReplaceAll(block, "PUBLIC", "PRIVATE"), "is a PRIVATE KEY"},
		{"two keys", block + block, "more than one"},
		{"a damaged block", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), "can't be read"},
		{"another algorithm", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "not an ed25519 one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if public, err := ParsePublic(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %x, %v, want %q", public, err, c.want)
			}
		})
	}
}

func FuzzParsePublic(f *testing.F) {
	f.Add(FormatPublic(signer(1).Public()))
	f.Add(string(FormatPEM(signer(1).Public())))
	f.Fuzz(func(t *testing.T, text string) {
		public, err := ParsePublic(text)
		if err != nil {
			return
		}
		for _, written := range []string{FormatPublic(public), string(FormatPEM(public))} {
			if back, err := ParsePublic(written); err != nil || !bytes.Equal(back, public) {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func TestWhatAKeyMaySpeakAbout(t *testing.T) {
	atStage, atBuild, inStaging := goodStatement(), goodStatement(), goodStatement()
	atBuild.Run, atBuild.Environment = Build, Build
	inStaging.Environment = "staging"
	for _, c := range []struct {
		name string
		key  Key
		s    Statement
		want string // "" where it may
	}{
		{"everything", Key{Checks: []string{Any}, Environments: []string{Any}}, inStaging, ""},
		{"this check here", Key{Checks: []string{"unit", "checkout"}, Environments: []string{Build, Stage}}, atStage, ""},
		{"the zero key", Key{}, atStage, "not trusted with the check checkout"},
		{"another check", Key{Checks: []string{"unit"}, Environments: []string{Any}}, atStage, "not trusted with the check checkout"},
		{"no environment", Key{Checks: []string{Any}}, atStage, "not trusted with what happens in rehearsal"},
		{"a builder about a rehearsal", Key{Checks: []string{Any}, Environments: []string{Build}}, atStage, "in rehearsal"},
		{"a stage about a build", Key{Checks: []string{Any}, Environments: []string{Stage}}, atBuild, "in build"},
		{"a stage about an environment", Key{Checks: []string{Any}, Environments: []string{Stage}}, inStaging, "in staging"},
		{"part of a name", Key{Checks: []string{"check"}, Environments: []string{Any}}, atStage, "not trusted with the check"},
		{"revoked", Key{Checks: []string{Any}, Environments: []string{Any}, Revoked: &Revocation{At: noon, Because: "lost"}}, atStage, "revoked on 2026-05-04: lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.key.May(c.s)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	own, other := trusted("own", signer(1)), trusted("other", signer(2))
	if k, ok := (Keys{other, own}).Find(own.ID); !ok || k.Name != "own" {
		t.Errorf("%v %v", k, ok)
	}
	for name, keys := range map[string]Keys{"none": nil, "another": {other}, "two": {own, other, own}} {
		if k, ok := keys.Find(own.ID); ok {
			t.Errorf("%s: found %v", name, k)
		}
	}
}
