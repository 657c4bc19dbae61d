package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/internal/release"
)

// writeLog makes a log of n entries, each signed as by says.
func writeLog(n int, by func(seq int) Signer) []Entry {
	log := make([]Entry, 0, n)
	var head Head
	for i := 1; i <= n; i++ {
		e := Entry{At: noon.Add(time.Duration(i)), Actor: "anna", Action: "promotion started", App: "shop", Environment: "production",
			Subject: string(wanted()), Run: fmt.Sprintf("r%d", i), Because: "the sale begins", Detail: `{"n":1}`}
		e = Link(e, head, by(i))
		head = Head{Seq: e.Seq, Hash: e.Hash}
		log = append(log, e)
	}
	return log
}

// rotation hands the log over after its end.
func rotation(log []Entry, by, to Signer) Entry {
	end := log[len(log)-1]
	detail, _ := json.Marshal(FormatPublic(to.Public()))
	return Link(Entry{At: noon, Actor: "anna", Action: ActionRotated, Subject: string(to.ID()), Detail: string(detail)},
		Head{Seq: end.Seq, Hash: end.Hash}, by)
}

func always(s Signer) func(int) Signer { return func(int) Signer { return s } }

func TestAWholeLog(t *testing.T) {
	own := signer(1)
	log := writeLog(200, always(own))
	keys := Keys{trusted("own", own)}
	for name, walk := range map[string]func(*Verifier, []Entry) error{"next": (*Verifier).Next, "skim": (*Verifier).Skim} {
		v := NewVerifier(Head{}, keys)
		for page := range slices.Chunk(log, 33) {
			if err := walk(v, page); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if h := v.Head(); h.Seq != 200 || !bytes.Equal(h.Hash, log[199].Hash) || v.End() != nil {
			t.Errorf("%s ends at %d, %v", name, h.Seq, v.End())
		}
		later := NewVerifier(Head{Seq: 100, Hash: log[99].Hash}, keys)
		if err := walk(later, log[100:]); err != nil {
			t.Errorf("%s from a known head: %v", name, err)
		}
		if err := walk(NewVerifier(Head{}, keys), nil); err != nil {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
	for _, e := range log[:3] {
		if err := e.Check(keys); err != nil {
			t.Error(err)
		}
	}
}

// An entry's hash is over every field, so a field that is added to Entry and forgotten there is found here.
func TestEveryFieldOfAnEntryIsHashed(t *testing.T) {
	own := signer(1)
	good := writeLog(2, always(own))[1]
	keys := Keys{trusted("own", own), trusted("other", signer(2))}
	for i := range reflect.TypeFor[Entry]().NumField() {
		e := good
		name := reflect.TypeFor[Entry]().Field(i).Name
		switch f := reflect.ValueOf(&e).Elem().Field(i); v := f.Interface().(type) {
		case string:
			f.SetString(v + "x")
		case int64:
			f.SetInt(v + 1)
		case time.Time:
			f.Set(reflect.ValueOf(v.Add(1)))
		case KeyID:
			f.SetString(string(signer(2).ID()))
		case []byte:
			v = slices.Clone(v)
			v[0]++
			f.SetBytes(v)
		default:
			t.Fatalf("a field of another type: %s", name)
		}
		if err := e.Check(keys); err == nil {
			t.Errorf("%s is changed, and nobody notices", name)
		}
	}
}

// Text that moves from one field to the next gives another hash: the lengths are part of it.
func TestFieldsDoNotRunIntoOneAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.StringN(0, 12, -1).Draw(t, "text")
		i, j := rapid.IntRange(0, len(all)).Draw(t, "i"), rapid.IntRange(0, len(all)).Draw(t, "j")
		a, b := Entry{Actor: all[:i], Action: all[i:]}, Entry{Actor: all[:j], Action: all[j:]}
		if (a.sum() == b.sum()) != (i == j) {
			t.Fatalf("%q|%q and %q|%q", a.Actor, a.Action, b.Actor, b.Action)
		}
	})
}

// fault is something done to a log of ten entries, and what is said about it.
type fault struct {
	name string
	harm func(log []Entry) []Entry
	want string
	skim bool // found without looking at every signature
}

