package app

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// Change is one difference between two policies, for people.
type Change struct {
	Path string `json:"path"`           // "environments.production.hosts", "gates.production.except.load"
	Was  string `json:"was,omitempty"`  // "" where it was not there
	Is   string `json:"is,omitempty"`   // "" where it is gone
	Note string `json:"note,omitempty"` // what follows from it, such as "voids rehearsals, weakens the gate"; "" for nothing
}

// What can follow from a change. A note lists them with ", ".
const (
	VoidsRehearsals = "voids rehearsals"                        // evidence from before does not count: Conditions differ
	WeakensGate     = "weakens the gate"                        // something passes, or somebody may, that did not before
	TightensGate    = "tightens the gate"                       // the reverse, and nothing else with it
	BuildersOut     = "the keys of builders here count no more" // the first named key ends the trust in unnamed ones
	BuildersIn      = "the keys of builders here count again"
	LetsOut         = "lets values out"                         // values of production leave it as they are, or go where the network is, that did not before
	EndsSessions    = "sessions in a migration's way are ended" // in production
)

// Changes lists what differs from before to now, in the order of a definition: environments, migrations, gates, roles,
// keys. It is empty exactly when the digests are the same.
func Changes(before, now Policy) []Change {
	c := &comparison{before: before, now: now}
	compare(c, "app", before.App, now.App, word, VoidsRehearsals)
	c.environments()
	c.migrating()
	c.gates()
	c.roles()
	c.keys()
	if len(c.changes) == 0 {
		// What no definition says, such as two environments of a name, can differ where nothing above looks.
		compare(c, "policy", before, now, Policy.Digest, VoidsRehearsals, WeakensGate)
	}
	return c.changes
}

// comparison collects the changes between two policies.
type comparison struct {
	before, now Policy
	changes     []Change
}

// compare adds a change where a part differs, told in words by say. Parts differ when their JSON does, as in the digest.
func compare[T any](c *comparison, path string, was, is T, say func(T) string, notes ...string) {
	if !bytes.Equal(canonical(was), canonical(is)) {
		c.add(path, say(was), say(is), notes...)
	}
}

func (c *comparison) add(path, was, is string, notes ...string) {
	once := slices.DeleteFunc(union(notes), func(n string) bool { return n == "" })
	c.changes = append(c.changes, Change{Path: path, Was: was, Is: is, Note: strings.Join(once, ", ")})
}

func (c *comparison) environments() {
	was, is := environmentNames(c.before), environmentNames(c.now)
	moved := c.moved()
	if !slices.Equal(common(was, is), common(is, was)) {
		c.add("environments", list(was), list(is), moved...)
	}
	for _, name := range union(is, was) {
		before, had := c.before.Environment(name)
		now, has := c.now.Environment(name)
		path := "environments." + name
		switch {
		case !had:
			c.add(path, "", environmentText(now), append(moved, letsOut(opensData(nil, now.Data)))...)
		case !has:
			c.add(path, environmentText(before), "", moved...)
		default:
			c.environment(path+".", before, now)
		}
	}
}

// moved tells what follows when another environment is production, or stages are built like another one. Only the
// environments' names, order and after decide that.
func (c *comparison) moved() []string {
	before, _ := c.before.Production()
	now, _ := c.now.Production()
	var notes []string
	if before.Name != now.Name || c.before.Staging().Name != c.now.Staging().Name {
		notes = append(notes, VoidsRehearsals)
	}
	if _, still := c.now.Environment(before.Name); still && before.Name != now.Name {
		notes = append(notes, WeakensGate) // it takes releases that were not rehearsed now
	}
	return notes
}

// environment compares one that is in both. prefix is its path with a dot at the end.
func (c *comparison) environment(prefix string, was, is Environment) {
	voids := func(differ bool) string {
		if differ && is.Name == c.before.Staging().Name && is.Name == c.now.Staging().Name {
			return VoidsRehearsals
		}
		return ""
	}
	passes := granted(chain(c.now, is.Name), chain(c.before, is.Name)) // what it passes before is the reverse of a grant
	compare(c, prefix+"after", was.After, is.After, word, append(c.moved(), passes)...)
	compare(c, prefix+"scale", was.Scale, is.Scale, scaleText, voids(!was.Scale.sameSize(is.Scale)))
	for _, name := range sortedUnion(was.Config, is.Config) {
		before, had := was.Config[name]
		now, has := is.Config[name]
		compare(c, prefix+"config."+name, optional(before, had), optional(now, has), maybe(configText),
			voids(had != has || before.Value != now.Value))
	}
	c.differences(prefix+"differences", was.Differences, is.Differences, voids)
	compare(c, prefix+"hosts", was.Hosts, is.Hosts, list)
	c.rollout(prefix+"rollout.", was.Rollout, is.Rollout)
	c.data(prefix+"data", was.Data, is.Data, voids)
	c.accept(prefix+"accept", was.Accept, is.Accept)
	compare(c, prefix+"url", was.URL, is.URL, word, voids(was.URL != is.URL))
	compare(c, prefix+"probe", was.Probe, is.Probe, probeText)
}

