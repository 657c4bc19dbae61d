package evidence

import (
	"errors"
	"fmt"

	"greenroom/internal/release"
)

// The checks that are built in, and whose statements have predicates of their own.
const (
	CheckMigration = "migration"
	CheckRollback  = "rollback"
)

// check is a Statement as a document.
type check Statement

// testResult is in-toto's predicate test-result v0.1. It knows no "could not decide": that is a FAILED, which means that it
// did not pass, and the verdict in our extension tells which. WARNED would be a kind of pass.
type testResult struct {
	Result        string       `json:"result"`
	Configuration []descriptor `json:"configuration"`
	PassedTests   []string     `json:"passedTests,omitempty"`
	FailedTests   []string     `json:"failedTests,omitempty"`
	Greenroom     Statement    `json:"greenroom"`
}

func (c check) about() (string, release.Digest) { return c.App, c.Release }

func (c check) predicate() (string, any) {
	s := Statement(c)
	switch c.Result.Check {
	case CheckMigration:
		return typeMigration, s
	case CheckRollback:
		return typeRollback, s
	}
	// What was tested with: the check as the release has it, and what the stage was built like.
	p := testResult{Result: "FAILED", Configuration: []descriptor{descriptorOf("release", c.Release)}, Greenroom: s}
	if c.Policy != "" {
		p.Configuration = append(p.Configuration, descriptorOf("policy", release.Digest(c.Policy)))
	}
	if c.Result.Verdict == Pass {
		p.Result, p.PassedTests = "PASSED", []string{c.Result.Check}
		return typeTestResult, p
	}
	p.FailedTests = []string{c.Result.Check}
	for _, f := range c.Result.Failures {
		p.FailedTests = append(p.FailedTests, c.Result.Check+"/"+f.Name)
	}
	return typeTestResult, p
}

func (c check) sense() error {
	switch r := c.Result; {
	case c.ID == "":
		return errors.New("a statement without an id")
	case c.Run == "" || c.Environment == "":
		return errors.New("a statement that does not tell where it comes from")
	case (c.Run == Build) != (c.Environment == Build):
		return fmt.Errorf("a statement from the run %s in %s", c.Run, c.Environment)
	case c.Policy != "" && !release.Digest(c.Policy).Valid():
		return fmt.Errorf("the policy %q is not a digest", c.Policy)
	case c.At.IsZero():
		return errors.New("a statement without a time")
	case c.Snapshot != nil && !c.Snapshot.told():
		return errors.New("a statement about a snapshot that does not tell which, or of when")
	case r.Check == "":
		return errors.New("a statement about no check")
	case r.Verdict != Pass && r.Verdict != Fail && r.Verdict != Inconclusive:
		return fmt.Errorf("%q is not a verdict", r.Verdict)
	case r.Passed < 0 || r.Failed < 0 || r.Skipped < 0:
		return errors.New("a negative number of tests")
	case r.Verdict == Pass && (r.Failed > 0 || len(r.Failures) > 0):
		return fmt.Errorf("a pass with %d failed tests", max(r.Failed, len(r.Failures)))
	}
	return subject(c.App, c.Release)
}

func (c check) summary() Summary {
	uri, _ := c.predicate()
	return Summary{Kind: KindCheck, Type: uri, App: c.App, Release: c.Release, Environment: c.Environment, Run: c.Run,
		Check: c.Result.Check, Verdict: c.Result.Verdict, Text: c.Result.Summary, At: c.At}
}

// subject says whether that can be what a statement is about.
func subject(app string, d release.Digest) error {
	switch {
	case app == "":
		return errors.New("a statement about no app")
	case !d.Valid():
		return fmt.Errorf("%q is not the digest of a release", d)
	}
	return nil
}
