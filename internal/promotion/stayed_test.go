package promotion

import "testing"

// TestStayed: that what was planned is not all that is true by now is told of one and of several.
func TestStayed(t *testing.T) {
	for want, services := range map[string][]string{
		"cache goes on with what was true when this was planned: what it is given, such as a secret, has changed since, and the next promotion exchanges it":              {"cache"},
		"cache and queue go on with what was true when this was planned: what they are given, such as a secret, has changed since, and the next promotion exchanges them": {"cache", "queue"},
	} {
		if got := stayed(services); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
