// Package problem is what a person is told when something does not work: a code, a message and a hint that names
// the next command to run. Everything else that goes wrong is a bug and is logged once, at the top.
//
// On the wire a problem is an RFC 9457 problem document; in the shell it is an exit code.
package problem

import (
	"context"
	"errors"
	"fmt"
)

// Code says what kind of problem it is. It decides the exit code of a command and the status of an answer.
type Code string

// The codes. The comment gives the exit code and the HTTP status.
const (
	Fail         Code = "fail"         // 1, 422: it was tried, and the answer is no
	Invalid      Code = "invalid"      // 2, 400: the request or the definition is wrong
	NotFound     Code = "not-found"    // 2, 404: what was named does not exist
	Inconclusive Code = "inconclusive" // 3, 424: it could not be decided
	Blocked      Code = "blocked"      // 4, 409: policy, ownership or a known-bad release forbids it
	Unavailable  Code = "unavailable"  // 1, 503: something that is needed is not there (a daemon, a program, a port)
	Internal     Code = "internal"     // 1, 500: a bug
	Interrupted  Code = "interrupted"  // 130, 499: the person stopped it
)

// ExitInterrupted is the exit code of a command that was stopped by SIGINT or SIGTERM.
const ExitInterrupted = 130

// Error is a problem told to a person.
type Error struct {
	Code    Code
	Message string // what happened and why, one sentence without a full stop
	Hint    string // what to do next, a command where there is one; may be empty
	Err     error  // the cause, if any; its text is already part of Message where it helps
}

// Error gives the message, and the hint behind it where there is one.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes a problem. A %w verb in format sets the cause.
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint returns a copy of e that tells what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// From finds the problem in err's chain. A cancelled context is Interrupted; anything else that is not a problem is
// Internal. It returns nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var p *Error
	if errors.As(err, &p) {
		if p.Message == err.Error() {
			return p
		}
		c := *p
		c.Message = err.Error()
		return &c
	}
	if errors.Is(err, context.Canceled) {
		return &Error{Code: Interrupted, Message: "interrupted", Err: err}
	}
	return &Error{Code: Internal, Message: err.Error(), Err: err}
}

// ExitCode is the exit code of a command that ended with err: 0 for nil.
func ExitCode(err error) int {
	p := From(err)
	if p == nil {
		return 0
	}
	switch p.Code {
	case Invalid, NotFound:
		return 2
	case Inconclusive:
		return 3
	case Blocked:
		return 4
	case Interrupted:
		return ExitInterrupted
	default:
		return 1
	}
}

// Status is the HTTP status of an answer that carries a problem of this code.
func (c Code) Status() int {
	switch c {
	case Fail:
		return 422
	case Invalid:
		return 400
	case NotFound:
		return 404
	case Inconclusive:
		return 424
	case Blocked:
		return 409
	case Unavailable:
		return 503
	case Interrupted:
		return 499
	default:
		return 500
	}
}
