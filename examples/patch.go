package examples

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A patch here is what `git diff` prints, with words before it. It is applied to the letter: every line that it says
// is there has to be there, at that place. So a patch that no longer fits the shop is an error in a test and never half
// a release. Files can be changed, added and deleted, which is all that the story does.

var hunkHead = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@`)

// applyPatch changes the files of tree, which are named by their path.
func applyPatch(tree map[string]string, patch string) error {
	sections := strings.Split("\n"+strings.TrimSuffix(patch, "\n"), "\ndiff --git ")
	if len(sections) == 1 {
		return errors.New("it changes nothing")
	}
	for _, section := range sections[1:] {
		head, hunks, _ := strings.Cut(section+"\n", "\n@@ ")
		gone := strings.HasSuffix(head, "\n+++ /dev/null")
		_, target, found := strings.Cut(head, "\n+++ b/")
		if gone {
			_, target, found = strings.Cut(head, "\n--- a/")
		}
		if !found {
			return fmt.Errorf("no file is named in %q", head)
		}
		name, _, _ := strings.Cut(target, "\n")
		isNew := strings.Contains(head, "\n--- /dev/null")
		old, exists := tree[name]
		if exists == isNew {
			return fmt.Errorf("%s: it is there: %t, and should be added: %t", name, exists, isNew)
		}
		changed, err := applyHunks(lines(old), lines("@@ "+hunks))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		tree[name] = strings.Join(changed, "")
		if !gone {
			continue
		}
		if len(changed) > 0 {
			return fmt.Errorf("%s: it should be deleted, and %d lines would be left", name, len(changed))
		}
		delete(tree, name)
	}
	return nil
}

// lines splits a text into its lines, each with its end.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	all := strings.SplitAfter(text, "\n")
	if last := len(all) - 1; all[last] == "" {
		return all[:last]
	}
	return all
}

// applyHunks returns the lines of a file after a patch's hunks.
func applyHunks(old, hunks []string) ([]string, error) {
	var changed []string
	at := 0 // lines of old that are done
	for _, line := range hunks {
		if m := hunkHead.FindStringSubmatch(line); m != nil {
			start, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, err
			}
			start = max(start-1, 0) // a file that is added starts at line 0
			if start < at || start > len(old) {
				return nil, fmt.Errorf("it has no line %d to change", start+1)
			}
			changed = append(changed, old[at:start]...)
			at = start
			continue
		}
		kind, text := line[0], line[1:]
		if kind == '+' {
			changed = append(changed, text)
			continue
		}
		if kind != ' ' && kind != '-' {
			return nil, fmt.Errorf("the patch's line %q makes no sense", line)
		}
		if at == len(old) || old[at] != text {
			return nil, fmt.Errorf("line %d is not %q", at+1, text)
		}
		if at++; kind == ' ' {
			changed = append(changed, text)
		}
	}
	return append(changed, old[at:]...), nil
}
