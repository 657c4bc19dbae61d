package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// PayloadType is that of the DSSE envelopes: an in-toto statement.
const PayloadType = "application/vnd.in-toto+json"

// MaxEnvelope is how many bytes an envelope has at most. A result with all its output and a hundred failing tests has a
// third of a megabyte.
const MaxEnvelope = 4 << 20

// Seal signs a statement: a DSSE envelope around an in-toto statement v1 whose subject is the release, as canonical JSON.
// The predicate is in-toto's test-result for checks, and Greenroom's own for what has no standard (see docs/evidence). A
// statement that makes no sense is not signed.
func Seal(s Statement, by Signer) ([]byte, error) { return seal(check(s), by) }

// Open verifies an envelope and reads what was verified: exactly one signature, by a key among keys that is not revoked,
// over exactly these bytes, which are the canonical form of a statement. It does not judge what the key may speak about:
// see Key.May. Nothing of an envelope that is wrong is returned but the reason.
func Open(envelope []byte, keys Keys) (Statement, Key, error) {
	d, k, err := open[check](envelope, keys)
	return Statement(d), k, err
}

// envelope is the JSON of a DSSE envelope (https://github.com/secure-systems-lab/dsse, envelope.md). Its canonical form is
// that of encoding/json, in this order and with exactly one signature.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID KeyID  `json:"keyid"`
	Sig   string `json:"sig"`
}

// preAuth is DSSE's pre-authentication encoding (protocol.md): what is signed. The lengths keep type and payload apart.
func preAuth(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len("DSSEv1")+len(payloadType)+len(payload)+24)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// sign puts a payload into an envelope.
func sign(payload []byte, by Signer) ([]byte, error) {
	sig := ed25519.Sign(by.private, preAuth(PayloadType, payload))
	b, err := json.Marshal(envelope{
		PayloadType: PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []signature{{KeyID: by.ID(), Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
	if err == nil && len(b) > MaxEnvelope {
		err = fmt.Errorf("evidence of %d bytes is more than the %d that an envelope may have", len(b), MaxEnvelope)
	}
	return b, err
}

// enclosed is what an envelope holds, before anything of it is verified.
type enclosed struct {
	payload []byte
	key     KeyID
	sig     []byte
}

// unpack reads an envelope's form, strictly: two envelopes never hold the same, and no two readers see different things
// in one.
func unpack(b []byte) (enclosed, error) {
	if len(b) > MaxEnvelope {
		return enclosed{}, fmt.Errorf("an envelope of %d bytes: it may have %d", len(b), MaxEnvelope)
	}
	var e envelope
	if err := strict(b, &e); err != nil {
		return enclosed{}, fmt.Errorf("envelope: %w", err)
	}
	switch {
	case e.PayloadType != PayloadType:
		return enclosed{}, fmt.Errorf("the envelope holds %q, not %q", e.PayloadType, PayloadType)
	case len(e.Signatures) != 1:
		return enclosed{}, fmt.Errorf("the envelope has %d signatures, not one", len(e.Signatures))
	}
	payload, err := decode64(e.Payload)
	if err != nil {
		return enclosed{}, fmt.Errorf("the envelope's payload: %w", err)
	}
	sig, err := decode64(e.Signatures[0].Sig)
	if err != nil {
		return enclosed{}, fmt.Errorf("the envelope's signature: %w", err)
	}
	return enclosed{payload: payload, key: e.Signatures[0].KeyID, sig: sig}, nil
}

// verify finds the key that an envelope names, and whether it signed the payload. A revoked one is found as well.
func (e enclosed) verify(keys Keys) (Key, error) {
	k, err := keys.one(e.key)
	if err != nil {
		return Key{}, err
	}
	if !k.verify(preAuth(PayloadType, e.payload), e.sig) {
		return Key{}, fmt.Errorf("the signature is not one of the key %s", k)
	}
	return k, nil
}

// strict decodes JSON whose canonical form is that of encoding/json: unknown and repeated keys, keys in capitals, spaces
// and trailing data are errors, so that what was verified is what is read.
func strict(b []byte, into any) error {
	if err := known(b, into); err != nil {
		return err
	}
	again, err := json.Marshal(into)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errNotCanonical
	}
	return nil
}
