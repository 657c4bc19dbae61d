package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// flipped is content with one byte changed, near its middle.
func flipped(content []byte) []byte {
	out := bytes.Clone(content)
	out[len(out)/2] ^= 1
	return out
}

func lines(envelopes ...[]byte) []byte { return append(bytes.Join(envelopes, []byte("\n")), '\n') }

// TestVerifyOffline is the table of what may be in a file, without any daemon.
func TestVerifyOffline(t *testing.T) {
	all := fakeEvidence()
	unit, checkout, list := all[0], all[1], all[2]
	other := fakeStatement("unit", evidence.Pass)
	other.Release = sour.Digest
	of := func(e evidence.Statement, by evidence.Signer) []byte { return must1(evidence.Seal(e, by)) }
	own, staging, stranger := public(ownKey), public(stagingKey), public(strangerKey)
	for _, c := range []struct {
		name    string
		content []byte
		keys    []string
		code    int
		says    string
	}{
		{"one envelope", unit, []string{own}, 0, "1 envelope is verified"},
		{"lines", lines(all...), []string{own, staging}, 0, "3 envelopes are verified"},
		{"a key given twice", unit, []string{own, own}, 0, "with 1 key"},
		{"a bundle", bundleOf(all...), []string{own, staging}, 0, "3 envelopes are verified"},
		{"nothing", nil, []string{own}, 3, "no evidence to verify"},
		{"a bundle without evidence", bundleOf(), []string{own}, 3, "no evidence to verify"},
		{"only unknown keys", lines(all...), []string{stranger}, 3, "3 signed by unknown keys"},
		{"one unknown key", lines(all...), []string{own}, 3, "the same with --key of " + string(stagingKey.ID())},
		{"one unknown key, and one damaged", lines(append(slices.Clone(all), []byte("{}"))...), []string{own}, 1, "1 not, 1 signed by unknown keys"},
		{"a bundle whose list is signed by an unknown key", bundleOf(all...), []string{staging}, 3, "signed by unknown keys"},
		{"a bit flipped", flipped(unit), []string{own}, 1, ""},
		{"a signature of another envelope", swapSignature(unit, list), []string{own}, 1, "signature"},
		{"a signature under another name", bytes.Replace(checkout, []byte(stagingKey.ID()), []byte(ownKey.ID()), 1), []string{own, staging}, 1, "signature"},
		{"not an envelope", []byte(`{"a": 1}`), []string{own}, 1, "it is no signed envelope"},
		{"not an object", []byte(`17`), []string{own}, 1, "it is no JSON object"},
		{"not JSON", []byte("hello"), []string{own}, 2, "holds no envelopes"},
		{"cut off", unit[:len(unit)/2], []string{own}, 2, "holds no envelopes"},
		{"a bundle, cut off", bundleOf(all...)[:bytes.LastIndex(bundleOf(all...), list)+100], []string{own}, 1, "damaged or cut off"},
		{"a bundle, cut off between two files", bundleOf(all...)[:bytes.LastIndex(bundleOf(all...), list)-512], []string{own, staging}, 1, "says that this is all"},
		{"a bundle, one piece left out", bundleOf(unit, list), []string{own, staging}, 1, "names it, and it is not here"},
		{"a bundle without the list", bundleOf(unit, checkout), []string{own, staging}, 1, "says that this is all"},
		{"a bundle about two releases", bundleOf(append(all, of(other, ownKey))...), []string{own, staging}, 1, "the bundle about"},
		{"a bundle with a damaged artifact", bytes.Replace(bundleOf(all...), []byte("a program"), []byte("a trojan!"), 1), []string{own, staging}, 1, "not what its name says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			p.home = "/nowhere" // no daemon is asked
			file := filepath.Join(p.dir, "evidence.json")
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"evidence", "verify", file}
			for _, k := range c.keys {
				args = append(args, "--key", k)
			}
			got := p.types(t.Context(), args...)
			if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, c.code, c.says, got.out, got.err)
			}
		})
	}
}

