package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"pgregory.net/rapid"

	migrations "greenroom/internal/migration"
	"greenroom/internal/release"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// signer is a key made of one byte, so that tests say the same every time.
func signer(seed byte) Signer {
	return NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func trusted(name string, by Signer) Key {
	return Key{ID: by.ID(), Public: by.Public(), Name: name, Own: true, Checks: []string{Any}, Environments: []string{Any}}
}

func wanted() release.Digest { return release.Of([]byte("wanted")) }

func goodStatement() Statement {
	return Statement{
		ID: "r1/checkout", App: "shop", Release: wanted(), Environment: Stage, Run: "r1",
		Policy:    string(release.Of([]byte("policy"))),
		Baseline:  release.Baseline{release.PartRelease: string(release.Of([]byte("live"))), release.PartSchema: "s1"},
		DependsOn: []release.Part{release.PartSchema, release.PartRelease},
		Snapshot:  &SnapshotUsed{ID: "20260102-030405.000", Environment: "production", Taken: noon.Add(-time.Hour), Age: time.Hour, Found: true, By: "production"},
		Result: Result{Check: "checkout", Verdict: Fail, Summary: "1 of 2 failed: <b>&", Passed: 1, Failed: 1,
			Failures: []Failure{{Name: "TestPay", Message: "got 500"}}, Output: "…\u2028", Started: noon, Duration: time.Second},
		At: noon.Add(time.Minute),
	}
}

func goodCollection() Collection {
	return Collection{App: "shop", Release: wanted(), Evidence: []release.Digest{release.Of([]byte("1")), release.Of([]byte("2"))},
		Log: Head{Seq: 7, Hash: bytes.Repeat([]byte{7}, 32)}, At: noon}
}

func goodStanding() Standing {
	return Standing{App: "shop", Environment: "production", Release: wanted(), Since: noon, Healthy: true,
		Baseline: release.Baseline{release.PartRelease: string(wanted()), release.PartFlags: "f1"}, Log: goodCollection().Log, At: noon}
}

func goodRollout() Rollout {
	return Rollout{App: "shop", Environment: "production", Release: wanted(), From: release.Of([]byte("live")), Run: "p1",
		Kind: "promotion", Outcome: "succeeded", Policy: string(release.Of([]byte("policy"))), Evidence: goodCollection().Evidence,
		Broken: []string{"check load: there is no evidence"}, Because: "the sale begins", Requests: 12000, LongestGap: 3 * time.Millisecond,
		Journeys: true, Started: noon, Ended: noon.Add(time.Minute)}
}

func goodProvenance() Provenance {
	return Provenance{App: "shop", Release: wanted(), Commit: strings.Repeat("0123456789", 4), Ref: "v1.2", Dirty: true,
		Builder: "anna b/c", Version: "0.3", Started: noon, Ended: noon.Add(time.Minute)}
}

func goodReport() *migrations.Report {
	return &migrations.Report{
		Observation: migrations.Observation{Engine: "postgres", Started: noon, Took: 2 * time.Second, Samples: 400, Gap: 6 * time.Millisecond,
			Statements: []migrations.Statement{{SQL: "CREATE INDEX ON orders (email)", Took: time.Second}},
			Locks:      []migrations.Lock{{Table: "orders", Mode: "Share", Until: time.Second}},
			Waits:      []migrations.Wait{{Query: "INSERT INTO orders …", Who: "web", Table: "orders", Write: true, Until: time.Second}},
			Tables:     []migrations.Table{{Name: "orders", Rows: 300_000, BytesBefore: 1 << 20, BytesAfter: 1 << 20, IndexAfter: 1 << 16}}},
		Budget:   migrations.Budget{BlockedReads: 250 * time.Millisecond, BlockedWrites: time.Second},
		Findings: []migrations.Finding{{Verdict: "pass", Text: "writes to orders would have stood still for 1 s, and 1 s is allowed", Table: "orders"}},
		Advice:   []migrations.Advice{{Why: "it blocks writes", Instead: "CREATE INDEX CONCURRENTLY ON orders (email)"}},
		Lost:     []migrations.Loss{{Table: "carts", Rows: 3, Text: "3 of 9 rows are gone"}},
		Back:     &migrations.Back{Possible: true, How: "the old release lives on the new schema", Until: "until a later release changes it"},
		Forecast: &migrations.Forecast{Low: time.Second, High: 4 * time.Second, Disk: 1 << 16, Why: "orders has as many rows there"},
		Data:     "a masked copy of production",
	}
}

func goodSnapshot() Snapshot {
	return Snapshot{App: "shop", Environment: "production", ID: "20260102-030405.000", Manifest: wanted(),
		Rules: strings.TrimPrefix(string(release.Of([]byte("rules"))), "sha256:"), Taken: noon.Add(-time.Hour), Size: 1 << 20, At: noon}
}

// goods are one document of each predicate.
func goods() map[string]document {
	migration, rollback := goodStatement(), goodStatement()
	migration.Result = Result{Check: CheckMigration, Verdict: Pass, Summary: "done in 2s, nobody waited", Schema: &SchemaChange{Before: "s1", After: "s2"}, Started: noon,
		Migration: goodReport()}
	goBack := true
	rollback.Result = Result{Check: CheckRollback, Verdict: Pass, Summary: "one can go back", GoBack: &goBack, Started: noon}
	return map[string]document{
		"test-result": check(goodStatement()), "migration": check(migration), "rollback": check(rollback),
		"collection": goodCollection(), "standing": goodStanding(), "rollout": goodRollout(), "provenance": goodProvenance(),
		"snapshot": goodSnapshot(),
	}
}

func mustSeal(t testing.TB, d document, by Signer) []byte {
	t.Helper()
	b, err := seal(d, by)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryKindComesBackAsItWas(t *testing.T) {
	own := signer(1)
	keys := Keys{trusted("other", signer(2)), trusted("this Greenroom", own)}
	for name, d := range goods() {
		t.Run(name, func(t *testing.T) {
			b := mustSeal(t, d, own)
			back, k, err := openAny(b, keys)
			if err != nil {
				t.Fatal(err)
			}
			if k.Name != "this Greenroom" {
				t.Errorf("signed by %s", k)
			}
			if diff := cmp.Diff(d, back); diff != "" {
				t.Error(diff)
			}
			s, _, err := Read(b, keys)
			if err != nil || s.Release != wanted() || s.App != "shop" || s.Key != own.ID() || s.Text == "" || s.At.IsZero() {
				t.Errorf("%+v, %v", s, err)
			}
			if again := mustSeal(t, d, own); !bytes.Equal(again, b) {
				t.Error("sealed twice, it is not the same")
			}
		})
	}
}

func TestEachOpenReadsOnlyItsOwnKind(t *testing.T) {
	own := signer(1)
	keys := Keys{trusted("own", own)}
	for name, d := range goods() {
		b := mustSeal(t, d, own)
		opened := map[Kind]error{}
		_, _, opened[KindCheck] = Open(b, keys)
		_, _, opened[KindCollection] = OpenCollection(b, keys)
		_, _, opened[KindStanding] = OpenStanding(b, keys)
		_, _, opened[KindRollout] = OpenRollout(b, keys)
		_, _, opened[KindProvenance] = OpenProvenance(b, keys)
		_, _, opened[KindSnapshot] = OpenSnapshot(b, keys)
		for kind, err := range opened {
			if (err == nil) != (kind == d.summary().Kind) {
				t.Errorf("a %s read as a %s: %v", name, kind, err)
			}
		}
	}
}

// The verdict in in-toto's own words never says more than ours: who knows only those does not take a "could not decide"
// for a pass.
func TestOnlyAPassIsPassed(t *testing.T) {
	for _, v := range []Verdict{Pass, Fail, Inconclusive} {
		s := goodStatement()
		s.Result = Result{Check: "checkout", Verdict: v}
		_, p := check(s).predicate()
		r := p.(testResult)
		if (r.Result == "PASSED") != (v == Pass) || (len(r.PassedTests) > 0) != (v == Pass) || (len(r.FailedTests) > 0) != (v != Pass) {
			t.Errorf("%s: %+v", v, r)
		}
	}
}

func TestWhatMakesNoSenseIsNotSigned(t *testing.T) {
	statement := func(change func(s *Statement)) document {
		s := goodStatement()
		change(&s)
		return check(s)
	}
	snapshot := func(change func(s *Snapshot)) document {
		s := goodSnapshot()
		change(&s)
		return s
	}
	collection, standing, rollout, provenance := goodCollection(), goodStanding(), goodRollout(), goodProvenance()
	collection.Evidence[1] = "sha256:short"
	standing.Baseline = release.Baseline{release.PartRelease: string(release.Of([]byte("other")))}
	rollout.Kind = "visit"
	provenance.Commit = "HEAD"
	for _, c := range []struct {
		name string
		d    document
		want string
	}{
		{"no id", statement(func(s *Statement) { s.ID = "" }), "without an id"},
		{"no app", statement(func(s *Statement) { s.App = "" }), "about no app"},
		{"no release", statement(func(s *Statement) { s.Release = "" }), `"" is not the digest`},
		{"a short digest", statement(func(s *Statement) { s.Release = wanted()[:70] }), "is not the digest"},
		{"a digest in capitals", statement(func(s *Statement) { s.Release = release.Digest(strings.ToUpper(string(wanted()))) }), "is not the digest"},
		{"no place", statement(func(s *Statement) { s.Environment = "" }), "where it comes from"},
		{"no run", statement(func(s *Statement) { s.Run = "" }), "where it comes from"},
		{"a build in a rehearsal", statement(func(s *Statement) { s.Run = Build }), "from the run build in rehearsal"},
		{"a rehearsal in a build", statement(func(s *Statement) { s.Environment = Build }), "from the run r1 in build"},
		{"a policy by name", statement(func(s *Statement) { s.Policy = "strict" }), "not a digest"},
		{"a snapshot of no moment", statement(func(s *Statement) { s.Snapshot = &SnapshotUsed{ID: "r1", Environment: "production"} }), "does not tell which"},
		{"no time", statement(func(s *Statement) { s.At = time.Time{} }), "without a time"},
		{"no check", statement(func(s *Statement) { s.Result.Check = "" }), "about no check"},
		{"no verdict", statement(func(s *Statement) { s.Result.Verdict = "" }), `"" is not a verdict`},
		{"an unknown verdict", statement(func(s *Statement) { s.Result.Verdict = "PASS" }), `"PASS" is not a verdict`},
		{"a pass with a failure", statement(func(s *Statement) { s.Result.Verdict = Pass }), "a pass with 1 failed"},
		{"fewer than no tests", statement(func(s *Statement) { s.Result.Passed = -1 }), "negative"},
		{"a collection of something else", collection, "not the digest of an envelope"},
		{"a standing of two releases", standing, "is live"},
		{"a rollout of another kind", rollout, `not a "visit"`},
		{"a provenance from a name", provenance, "not a git commit"},
		{"an empty collection", Collection{}, "without a time"},
		{"an empty standing", Standing{}, "no environment"},
		{"an empty rollout", Rollout{}, "without an environment"},
		{"an empty provenance", Provenance{}, "no builder"},
		{"a snapshot outside its folder", snapshot(func(s *Snapshot) { s.ID = "../20260102-030405.000" }), "not the id of a snapshot"},
		{"a snapshot by a name", snapshot(func(s *Snapshot) { s.ID = "latest" }), "not the id of a snapshot"},
		{"a snapshot without rules", snapshot(func(s *Snapshot) { s.Rules = "" }), "not a digest"},
		{"a snapshot of no moment", snapshot(func(s *Snapshot) { s.Taken = time.Time{} }), "without a time"},
		{"an empty snapshot", Snapshot{}, "no environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := seal(c.d, signer(1))
			if err == nil || b != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			// Nor is it read when somebody signs it all the same.
			payload, err := encode(c.d)
			if err != nil {
				t.Fatal(err)
			}
			if d, _, err := openAny(forge(t, PayloadType, payload, signer(1)), Keys{trusted("own", signer(1))}); err == nil {
				t.Errorf("read: %+v", d)
			}
		})
	}
}

// byLibrary signs for another implementation of DSSE.
type byLibrary struct{ Signer }

func (s byLibrary) Sign(_ context.Context, b []byte) ([]byte, error) {
	return ed25519.Sign(s.private, b), nil
}
func (s byLibrary) Verify(_ context.Context, b, sig []byte) error {
	if !ed25519.Verify(s.Signer.Public(), b, sig) {
		return errors.New("wrong signature")
	}
	return nil
}
func (s byLibrary) KeyID() (string, error)   { return string(s.ID()), nil }
func (s byLibrary) Public() crypto.PublicKey { return s.Signer.Public() }

// forge signs any payload with another implementation.
func forge(t testing.TB, payloadType string, payload []byte, by ...Signer) []byte {
	t.Helper()
	var signers []dsse.Signer
	for _, s := range by {
		signers = append(signers, byLibrary{s})
	}
	es, err := dsse.NewEnvelopeSigner(signers...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := es.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every way in which an envelope is not what Seal writes. Those that change the payload are signed again, so that nothing
// but the form is wrong with them.
func TestMalformedEnvelopes(t *testing.T) {
	own := signer(1)
	keys := Keys{trusted("own", own)}
	good := string(mustSeal(t, check(goodStatement()), own))
	payload, err := encode(check(goodStatement()))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, now string) []byte { return []byte(strings.Replace(good, old, now, 1)) }
	signed := func(old, now string) []byte {
		changed := strings.Replace(string(payload), old, now, 1)
		if changed == string(payload) {
			t.Fatalf("%q is not in %s", old, payload)
		}
		return forge(t, PayloadType, []byte(changed), own)
	}
	encoded := base64.StdEncoding.EncodeToString(payload)
	sig := good[strings.Index(good, `"sig":"`)+7 : strings.LastIndex(good, `"}]`)]
	raw, _ := base64.StdEncoding.DecodeString(sig)
	for _, c := range []struct {
		name     string
		envelope []byte
		want     string
	}{
		{"nothing", nil, "EOF"},
		{"not JSON", []byte("envelope"), "invalid character"},
		{"a list", []byte("[" + good + "]"), "cannot unmarshal"},
		{"cut off", []byte(good[:len(good)-1]), "EOF"},
		{"a line's end", []byte(good + "\n"), "canonical"},
		{"trailing data", []byte(good + "{}"), "canonical"},
		{"a space", swap(`{"payloadType"`, `{ "payloadType"`), "canonical"},
		{"an unknown key", swap(`{"payloadType"`, `{"comment":"","payloadType"`), "unknown field"},
		{"a key in capitals", swap(`"payloadType"`, `"PayloadType"`), "canonical"},
		{"a key twice", swap(`"payload":`, `"payload":"AAAA","payload":`), "canonical"},
		{"another order", []byte(`{"payload":"` + encoded + `","payloadType":"` + PayloadType + `","signatures":[{"keyid":"` + string(own.ID()) + `","sig":"` + sig + `"}]}`), "canonical"},
		{"an escaped letter", swap(`"application`, `"\u0061pplication`), "canonical"},
		{"too long", bytes.Repeat([]byte(" "), MaxEnvelope+1), "it may have"},
		{"another payload type", forge(t, "application/json", payload, own), `holds "application/json"`},
		{"no signature", swap(`{"keyid":"`+string(own.ID())+`","sig":"`+sig+`"}`, ""), "0 signatures"},
		{"no list of signatures", []byte(`{"payloadType":"` + PayloadType + `","payload":"` + encoded + `","signatures":null}`), "0 signatures"},
		{"two signatures", forge(t, PayloadType, payload, own, signer(2)), "2 signatures"},
		{"one key's signature twice", forge(t, PayloadType, payload, own, own), "2 signatures"},
		{"a signature without a key", swap(string(own.ID()), ""), "nobody here knows the key"},
		{"a key that nobody knows", forge(t, PayloadType, payload, signer(9)), "nobody here knows the key"},
		{"another key's name", swap(string(own.ID()), string(signer(9).ID())), "nobody here knows the key"},
		{"an empty signature", swap(sig, ""), "not one of the key"},
		{"half a signature", swap(sig, base64.StdEncoding.EncodeToString(raw[:32])), "not one of the key"},
		{"the payload's bare signature", swap(sig, base64.StdEncoding.EncodeToString(ed25519.Sign(own.private, payload))), "not one of the key"},
		{"a signature over another type", swap(sig, base64.StdEncoding.EncodeToString(ed25519.Sign(own.private, preAuth("text/plain", payload)))), "not one of the key"},
		{"base64 of URLs", swap(encoded, base64.URLEncoding.EncodeToString(append([]byte{0xff, 0xef}, payload...))), "base64"},
		{"base64 without padding", swap(sig, strings.TrimRight(sig, "=")), "base64"},
		{"base64 with stray bits", swap(sig, stray(t, sig)), "base64"},
		{"base64 with a line's end", swap(encoded, encoded[:4]+`\n`+encoded[4:]), "base64"},
		{"a payload that is not JSON", forge(t, PayloadType, []byte("passed"), own), "invalid character"},
		{"no payload", forge(t, PayloadType, nil, own), "EOF"},
		{"a payload with trailing data", forge(t, PayloadType, append(slices.Clone(payload), " {}"...), own), "canonical"},
		{"a payload with a space", signed(`{"_type"`, `{ "_type"`), "canonical"},
		{"a payload with an unknown key", signed(`"_type"`, `"note":1,"_type"`), "unknown field"},
		{"a predicate with an unknown key", signed(`"result":"FAILED"`, `"note":1,"result":"FAILED"`), "unknown field"},
		{"a statement with an unknown key", signed(`"id":`, `"note":1,"id":`), "unknown field"},
		{"a verdict twice", signed(`"verdict":"fail"`, `"verdict":"pass","verdict":"fail"`), "canonical"},
		{"a verdict in capitals beside it", signed(`"verdict":"fail"`, `"verdict":"fail","Verdict":"pass"`), "canonical"},
		{"a time written otherwise", signed(`12:01:00Z`, `12:01:00.0Z`), "canonical"},
		{"another statement's type", signed("in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1"), "canonical"},
		{"no subject", signed(`"subject":[{`, `"subject":[],"x":[{`), "unknown field"},
		{"two subjects", signed(`"subject":[`, `"subject":[{"name":"blog","digest":{"sha256":"00"}},`), "canonical"},
		{"a subject with two digests", signed(`"digest":{`, `"digest":{"sha1":"00",`), "canonical"},
		{"another subject than the statement's", signed(strings.TrimPrefix(string(wanted()), "sha256:"), strings.Repeat("0", 64)), "canonical"},
		{"another app in the subject", signed(`"name":"shop"`, `"name":"blog"`), "canonical"},
		{"an unknown predicate", signed("test-result/v0.1", "test-result/v9"), "knows no predicate"},
		{"another check's predicate", signed(typeTestResult, typeMigration), "cannot unmarshal"},
		{"PASSED around a failure", signed(`"result":"FAILED"`, `"result":"PASSED"`), "canonical"},
		{"no predicate", signed(`"predicate":`, `"predicate":null,"x":`), "unknown field"},
		{"bytes that are no UTF-8", signed("got 500", "got \xff"), "canonical"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if string(c.envelope) == good {
				t.Fatal("the case changes nothing")
			}
			s, k, err := Open(c.envelope, keys)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if !cmp.Equal(s, Statement{}) || !cmp.Equal(k, Key{}) {
				t.Errorf("%+v by %+v was returned with %v", s, k, err)
			}
		})
	}
}

// stray sets a bit of base64 that no byte uses.
func stray(t *testing.T, text string) string {
	t.Helper()
	i := strings.IndexByte(text, '=') - 1
	if i < 0 {
		t.Fatal("this base64 has no padding")
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return text[:i] + string(digits[strings.IndexByte(digits, text[i])+1]) + text[i+1:]
}

func TestKeysThatDoNotCount(t *testing.T) {
	own, other := signer(1), signer(2)
	b := mustSeal(t, check(goodStatement()), own)
	revoked := trusted("own", own)
	revoked.Revoked = &Revocation{At: noon, Because: "the laptop was stolen"}
	renamed := trusted("other", other)
	renamed.ID = own.ID()
	short := trusted("own", own)
	short.Public = short.Public[:31]
	for _, c := range []struct {
		name string
		keys Keys
		want string
	}{
		{"none", nil, "nobody here knows the key"},
		{"another", Keys{trusted("other", other)}, "nobody here knows the key"},
		{"revoked", Keys{revoked}, "was revoked on 2026-05-04: the laptop was stolen"},
		{"twice", Keys{trusted("own", own), trusted("own", own)}, "two keys are called"},
		{"revoked once and once not", Keys{trusted("own", own), revoked}, "two keys are called"},
		{"another under its name", Keys{renamed}, "is another one"},
		{"a short one", Keys{short}, "is another one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := Open(b, c.keys); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What is drawn has all that a check may find, and bytes that are no UTF-8.
func drawStatement(t *rapid.T) Statement {
	s := goodStatement()
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	s.ID = "r" + text.Draw(t, "id")
	s.Baseline = rapid.MapOf(rapid.SampledFrom(release.Parts), text).Draw(t, "baseline")
	s.DependsOn = rapid.SliceOf(rapid.SampledFrom(release.Parts)).Draw(t, "depends on")
	s.Result.Check = rapid.SampledFrom([]string{"checkout", CheckMigration, CheckRollback}).Draw(t, "check")
	s.Result.Verdict = rapid.SampledFrom([]Verdict{Fail, Inconclusive}).Draw(t, "verdict")
	s.Result.Output = text.Draw(t, "output")
	s.Result.Failures = rapid.SliceOf(rapid.Map(text, func(m string) Failure { return Failure{Name: m, Message: m} })).Draw(t, "failures")
	s.Result.Duration = time.Duration(rapid.Int64().Draw(t, "duration"))
	s.At = time.Unix(rapid.Int64Range(1, 1<<34).Draw(t, "at"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).
		In(time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "zone")))
	return s
}

func TestWhatIsSealedCanBeOpened(t *testing.T) {
	own := signer(1)
	rapid.Check(t, func(t *rapid.T) {
		s := drawStatement(t)
		b, err := Seal(s, own)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := Open(b, Keys{trusted("own", own)})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Seal(back, own); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("what was opened is not what was sealed: %v", err)
		}
		if back.Result.Verdict != s.Result.Verdict || !back.At.Equal(s.At) || back.Result.Output != strings.ToValidUTF8(back.Result.Output, "�") {
			t.Fatalf("%+v", back)
		}
	})
}

func TestAFlippedByteIsRefused(t *testing.T) {
	own := signer(1)
	good := mustSeal(t, check(goodStatement()), own)
	keys := Keys{trusted("own", own), trusted("other", signer(2))}
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(good)
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if s, _, err := Open(b, keys); err == nil {
			t.Fatalf("%q was read as %+v", b, s)
		}
	})
}

// Whatever is opened is what its signer sealed, to the byte.
func FuzzOpen(f *testing.F) {
	own := signer(1)
	keys := Keys{trusted("own", own)}
	sealed := map[string]bool{}
	for _, d := range goods() {
		b := mustSeal(f, d, own)
		sealed[string(b)] = true
		f.Add(b)
	}
	f.Add([]byte(`{"payloadType":"","payload":"","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, _, err := openAny(b, keys); err == nil && !sealed[string(b)] {
			t.Fatalf("%q was read as %+v", b, d)
		}
	})
}

// FuzzParse is about payloads, as a trusted signer could send any: one form for one meaning.
func FuzzParse(f *testing.F) {
	for _, d := range goods() {
		b, err := encode(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err != nil {
			return
		}
		if again, err := encode(d); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was read as %+v", b, d)
		}
		if app, id := d.about(); app == "" || !id.Valid() {
			t.Fatalf("about %q %q", app, id)
		}
	})
}
