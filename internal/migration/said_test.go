package migration

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSaid: what a failed migration printed tells what happened and shows nobody's values.
func TestSaid(t *testing.T) {
	for said, want := range map[string]string{
		"ERROR:  could not create unique index \"customers_email\"\nDETAIL:  Key (email)=(anna@farm.test) is duplicated.":                                      "ERROR:  could not create unique index \"customers_email\"\nDETAIL:  …",
		`duplicate key value violates unique constraint "k" (SQLSTATE 23505); detail: Key (a, b)=(Anna (the first), x) already exists.; where: COPY t, line 1`: `duplicate key value violates unique constraint "k" (SQLSTATE 23505); detail: …`,
		`invalid input syntax for type integer: "Anna"`:                                        `invalid input syntax for type integer: "…"`,
		`Failing row contains (1, Anna Berg, null).`:                                           `Failing row contains (…)`,
		"DETAIL:  Failing row contains (1, Anna,\nBerg.\nStreet 4).\nHINT:  none":              "DETAIL:  …\nHINT:  none",
		"DETALLE:  La fila que falla contiene (1, Anna\nBerg).":                                "DETALLE:  …",
		"DETAIL:  Key (email)=(anna) already exists.\n  File \"m.py\", line 7":                 "DETAIL:  …\n  File \"m.py\", line 7",
		"SET name = 'Anna\nBerg' WHERE id = 1":                                                 "SET name = '…'",
		"can't connect\nit's gone":                                                             "can'…'\nit'…'",
		`UPDATE customers SET name = 'Anna' WHERE id = 1`:                                      `UPDATE customers SET name = '…' WHERE id = 1`,
		`[SQL: UPDATE t SET a = %(a)s] [parameters: {"a": "Anna"}]`:                            `[SQL: UPDATE t SET a = %(a)s] [parameters: (…)`,
		`detail: 'Key (email)=(anna@farm.test) already exists.',`:                              `detail: …`,
		`cannot cast Anna to integer for anna@farm.test`:                                       `cannot cast Anna to integer for …`,
		`relation "public.orders" does not exist (SQLSTATE 42P01)`:                             `relation "public.orders" does not exist (SQLSTATE 42P01)`,
		`canceling statement due to lock timeout`:                                              `canceling statement due to lock timeout`,
		`column "email" of relation "customers" contains null values`:                          `column "email" of relation "customers" contains null values`,
		`apply 20261126093000_split_names.sql: division by zero`:                               `apply 20261126093000_split_names.sql: division by zero`,
		`text "Anna Berg" is no number`:                                                        `text "…" is no number`,
		`CONTEXT:  SQL statement "UPDATE c SET n = 'Anna'"`:                                    `CONTEXT:  …`,
		"in the way: session 7 of web as app, idle in transaction, its last query: SELECT '…'": "in the way: session 7 of web as app, idle in transaction, its last query: SELECT '…'",
	} {
		if got := Said(said); got != want {
			t.Errorf("%s\n is told as %s\n and not as %s", said, got, want)
		}
	}
}

// TestSaidHidesKeys takes any value in what PostgreSQL and SQLite show of a row.
func TestSaidHidesKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := "Q" + rapid.StringMatching(`[^\n]{0,20}|[^\n"]{0,20}(\n[^\n"]{0,20}){1,3}`).Draw(t, "value") + "Z"
		for _, around := range [][2]string{{"DETAIL:  Key (email)=(", ") already exists."}, {"failed: Key (a)=(", ") is duplicated"},
			{"DETAIL:  Failing row contains (1, ", ")."}, {`invalid input syntax for type uuid: "`, `"`}} {
			got := Said("before\n" + around[0] + value + around[1] + "\nHINT:  after")
			for line := range strings.SplitSeq(value, "\n") {
				if len(line) > 3 && strings.Contains(got, line) {
					t.Fatalf("%q is told as %q", around[0]+value+around[1], got)
				}
			}
			if !strings.HasPrefix(got, "before\n") || !strings.HasSuffix(got, "\nHINT:  after") {
				t.Fatalf("too little is told: %q", got)
			}
		}
	})
}

// TestWithoutValues: the statements of files stay what they are, those of a program lose what it put into them.
func TestWithoutValues(t *testing.T) {
	o := Observation{Statements: []Statement{
		{SQL: "UPDATE t SET a = 'Anna'", File: "2.sql", Error: `duplicate key; detail: Key (a)=(Anna) already exists.`},
		{SQL: "UPDATE t SET a = 'Anna' WHERE id = 4711"},
	}}
	got := o.WithoutValues()
	if s := got.Statements[0]; s.SQL != "UPDATE t SET a = 'Anna'" || strings.Contains(s.Error, "Anna") {
		t.Errorf("%+v", s)
	}
	if s := got.Statements[1].SQL; strings.Contains(s, "Anna") || strings.Contains(s, "4711") {
		t.Errorf("%s", s)
	}
	if o.Statements[1].SQL == got.Statements[1].SQL {
		t.Error("the observation itself was changed")
	}
}

// TestJudgeForecast: what a seed can't show is no pass.
func TestJudgeForecast(t *testing.T) {
	found := JudgeForecast(Forecast{BlockedReads: 200 * time.Millisecond, BlockedWrites: 40 * time.Second, Why: "orders has 3,000,000 rows there and 3 here"}, Budget{})
	if len(found) != 1 || Verdict(found) != inconclusive || !strings.Contains(found[0].Text, "writes may stand still in production for up to 40 s") {
		t.Errorf("%+v", found)
	}
	if found := JudgeForecast(Forecast{BlockedReads: time.Second, BlockedWrites: time.Second}, Budget{BlockedReads: time.Second}); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}
