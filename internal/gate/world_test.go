package gate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

var (
	noon   = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	wanted = release.Of([]byte("wanted"))
	other  = release.Of([]byte("other"))
	live   = release.Of([]byte("live"))
)

// person is who holds a private key.
type person struct{ private ed25519.PrivateKey }

func newPerson(seed byte) person {
	return person{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
}

func (p person) signer() evidence.Signer { return evidence.NewSigner(p.private) }

var (
	own      = newPerson(1) // this Greenroom
	staging  = newPerson(2) // the one where rehearsals happen
	builder  = newPerson(3)
	stranger = newPerson(4)
)

func keyOf(p person, name string, checks, environments []string) evidence.Key {
	return evidence.Key{ID: p.signer().ID(), Public: p.signer().Public(), Name: name, Checks: checks, Environments: environments}
}

func keys() evidence.Keys {
	mine := keyOf(own, "this Greenroom", []string{evidence.Any}, []string{evidence.Any})
	mine.Own = true
	return evidence.Keys{
		mine,
		keyOf(staging, "staging", []string{evidence.Any}, []string{evidence.Stage}),
		keyOf(builder, "builder anna", []string{"unit"}, []string{evidence.Build}),
	}
}

// found is a statement and who signs it.
type found struct {
	evidence.Statement
	by    person
	forge func(envelope []byte, by person) []byte // what is recorded instead
}

// world is a question in the making: the statements are signed and recorded when it is asked.
type world struct {
	Question
	found []found
	spoil []func(q *Question) // what happens to what was recorded
}

func policy() app.Policy {
	return app.Policy{
		App: "shop",
		Environments: []app.Environment{
			{Name: "dev"}, {Name: "staging", After: "dev"}, {Name: "production", After: "staging"},
		},
		Gates: map[string]app.Gate{"production": {Soak: 30 * time.Minute, Except: map[string]app.Except{
			"evening": {Because: "the load file is not ready", Until: noon.AddDate(0, 1, 0)},
		}}},
	}
}

func baseline() release.Baseline {
	return release.Baseline{
		release.PartRelease: string(live), release.PartSchema: "schema-1", release.PartConfig: "config-1",
		release.PartSecrets: "secrets-1", release.PartFlags: "flags-1", release.PartSizes: "sizes-1",
	}
}

// underPolicy stands for the conditions of the policy that is in force when the question is asked.
const underPolicy = "the policy in force"

func passed(check, run string) found {
	s := evidence.Statement{
		ID: run + "/" + check, App: "shop", Release: wanted, Environment: evidence.Stage, Run: run,
		Policy: underPolicy, Baseline: baseline(), At: noon.Add(-time.Hour),
		Result: evidence.Result{Check: check, Verdict: evidence.Pass, Summary: "3 tests passed", Passed: 3},
	}
	if run != BuildRun {
		return found{Statement: s, by: staging}
	}
	s.Environment, s.Policy, s.Baseline = evidence.Build, "", nil
	return found{Statement: s, by: builder}
}

// good is a question whose answer is yes.
func good() *world {
	return &world{
		Question: Question{
			App: "shop", Release: wanted, Environment: "production", Policy: policy(),
			Checks:   []app.Check{{Name: "unit", AtBuild: true}, {Name: "checkout", DependsOn: []string{"release", "schema"}}, {Name: "evening"}},
			Builtin:  Builtin(),
			Keys:     keys(),
			Baseline: baseline(),
			After:    &Presence{Release: wanted, Since: noon.Add(-time.Hour), Healthy: true},
			Schema:   SchemaProven,
			Now:      noon,
		},
		found: []found{passed("unit", BuildRun), passed("checkout", "r1"), passed(Migration, "r1"), passed(OldOnNew, "r1"), passed(Rollback, "r1")},
	}
}

// of is the first statement about a check.
func (w *world) of(check string) *found {
	return &w.found[slices.IndexFunc(w.found, func(f found) bool { return f.Result.Check == check })]
}

// key is that of a person.
func (w *world) key(p person) *evidence.Key {
	return &w.Keys[slices.IndexFunc(w.Keys, func(k evidence.Key) bool { return k.ID == p.signer().ID() })]
}

func (w *world) add(f ...found) { w.found = append(w.found, f...) }

// later has something done to what was recorded.
func (w *world) later(f func(q *Question)) { w.spoil = append(w.spoil, f) }

// seal signs a statement, as it is if it makes sense, and by forgery otherwise.
func (w *world) seal(f found) []byte {
	s := f.Statement
	if s.Policy == underPolicy {
		s.Policy = w.Policy.Conditions()
	}
	b, err := evidence.Seal(s, f.by.signer())
	if err != nil {
		panic(err)
	}
	if f.forge != nil {
		b = f.forge(b, f.by)
	}
	return b
}

// ask records what was found, and has happen to it what happens.
func (w *world) ask() Question {
	q := w.Question
	q.Evidence = nil
	for _, f := range w.found {
		q.Evidence = append(q.Evidence, record(w.seal(f), int64(10*(len(q.Evidence)+1))))
	}
	for _, spoil := range w.spoil {
		spoil(&q)
	}
	return q
}

// record is what this Greenroom's log says of an envelope. The other entries between are about something else.
func record(envelope []byte, seq int64) evidence.Recorded {
	d := release.Of(envelope)
	return evidence.Recorded{Envelope: envelope, Digest: d, Entry: entry(d, evidence.Head{Seq: seq - 1, Hash: make([]byte, 32)})}
}

func entry(d release.Digest, after evidence.Head) evidence.Entry {
	return evidence.Link(evidence.Entry{At: noon, Actor: "anna", Action: evidence.ActionEvidence, App: "shop", Subject: string(wanted),
		Detail: `"` + string(d) + `"`}, after, own.signer())
}

// rewritten replaces something in the statement before it is signed: what no honest signer does.
func rewritten(old, now string) func([]byte, person) []byte {
	return func(b []byte, by person) []byte {
		payload := payloadOf(b)
		if !strings.Contains(payload, old) {
			panic(old + " is not in " + payload)
		}
		return enveloped(evidence.PayloadType, strings.Replace(payload, old, now, 1), by)
	}
}

func payloadOf(b []byte) string {
	var e dsse.Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		panic(err)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		panic(err)
	}
	return string(payload)
}

// enveloped signs anything.
func enveloped(payloadType, payload string, by ...person) []byte {
	e := dsse.Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString([]byte(payload)), Signatures: []dsse.Signature{}}
	for _, p := range by {
		sig := ed25519.Sign(p.private, dsse.PAE(payloadType, []byte(payload)))
		e.Signatures = append(e.Signatures, dsse.Signature{KeyID: string(p.signer().ID()), Sig: base64.StdEncoding.EncodeToString(sig)})
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return b
}