func faults(own, other Signer) []fault {
	// again signs a changed entry and all after it: what only somebody with a key can do.
	again := func(log []Entry, from int, by Signer) []Entry {
		head := Head{}
		if from > 0 {
			head = Head{Seq: log[from-1].Seq, Hash: log[from-1].Hash}
		}
		for i := from; i < len(log); i++ {
			log[i] = Link(log[i], head, by)
			head = Head{Seq: log[i].Seq, Hash: log[i].Hash}
		}
		return log
	}
	return []fault{
		{"an entry edited", func(l []Entry) []Entry { l[4].Because = "nothing"; return l }, "entry 5 of the log is not what it was", true},
		{"an entry edited, and its hash", func(l []Entry) []Entry {
			l[4].Because = "nothing"
			sum := l[4].sum()
			l[4].Hash = sum[:]
			return l
		}, "entry 5 of the log: the signature is not", true},
		{"the last edited, and its hash", func(l []Entry) []Entry {
			l[9].Because = "nothing"
			sum := l[9].sum()
			l[9].Hash = sum[:]
			return l
		}, "entry 10 of the log: the signature is not", true},
		{"an entry removed", func(l []Entry) []Entry { return slices.Delete(l, 4, 5) }, "entry 5 of the log is missing", true},
		{"the first removed", func(l []Entry) []Entry { return l[1:] }, "entry 1 of the log is missing", true},
		{"an entry twice", func(l []Entry) []Entry { return slices.Insert(l, 5, l[4]) }, "after 5 comes 5", true},
		{"two that changed places", func(l []Entry) []Entry { l[4], l[5] = l[5], l[4]; return l }, "entry 5 of the log is missing", true},
		{"two that changed numbers", func(l []Entry) []Entry {
			l[4], l[5] = l[5], l[4]
			l[4].Seq, l[5].Seq = 5, 6
			return l
		}, "entry 5 of the log does not follow", true},
		{"renumbered after one was removed", func(l []Entry) []Entry {
			l = slices.Delete(l, 4, 5)
			for i := 4; i < len(l); i++ {
				l[i].Seq--
			}
			return l
		}, "entry 5 of the log does not follow", true},
		{"an entry of another log", func(l []Entry) []Entry {
			l[4] = Link(Entry{Actor: "eve", Action: "key trusted"}, Head{Seq: 4, Hash: bytes.Repeat([]byte{1}, 32)}, own)
			return l
		}, "entry 5 of the log does not follow", true},
		{"signed again by another key", func(l []Entry) []Entry { return again(l, 4, other) }, "entry 5 of the log: nobody here knows the key", true},
		{"signed by nobody", func(l []Entry) []Entry { l[4].Signature = nil; return l }, "entry 5 of the log: the signature is not", false},
		{"the last one's signature damaged", func(l []Entry) []Entry { l[9].Signature[0]++; return l }, "entry 10 of the log: the signature is not", true},
		{"a hash that is too short", func(l []Entry) []Entry { l[9].Hash = l[9].Hash[:31]; return l }, "entry 10 of the log is not what it was", true},
		{"another key's name", func(l []Entry) []Entry { l[4].Key = other.ID(); return l }, "entry 5 of the log is not what it was", true},
		{"no hash", func(l []Entry) []Entry { l[0].Hash = nil; return l }, "entry 1 of the log is not what it was", true},
	}
}

func TestADamagedLogIsNoticed(t *testing.T) {
	own, other := signer(1), signer(2)
	keys := Keys{trusted("own", own)}
	for _, c := range faults(own, other) {
		t.Run(c.name, func(t *testing.T) {
			log := writeLog(10, always(own))
			for i := range log {
				log[i].Signature, log[i].Hash = slices.Clone(log[i].Signature), slices.Clone(log[i].Hash)
			}
			log = c.harm(log)
			err := NewVerifier(Head{}, keys).Next(log)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			err = NewVerifier(Head{}, keys).Skim(log)
			if (err != nil) != c.skim || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("skimmed: got %v, want %v with %q", err, c.skim, c.want)
			}
		})
	}
}

