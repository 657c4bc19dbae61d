package demo

import (
	"context"
	"fmt"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// verify does what an auditor would: takes the envelopes as they are, and the public keys, and believes nothing else.
func (s *story) verify(ctx context.Context, r release.Digest) error {
	return s.step("verify the proof, with the public keys alone", func(func(string)) (string, error) {
		list, err := s.client.Evidence(ctx, s.app, string(r))
		if err != nil {
			return "", err
		}
		var keys evidence.Keys
		for _, k := range list.Keys {
			public, err := evidence.ParsePublic(k.Public)
			if err != nil {
				return "", err
			}
			keys = append(keys, evidence.Key{ID: evidence.IDOf(public), Public: public, Name: k.Name})
		}
		for _, item := range list.Items {
			if _, _, err := evidence.Read(item.Envelope, keys); err != nil {
				return "", untold("a piece of evidence does not verify: %v", err)
			}
			broken := append([]byte(nil), item.Envelope...)
			broken[len(broken)/2] ^= 1
			if _, _, err := evidence.Read(broken, keys); err == nil {
				return "", untold("a piece of evidence was changed, and verifies")
			}
		}
		if len(list.Items) == 0 {
			return "", untold("nothing is signed about %s", r.Short())
		}
		return fmt.Sprintf("%d signatures by %d keys are right, and none is with one bit changed: greenroom evidence verify %s",
			len(list.Items), len(keys), r.Short()), nil
	})
}