// swapSignature is the first envelope with the signature of the second.
func swapSignature(first, second []byte) []byte {
	sig := []byte(`"signatures":`)
	head, _, _ := bytes.Cut(first, sig)
	_, tail, _ := bytes.Cut(second, sig)
	return bytes.Join([][]byte{head, tail}, sig)
}

// TestVerifyWithTheDefinitionsKeys trusts a key only with what the definition does.
func TestVerifyWithTheDefinitionsKeys(t *testing.T) {
	unit := fakeStatement("unit", evidence.Pass)
	live := fakeStatement("unit", evidence.Pass)
	live.Environment = "production"
	for _, c := range []struct {
		name, app string
		envelope  []byte
		code      int
		says      string
	}{
		{"what it may speak about", "keyed", must1(evidence.Seal(unit, stagingKey)), 0, "1 key (staging)"},
		{"another check", "keyed", must1(evidence.Seal(fakeStatement("smoke", evidence.Pass), stagingKey)), 1, "not trusted with the check smoke"},
		{"another environment", "keyed", must1(evidence.Seal(live, stagingKey)), 1, "not trusted with what happens in production"},
		{"a standing", "keyed", must1(evidence.SealStanding(evidence.Standing{App: "shop", Environment: "production", Release: good.Digest,
			Baseline: release.Baseline{release.PartRelease: string(good.Digest)}, Log: evidence.Head{Seq: 1, Hash: make([]byte, 32)}, At: at}, stagingKey)),
			1, "may not speak for production"},
		{"a stranger", "keyed", must1(evidence.Seal(unit, strangerKey)), 3, "none of the keys"},
		{"a definition without keys", "shop", must1(evidence.Seal(unit, stagingKey)), 3, "no key to verify with"},
		{"a definition that is wrong", "broken", must1(evidence.Seal(unit, stagingKey)), 2, "2 faults"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			p.home = "/nowhere"
			for file, content := range map[string][]byte{"greenroom.yaml": []byte("app: " + c.app + "\n"), "e.json": c.envelope} {
				if err := os.WriteFile(filepath.Join(p.dir, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := p.types(t.Context(), "evidence", "verify", filepath.Join(p.dir, "e.json"))
			if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, c.code, c.says, got.out, got.err)
			}
		})
	}
}

// TestVerifyARelease does not take the daemon's word for what it sends.
func TestVerifyARelease(t *testing.T) {
	other := fakeStatement("unit", evidence.Pass)
	other.Release = sour.Digest
	for _, c := range []struct {
		name string
		has  [][]byte
		args []string
		code int
		says string
	}{
		{"whole", fakeEvidence(), nil, 0, "3 envelopes are verified"},
		{"with given keys", fakeEvidence(), []string{"--key", public(ownKey), "--key", public(stagingKey)}, 0, "2 keys"},
		{"with other keys", fakeEvidence(), []string{"--key", public(strangerKey)}, 3, "3 signed by unknown keys"},
		{"none", nil, nil, 3, "no evidence"},
		{"of another release", [][]byte{must1(evidence.Seal(other, ownKey))}, nil, 1, "it is about " + sour.Digest.Short()},
		{"damaged", [][]byte{flipped(fakeEvidence()[0])}, nil, 1, ""},
		{"gone", [][]byte{nil}, nil, 1, "it was recorded, and is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPerson(t)
			p.f.envelope[good.Digest] = c.has
			got := p.types(t.Context(), append([]string{"evidence", "verify", good.Digest.Short()}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, c.code, c.says, got.out, got.err)
			}
		})
	}
}

func FuzzReadEnvelopes(f *testing.F) {
	f.Add(lines(fakeEvidence()...))
	f.Add(bundleOf(fakeEvidence()...))
	f.Add([]byte("{}[]"))
	file := filepath.Join(f.TempDir(), "f")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := (&shell{}).readEnvelopes(file)
		if err != nil {
			return
		}
		v := &verification{keys: evidence.Keys{keyOf(ownKey)}}
		v.file(b)
		for _, one := range v.items {
			if one.OK && !bytes.Contains(content, []byte(ownKey.ID())) {
				t.Errorf("what nobody signed is verified: %+v", one)
			}
		}
	})
}
