package definition

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The values of greenroom.yaml that YAML has no type for. Each function returns what is wrong and what would be right, or
// two empty texts.

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

func badName(name string) (what, instead string) {
	if nameForm.MatchString(name) {
		return "", ""
	}
	return quote(clip(name)) + " can't be a name", "names are small letters, digits and -, begin with a letter and have at most 31 characters"
}

// clip keeps what somebody wrote short enough for a sentence, and on its line.
func clip(s string) string { return clipTo(s, 60) }

func clipTo(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// duration reads a Go duration that is not negative. "" is the default.
func duration(s text, standard time.Duration) (d time.Duration, what, instead string) {
	if s == "" {
		return standard, "", ""
	}
	d, err := time.ParseDuration(string(s))
	switch {
	case err != nil:
		return 0, quote(clip(string(s))) + " is no duration", "write a number with a unit, as 90s, 5m or 1h30m"
	case d < 0:
		return 0, "a duration can't be negative", ""
	}
	return d, "", ""
}

// day reads a date. It means the last second of that day, in UTC: an exception holds on the day that it names.
func day(s text) (t time.Time, what, instead string) {
	if s == "" {
		return time.Time{}, "", ""
	}
	t, err := time.Parse(time.DateOnly, string(s))
	if err != nil {
		return time.Time{}, quote(clip(string(s))) + " is no date", "write year, month and day, as 2027-06-30"
	}
	return t.Add(24*time.Hour - time.Second), "", ""
}

// percent reads "0.5%" as 0.5.
func percent(s text) (p float64, what, instead string) {
	number, ok := strings.CutSuffix(string(s), "%")
	p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case !ok && err == nil:
		return 0, quote(string(s)) + " is no share", "write it in percent, as " + quote(string(s)+"%")
	case err != nil || math.IsNaN(p) || math.IsInf(p, 0):
		return 0, quote(clip(string(s))) + " is no share", "write it in percent, as `10%`"
	case p < 0 || p > 100:
		return 0, quote(string(s)) + " is no share", "a share is between 0% and 100%"
	}
	return p, "", ""
}

// maxReplicas bounds what a slip of the finger can start.
const maxReplicas = 1000

// scale reads a number of replicas or a share.
func scale(s text) (replicas, num, den int, what, instead string) {
	const forms = "write replicas of each service, as 2, or a share of production's, as 4/10"
	top, bottom, share := strings.Cut(string(s), "/")
	n, err := strconv.Atoi(strings.TrimSpace(top))
	if !share {
		switch {
		case err != nil:
			return 0, 0, 0, quote(clip(string(s))) + " is no scale", forms
		case n < 1 || n > maxReplicas:
			return 0, 0, 0, fmt.Sprintf("%d replicas are no scale", n), fmt.Sprintf("an environment has between 1 and %d of each service", maxReplicas)
		}
		return n, 0, 0, "", ""
	}
	d, err2 := strconv.Atoi(strings.TrimSpace(bottom))
	switch {
	case err != nil || err2 != nil || n < 1 || d < 1 || d > 1_000_000:
		return 0, 0, 0, quote(clip(string(s))) + " is no scale", forms
	case n > d:
		return 0, 0, 0, quote(string(s)) + " is more than production has", forms
	}
	return 0, n, d, "", ""
}
