package store

import (
	"encoding/json"
	"strings"
	"testing"

	"greenroom/internal/plan"
	"greenroom/internal/release"
)

func digestOf(name string) release.Digest { return release.Of([]byte(name)) }

// ran records a run that succeeded, with what its steps returned.
func ran(t testing.TB, s *Store, kind plan.Kind, environment, from, to string, results map[string]string) {
	t.Helper()
	p := promotion(environment)
	p.Kind, p.Release = kind, digestOf(to)
	if from != "" {
		p.From = digestOf(from)
	}
	r := mustCreate(t, s, p)
	for step, result := range results {
		mustAppend(t, s, r.ID, plan.Entry{Step: step, State: plan.Done, Result: json.RawMessage(result)})
	}
	mustFinish(t, s, r.ID)
}

func migration(before, after string) map[string]string {
	return map[string]string{"migrate": `{"before":"` + before + `","after":"` + after + `"}`}
}

// TestLeaving: what the newest run noted that left a release for good, there.
func TestLeaving(t *testing.T) {
	s := open(t)
	note := func(schema string) map[string]string {
		return map[string]string{"way-back": `{"schema":"` + schema + `"}`}
	}
	ran(t, s, plan.Promotion, "production", "a", "b", note("1"))
	ran(t, s, plan.Promotion, "staging", "a", "b", note("2"))
	ran(t, s, plan.Rollback, "production", "b", "a", note("3"))
	ran(t, s, plan.Promotion, "production", "a", "c", note("4"))
	ran(t, s, plan.Promotion, "production", "a", "d", nil) // it did not get there
	p := promotion("production")
	p.From = digestOf("a")
	mustAppend(t, s, mustCreate(t, s, p).ID, plan.Entry{Step: "way-back", State: plan.Done, Result: json.RawMessage(`{"schema":"5"}`)}) // not ended
	for from, want := range map[string]string{"a": `{"schema":"4"}`, "b": `{"schema":"3"}`, "never live": ""} {
		got, found, err := s.Leaving(t.Context(), "shop", "production", digestOf(from), "way-back")
		if err != nil || found != (want != "") || string(got) != want {
			t.Errorf("%s: %s, %t, %v; want %s", from, got, found, err, want)
		}
	}
}

// TestSchemaMaker: who made a schema comes before who found it, the newer before the older, and never the live release.
func TestSchemaMaker(t *testing.T) {
	s := open(t)
	ran(t, s, plan.Promotion, "production", "", "a", migration("0", "1"))
	ran(t, s, plan.Promotion, "staging", "", "elsewhere", migration("0", "2"))
	ran(t, s, plan.Promotion, "production", "a", "b", migration("1", "2"))
	ran(t, s, plan.Promotion, "production", "b", "c", migration("2", "2"))
	ran(t, s, plan.Rollback, "production", "c", "d", migration("1", "2"))
	ran(t, s, plan.Promotion, "production", "d", "e", migration("3", "3"))
	ran(t, s, plan.Promotion, "production", "d", "f", migration("3", "3"))
	for _, c := range []struct{ schema, but, want string }{
		{"1", "b", "a"}, {"1", "a", ""}, {"2", "c", "b"}, {"2", "b", "c"}, {"3", "f", "e"}, {"3", "e", "f"}, {"4", "a", ""},
	} {
		want := release.Digest("")
		if c.want != "" {
			want = digestOf(c.want)
		}
		got, err := s.SchemaMaker(t.Context(), "shop", "production", c.schema, digestOf(c.but))
		if err != nil || got != want {
			t.Errorf("schema %s, but not by %s: %s, %v; want %s", c.schema, c.but, got.Short(), err, c.want)
		}
	}
}

// TestHistoryIsNotRead: what was, is found by an index over exactly what is asked for, so that no answer takes longer for
// all that has happened since; and no journal is read but those that it names.
func TestHistoryIsNotRead(t *testing.T) {
	s := open(t)
	for query, c := range map[string]struct {
		args []any
		uses string
	}{
		leavingQuery: {[]any{"shop", "production", "x", "way-back"}, "SEARCH runs USING INDEX runs_leaving (app=? AND environment=? AND <expr>=?)"},
		makerQuery:   {[]any{"x", 1, "shop", "production", "y", plan.Promotion}, "SEARCH journal USING INDEX journal_schemas (<expr>=? AND <expr>=?)"},
	} {
		steps, err := collect(t.Context(), s.Reader, func(row row) (text string, err error) {
			var id, parent, unused int
			err = row.Scan(&id, &parent, &unused, &text)
			return text, err
		}, "EXPLAIN QUERY PLAN "+query, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(steps, "\n")
		if !strings.HasPrefix(all, c.uses) || strings.Contains(all, "SCAN") || strings.Contains(all, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s\nis answered by\n%s", query, all)
		}
	}
}
