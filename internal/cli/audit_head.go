package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/atomicfile"
	"greenroom/internal/problem"
	"greenroom/internal/proc"
	"greenroom/internal/term"
)

func (s *shell) auditHeadCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "head",
		Short: "The log's end, signed, to be written elsewhere",
		Long: `Prints the anchor of the log: the number and the hash of its last entry, with
the signature. Kept where whoever can write to this machine can't, it proves
later that nothing before it was changed, and nothing cut off: greenroom audit
verify --anchor FILE

--to appends it to a file, adds it as a git note (refs/notes/greenroom) to the
commit that a repository has checked out, or posts it to an URL as one line of
text, to whatever keeps it there. A timer that runs it every hour is a good
idea.`,
		Example: "  greenroom audit head\n  greenroom audit head --to /mnt/elsewhere/anchors.txt\n  greenroom audit head --to git:/srv/shop\n  greenroom audit head --to https://example.com/anchors",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.auditHead(cmd.Context(), to) },
	}
	cmd.Flags().StringVar(&to, "to", "", "where to write it: FILE, git:REPOSITORY or https://…")
	must(cmd.RegisterFlagCompletionFunc("to", completeFiles))
	return cmd
}

func (s *shell) auditHead(ctx context.Context, to string) error {
	c, err := s.connect(ctx)
	if err != nil {
		return unreached(err, "greenroom up: the Greenroom that keeps the log tells its end")
	}
	defer c.Close()
	a, err := c.Anchor(ctx)
	if err != nil {
		return err
	}
	if _, err := api.ParseAnchor(a.Line); err != nil {
		return problem.New(problem.Internal, "the anchor can't be read: %w", err)
	}
	if err := s.writeAnchor(ctx, to, a.Line); err != nil {
		return err
	}
	switch {
	case s.json():
		return s.emit(a)
	case to == "":
		s.print("%s\n", a.Line)
	default:
		s.print("%s the log's end, number %d, is written to %s\n", s.Out.Mark(term.Pass), a.Head.Seq, term.Clean(to))
	}
	return nil
}

func (s *shell) writeAnchor(ctx context.Context, to, line string) error {
	repository, git := strings.CutPrefix(to, gitPrefix)
	switch {
	case to == "":
		return nil
	case git:
		return addNote(ctx, repository, line, s.Getenv)
	case strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "http://"):
		return post(ctx, to, line)
	default:
		return appendLine(to, line)
	}
}

// appendLine adds a line to a file, durably. It appends and never replaces: several may write there, and the file may be
// one that allows nothing else.
func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(line + "\n")
		err = errors.Join(err, f.Sync(), f.Close(), atomicfile.SyncDir(filepath.Dir(name)))
	}
	if err != nil {
		return problem.New(problem.Unavailable, "%s could not be written: %w", name, err)
	}
	return nil
}

// addNote adds a line to the notes of the commit that is checked out.
func addNote(ctx context.Context, repository, line string, getenv func(string) string) error {
	var said bytes.Buffer
	exit, err := proc.Run(ctx, proc.Command{
		Argv: []string{"git", "-C", repository, "notes", "--ref=" + notesRef, "append", "-m", line, "HEAD"},
		Env:  gitEnv(getenv), Stdout: &said, Stderr: &said,
	})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("%s: %s", exit, strings.TrimSpace(said.String()))
	}
	if err != nil {
		return problem.New(problem.Unavailable, "the note could not be added in %s: %w", repository, err)
	}
	return nil
}

// gitEnv is what git needs of the caller's environment to know who he is.
func gitEnv(getenv func(string) string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "LANG", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL",
		"GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"} {
		if v := getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// postTime is how long an URL may take to answer.
const postTime = 10 * time.Second

// post sends a line to an URL that a person named, and nowhere else: a redirection is a failure.
func post(ctx context.Context, url, line string) error {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(line+"\n"))
	if err != nil {
		return problem.New(problem.Invalid, "--to %s: %w", url, err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return problem.New(problem.Unavailable, "the anchor could not be posted: %w", err)
	}
	_ = res.Body.Close() // only the status matters
	if res.StatusCode/100 != 2 {
		return problem.New(problem.Unavailable, "%s answered %s", url, res.Status)
	}
	return nil
}
