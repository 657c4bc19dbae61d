package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/human"
)

// The words in which Changes tells the parts of a policy: as they stand in a definition, as far as that has words.

// word is a text as it is, or quoted where one could not see where it begins and ends.
func word(s string) string {
	odd := func(r rune) bool { return r < ' ' || r == ',' || r == '"' || r == '\u007f' }
	if strings.ContainsFunc(s, odd) || strings.TrimSpace(s) != s {
		return strconv.Quote(s)
	}
	return s
}

func list(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = word(w)
	}
	return strings.Join(out, ", ")
}

// because adds a reason and a last day to a text, where there are any.
func because(text, reason string, until time.Time) string {
	if reason != "" {
		text += ", because " + word(reason)
	}
	if !until.IsZero() {
		text += ", until " + dayText(until)
	}
	return strings.TrimPrefix(text, ", ")
}

// dayText is a date where the time is its last second, as a definition means it, and the whole time otherwise.
func dayText(t time.Time) string {
	if day, last := strings.CutSuffix(t.Format(time.RFC3339Nano), "T23:59:59Z"); last {
		return day
	}
	return t.Format(time.RFC3339Nano)
}

func scaleText(s Scale) string {
	text := ""
	switch {
	case s.Replicas != 0:
		text = strconv.Itoa(s.Replicas)
	case s.Num != 0 || s.Den != 0:
		text = fmt.Sprintf("%d/%d", s.Num, s.Den)
	case s != (Scale{}):
		text = "production's"
	}
	return because(text, s.Because, s.Until)
}

func configText(c Config) string {
	if c.Value == "" {
		return because(`""`, c.Because, time.Time{})
	}
	return because(word(c.Value), c.Because, time.Time{})
}

func probeText(p *Probe) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s, %d/s, %s each", word(p.Path), p.Rate, durationText(p.Timeout))
}

func differencesText(all []Difference) string {
	var out []string
	for _, d := range all {
		out = append(out, cmp.Or(because("", d.Because, d.Until), "declared"))
	}
	return strings.Join(out, "; ")
}

func exceptText(e Except) string { return cmp.Or(because("", e.Because, e.Until), "not demanded") }

func stepsText(steps []int) string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = fmt.Sprintf("%d%%", s)
	}
	return strings.Join(out, ", ")
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return human.Written(d)
}

// shareText is a share in percent where that says all of it: 0.005 is 0.5%.
func shareText(share float64) string {
	percent := strconv.FormatFloat(share*100, 'g', 6, 64)
	switch back, err := strconv.ParseFloat(percent, 64); {
	case share == 0:
		return ""
	case err == nil && back/100 == share:
		return percent + "%"
	}
	return strconv.FormatFloat(share, 'g', -1, 64)
}

func downtimeText(accepted bool) string {
	if accepted {
		return "accept"
	}
	return ""
}

func peopleText(who []string) string { return cmp.Or(list(who), "nobody") }

func checksText(checks []string) string { return cmp.Or(list(checks), "all") }

func speaksText(environments []string) string {
	text := list(TrustedKey{Environments: environments}.Speaks())
	if len(environments) == 0 {
		text += " by default"
	}
	return text
}

func environmentText(e Environment) string {
	return cmp.Or(whole(func(c *comparison) { c.environment("", Environment{}, e) }), "as production")
}

func keyText(k TrustedKey) string {
	return whole(func(c *comparison) { c.key("", TrustedKey{}, k) })
}

// whole is everything that is said about something that comes or goes, as one text.
func whole(say func(*comparison)) string {
	c := &comparison{}
	say(c)
	var out []string
	for _, x := range c.changes {
		out = append(out, x.Path+" "+x.Is)
	}
	return strings.Join(out, "; ")
}

// optional is a list of one, or of none for what is not there: so it differs from what is there and empty.
func optional[T any](v T, there bool) []T {
	if !there {
		return nil
	}
	return []T{v}
}

// maybe says nothing of what is not there.
func maybe[T any](say func(T) string) func([]T) string {
	return func(v []T) string {
		if len(v) == 0 {
			return ""
		}
		return say(v[0])
	}
}

// direction is the note of a change that makes a gate tighter, or weaker.
func direction(tighter bool) string {
	if tighter {
		return TightensGate
	}
	return WeakensGate
}

// everything stands for all checks.
const everything = "*"

// granted says what follows when those in was become those in is: weaker where anybody is new among them, tighter where
// somebody is only gone.
func granted(was, is []string) string {
	gained := func(was, is []string) bool {
		return slices.ContainsFunc(is, func(s string) bool { return !slices.Contains(was, s) && !slices.Contains(was, everything) })
	}
	switch {
	case gained(was, is):
		return WeakensGate
	case gained(is, was):
		return TightensGate
	}
	return ""
}

func checksOf(k TrustedKey) []string {
	if len(k.Checks) == 0 {
		return []string{everything}
	}
	return k.Checks
}

func environmentNames(p Policy) []string {
	var names []string
	for _, e := range p.Environments {
		names = append(names, e.Name)
	}
	return names
}

// chain is every environment that a release has been in before it comes to this one.
func chain(p Policy, name string) []string {
	var before []string
	for {
		e, _ := p.Environment(name)
		if e.After == "" || slices.Contains(before, e.After) {
			return before
		}
		before, name = append(before, e.After), e.After
	}
}

func facts(all []Difference) []string {
	var names []string
	for _, d := range all {
		names = append(names, d.Fact)
	}
	return names
}

// declared are the differences about one fact.
func declared(all []Difference, fact string) []Difference {
	var out []Difference
	for _, d := range all {
		if d.Fact == fact {
			out = append(out, d)
		}
	}
	return out
}

func keyNames(keys []TrustedKey) []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names
}

func keyNamed(keys []TrustedKey, name string) (TrustedKey, bool) {
	i := slices.IndexFunc(keys, func(k TrustedKey) bool { return k.Name == name })
	if i < 0 {
		return TrustedKey{}, false
	}
	return keys[i], true
}

// common are those of list that are in other too, in list's order.
func common(list, other []string) []string {
	var out []string
	for _, s := range list {
		if slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	return out
}

// union are all of them once, in the order of the lists.
func union[T comparable](lists ...[]T) []T {
	var out []T
	for _, list := range lists {
		for _, v := range list {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

func sortedUnion[V any](a, b map[string]V) []string {
	names := union(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(names)
	return names
}
