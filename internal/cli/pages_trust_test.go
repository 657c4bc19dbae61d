package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/gate"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// trustPages are the pages about what is signed, for TestPages.
func trustPages(t *testing.T) map[string]func(term.Screen) string {
	reviewed := fakeGlass()
	reviewed.Reviewed = "bob: it was right"
	return map[string]func(term.Screen) string{
		"apply":         func(s term.Screen) string { return changesPage(s, fakeApplied()) },
		"edit":          func(s term.Screen) string { return editPage(s, fakeEdit()) },
		"evidence":      func(s term.Screen) string { return evidencePage(s, fakeList(), at) },
		"evidence-full": func(s term.Screen) string { return statementsPage(s, fakeList()) },
		"verified":      func(s term.Screen) string { return verificationPage(s, fakeVerification(), at) },
		"live":          func(s term.Screen) string { return livePage(s, "shop x", "production", liveDecision(), nil) },
		"live-moved":    func(s term.Screen) string { return livePage(s, "shop x", "production", liveDecision(), fakeSound()) },
		"explain-same": func(s term.Screen) string {
			d := liveDecision()
			again := d.Demands[1]
			again.Reason += ", too"
			d.Demands = append(d.Demands, again)
			return explainPage(s, "shop x", "production", d, at)
		},
		"taken-none": func(s term.Screen) string {
			return takenPage(s, api.Taken{Release: good, Known: true, Faults: []string{"check unit: nobody here knows the key SHA256:x\x1b[2J"}})
		},
		"standing-empty": func(s term.Screen) string {
			return standingPage(s, api.StandingView{Standing: evidence.Standing{App: "shop", Environment: "production", At: at}, Signer: "live"}, at)
		},
		"taken": func(s term.Screen) string {
			return takenPage(s, must1(newFake().Take(t.Context(), "", strings.NewReader(""))))
		},
		"standing": func(s term.Screen) string {
			return standingPage(s, must1(newFake().TakeStanding(t.Context(), "", fakeStanding())), at.Add(time.Hour))
		},
		"keys":    func(s term.Screen) string { return keysPage(s, append(fakeKeys(), fakeRevoked().Key)) },
		"revoked": func(s term.Screen) string { return revokedPage(s, fakeRevoked()) },
		"audit": func(s term.Screen) string {
			return auditPage(s, audited{Head: evidence.Head{Seq: 3}, At: at, Anchors: 2}, at)
		},
		"audit-bad": func(s term.Screen) string {
			return auditPage(s, audited{Head: evidence.Head{Seq: 3}, Fault: "entry 4\x1b[2J is not what it was"}, at)
		},
		"glass":          func(s term.Screen) string { return glassPage(s, "production", fakeGlass()) },
		"glass-reviewed": func(s term.Screen) string { return glassPage(s, "production", reviewed) },
	}
}

// liveDecision is what a gate says of a release that went live: a check depends on the release that was live before.
func liveDecision() gate.Decision {
	proof := fakeProof(false)
	proof.Envelope = release.Of([]byte("passed"))
	return gate.Decision{Demands: []gate.Demand{{Name: "a schema that is known", Answer: gate.Yes, Reason: "the schema is the recorded one"},
		{Name: "check checkout", Answer: gate.No, Reason: "production's release changed since", Next: "greenroom rehearse x", Proof: proof}}}
}

func fakeSound() map[release.Digest]bool {
	return map[release.Digest]bool{release.Of([]byte("passed")): true}
}

