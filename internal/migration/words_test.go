package migration

import (
	"testing"
	"time"
)

func TestBlockers(t *testing.T) {
	clerk := Blocker{PID: 7, Who: "web as app", State: "idle in transaction", Since: 12 * time.Minute, Query: "SELECT '…'", Table: "orders"}
	for want, all := range map[string][]Blocker{
		"somebody who could not be named": nil,
		"session 7 of web as app, idle in transaction, its transaction open for 12 min, on orders, its last query: SELECT '…'; session 8 of b, active": {clerk, {PID: 8, Who: "b", State: "active"}},
	} {
		if got := Blockers(all); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
