package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

// registryScheme begins the place of a bundle in a registry.
const registryScheme = "oci://"

func (s *shell) releaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Carry a release and its evidence to another machine",
		Long: `A release travels with everything that is signed about it as one bundle, an OCI
image layout: as a file, or through a registry. Where it arrives, what trusted
keys have signed counts, and nothing else does.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.releaseExportCommand(), s.releaseImportCommand())
	return cmd
}

func (s *shell) releaseExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export RELEASE FILE|oci://HOST/REPOSITORY:TAG",
		Short: "Write a release and its evidence to a file or a registry",
		Long: `Writes a release, its artifacts and its evidence as one bundle: to a file, to
standard output ("-"), or to a registry. A file is there as a whole or not at
all.`,
		Example:           "  greenroom release export latest shop.tar\n  greenroom release export 3f2a91c0 oci://registry.example.com/shop:2026-11-23\n  greenroom release export latest - | ssh production greenroom release import -",
		Args:              takes(2, "RELEASE", "FILE"),
		ValidArgsFunction: completeInTurn(s.completeReleases(), completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.releaseExport(cmd.Context(), args[0], args[1])
		},
	}
}

func (s *shell) releaseExport(ctx context.Context, name, to string) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := s.resolve(ctx, c, app, name)
	if err != nil {
		return err
	}
	p := term.NewProgress(s.Err)
	defer p.Close()
	const step = "export"
	p.Start(step, "write "+term.Clean(app)+" "+r.Digest.Short()+" and its evidence to "+term.Clean(to))
	n, err := s.sendBundle(ctx, c, app, r.Digest, to)
	if err != nil {
		p.End(step, term.Fail, "")
		return err
	}
	p.End(step, term.Pass, bytesOf(n))
	if to == "-" {
		return nil
	}
	if s.json() {
		return s.emit(map[string]any{"release": r.Digest, "to": to, "bytes": n})
	}
	s.next("greenroom release import %s, where it is to go", term.Clean(to))
	return nil
}

// sendBundle brings a bundle to its place, and tells how many bytes it has.
func (s *shell) sendBundle(ctx context.Context, c *api.Client, app string, id release.Digest, to string) (n int64, err error) {
	bundle, err := c.Bundle(ctx, app, string(id))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, bundle.Close()) }()
	counted := &counted{r: bundle}
	ref, registry := strings.CutPrefix(to, registryScheme)
	switch {
	case registry:
		err = s.PushBundle(ctx, counted, ref)
	case to == "-":
		_, err = io.Copy(s.Out, counted)
	default:
		err = writeFile(to, 0o644, func(w io.Writer) error {
			_, err := io.Copy(w, counted)
			return err
		})
	}
	return counted.n, err
}

// writeFile writes a file that a person named: as a whole, or not at all.
func writeFile(name string, mode fs.FileMode, fill func(io.Writer) error) error {
	var p *problem.Error
	err := atomicfile.WriteFrom(name, mode, fill)
	if err == nil || errors.As(err, &p) {
		return err
	}
	return problem.New(problem.Invalid, "%s could not be written: %w", name, withoutPath(err))
}

// withoutPath takes the name of a temporary file out of an error, which nobody knows.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (s *shell) releaseImportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE|oci://HOST/REPOSITORY:TAG",
		Short: "Take a release and its evidence from a file or a registry",
		Long: `Takes a bundle that "greenroom release export" wrote: from a file, from standard
input ("-"), or from a registry. Every artifact is verified. Of the evidence
counts what keys have signed that the policy in force trusts for it; what is not
taken is listed, with the reason.`,
		Example:           "  greenroom release import shop.tar\n  greenroom release import oci://registry.example.com/shop:2026-11-23",
		Args:              takes(1, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.releaseImport(cmd.Context(), args[0]) },
	}
}

func (s *shell) releaseImport(ctx context.Context, from string) error {
	c, app, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	bundle, err := s.openBundle(ctx, from)
	if err != nil {
		return err
	}
	defer bundle.Close() //nolint:errcheck // only read from
	taken, err := c.Take(ctx, app, bundle)
	if err != nil {
		return err
	}
	if s.json() {
		return s.emit(taken)
	}
	s.print("%s", takenPage(s.Out, taken))
	if taken.By == "" && len(taken.Faults) > 0 { // nobody whose word counts here vouches for it
		s.next("greenroom key trust KEY --as NAME && greenroom apply, with the key that greenroom key show prints where it comes from; then the same again")
		return nil
	}
	s.next("greenroom evidence show %s", taken.Release.Digest.Short())
	return nil
}

// openBundle opens a bundle where a person says that it is.
func (s *shell) openBundle(ctx context.Context, from string) (io.ReadCloser, error) {
	if ref, ok := strings.CutPrefix(from, registryScheme); ok {
		return s.PullBundle(ctx, ref)
	}
	return s.open(from)
}

// open opens a file that a person named, or standard input for "-".
func (s *shell) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(s.In), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, problem.New(problem.Invalid, "%s can't be read: %w", name, err)
	}
	return f, nil
}

// completeFiles leaves it to the shell, which knows files.
func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
