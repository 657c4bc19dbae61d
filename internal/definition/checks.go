package definition

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/release"
)

const defaultCheckTimeout = 10 * time.Minute

// checks reads the team's own checks. services is nil when Compose could not be read.
func (d *document) checks(services []app.Service) []app.Check {
	var out []app.Check
	d.built = builtFiles(services)
	for _, name := range d.names("checks") {
		at := []string{"checks", name}
		what, instead := badName(name)
		if slices.Contains(builtInChecks, name) || slices.Contains(reservedChecks, name) {
			what, instead = quote(name)+" is a check that Greenroom makes itself", "give yours another name"
		}
		if what != "" {
			d.report.fault(d.atKey(at...), what, instead)
		}
		k := d.keys.Checks[name]
		if k == nil {
			k = &checkKeys{}
		}
		out = append(out, d.check(name, *k, at))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (d *document) check(name string, k checkKeys, at []string) app.Check {
	c := app.Check{
		Name: name, Run: k.Run, AtBuild: k.At == "build", Journey: k.Journey, Production: k.Production, Report: k.Report,
		Timeout: d.duration(k.Timeout, defaultCheckTimeout, append(at, "timeout")),
	}
	d.command(k.Run, append(at, "run"))
	if c.AtBuild && (c.Journey || c.Production) {
		key := "journey"
		if !c.Journey {
			key = "production"
		}
		d.report.fault(d.atKey(append(at, key)...), fmt.Sprintf("a check at build has no app to reach, so it can't be %s", quote(key)), "remove `at: build` or "+quote(key+": true"))
	}
	if k.Timeout != "" && c.Timeout == 0 {
		d.report.fault(d.at(append(at, "timeout")...), "a check that has no time can't pass", "write how long it may take, as 10m")
	}
	if k.Report != "" && k.Report != "go" {
		if what := escapes(k.Report); what != "" {
			d.report.fault(d.at(append(at, "report")...), what, "the report is a file below the folder in which the check runs")
		}
	}
	c.Files = d.checkFiles(k, at)
	for _, p := range release.Parts {
		if len(k.DependsOn) == 0 || slices.Contains(k.DependsOn, string(p)) {
			c.DependsOn = append(c.DependsOn, string(p))
		}
	}
	return c
}

// command reports a command that is there and empty. A missing one is the schema's affair.
func (d *document) command(run string, path []string) {
	if d.isText(path) && strings.TrimSpace(run) == "" {
		d.report.fault(d.at(path...), "the command is empty", "write what /bin/sh is to run")
	}
}

// checkFiles are what travels for a check, sorted and relative to the repository: what it says, or else the paths that
// the words of its command name.
func (d *document) checkFiles(k checkKeys, at []string) []string {
	if _, given := d.given(append(at, "files")...); !given {
		if program, _, _ := strings.Cut(k.Run, " "); strings.HasPrefix(program, "./") && escapes(program) == "" && !d.exists(program) && !d.isBuilt(program) {
			d.report.notice(d.at(append(at, "run")...), quote(clip(program))+" is not in the repository", "the check can't be run without it")
		}
		return d.namedFiles(k.Run)
	}
	var files []string
	for i, f := range k.Files {
		what, instead := escapes(f), "name a file or folder of the repository"
		if what == "" && !d.exists(f) && !d.isBuilt(f) {
			what = quote(clip(f)) + " is not in the repository"
		}
		if what != "" {
			d.report.fault(d.at(append(at, "files", fmt.Sprint(i))...), what, instead)
			continue
		}
		files = append(files, path.Clean(filepath.ToSlash(f)))
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// namedFiles are the words of a shell command that are files or folders of the repository. A bare word such as the test
// of "make test" is none even where a folder has that name, and neither is the repository's root (. or ./...): a check
// that needs all of it says so with files.
func (d *document) namedFiles(run string) []string {
	var files []string
	split := func(r rune) bool { return strings.ContainsRune(" \t\n\"'`;&|<>()=$,:", r) }
	for _, word := range strings.FieldsFunc(run, split) {
		f := path.Clean(strings.TrimSuffix(word, "/..."))
		if f == "." || !strings.ContainsAny(word, "/.") || strings.HasPrefix(f, "-") || escapes(f) != "" || !d.exists(f) && !d.isBuilt(f) {
			continue
		}
		files = append(files, f)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// builtFiles are what the services' builds make, relative to the repository. A check may name them before they are
// there; otherwise the first build of a release would differ from the second.
func builtFiles(services []app.Service) []string {
	var out []string
	for _, s := range services {
		if s.Build == nil || s.Build.Run == "" {
			continue
		}
		for _, f := range s.Build.Files {
			out = append(out, path.Join(s.Build.Context, f))
		}
	}
	return out
}

// isBuilt says whether a path is one of the built files, or holds or lies in one.
func (d *document) isBuilt(f string) bool {
	f = path.Clean(filepath.ToSlash(f))
	return slices.ContainsFunc(d.built, func(b string) bool {
		return b == f || strings.HasPrefix(b, f+"/") || strings.HasPrefix(f, b+"/")
	})
}

func (d *document) exists(f string) bool {
	_, err := os.Lstat(filepath.Join(d.dir, filepath.FromSlash(f)))
	return err == nil
}
