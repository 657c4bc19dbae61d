package check

import (
	"cmp"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	hidden        = "[secret]"
	shortest      = 4 // bytes of a value that is looked for
	shortestInner = 8 // bytes of a line of a value with several, such as a key file
)

// secrets finds secret values in text.
type secrets struct {
	re      *regexp.Regexp // nil when there are none
	longest int            // bytes of the longest spelling
}

// newSecrets prepares the search for values and for the ways in which they are commonly spelled.
func newSecrets(values []string) secrets {
	var all []string
	for _, v := range values {
		if len(v) >= shortest {
			all = append(all, spellings(v)...)
		}
		if strings.Contains(v, "\n") {
			for line := range strings.SplitSeq(v, "\n") {
				if line = strings.TrimSpace(line); len(line) >= shortestInner {
					all = append(all, spellings(line)...)
				}
			}
		}
	}
	if len(all) == 0 {
		return secrets{}
	}
	// The first alternative that matches is taken, so the longer of two that begin alike has to stand first.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	longest := len(all[0])
	all = slices.Compact(all)
	for i, s := range all {
		all[i] = regexp.QuoteMeta(s)
	}
	return secrets{re: regexp.MustCompile(strings.Join(all, "|")), longest: longest}
}

// spellings are v as it is, in an address, in JSON and in XML; as plain leaves them.
func spellings(v string) []string {
	query := url.QueryEscape(v)
	all := []string{
		v, query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(v), url.UserPassword("", v).String()[1:],
		html.EscapeString(v),
	}
	if b, err := json.Marshal(v); err == nil {
		all = append(all, string(b[1:len(b)-1]))
	}
	for i, s := range all {
		all[i] = plain(s)
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < shortest })
}

// clean takes the secrets out of s.
func (x secrets) clean(s string) string { return x.cleanPart(s, false, false) }

// cleanPart takes the secrets out of a part of a text. Where something was cut off before or after it, the bytes there
// may belong to a secret that can't be recognised any more, so they are left out.
func (x secrets) cleanPart(s string, before, after bool) string {
	if x.re == nil {
		return s
	}
	from, to := 0, len(s)
	if before {
		from = min(to, x.longest-1)
	}
	if after {
		to = max(from, to-x.longest+1)
	}
	var b strings.Builder
	for _, at := range x.re.FindAllStringIndex(s, -1) {
		if at[0] >= from && at[0] < to {
			b.WriteString(s[from:at[0]])
			b.WriteString(hidden)
		}
		from = max(from, at[1])
	}
	b.WriteString(s[min(from, to):to])
	return b.String()
}
