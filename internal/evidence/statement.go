package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"greenroom/internal/release"
)

// The types of in-toto's layers (https://github.com/in-toto/attestation, spec/v1). What in-toto has no type for has one of
// our own: the scheme is ours, so nobody else can give it a meaning.
const (
	typeStatement  = "https://in-toto.io/Statement/v1"
	typeTestResult = "https://in-toto.io/attestation/test-result/v0.1"
	typeProvenance = "https://slsa.dev/provenance/v1"
	typeMigration  = "greenroom:predicate/migration/v1"
	typeRollback   = "greenroom:predicate/rollback/v1"
	typeCollection = "greenroom:predicate/collection/v1"
	typeStanding   = "greenroom:predicate/standing/v1"
	typeRollout    = "greenroom:predicate/rollout/v1"
	typeSnapshot   = "greenroom:predicate/snapshot/v1"
)

// document is what an envelope can hold. Its form is a function of its contents, so that whoever parses one and writes it
// again has the same bytes, or has misread it.
type document interface {
	about() (app string, d release.Digest)
	sense() error // why it makes no sense
	predicate() (uri string, value any)
	summary() Summary
}

// statement is the JSON of an in-toto statement v1 with one subject, the release.
type statement[P any] struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     P            `json:"predicate"`
}

// descriptor is in-toto's ResourceDescriptor (spec/v1/resource_descriptor.md).
type descriptor struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"` // algorithm to hexadecimal digits
	Annotations map[string]bool   `json:"annotations,omitempty"`
}

func descriptorOf(name string, d release.Digest) descriptor {
	return descriptor{Name: name, Digest: map[string]string{"sha256": strings.TrimPrefix(string(d), "sha256:")}}
}

var errNotCanonical = errors.New("it is not in canonical form")

// seal signs any document.
func seal(d document, by Signer) ([]byte, error) {
	if err := d.sense(); err != nil {
		return nil, fmt.Errorf("not signed: %w", err)
	}
	payload, err := encode(d)
	if err != nil {
		return nil, err
	}
	// A check may print bytes that are no UTF-8. They are replaced on the way in, and only then is the form canonical.
	if bytes.Contains(payload, []byte(`\ufffd`)) {
		if d, err = decode(payload); err != nil {
			return nil, err
		}
		if payload, err = encode(d); err != nil {
			return nil, err
		}
	}
	return sign(payload, by)
}

// open verifies an envelope that must hold a D.
func open[D document](b []byte, keys Keys) (D, Key, error) {
	var none D
	d, k, err := openAny(b, keys)
	if err != nil {
		return none, Key{}, err
	}
	wanted, ok := d.(D)
	if !ok {
		return none, Key{}, fmt.Errorf("the envelope holds a %s, not a %s", d.summary().Kind, none.summary().Kind)
	}
	return wanted, k, nil
}

func openAny(b []byte, keys Keys) (document, Key, error) {
	e, err := unpack(b)
	if err != nil {
		return nil, Key{}, err
	}
	k, err := e.verify(keys)
	if err == nil && k.Revoked != nil {
		err = k.revoked()
	}
	if err != nil {
		return nil, Key{}, err
	}
	d, err := parse(e.payload)
	if err != nil {
		return nil, Key{}, err
	}
	return d, k, nil
}

// encode is the canonical form of a document: encoding/json's of an in-toto statement.
func encode(d document) ([]byte, error) {
	app, id := d.about()
	uri, predicate := d.predicate()
	return json.Marshal(statement[any]{Type: typeStatement, Subject: []descriptor{descriptorOf(app, id)}, PredicateType: uri, Predicate: predicate})
}

// parse reads a payload, if it is the canonical form of a document that makes sense. All that an in-toto statement says
// twice (its subject, a test's result) is written anew from the one place it is read from, so it can't say two things.
func parse(payload []byte) (document, error) {
	d, err := decode(payload)
	if err != nil {
		return nil, err
	}
	again, err := encode(d)
	if err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if !bytes.Equal(again, payload) {
		return nil, fmt.Errorf("statement: %w", errNotCanonical)
	}
	if err := d.sense(); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return d, nil
}

func decode(payload []byte) (document, error) {
	var s statement[json.RawMessage]
	if err := known(payload, &s); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	switch s.PredicateType {
	case typeTestResult:
		return read(s.Predicate, func(p testResult) document { return check(p.Greenroom) })
	case typeMigration, typeRollback:
		return read(s.Predicate, func(p Statement) document { return check(p) })
	case typeCollection:
		return read(s.Predicate, func(p Collection) document { return p })
	case typeStanding:
		return read(s.Predicate, func(p Standing) document { return p })
	case typeRollout:
		return read(s.Predicate, func(p Rollout) document { return p })
	case typeSnapshot:
		return read(s.Predicate, func(p Snapshot) document { return p })
	case typeProvenance:
		if len(s.Subject) != 1 {
			return nil, fmt.Errorf("statement: %d subjects, not one", len(s.Subject))
		}
		return read(s.Predicate, func(p slsa) document { return p.provenance(s.Subject[0]) })
	default:
		return nil, fmt.Errorf("statement: this Greenroom knows no predicate %q", s.PredicateType)
	}
}

func read[P any](raw json.RawMessage, of func(P) document) (document, error) {
	var p P
	if err := known(raw, &p); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	return of(p), nil
}

// known decodes JSON all of whose keys are known.
func known(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
