package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"
)

// pipelines is the page whose pipelines are run as they stand there.
const pipelines = "../../docs/in-a-pipeline.md"

// pipelineStep is what the two services that run pipelines have in common.
type pipelineStep struct {
	run    string
	keeps  string // a file that is kept for people
	always bool   // also after a step that failed
}

// github is as much of a workflow as the page has. Unknown keys are errors, so that nothing on the page is passed over.
type github struct {
	On          any    `yaml:"on"`
	Concurrency string `yaml:"concurrency"`
	Jobs        map[string]struct {
		RunsOn []string `yaml:"runs-on"`
		Steps  []struct {
			If, Uses, Run string
			With          map[string]string
		}
	}
}

// gitlab is as much of a pipeline's job as the page has.
type gitlab struct {
	Stage         string
	Tags          []string
	ResourceGroup string `yaml:"resource_group"`
	Script        []string
	Artifacts     struct {
		When     string
		ExposeAs string `yaml:"expose_as"`
		Paths    []string
	}
}

// pipeline runs a pipeline of the page, of GitHub or of GitLab, for the commit that is here, and fails where it would.
func pipeline(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pipeline github|gitlab")
	}
	steps, commit := githubSteps, "GITHUB_SHA"
	if args[0] == "gitlab" {
		steps, commit = gitlabSteps, "CI_COMMIT_SHA"
	}
	ts.Check(ts.Exec("git", "rev-parse", "HEAD"))
	ts.Setenv(commit, strings.TrimSpace(ts.ReadFile("stdout")))
	failed := ""
	for _, s := range steps(ts) {
		switch {
		case failed != "" && !s.always:
		case s.run != "":
			if err := ts.Exec("bash", "-eo", "pipefail", "-c", s.run); err != nil {
				failed = s.run
			}
		case s.keeps != "":
			if _, err := os.Stat(ts.MkAbs(s.keeps)); err != nil {
				ts.Fatalf("%s is to be kept, and is not there", s.keeps)
			}
		}
	}
	if failed != "" && !neg {
		ts.Fatalf("it failed at: %s", failed)
	}
	if failed == "" && neg {
		ts.Fatalf("no step failed")
	}
}

func githubSteps(ts *testscript.TestScript) (steps []pipelineStep) {
	var g github
	fenced(ts, "jobs:", &g)
	for _, j := range g.Jobs {
		for _, s := range j.Steps {
			steps = append(steps, pipelineStep{run: s.Run, keeps: s.With["path"], always: s.If == "always()"})
		}
	}
	return steps
}

func gitlabSteps(ts *testscript.TestScript) (steps []pipelineStep) {
	var stages struct {
		Stages []string
		Jobs   map[string]gitlab `yaml:",inline"`
	}
	fenced(ts, "stages:", &stages)
	for _, stage := range stages.Stages {
		for _, j := range stages.Jobs {
			if j.Stage != stage {
				continue
			}
			for _, line := range j.Script {
				steps = append(steps, pipelineStep{run: line})
			}
			for _, file := range j.Artifacts.Paths {
				steps = append(steps, pipelineStep{keeps: file, always: j.Artifacts.When == "always"})
			}
		}
	}
	return steps
}

// fenced reads the page's block that has a line which begins so.
func fenced(ts *testscript.TestScript, line string, into any) {
	page, err := os.ReadFile(filepath.Join(ts.Getenv("PAGES"), pipelines))
	ts.Check(err)
	blocks := regexp.MustCompile("(?ms)^```yml\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	i := slices.IndexFunc(blocks, func(b []string) bool { return strings.Contains("\n"+b[1], "\n"+line) })
	if i < 0 {
		ts.Fatalf("%s has no block with %s", pipelines, line)
	}
	d := yaml.NewDecoder(strings.NewReader(blocks[i][1]))
	d.KnownFields(true)
	ts.Check(d.Decode(into))
}
