package definition

import (
	"slices"
	"strings"
)

func quote(s string) string { return "`" + s + "`" }

// quoteAll is a list for a sentence: `a`, `b` and `c`.
func quoteAll(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = quote(s)
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " and " + q[len(q)-1]
}

// unless is what to do about a word that is none of known: the nearest one, or all of them where they are few.
func unless(word string, known []string) string {
	best, distance := "", len(word)/2+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := edits(word, k); d < distance && d < 4 {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + quote(best) + "?"
	case len(known) == 0:
		return "remove it"
	case len(known) <= 12:
		return "known are " + quoteAll(slices.Sorted(slices.Values(known)))
	default:
		return "remove it"
	}
}

// edits is how many letters have to be inserted, removed, replaced or swapped with their neighbour to get from a to b.
func edits(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return max(len(a), len(b))
	}
	two, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, last = last, row
	}
	return last[len(b)]
}