// A cut-off end is a log that is whole, but not the one whose head was written elsewhere.
func TestAHeadTellsThatTheEndWasCutOff(t *testing.T) {
	own := signer(1)
	log := writeLog(10, always(own))
	anchor := Head{Seq: 10, Hash: log[9].Hash}
	v := NewVerifier(Head{}, Keys{trusted("own", own)})
	if err := v.Next(log[:9]); err != nil {
		t.Fatal(err)
	}
	if v.Head().Seq >= anchor.Seq {
		t.Error("it goes on to the anchor")
	}
	// And made longer again it is not the same.
	v = NewVerifier(anchor, Keys{trusted("own", own)})
	e := Link(Entry{Actor: "eve"}, v.Head(), own)
	e.Previous = log[8].Hash
	if err := v.Next([]Entry{e}); err == nil {
		t.Error("another entry 10 stands before it")
	}
}

func TestTheFirstWrongEntryIsNamed(t *testing.T) {
	own := signer(1)
	whole := writeLog(150, always(own))
	rapid.Check(t, func(t *rapid.T) {
		log := slices.Clone(whole)
		first := len(log)
		for range rapid.IntRange(1, 5).Draw(t, "faults") {
			i := rapid.IntRange(0, len(log)-1).Draw(t, "at")
			first = min(first, i)
			if rapid.Bool().Draw(t, "signature") {
				log[i].Signature = make([]byte, 64)
			} else {
				log[i].Hash = make([]byte, 32)
			}
		}
		v := NewVerifier(Head{}, Keys{trusted("own", own)})
		err := v.Next(log)
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("entry %d of the log", first+1)) {
			t.Fatalf("entry %d is wrong: %v", first+1, err)
		}
	})
}

func TestALogIsHandedOver(t *testing.T) {
	first, second, third := signer(1), signer(2), signer(3)
	roots := Keys{trusted("own", first)}
	grow := func(log []Entry, by Signer) []Entry {
		end := log[len(log)-1]
		return append(log, Link(Entry{At: noon, Actor: "anna", Action: "build"}, Head{Seq: end.Seq, Hash: end.Hash}, by))
	}
	rotate := func(log []Entry, by, to Signer) []Entry { return append(log, rotation(log, by, to)) }
	begun := func() []Entry { return writeLog(5, always(first)) }
	for _, c := range []struct {
		name string
		log  []Entry
		want string
	}{
		{"once", grow(rotate(begun(), first, second), second), ""},
		{"twice", grow(rotate(grow(rotate(begun(), first, second), second), second, third), third), ""},
		{"to a key that says it itself", rotate(begun(), second, second), "entry 6 of the log: nobody here knows the key"},
		{"and the old key goes on", grow(rotate(begun(), first, second), first), "entry 7 of the log: the key own (" + string(first.ID()) + ") was retired by entry 6"},
		{"and handed back", grow(rotate(rotate(begun(), first, second), second, first), first), "entry 8 of the log: the key own (" + string(first.ID()) + ") was retired by entry 6"},
		{"not at all", grow(begun(), second), "entry 6 of the log: nobody here knows the key"},
		{"to another than it says", func() []Entry {
			l := begun()
			e := rotation(l, first, second)
			e.Subject = string(third.ID())
			return append(l, Link(e, Head{Seq: 5, Hash: l[4].Hash}, first))
		}(), "entry 6 of the log hands over to " + string(third.ID())},
		{"to nothing", func() []Entry {
			l := begun()
			return append(l, Link(Entry{Action: ActionRotated, Subject: "x"}, Head{Seq: 5, Hash: l[4].Hash}, first))
		}(), "entry 6 of the log names no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, walk := range map[string]func(*Verifier, []Entry) error{"next": (*Verifier).Next, "skim": (*Verifier).Skim} {
				for _, page := range []int{1, 3, 100} {
					v := NewVerifier(Head{}, roots)
					var err error
					for part := range slices.Chunk(c.log, page) {
						if err = walk(v, part); err != nil {
							break
						}
					}
					if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s by %d: got %v, want %q", name, page, err, c.want)
					}
				}
			}
			if roots[0].Retired != 0 {
				t.Fatal("the caller's keys were changed")
			}
		})
	}
}

