package definition

import (
	"net"
	"regexp"
	"strings"
	"time"
)

// names are the keys of a mapping in the file's order.
func (d *document) names(path ...string) []string { return d.source.keys(path...) }

// given says whether the file has the key at all.
func (d *document) given(path ...string) (at place, ok bool) {
	return d.atKey(path...), d.find(path...).depth == len(path)
}

func (d *document) duration(s text, standard time.Duration, path []string) time.Duration {
	v, what, instead := duration(s, standard)
	if what != "" {
		d.report.fault(d.at(path...), what, instead)
	}
	return v
}

func (d *document) day(s text, path []string) time.Time {
	v, what, instead := day(s)
	if what != "" {
		d.report.fault(d.at(path...), what, instead)
	}
	return v
}

// said reports a reason that is there and says nothing. One that is missing is the schema's affair.
func (d *document) said(because string, path []string) {
	if d.isText(path) && strings.TrimSpace(because) == "" {
		d.report.fault(d.at(path...), "`because` says nothing", "give the reason in a few words")
	}
}

// isText says whether the file has a text at the path.
func (d *document) isText(path []string) bool {
	f := d.find(path...)
	if f.depth < len(path) {
		return false
	}
	_, ok := plain(f.value).(string)
	return ok
}

var (
	containerVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	variableForm      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	hostForm          = regexp.MustCompile(`^(\*\.)?([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
)

// badHost says what is wrong with a host name, or "". A wildcard stands for one label.
func badHost(h string) string {
	switch {
	case net.ParseIP(h) != nil:
		return quote(h) + " is an address, not a name"
	case len(h) > 253 || !hostForm.MatchString(h):
		return quote(clip(h)) + " is no host name"
	}
	return ""
}
