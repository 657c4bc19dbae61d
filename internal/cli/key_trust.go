package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/app"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) keyTrustCommand() *cobra.Command {
	var k app.TrustedKey
	var dry bool
	cmd := &cobra.Command{
		Use:   "trust FILE|KEY --as NAME",
		Short: "Put a key among those that the definition trusts",
		Long: `Writes a public key, given as text or as a file (PEM or text), into the
definition's keys, under a name that people know it by, and shows what changed
in the file. It is trusted for the checks and environments that are named: for
all checks, on the stage and at the build, where none is. A key of that name
that is there already is replaced, and keeps the checks and environments that
are not named; --check "" is all of them again.

Nothing is trusted before the definition is applied: greenroom apply.`,
		Example:           "  greenroom key trust staging.pem --as staging\n  greenroom key trust ed25519:cUJuT3…= --as ci --check unit --environment build",
		Args:              takes(1, "KEY"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(k.Name) == "" {
				return usage(cmd, "--as is missing: the name that people know the key by")
			}
			keep := kept{checks: !cmd.Flags().Changed("check"), environments: !cmd.Flags().Changed("environment")}
			return s.keyTrust(cmd.Context(), args[0], k, keep, dry)
		},
	}
	cmd.Flags().StringVar(&k.Name, "as", "", "the name that people know it by")
	cmd.Flags().StringSliceVar(&k.Checks, "check", nil, "a check that it may speak about (default: all)")
	cmd.Flags().StringSliceVar(&k.Environments, "environment", nil, "an environment, the stage (rehearsal) or build (default: the stage and build)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would change in the file, write nothing")
	return cmd
}

// kept is what an entry that is there already keeps, because nobody named it.
type kept struct{ checks, environments bool }

// entry is k as it is to stand in a policy, and how that policy differs then. There is none where the name is new.
func (keep kept) entry(p app.Policy, k app.TrustedKey) (app.TrustedKey, []app.Change) {
	i := slices.IndexFunc(p.Keys, func(t app.TrustedKey) bool { return t.Name == k.Name })
	if i < 0 {
		return k, nil
	}
	if keep.checks {
		k.Checks = p.Keys[i].Checks
	}
	if keep.environments {
		k.Environments = p.Keys[i].Environments
	}
	now := p
	now.Keys = slices.Clone(p.Keys)
	now.Keys[i] = k
	return k, app.Changes(p, now)
}

func (s *shell) keyTrust(ctx context.Context, given string, k app.TrustedKey, keep kept, dry bool) error {
	key, err := s.publicKey(given)
	if err != nil {
		return err
	}
	k.Public = evidence.FormatPublic(key.Public)
	d, err := s.Load(ctx, s.dir)
	if err != nil {
		return err
	}
	k, changes := keep.entry(d.App.Policy, k)
	edit, err := s.TrustKey(s.dir, k)
	if err != nil {
		return err
	}
	if !dry {
		if err := writeFile(edit.File, 0o644, func(w io.Writer) error { _, err := w.Write(edit.After); return err }); err != nil {
			return err
		}
	}
	if s.json() {
		return s.emit(map[string]any{"file": edit.File, "written": !dry, "key": k, "id": key.ID, "changes": orEmpty(changes)})
	}
	s.print("%s\n%s", term.Clean(edit.File), editPage(s.Out, edit))
	if len(changes) > 0 {
		s.print("\n%s is there already; of its entry changes:\n%s", term.Clean(k.Name), changesPage(s.Out, api.Applied{Changes: changes}))
	}
	if dry {
		s.print("\nnothing was written (--dry-run)\n")
		return nil
	}
	s.print("%s %s is trusted as %s once this is in force\n", s.Out.Mark(term.Pass), term.Clean(string(key.ID)), term.Clean(k.Name))
	s.next("greenroom apply")
	return nil
}

// maxKey is how large a file with a public key may be, in bytes.
const maxKey = 64 << 10

// publicKey reads a public key that a person gave, as text or as a file.
func (s *shell) publicKey(given string) (evidence.Key, error) {
	text, name := given, "the key that was given"
	if !strings.HasPrefix(given, "ed25519:") {
		f, err := s.open(given)
		if errors.Is(err, fs.ErrNotExist) {
			return evidence.Key{}, problem.New(problem.Invalid, "%q is neither a file nor a public key (ed25519:…)", given).WithHint("greenroom key show, on the other machine")
		}
		if err != nil {
			return evidence.Key{}, err
		}
		defer f.Close() //nolint:errcheck // only read from
		b, err := io.ReadAll(io.LimitReader(f, maxKey))
		if err != nil {
			return evidence.Key{}, problem.New(problem.Invalid, "%s can't be read: %w", given, err)
		}
		text, name = strings.TrimSpace(string(b)), given
	}
	public, err := evidence.ParsePublic(text)
	if err != nil {
		return evidence.Key{}, problem.New(problem.Invalid, "%s: %w", name, err).WithHint("greenroom key show, on the other machine")
	}
	return evidence.Key{ID: evidence.IDOf(public), Public: public, Name: name}, nil
}
