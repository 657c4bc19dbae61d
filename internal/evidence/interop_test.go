package evidence

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	testresult "github.com/in-toto/attestation/go/predicates/test_result/v0"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// docs is the folder of the pages that say what is tested here.
const docs = "../../docs/evidence"

// The vector that DSSE's protocol publishes, and its library's others.
func TestPreAuthenticationEncoding(t *testing.T) {
	for _, c := range []struct{ payloadType, payload, want string }{
		{"http://example.com/HelloWorld", "hello world", "DSSEv1 29 http://example.com/HelloWorld 11 hello world"},
		{"", "", "DSSEv1 0  0 "},
		{"http://example.com/HelloWorld", "ಠ", "DSSEv1 29 http://example.com/HelloWorld 3 ಠ"},
	} {
		if got := string(preAuth(c.payloadType, []byte(c.payload))); got != c.want || got != string(dsse.PAE(c.payloadType, []byte(c.payload))) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestOthersVerifyAndReadOurEnvelopes(t *testing.T) {
	own := signer(1)
	verifier, err := dsse.NewEnvelopeVerifier(byLibrary{own})
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range goods() {
		t.Run(name, func(t *testing.T) {
			var e dsse.Envelope
			if err := json.Unmarshal(mustSeal(t, d, own), &e); err != nil {
				t.Fatal(err)
			}
			accepted, payload, err := verifier.VerifyAndDecode(context.Background(), &e)
			if err != nil || len(accepted) != 1 || accepted[0].KeyID != string(own.ID()) {
				t.Fatalf("%v, %v", accepted, err)
			}
			var s intoto.Statement
			if err := protojson.Unmarshal(payload, &s); err != nil { // which refuses unknown fields
				t.Fatal(err)
			}
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
			if got := s.Subject[0]; got.Name != "shop" || "sha256:"+got.Digest["sha256"] != string(wanted()) || len(s.Subject) != 1 {
				t.Errorf("it is about %v", s.Subject)
			}
		})
	}
}

// predicate reads one with the field's own types, extensions left out as they say.
func predicate(t *testing.T, d document, into proto.Message) {
	t.Helper()
	_, p := d.predicate()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestOthersReadTheStandardPredicates(t *testing.T) {
	var r testresult.TestResult
	predicate(t, check(goodStatement()), &r)
	if r.Result != "FAILED" || strings.Join(r.FailedTests, " ") != "checkout checkout/TestPay" || len(r.Configuration) != 2 {
		t.Errorf("%v", &r)
	}
	for _, c := range r.Configuration {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	var p provenance.Provenance
	predicate(t, goodProvenance(), &p)
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if b := p.RunDetails.Builder; b.Id != "greenroom:builder/anna%20b%2Fc" || b.Version["greenroom"] != "0.3" {
		t.Errorf("built by %v", b)
	}
	if d := p.BuildDefinition.ResolvedDependencies[0]; d.Digest["gitCommit"] != goodProvenance().Commit || !d.Annotations.Fields[dirty].GetBoolValue() {
		t.Errorf("made from %v", d)
	}
	if !p.RunDetails.Metadata.FinishedOn.AsTime().Equal(goodProvenance().Ended) {
		t.Errorf("at %v", p.RunDetails.Metadata)
	}
}

// openssl runs the program where it is; where it is not, the test says so and, under CI, fails.
func openssl(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not here, and CI needs it")
		}
		t.Skip("SKIPPED: openssl is not here; nothing else verified these signatures")
	}
	c := exec.Command("openssl", args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSSLVerifiesOurSignatures(t *testing.T) {
	own := signer(1)
	dir := t.TempDir()
	e, err := unpack(mustSeal(t, check(goodStatement()), own))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "message", preAuth(PayloadType, e.payload))
	write(t, dir, "other", preAuth(PayloadType, append(e.payload, ' ')))
	write(t, dir, "sig", e.sig)
	write(t, dir, "key.pem", FormatPEM(own.Public()))
	verify := func(message string) (string, error) {
		return openssl(t, dir, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", message, "-sigfile", "sig")
	}
	if out, err := verify("message"); err != nil || !strings.Contains(out, "Signature Verified Successfully") {
		t.Errorf("%s: %v", out, err)
	}
	if out, err := verify("other"); err == nil {
		t.Errorf("another message: %s", out)
	}
}

func TestOpenSSLsKeysAreReadAndOursByIt(t *testing.T) {
	dir := t.TempDir()
	if out, err := openssl(t, dir, "genpkey", "-algorithm", "ed25519", "-out", "private.pem"); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	theirs, err := openssl(t, dir, "pkey", "-in", "private.pem", "-pubout")
	if err != nil {
		t.Fatal(theirs)
	}
	public, err := ParsePublic(theirs)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ours.pem", FormatPEM(public))
	again, err := openssl(t, dir, "pkey", "-pubin", "-in", "ours.pem", "-pubout")
	if err != nil || again != theirs || string(FormatPEM(public)) != theirs {
		t.Errorf("%s became %s: %v", theirs, again, err)
	}
}

var recipe = regexp.MustCompile("(?s)```sh\n(# verify.*?)```")

// The page's recipe for people without Greenroom works on the page's example, and on no other.
func TestThePagesRecipe(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := recipe.FindSubmatch(page)
	if script == nil {
		t.Fatal("the page has no recipe")
	}
	dir := t.TempDir()
	if out, err := openssl(t, dir, "version"); err != nil {
		t.Fatal(out)
	}
	envelope, err := os.ReadFile(filepath.Join(docs, "examples", "checkout.dsse.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "key.pem", FormatPEM(signer(1).Public()))
	run := func(envelope []byte) (string, error) {
		write(t, dir, "checkout.dsse.json", envelope)
		c := exec.Command("sh", "-ec", string(script[1]))
		c.Dir = dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := run(envelope); err != nil || !strings.Contains(out, "Verified Successfully") || !strings.Contains(out, `"verdict":"fail"`) {
		t.Errorf("%s: %v", out, err)
	}
	forged := mustSeal(t, check(goodStatement()), signer(2))
	if out, err := run(forged); err == nil {
		t.Errorf("somebody else's: %s", out)
	}
}
