package mask

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"greenroom/internal/problem"
)

// mostDays is the farthest that a date may be shifted: past it dates would leave what databases can hold.
const mostDays = 36500

// depthMost is how deep rules may stand in rules.
const depthMost = 8

// sound refuses a rule that can't be right whatever the column is: an unknown use, arguments of another use, or ones
// that can't be read.
func (r Rule) sound() error { return r.soundAt(0) }

func (r Rule) soundAt(depth int) error {
	u, ok := UseOf(r.Use)
	switch {
	case !ok:
		return problem.New(problem.Invalid, "there is no use %q%s", r.Use, nearest(r.Use))
	case depth > depthMost:
		return problem.New(problem.Invalid, "rules stand more than %d deep in one another", depthMost)
	case r.Value != "" && u.Name != "constant":
		return problem.New(problem.Invalid, "%s takes no value", u.Name)
	case (r.Low != "" || r.High != "") && u.Name != "number":
		return problem.New(problem.Invalid, "%s takes no range", u.Name)
	case r.Shift != "" && u.Name != "date":
		return problem.New(problem.Invalid, "%s takes no shift", u.Name)
	case r.Of != nil && u.Name != "array":
		return problem.New(problem.Invalid, "%s takes no rule of elements", u.Name)
	case r.Paths != nil && u.Name != "json":
		return problem.New(problem.Invalid, "%s takes no paths", u.Name)
	}
	switch u.Name {
	case "number":
		_, err := r.span()
		return err
	case "date":
		_, err := r.days()
		return err
	case "array":
		if r.Of == nil {
			return problem.New(problem.Invalid, "array needs the rule of its elements: array text")
		}
		return r.Of.soundAt(depth + 1)
	case "json":
		return r.soundPaths(depth)
	}
	return nil
}

func (r Rule) soundPaths(depth int) error {
	for _, p := range slices.Sorted(maps.Keys(r.Paths)) {
		if _, err := parsePath(p); err != nil {
			return err
		}
		if err := r.Paths[p].soundAt(depth + 1); err != nil {
			return problem.New(problem.Invalid, "path %s: %w", p, err)
		}
		if use := r.Paths[p].Use; use == "array" || use == "json" || use == "bytes" || use == "xml" {
			return problem.New(problem.Invalid, "path %s: %s is not for what stands in JSON; a rule holds for all that lies below its path", p, use)
		}
	}
	return nil
}

// span is the range of a number rule; nil where it has none.
func (r Rule) span() (*span, error) {
	if r.Low == "" && r.High == "" {
		return nil, nil
	}
	if r.Low == "" || r.High == "" {
		return nil, problem.New(problem.Invalid, "number needs both ends of its range, or none: number 18..99")
	}
	s := &span{}
	for _, end := range []struct {
		text string
		into *decimal
	}{{r.Low, &s.low}, {r.High, &s.high}} {
		d, ok := parseDecimal(end.text)
		if !ok {
			return nil, problem.New(problem.Invalid, "%q is not a number that a range can end with: digits, at most %d, and a point", end.text, mostDigits)
		}
		*end.into = d
	}
	if s.low.big().Cmp(s.high.big()) > 0 {
		return nil, problem.New(problem.Invalid, "the range %s..%s ends before it begins", r.Low, r.High)
	}
	return s, nil
}

// span is a range of numbers, both ends included.
type span struct{ low, high decimal }

// mostDigits is how many digits a number may have that is worked with as one.
const mostDigits = 18

// decimal is units divided by ten to the scale.
type decimal struct {
	units int64
	scale int
}

func (d decimal) big() *big.Rat {
	tens := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.units), tens)
}

func parseDecimal(text string) (d decimal, ok bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimPrefix(whole, "-") + fraction
	if len(digits) == 0 || len(digits) > mostDigits || strings.Trim(digits, "0123456789") != "" {
		return d, false
	}
	units, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return d, false
	}
	if strings.HasPrefix(whole, "-") {
		units = -units
	}
	return decimal{units: units, scale: len(fraction)}, true
}

// days is how far a date rule moves at most.
func (r Rule) days() (int, error) {
	shift := r.Shift
	if shift == "" {
		shift = DefaultShift
	}
	digits, ok := strings.CutSuffix(shift, "d")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > mostDays || digits[0] == '+' {
		return 0, problem.New(problem.Invalid, "%q is not a shift: whole days, from 1d to %dd", r.Shift, mostDays)
	}
	return n, nil
}
