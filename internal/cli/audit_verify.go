package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
	"greenroom/internal/evidence"
	"greenroom/internal/problem"
)

// auditOptions say what a log is verified against.
type auditOptions struct {
	file    string
	anchors []string
	keys    []string
}

func (s *shell) auditVerifyCommand() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify the whole log here: links, hashes, signatures, and its end",
		Long: `Reads the whole log and verifies it here: the Greenroom that keeps it sends its
entries, and this command computes every hash and signature of them itself. It
finds what was changed, removed, inserted or moved, and what is not signed. With
--file nothing has to run.

With an anchor, a line that "greenroom audit head" wrote elsewhere, it also
notices that the log's end was cut off, or that all of it was written anew.
git:REPOSITORY means all that "greenroom audit head --to git:REPOSITORY" wrote
there; what was posted to an URL, you fetch from there and give as a file.

The keys are those given with --key: the one that began the log is enough, since
the log hands itself over to the next. Without any, those that the Greenroom
which runs calls its own are believed.

The exit code is 0 when all of it is whole, 1 when it is not, and 3 when there
is nothing to verify.`,
		Example: "  greenroom audit verify\n  greenroom audit verify --anchor anchors.txt --key production.pem\n  greenroom audit verify --anchor git:/srv/shop\n  greenroom audit verify --file audit.jsonl --key production.pem",
		Args:    takes(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.auditVerify(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.file, "file", "", "a log that greenroom audit export wrote, instead of the one that is kept here")
	cmd.Flags().StringArrayVar(&o.anchors, "anchor", nil, "an anchor that the log has to contain: its line, a file of lines, or git:REPOSITORY; may be given again")
	keyFlag(cmd, &o.keys)
	must(cmd.RegisterFlagCompletionFunc("file", completeFiles))
	must(cmd.RegisterFlagCompletionFunc("anchor", completeFiles))
	return cmd
}

func (s *shell) auditVerify(ctx context.Context, o auditOptions) error {
	anchors, err := s.readAnchors(ctx, o.anchors)
	if err != nil {
		return err
	}
	entries, roots, end, err := s.log(ctx, o)
	if err != nil {
		return err
	}
	defer end()
	r, err := verifyLog(entries, roots, anchors)
	if err != nil {
		return err
	}
	if s.json() {
		if err := s.emit(r); err != nil {
			return err
		}
	} else {
		s.print("%s", auditPage(s.Out, r, time.Now()))
	}
	switch {
	case r.Fault != "":
		return silently(problem.Fail, "the log is not whole")
	case r.Head.Seq == 0:
		return silently(problem.Inconclusive, "the log is empty")
	default:
		return nil
	}
}

// log is the log to be verified, and the keys that may have begun it. end lets go of both.
func (s *shell) log(ctx context.Context, o auditOptions) (entries api.Stream[evidence.Entry], roots evidence.Keys, end func(), err error) {
	if roots, err = s.givenKeys(o.keys); err != nil {
		return nil, nil, nil, err
	}
	if o.file != "" {
		if len(roots) == 0 {
			return nil, nil, nil, problem.New(problem.Inconclusive, "there is no key to verify with").
				WithHint("greenroom audit verify --file %s --key FILE; the key prints greenroom key show, where the log is kept", o.file)
		}
		f, err := s.open(o.file)
		if err != nil {
			return nil, nil, nil, err
		}
		return entriesIn(f, o.file), own(roots), func() { _ = f.Close() }, nil // only read from
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, nil, nil, unreached(err, "greenroom up; or greenroom audit verify --file FILE --key KEY, of what greenroom audit export wrote")
	}
	if len(roots) == 0 {
		roots, err = s.keysFor(ctx, c, "", nil)
	}
	if err == nil {
		entries, err = c.Log(ctx, 0)
	}
	if err != nil {
		c.Close()
		return nil, nil, nil, err
	}
	if len(o.keys) > 0 {
		roots = own(roots)
	}
	return entries, roots, c.Close, nil
}

// own are keys as those of the Greenroom whose log it is: a person says so.
func own(keys evidence.Keys) evidence.Keys {
	for i := range keys {
		keys[i].Own = true
	}
	return keys
}

// audited is what came of verifying a log.
type audited struct {
	Head    evidence.Head `json:"head"` // how far it is whole
	At      time.Time     `json:"at,omitzero"`
	Anchors int           `json:"anchors"` // that it contains
	Fault   string        `json:"fault,omitempty"`
}

// logPage is how many entries are verified at once.
const logPage = 2000

// verifyLog walks along a log to its end, or to the first thing that is wrong. An error means that it could not be read.
func verifyLog(entries api.Stream[evidence.Entry], roots evidence.Keys, anchors []evidence.Entry) (audited, error) {
	v := evidence.NewVerifier(evidence.Head{}, roots)
	var r audited
	at := map[int64]evidence.Entry{}
	for _, a := range anchors {
		at[a.Seq] = evidence.Entry{} // what the log has there is filled in below
	}
	var page []evidence.Entry
	next := func() bool {
		err := v.Next(page)
		if r.Head = v.Head(); err != nil {
			r.Fault = err.Error()
			return false
		}
		page = page[:0]
		return true
	}
	for e, err := range entries {
		if err != nil {
			return r, err
		}
		if _, anchored := at[e.Seq]; anchored {
			at[e.Seq] = e
		}
		r.At = e.At
		if page = append(page, e); len(page) == logPage && !next() {
			return r, nil
		}
	}
	if next() {
		r.anchored(anchors, at)
	}
	return r, nil
}

// anchored compares a log that is whole with anchors.
func (r *audited) anchored(anchors []evidence.Entry, at map[int64]evidence.Entry) {
	for _, a := range anchors {
		e := at[a.Seq]
		switch {
		case a.Seq > r.Head.Seq:
			r.Fault = fmt.Sprintf("its end is cut off: it has %d entries, and had at least %d", r.Head.Seq, a.Seq)
			return
		case !bytes.Equal(e.Hash, a.Hash):
			r.Fault = fmt.Sprintf("entry %d is another one than when the anchor was written: the log was written anew", a.Seq)
			return
		case e.Key != a.Key || !bytes.Equal(e.Signature, a.Signature):
			r.Fault = fmt.Sprintf("entry %d is signed by %s in another way than when the anchor was written", a.Seq, e.Key)
			return
		}
		r.Anchors++
	}
}
