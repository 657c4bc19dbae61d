package datatest

import "testing"

func (e Engine) fingerprint(t *testing.T) {
	d, db := e.base(t)
	base := fingerprint(t, d)

	t.Run("equal", func(t *testing.T) {
		other, _ := e.base(t)
		if got := fingerprint(t, other); got != base {
			t.Errorf("the same statements made %s and %s", base, got)
		}
	})
	t.Run("order", func(t *testing.T) {
		other := e.Fresh(t)
		run(t, e.Connect(t, other), e.Shuffled...)
		if got := fingerprint(t, other); got != base {
			t.Error("the order of creation changed the fingerprint")
		}
	})
	t.Run("empty", func(t *testing.T) {
		if fingerprint(t, e.Fresh(t)) == base {
			t.Error("an empty database has the fingerprint of one with tables")
		}
	})
	for _, c := range e.Neutral {
		t.Run("neutral/"+c.Name, func(t *testing.T) {
			run(t, db, c.SQL)
			if fingerprint(t, d) != base {
				t.Errorf("%s changed the fingerprint", c.SQL)
			}
		})
	}
	seen := map[string]string{base: "the start"}
	for _, c := range e.Changes {
		t.Run("change/"+c.Name, func(t *testing.T) {
			run(t, db, c.SQL)
			now := fingerprint(t, d)
			if earlier, ok := seen[now]; ok {
				t.Errorf("after %s the fingerprint is that of: %s", c.SQL, earlier)
			}
			seen[now] = c.Name
		})
	}
}