// What a key signed stands when it was handed over before it was revoked, because the key after it signed the chain. Who
// has the revoked key can make up a log that ends with it, and no other.
func TestARevokedKeysEntries(t *testing.T) {
	old, current := signer(1), signer(2)
	log := writeLog(5, always(old))
	log = append(log, rotation(log, old, current))
	log = append(log, Link(Entry{Action: "key revoked"}, Head{Seq: 6, Hash: log[5].Hash}, current))
	revoked := trusted("old", old)
	revoked.Revoked = &Revocation{At: noon, Because: "stolen"}
	retired := revoked
	retired.Retired = 6

	v := NewVerifier(Head{}, Keys{retired, trusted("current", current)})
	if err := v.Next(log); err != nil || v.End() != nil {
		t.Errorf("handed over, then revoked: %v, %v", err, v.End())
	}
	v = NewVerifier(Head{}, Keys{retired, trusted("current", current)})
	if err := v.Next(log[:6]); err != nil || v.End() == nil {
		t.Errorf("it ends with the revoked key: %v, %v", err, v.End())
	}
	v = NewVerifier(Head{}, Keys{revoked})
	if err := v.Next(log); err == nil || !strings.Contains(err.Error(), "entry 1 of the log: the key old") {
		t.Errorf("revoked in use: %v", err)
	}
	theirs := trusted("staging", current)
	theirs.Own = false
	v = NewVerifier(Head{}, Keys{trusted("own", old), theirs})
	if err := v.Next(log); err == nil || !strings.Contains(err.Error(), "entry 6 of the log hands over to the key staging") {
		t.Errorf("handed over to somebody else's key: %v", err)
	}
	late := Link(Entry{Action: "key trusted"}, Head{Seq: 6, Hash: log[5].Hash}, old)
	for name, err := range map[string]error{
		"by itself":        late.Check(Keys{retired}),
		"a key in use":     log[2].Check(Keys{revoked}),
		"somebody else's":  log[2].Check(Keys{{ID: old.ID(), Public: old.Public(), Checks: []string{Any}, Environments: []string{Any}}}),
		"known only later": log[6].Check(Keys{retired}),
	} {
		if err == nil {
			t.Errorf("%s: an entry is believed", name)
		}
	}
	if err := log[2].Check(Keys{retired}); err != nil {
		t.Errorf("before it was handed over: %v", err)
	}
}

func TestWhatAnEntryRecords(t *testing.T) {
	good := Entry{Seq: 7, Action: ActionEvidence, Detail: `"` + string(wanted()) + `"`}
	if d, err := good.Evidence(); err != nil || d != wanted() {
		t.Errorf("%s, %v", d, err)
	}
	for name, change := range map[string]func(e *Entry){
		"another action":  func(e *Entry) { e.Action = "build" },
		"nothing":         func(e *Entry) { e.Detail = "" },
		"a bare digest":   func(e *Entry) { e.Detail = string(wanted()) },
		"a short digest":  func(e *Entry) { e.Detail = `"sha256:00"` },
		"an object":       func(e *Entry) { e.Detail = `{"digest":"` + string(wanted()) + `"}` },
		"two of them":     func(e *Entry) { e.Detail += e.Detail },
		"a space":         func(e *Entry) { e.Detail = " " + e.Detail },
		"null":            func(e *Entry) { e.Detail = "null" },
		"written as code": func(e *Entry) { e.Detail = strings.Replace(e.Detail, "s", `\u0073`, 1) },
	} {
		e := good
		change(&e)
		if d, err := e.Evidence(); err == nil {
			t.Errorf("%s: read as %s", name, d)
		}
	}
}

