package daemon

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// TestWhatComesLate takes a list whose items were not all taken the first time.
func TestWhatComesLate(t *testing.T) {
	t.Parallel()
	of := func(n int, check string) item {
		return item{envelope: fmt.Append(nil, check, n), kind: evidence.KindCheck, check: check}
	}
	all := []item{of(1, "pay"), of(2, "buy"), of(3, "pay"), of(4, "pay"), {envelope: []byte("rollout"), kind: evidence.KindRollout}}
	for _, c := range []struct {
		name  string
		known []int // of all
		want  []int
	}{
		{"the first time", nil, []int{0, 1, 2, 3, 4}},
		{"again", []int{0, 1, 2, 3, 4}, []int{0, 1, 2, 3, 4}},
		{"more of it", []int{0, 1}, []int{0, 1, 2, 3, 4}},
		{"an older one of a check", []int{2, 4}, []int{1, 2, 3, 4}},
		{"one in the middle", []int{0, 3}, []int{0, 1, 3, 4}},
	} {
		var recorded []evidence.Recorded
		for _, i := range c.known {
			recorded = append(recorded, evidence.Recorded{Digest: release.Of(all[i].envelope)})
		}
		l := load{items: all}
		l.late(recorded)
		var got []string
		for _, i := range l.items {
			got = append(got, string(i.envelope))
		}
		var want []string
		for _, i := range c.want {
			want = append(want, string(all[i].envelope))
		}
		if d := cmp.Diff(want, got); d != "" || len(l.faults) != len(all)-len(want) {
			t.Errorf("%s: %s %v", c.name, d, l.faults)
		}
	}
}
