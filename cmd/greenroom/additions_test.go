package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"greenroom/internal/cli"
)

// makeAdditions does what a person does after `greenroom init`: each addition goes below the line that it names, or in
// its place. It begins at the end, because lines are counted in the file as it is.
func makeAdditions(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: make-additions")
	}
	var said struct {
		Findings []cli.Finding `json:"findings"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &said))
	slices.SortFunc(said.Findings, func(a, b cli.Finding) int { return b.Line - a.Line })
	for _, f := range said.Findings {
		if f.Add == "" {
			continue
		}
		path := ts.MkAbs(f.File)
		lines := strings.Split(ts.ReadFile(f.File), "\n")
		from := f.Line
		if f.Replaces {
			from--
		}
		lines = slices.Concat(lines[:from], []string{f.Add}, lines[f.Line:])
		ts.Check(os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	}
}
