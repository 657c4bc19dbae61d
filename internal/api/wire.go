package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"greenroom/internal/problem"
)

// Problem is a problem on the wire: an RFC 9457 document (application/problem+json) with the members code and hint.
type Problem struct {
	Title  string       `json:"title"`          // the status in words
	Status int          `json:"status"`         // the HTTP status
	Detail string       `json:"detail"`         // what happened and why
	Code   problem.Code `json:"code"`           // decides the exit code of a command
	Hint   string       `json:"hint,omitempty"` // the next command
}

// Error makes a Problem what huma expects of an error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType names the format of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// toWire puts any error into the form in which it travels.
func toWire(err error) *Problem {
	p := problem.From(err)
	status := p.Code.Status()
	title := http.StatusText(status)
	if title == "" { // 499 has no text of its own
		title = "Interrupted"
	}
	return &Problem{Title: title, Status: status, Detail: p.Message, Code: p.Code, Hint: p.Hint}
}

// fromWire is the problem that a Problem tells of.
func fromWire(p Problem) *problem.Error {
	e := &problem.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint}
	if e.Code == "" {
		e.Code = problem.Internal
	}
	return e
}

// maxProblem is how much of an answer that is an error is read, in bytes.
const maxProblem = 1 << 20

// readProblem reads an answer that is an error, whoever wrote it.
func readProblem(status int, body io.Reader) *problem.Error {
	b, err := io.ReadAll(io.LimitReader(body, maxProblem))
	var p Problem
	if err != nil || json.Unmarshal(b, &p) != nil || p.Detail == "" {
		return problem.New(problem.Internal, "Greenroom answered %d %s", status, http.StatusText(status))
	}
	return fromWire(p)
}

// translate turns the faults that huma finds in a request into a Problem. It leaves out the values that huma would
// echo: one of them could be a secret.
func translate(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	detail := m.Detail
	var faults []string
	for _, d := range m.Errors {
		fault := d.Message
		if d.Location != "" {
			fault = d.Location + ": " + d.Message
		}
		faults = append(faults, fault)
	}
	if len(faults) > 0 {
		detail += ": " + strings.Join(faults, "; ")
	}
	code := problem.Invalid
	if m.Status >= http.StatusInternalServerError {
		code = problem.Internal
	}
	return &Problem{Title: m.Title, Status: m.Status, Detail: detail, Code: code}, nil
}