// accept compares what an environment accepts of what is dangerous.
func (c *comparison) accept(path string, was, is map[string]map[string]string) {
	count := len(c.changes)
	for _, service := range sortedUnion(was, is) {
		for _, setting := range sortedUnion(was[service], is[service]) {
			before, had := was[service][setting]
			now, has := is[service][setting]
			note := ""
			if had != has {
				note = direction(had)
			}
			compare(c, path+"."+service+"."+setting, optional(before, had), optional(now, has), maybe(word), note)
		}
	}
	if count == len(c.changes) { // services of which nothing is accepted
		compare(c, path, was, is, func(m map[string]map[string]string) string { return list(slices.Sorted(maps.Keys(m))) })
	}
}

// differences compares declared differences fact by fact, and their order where that is all.
func (c *comparison) differences(path string, was, is []Difference, voids func(bool) string) {
	count := len(c.changes)
	for _, fact := range union(facts(is), facts(was)) {
		before, now := declared(was, fact), declared(is, fact)
		compare(c, path+"."+fact, before, now, differencesText, voids(len(before) != len(now)))
	}
	if count == len(c.changes) {
		compare(c, path, was, is, func(d []Difference) string { return list(facts(d)) })
	}
}

func (c *comparison) rollout(prefix string, was, is Rollout) {
	downtime := ""
	if was.Downtime != is.Downtime {
		downtime = WeakensGate // the old release need not live on the new schema
		if was.Downtime {
			downtime = TightensGate
		}
	}
	compare(c, prefix+"steps", was.Steps, is.Steps, stepsText)
	compare(c, prefix+"watch", was.Watch, is.Watch, durationText)
	compare(c, prefix+"max_errors", was.MaxErrors, is.MaxErrors, shareText)
	compare(c, prefix+"drain", was.Drain, is.Drain, durationText)
	compare(c, prefix+"downtime", was.Downtime, is.Downtime, downtimeText, downtime)
}

func (c *comparison) gates() {
	for _, name := range sortedUnion(c.before.Gates, c.now.Gates) {
		was, had := c.before.Gates[name]
		is, has := c.now.Gates[name]
		path, count := "gates."+name, len(c.changes)
		compare(c, path+".soak", was.Soak, is.Soak, durationText, direction(was.Soak < is.Soak))
		for _, check := range sortedUnion(was.Except, is.Except) {
			before, excepted := was.Except[check]
			now, stays := is.Except[check]
			compare(c, path+".except."+check, optional(before, excepted), optional(now, stays), maybe(exceptText),
				exceptNote(optional(before, excepted), optional(now, stays)))
		}
		if count == len(c.changes) { // a gate that asks for nothing of its own
			compare(c, path, optional(was, had), optional(is, has), maybe(func(Gate) string { return "the default" }))
		}
	}
}

// exceptNote says what follows when an exception comes, goes or ends on another day. One without an end is the longest.
func exceptNote(was, is []Except) string {
	switch {
	case len(was) == 0 || len(is) == 0:
		return direction(len(is) == 0)
	case was[0].Until.Equal(is[0].Until):
		return ""
	default:
		return direction(!is[0].Until.IsZero() && (was[0].Until.IsZero() || is[0].Until.Before(was[0].Until)))
	}
}

func (c *comparison) roles() {
	rights := union(Rights, slices.Sorted(maps.Keys(c.before.Roles)), slices.Sorted(maps.Keys(c.now.Roles)))
	for _, r := range rights {
		was, had := c.before.Roles[r]
		is, has := c.now.Roles[r]
		compare(c, "roles."+string(r), optional(was, had), optional(is, has), maybe(peopleText),
			granted(c.before.holders(r), c.now.holders(r)))
	}
}

// owner stands for the daemon's user and root among those who hold a right. No system user's name has a space.
const owner = "the owner"

// holders are those who may do it: the owner where nobody is listed, and always where it is about the policy itself.
func (p Policy) holders(r Right) []string {
	who, listed := p.Roles[r]
	if !listed || r == RightApply {
		return append(slices.Clone(who), owner)
	}
	return who
}

func (c *comparison) keys() {
	for _, name := range union(keyNames(c.now.Keys), keyNames(c.before.Keys)) {
		was, had := keyNamed(c.before.Keys, name)
		is, has := keyNamed(c.now.Keys, name)
		path, builders := "keys."+name, c.builders()
		switch {
		case !had:
			c.add(path, "", keyText(is), WeakensGate, builders)
		case !has:
			c.add(path, keyText(was), "", TightensGate, builders)
		default:
			c.key(path+".", was, is)
		}
	}
}

// builders tells what the first named key, or the last, means for the keys that are not named.
func (c *comparison) builders() string {
	switch {
	case len(c.before.Keys) == 0:
		return BuildersOut
	case len(c.now.Keys) == 0:
		return BuildersIn
	}
	return ""
}

func (c *comparison) key(prefix string, was, is TrustedKey) {
	compare(c, prefix+"key", was.Public, is.Public, word, WeakensGate) // whoever has the other one was not trusted before
	compare(c, prefix+"checks", was.Checks, is.Checks, checksText, granted(checksOf(was), checksOf(is)))
	compare(c, prefix+"environments", was.Environments, is.Environments, speaksText, granted(was.Speaks(), is.Speaks()))
}
