package store

import (
	"testing"
)

func TestPlans(t *testing.T) {
	s := open(t)
	for _, q := range []string{
		`SELECT seq FROM audit WHERE action = 'evidence' AND app = 'a' AND subject = 'b' AND detail = 'c'`,
		`SELECT ` + entryColumns + `, e.envelope FROM audit a LEFT JOIN evidence e ON e.seq = a.seq
		WHERE a.action = 'evidence' AND a.app = 'a' AND a.subject = 'b' ORDER BY a.seq`,
		`SELECT content FROM evidence WHERE statement = 'x'`,
		`SELECT ` + entryColumns + ` FROM audit a
		WHERE action IN ('key enrolled', 'key revoked', 'key rotated') ORDER BY a.seq`,
		`SELECT ` + entryColumns + `, coalesce(s.log, 0), s.envelope
		FROM audit a LEFT JOIN standings s ON s.app = a.app AND s.environment = a.environment AND s.seq = a.seq
		WHERE a.action = 'standing' AND a.app = 'a' AND a.environment = 'b' ORDER BY a.seq DESC LIMIT 1`,
		`SELECT ` + entryColumns + ` FROM audit a ORDER BY a.seq DESC LIMIT 1`,
		`SELECT ` + entryColumns + ` FROM audit a WHERE a.app = 'b' ORDER BY a.seq DESC LIMIT 1`,
		`SELECT ` + entryColumns + ` FROM audit a WHERE a.app = 'b' AND a.environment = 'e' ORDER BY a.seq DESC LIMIT 1`,
	} {
		rows, err := s.read.Query("EXPLAIN QUERY PLAN " + q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var a, b, c int
			var d string
			rows.Scan(&a, &b, &c, &d)
			t.Log(d)
		}
		rows.Close()
	}
}
