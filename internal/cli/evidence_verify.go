package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

func (s *shell) evidenceVerifyCommand() *cobra.Command {
	var given []string
	cmd := &cobra.Command{
		Use:   "verify FILE|RELEASE",
		Short: "Verify signatures here, with the public keys alone",
		Long: `Verifies every piece of evidence in a file (one envelope, JSON lines of them, or
a release's bundle) without asking anybody, with the keys given with --key, or
else those that the definition names. For a release it gets the evidence from
the Greenroom that runs, and verifies it here, not there.

The exit code is 0 when everything is signed by these keys for what it says, 1
when anything is damaged, missing or wrongly signed, and 3 where there is
nothing to verify, or something is signed by keys that are not given.`,
		Example:           "  greenroom evidence verify evidence.jsonl --key staging.pem\n  greenroom evidence verify shop.tar --key ed25519:cUJuT3…=\n  greenroom evidence verify latest",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.evidenceVerify(cmd.Context(), args[0], given)
		},
	}
	keyFlag(cmd, &given)
	return cmd
}

func (s *shell) evidenceVerify(ctx context.Context, name string, given []string) error {
	v := &verification{}
	if isFile(name) {
		keys, err := s.offlineKeys(ctx, given)
		if err != nil {
			return err
		}
		b, err := s.readEnvelopes(name)
		if err != nil {
			return err
		}
		v.keys = keys
		v.file(b)
	} else if err := s.verifyRelease(ctx, v, name, given); err != nil {
		return neither(name, err)
	}
	if s.json() {
		if err := s.emit(map[string]any{"verified": v.end() == nil, "items": orEmpty(v.items)}); err != nil {
			return err
		}
	} else {
		s.print("%s", verificationPage(s.Out, v, time.Now()))
		for _, id := range v.strangers() {
			s.next("the same with --key of %s: greenroom key show --pem prints a Greenroom's, greenroom key show --builder --pem a builder's", term.Clean(string(id)))
		}
	}
	return v.end()
}

// neither is the end where a name means no release, or that can't be asked: it may have been meant as a file.
func neither(name string, err error) error {
	p := problem.From(err)
	if p.Code != problem.NotFound && !errors.Is(err, api.ErrNotRunning) {
		return err
	}
	return problem.New(p.Code, "there is no file %q, and no release: %s", name, p.Message).WithHint("%s", p.Hint)
}

// isFile says whether a person means a file and not a release.
func isFile(name string) bool {
	info, err := os.Stat(name)
	switch {
	case err == nil:
		return !info.IsDir()
	case name == "-", strings.ContainsRune(name, filepath.Separator):
		return true
	}
	ext := filepath.Ext(name)
	return ext == ".json" || ext == ".jsonl" || ext == ".tar"
}

// verifyRelease verifies here what the Greenroom that runs has about a release.
func (s *shell) verifyRelease(ctx context.Context, v *verification, name string, given []string) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return err
	}
	if v.keys, err = s.keysFor(ctx, c, app, given); err != nil {
		return err
	}
	list, err := c.Evidence(ctx, app, string(r.Digest))
	if err != nil {
		return err
	}
	for _, item := range list.Items {
		if len(item.Envelope) == 0 {
			v.items = append(v.items, verified{Summary: item.Summary, Digest: item.Digest, Signer: item.Signer,
				Fault: "it was recorded, and is gone"})
			continue
		}
		one := v.envelope(item.Envelope)
		switch {
		case one.OK && one.Release != r.Digest:
			one.fail("it is about %s", one.Release.Short())
		case release.Of(item.Envelope) != item.Digest:
			one.fail("it is not the one that was recorded")
		case one.OK && item.Fault != "":
			one.fail("%s", item.Fault)
		}
		v.items = append(v.items, one)
	}
	return nil
}

// end is the verification as the end of a command.
func (v *verification) end() error {
	switch good, unknown := v.counts(); {
	case good == len(v.items) && good > 0:
		return nil
	case good+unknown == len(v.items):
		return silently(problem.Inconclusive, "not everything could be verified")
	default:
		return silently(problem.Fail, "not everything is verified")
	}
}
