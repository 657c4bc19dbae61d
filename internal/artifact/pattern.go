package artifact

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// pattern is one line of a .dockerignore file, or one glob of a definition's files: * and ? within a component, ** over
// any number of them, [a-z]. It matches a path and everything beneath it.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
type pattern struct {
	re   *regexp.Regexp
	keep bool // a line that begins with "!": what it matches travels after all
}

// match says whether name, or a folder above it, is what the pattern names.
func (p pattern) match(name string) bool { return p.re.MatchString(name) }

// patterns are the lines of one file, of which the last that matches counts.
type patterns []pattern

// hide says whether name stays behind.
func (ps patterns) hide(name string) bool {
	hidden := false
	for _, p := range ps {
		if hidden == p.keep && p.match(name) {
			hidden = !p.keep
		}
	}
	return hidden
}

// prunable says whether what is below a hidden folder is hidden as well, so that nobody has to look.
func (ps patterns) prunable() bool {
	for _, p := range ps {
		if p.keep {
			return false
		}
	}
	return true
}

// parsePatterns reads a .dockerignore or .greenroomignore file. The error names the line.
func parsePatterns(b []byte) (patterns, error) {
	var ps patterns
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.HasPrefix(line, "#") { // a comment only in the first column, as in Docker
			continue
		}
		line, keep := strings.CutPrefix(strings.TrimSpace(line), "!")
		if strings.TrimSpace(line) == "" {
			continue
		}
		p, err := compile(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		p.keep = keep
		ps = append(ps, p)
	}
	return ps, lines.Err()
}

// isGlob says whether name has a character with a meaning of its own in a pattern.
func isGlob(name string) bool { return strings.ContainsAny(name, `*?[`) }

// compile turns a glob into a pattern.
func compile(glob string) (pattern, error) {
	glob = strings.TrimPrefix(path.Clean("/"+glob), "/")
	var re strings.Builder
	re.WriteString("(?s)^")
	for i := 0; i < len(glob); i++ {
		switch rest := glob[i:]; {
		case strings.HasPrefix(rest, "**/"):
			re.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(rest, "**"):
			re.WriteString(".*")
			i++
		case rest[0] == '*':
			re.WriteString("[^/]*")
		case rest[0] == '?':
			re.WriteString("[^/]")
		case rest[0] == '\\' && len(rest) > 1:
			re.WriteString(regexp.QuoteMeta(rest[1:2]))
			i++
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 2 {
				return pattern{}, fmt.Errorf("%q: [ without its ]", glob)
			}
			re.WriteString(class(rest[1:end]))
			i += end
		default:
			re.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	if glob != "" { // the root itself is everything
		re.WriteString("(?:/.*)?")
	}
	re.WriteString("$")
	compiled, err := regexp.Compile(re.String())
	if err != nil {
		return pattern{}, fmt.Errorf("%q is not a pattern", glob)
	}
	return pattern{re: compiled}, nil
}

// class is the regular expression for the inside of [ ].
func class(inside string) string {
	negated := ""
	if inside[0] == '^' || inside[0] == '!' {
		negated, inside = "^", inside[1:]
	}
	return "[" + negated + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(inside) + "]"
}