// TestMovedOn is the table of what speaks against a release that is live.
func TestMovedOn(t *testing.T) {
	moved := liveDecision().Demands[1]
	policy := liveDecision().Demands[1]
	policy.Proof.DependsOn = append(policy.Proof.DependsOn, gate.Dependence{On: "policy", Was: "a", Is: "b"})
	holds := liveDecision().Demands[1]
	holds.Proof = fakeProof(true)
	holds.Proof.Envelope = moved.Proof.Envelope
	for _, c := range []struct {
		name  string
		m     gate.Demand
		sound map[release.Digest]bool
		want  bool
	}{
		{"only the baseline", moved, fakeSound(), true},
		{"its key was revoked as well", moved, nil, false},
		{"the policy as well", policy, fakeSound(), false},
		{"nothing is broken, so it is something else", holds, fakeSound(), false},
		{"no evidence", gate.Demand{Answer: gate.No}, fakeSound(), false},
	} {
		if got := movedOn(c.m, c.sound); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// wordy is a gate's no with much to read.
func wordy() gate.Decision {
	d := decision(broken.Digest, "")
	d.Demands[1].Reason = "passed in r1: 12 tests passed, among them those that somebody wrote after the last fault in the till of the shop"
	d.Demands = append(d.Demands, gate.Demand{Name: "check a-name-that-is-longer-than-any-column", Answer: gate.No,
		Reason: "there is no evidence about it for this release", Next: "greenroom rehearse x"})
	return d
}

// notReached is what a gate says of a release whose rehearsal ended before most of its checks.
func notReached() gate.Decision {
	d := decision(broken.Digest, "")
	d.Demands[2].Answer, d.Demands[2].Reason = gate.Unknown, "it could not decide in r7: not run: the stage has no copy of production's data"
	for i, name := range []string{"migration", "old-on-new", "new-on-old", "back", "accounts-of-customers-and-their-invoices"} {
		m := d.Demands[2]
		m.Name, m.Proof = "check "+name, fakeProof(true)
		if i == 3 { // says something else, though in the same rehearsal
			m.Reason = "it could not decide in r7: nobody was there"
		}
		d.Demands = append(d.Demands, m)
	}
	return d
}

func fakeApplied() api.Applied {
	a := api.Applied{Changes: []app.Change{
		{Path: "gates.production.except.checkout", Is: "in a hurry\x1b[2J", Note: app.WeakensGate},
		{Path: "roles.promote", Was: "anna", Is: "anna, bob"},
		{Path: "roles.rehearse", Is: "bob"},
		{Path: "roles.apply", Is: "bob", Note: app.WeakensGate},
		{Path: "environments.qa", Was: "after dev"}}, Void: []release.Digest{good.Digest, sour.Digest}}
	a.Changed = true
	return a
}

func fakeEdit() Edit {
	return Edit{File: "/src/greenroom.yaml", Before: []byte("app: shop\n\nenvironments: {}\n"),
		After: []byte("app: shop\n\nkeys:\n  staging: ed25519:x\x1b[2J\n\nenvironments: {}\n")}
}

// fakeList is evidence of which one piece is damaged, and one gone.
func fakeList() api.EvidenceList {
	f := newFake()
	damaged := bytes.Replace(f.envelope[good.Digest][0], []byte(`"payload":"ey`), []byte(`"payload":"ex`), 1)
	f.envelope[good.Digest] = append(f.envelope[good.Digest], damaged)
	l := must1(f.Evidence(context.Background(), "shop", string(good.Digest)))
	gone := api.EvidenceView{Seq: 9, Fault: "it was recorded, and is gone\x1b[2J", Signer: "staging"}
	gone.Kind, gone.At = evidence.KindRollout, at
	l.Items = append(l.Items, gone)
	return l
}

func fakeVerification() *verification {
	v := &verification{keys: evidence.Keys{keyOf(ownKey)}}
	v.file(envelopeFile{envelopes: append(fakeEvidence(), must1(evidence.Seal(fakeStatement("smoke", evidence.Fail), strangerKey)), []byte("{}")), bundle: true})
	return v
}

// keyOf is a key that is trusted with everything.
func keyOf(s evidence.Signer) evidence.Key {
	return evidence.Key{ID: s.ID(), Public: s.Public(), Name: "own", Checks: []string{evidence.Any}, Environments: []string{evidence.Any}}
}
