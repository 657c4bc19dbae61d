package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
	"greenroom/internal/term"
)

func (s *shell) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "The log of everything that happened: verify, anchor, export",
		Long: `Greenroom keeps one log of everything that happened and why: each entry is
linked to the one before by its hash, and signed. What was changed, removed or
inserted is noticed, and with an anchor written elsewhere also what was cut off
at its end. greenroom history shows it in words.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.auditVerifyCommand(), s.auditHeadCommand(), s.auditExportCommand())
	return cmd
}

func (s *shell) auditExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write all entries as JSON lines, to be verified anywhere",
		Long: `Writes all entries of the log, the oldest first, as JSON lines: to a file, or to
standard output. They can be verified without this Greenroom: greenroom audit
verify --file FILE --key KEY`,
		Example:           "  greenroom audit export audit.jsonl\n  greenroom audit export | wc -l",
		Args:              takes(0, "FILE"),
		ValidArgsFunction: completeInTurn(completeFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := "-"
			if len(args) == 1 {
				to = args[0]
			}
			return s.auditExport(cmd.Context(), to)
		},
	}
}

func (s *shell) auditExport(ctx context.Context, to string) error {
	c, err := s.connect(ctx)
	if err != nil {
		return unreached(err, "greenroom up: the Greenroom that keeps the log sends its entries")
	}
	defer c.Close()
	entries, err := c.Log(ctx, 0)
	if err != nil {
		return err
	}
	n := 0
	write := func(w io.Writer) error {
		n, err = writeEntries(w, entries)
		return err
	}
	if to == "-" {
		return write(s.Out)
	}
	if err := writeFile(to, 0o644, write); err != nil {
		return err
	}
	if s.json() {
		return s.emit(map[string]any{"file": to, "entries": n})
	}
	s.print("%s %s in %s\n", s.Out.Mark(term.Pass), count(n, "entry", "entries"), term.Clean(to))
	s.next("greenroom audit verify --file %s --key KEY", term.Clean(to))
	return nil
}

func writeEntries(w io.Writer, entries api.Stream[evidence.Entry]) (n int, err error) {
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	for e, err := range entries {
		if err != nil {
			return n, err
		}
		if err := lines.Encode(e); err != nil {
			return n, err
		}
		n++
	}
	return n, buffered.Flush()
}

// entriesIn reads what auditExport wrote.
func entriesIn(r io.Reader, name string) api.Stream[evidence.Entry] {
	return func(yield func(evidence.Entry, error) bool) {
		lines := json.NewDecoder(r)
		lines.DisallowUnknownFields()
		for {
			var e evidence.Entry
			err := lines.Decode(&e)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(e, problem.New(problem.Fail, "%s is damaged or cut off: %w", name, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