// record seals and logs a statement as a Greenroom does.
func record(t *testing.T, d document, by, own Signer, after Head) Recorded {
	t.Helper()
	b := mustSeal(t, d, by)
	detail, err := json.Marshal(release.Of(b))
	if err != nil {
		t.Fatal(err)
	}
	app, id := d.about()
	return Recorded{Envelope: b, Digest: release.Of(b),
		Entry: Link(Entry{At: noon, Actor: "anna", Action: ActionEvidence, App: app, Subject: string(id), Detail: string(detail)}, after, own)}
}

func TestRecorded(t *testing.T) {
	own, builder := signer(1), signer(2)
	staging := trusted("staging", builder)
	staging.Own, staging.Checks = false, []string{"checkout"}
	keys := func(change func(k *Key)) Keys {
		k := staging
		change(&k)
		return Keys{trusted("own", own), k}
	}
	for _, c := range []struct {
		name  string
		harm  func(r *Recorded)
		keys  Keys
		check string // what Check says
		read  string // what Read says
		doubt string // what the word's doubt says
	}{
		{name: "good"},
		{name: "gone", harm: func(r *Recorded) { r.Envelope = nil }, read: "entry 10 of the log is gone"},
		{name: "damaged", harm: func(r *Recorded) { r.Envelope = append(slices.Clone(r.Envelope), ' ') }, read: "is not what it was"},
		{name: "another envelope", harm: func(r *Recorded) { r.Digest = wanted() }, check: "about another envelope", read: "is not what it was"},
		{name: "not an envelope", harm: func(r *Recorded) { r.Envelope = []byte("x"); r.Digest = release.Of(r.Envelope) },
			check: "about another envelope", read: "invalid character"},
		{name: "another entry", harm: func(r *Recorded) { r.Entry.Action = "build" }, check: "is not what it was"},
		{name: "an entry of somebody else's", harm: func(r *Recorded) { r.Entry = Link(r.Entry, Head{Seq: 9, Hash: make([]byte, 32)}, builder) }, check: "may not sign the log"},
		{name: "an entry about something else", harm: func(r *Recorded) {
			r.Entry.Action = "build"
			r.Entry = Link(r.Entry, Head{Seq: 9, Hash: make([]byte, 32)}, own)
		}, check: `about "build"`},
		{name: "recorded for another release", harm: func(r *Recorded) { r.Entry.Subject = "other" }, check: "is not what it was", doubt: "for another release"},
		{name: "recorded for another app", harm: func(r *Recorded) { r.Entry.App = "blog" }, check: "is not what it was", doubt: "for another release"},
		{name: "a key that nobody knows", keys: Keys{trusted("own", own)}, doubt: "nobody here knows"},
		{name: "two of its name", keys: append(keys(func(*Key) {}), staging), doubt: "two keys are called"},
		{name: "revoked", keys: keys(func(k *Key) { k.Revoked = &Revocation{At: noon, Because: "lost"} }), doubt: "revoked on 2026-05-04: lost"},
		{name: "retired before", keys: keys(func(k *Key) { k.Retired = 9 }), doubt: "retired before it was recorded"},
		{name: "retired by the same entry", keys: keys(func(k *Key) { k.Retired = 10 }), doubt: "retired before it was recorded"},
		{name: "retired later", keys: keys(func(k *Key) { k.Retired = 11 })},
		{name: "another check's key", keys: keys(func(k *Key) { k.Checks = []string{"unit"} }), doubt: "not trusted with the check checkout"},
		{name: "another place's key", keys: keys(func(k *Key) { k.Environments = []string{Build} }), doubt: "not trusted with what happens in rehearsal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(t, check(goodStatement()), builder, own, Head{Seq: 9, Hash: make([]byte, 32)})
			if c.harm != nil {
				c.harm(&r)
			}
			if c.keys == nil {
				c.keys = keys(func(*Key) {})
			}
			w, err := r.Read(c.keys)
			said := func(what string, err error, want string) {
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %q", what, err, want)
				}
			}
			said("check", r.Check(c.keys), c.check)
			said("read", err, c.read)
			said("doubt", w.Doubt, c.doubt)
			if err == nil && (w.Statement.ID != "r1/checkout" || w.Key != builder.ID() || w.Signer.ID != builder.ID() || w.Verdict != Fail) {
				t.Errorf("%+v", w)
			}
		})
	}
}
