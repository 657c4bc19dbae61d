package promotion

import (
	"encoding/json"
	"slices"
	"testing"

	"greenroom/internal/store"
)

// TestUnsettled: what came of a session is known by its pid and its beginning, and what an earlier Greenroom wrote opens nothing.
func TestUnsettled(t *testing.T) {
	const one, other, later = `{"pid":7,"born":"2026-01-02T03:04:05Z"}`, `{"pid":8,"born":"2026-01-02T03:04:05Z"}`, `{"pid":7,"born":"2026-01-02T04:00:00Z"}`
	type entry struct{ action, detail string }
	for name, c := range map[string]struct {
		entries []entry // the oldest first
		want    []string
	}{
		"none":                  {nil, nil},
		"an earlier Greenroom":  {[]entry{{"session ended", ""}, {"something new", one}}, nil},
		"lost":                  {[]entry{{actionEnding, one}}, []string{one}},
		"ended":                 {[]entry{{actionEnding, one}, {actionEnded, one}}, nil},
		"spared, and then lost": {[]entry{{actionEnding, one}, {actionSpared, one}, {actionEnding, one}}, []string{one}},
		"told as lost":          {[]entry{{actionEnding, one}, {actionUnknown, one}}, nil},
		"two at once":           {[]entry{{actionEnding, one}, {actionEnding, other}, {actionEnded, one}}, []string{other}},
		"the same pid":          {[]entry{{actionEnding, one}, {actionEnding, later}, {actionEnded, later}}, []string{one}},
	} {
		var log []store.Audit
		for _, e := range c.entries {
			log = append(log, store.Audit{Action: e.action, Detail: json.RawMessage(e.detail)})
		}
		slices.Reverse(log) // as the store gives it
		var got []string
		for _, e := range unsettled(log) {
			got = append(got, string(e.Detail))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: open are %q, not %q", name, got, c.want)
		}
	}
}
