package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/release"
	"greenroom/internal/term"
)

func (s *shell) buildCommand() *cobra.Command {
	var verbose bool
	var images []string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build a release, once; prints its id",
		Long: `Builds every service's files in the repository, as you, packs them with
production's configuration, the migrations and the checks' own files, runs the
checks that are marked "at: build", and hands the release to Greenroom. The same
inputs give the same release.

Only the release's id goes to standard output, so that it can be the input of
the next command. A container's image is built by the Docker Engine, or what its
name stands for now is taken; with --image it is one that somebody else built.
The release has its digest, and the image itself.

A release whose checks at build fail is kept, with that
evidence against it; the exit code is 1 then.`,
		Example: "  greenroom build\n  greenroom rehearse $(greenroom build)\n  greenroom build --output json\n  greenroom build --image web=registry.example.com/shop/web:v7",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.build(cmd.Context(), images, verbose) },
	}
	cmd.Flags().StringArrayVar(&images, "image", nil, "SERVICE=IMAGE: a container's image that was built already, or with driver: command the one to deploy, as NAME@sha256:…; may be repeated")
	verboseFlag(cmd, &verbose)
	return cmd
}

// givenImages reads SERVICE=IMAGE.
func givenImages(list []string) (map[string]string, error) {
	given := map[string]string{}
	for _, item := range list {
		service, image, ok := strings.Cut(item, "=")
		switch {
		case !ok || service == "" || image == "":
			return nil, problem.New(problem.Invalid, "--image takes SERVICE=IMAGE, not %q", item).WithHint("greenroom build --image web=shop/web:v7")
		case given[service] != "":
			return nil, problem.New(problem.Invalid, "two images are given for %s", service).WithHint("greenroom build --image %s=%s", service, image)
		}
		given[service] = image
	}
	return given, nil
}

func (s *shell) build(ctx context.Context, images []string, verbose bool) error {
	given, err := givenImages(images)
	if err != nil {
		return err
	}
	d, err := s.Load(ctx, s.dir)
	if err != nil {
		return err
	}
	if d.Home, err = s.folder(); err != nil {
		return err
	}
	d.Images = given
	s.notices(d, verbose)
	c, err := s.connect(ctx) // before the long work, not after it
	if err != nil {
		return err
	}
	defer c.Close()
	d.Packed = func(ctx context.Context, image string) (release.Artifact, bool) {
		a, err := c.Packed(ctx, d.App.Name, image)
		return a, err == nil
	}
	built, view, err := s.buildAndImport(ctx, c, d)
	if err != nil {
		return err
	}
	if s.json() {
		if err := s.emit(map[string]any{"release": view, "statements": built.Statements}); err != nil {
			return err
		}
	} else {
		s.print("%s\n", view.Digest.Short())
	}
	if err := s.builtChecks(built.Statements); err != nil {
		return err
	}
	if !s.json() { // not on standard output, which is the release's id
		_, _ = fmt.Fprintf(s.Err, "  next: greenroom rehearse %s\n", view.Digest.Short()) // nobody is left to tell
	}
	return nil
}

// buildAndImport shows its progress on standard error: standard output is the release's id.
func (s *shell) buildAndImport(ctx context.Context, c *api.Client, d Definition) (built Built, r api.ReleaseView, err error) {
	p := term.NewProgress(s.Err)
	defer p.Close()
	if built, err = s.Build(ctx, d, func(e api.Event) { show(p, e) }); err != nil {
		return built, r, err
	}
	defer func() { err = errors.Join(err, built.Layout.Close()) }()
	const step = "import"
	p.Start(step, "hand the release to Greenroom")
	r, err = c.Import(ctx, built.Info, built.Layout)
	if err != nil {
		p.End(step, term.Fail, "")
		return built, r, err
	}
	p.End(step, term.Pass, strings.TrimPrefix(origin(r)+", "+bytesOf(r.Size), ", "))
	return built, r, nil
}

// builtChecks tells what the checks at build found; the worst verdict decides the exit code.
func (s *shell) builtChecks(statements []evidence.Statement) error {
	if len(statements) == 0 {
		return nil
	}
	var verdicts []evidence.Verdict
	for _, st := range statements {
		verdicts = append(verdicts, st.Result.Verdict)
		if st.Result.Verdict != evidence.Pass {
			_, _ = fmt.Fprintf(s.Err, "%s check %s: %s\n%s", s.Err.Mark(markOf(st.Result.Verdict)), // nobody is left to tell
				term.Clean(st.Result.Check), term.Clean(st.Result.Says()), failures(s.Err, st.Result))
		}
	}
	return verdictEnd(evidence.Worst(verdicts...), "the checks at build")
}

// verdictEnd is a verdict as the end of a command.
func verdictEnd(v evidence.Verdict, what string) error {
	switch v {
	case evidence.Pass:
		return nil
	case evidence.Fail:
		return silently(problem.Fail, "%s: fail", what)
	default:
		return silently(problem.Inconclusive, "%s: inconclusive", what)
	}
}
