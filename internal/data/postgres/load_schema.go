package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/problem"
	"greenroom/internal/sqltext"
)

// finish makes what is made once the rows are there, measures the tables, places the sequences, and fills and measures
// materialized views.
//
// Statements that each concern one table only (indexes, primary keys) run side by side; foreign keys are declared one after
// the other, which takes no time, and then validated side by side, table by table, so that no two can wait for each other.
// Anything else waits for what came before it. A table is measured when its keys are valid, which is before the views that
// read it are filled, and once only.
func (l *loading) finish(ctx context.Context, sessions []*loader, after []string) error {
	steps := l.order(after)
	for _, step := range steps.first {
		if err := l.step(ctx, sessions, step); err != nil {
			return err
		}
	}
	if err := share(ctx, sessions, l.checks(steps.foreign)); err != nil {
		return err
	}
	if err := l.placeSequences(ctx, sessions[0]); err != nil {
		return err
	}
	if err := l.refresh(ctx, sessions[0]); err != nil {
		return err
	}
	if err := l.step(ctx, sessions[:1], steps.last); err != nil {
		return err
	}
	var views []job
	for _, v := range l.catalog.Views {
		views = append(views, l.job(0, measure(v)))
	}
	return share(ctx, sessions, views)
}

// steps are the statements in the order in which they are run.
type steps struct {
	first   [][]string // those of one step at the same time
	foreign []unvalidated
	last    []string // event triggers, which would see the rest
}

// unvalidated is a foreign key that was declared and has yet to be validated.
type unvalidated struct{ table, name string }

// order divides the second part of a schema. A foreign key that can't be validated apart is made at once: where one
// of both tables is partitioned, PostgreSQL refuses that, or leaves the partitions' own unvalidated.
func (l *loading) order(after []string) (s steps) {
	var together []string
	end := func() {
		if len(together) > 0 {
			s.first = append(s.first, together)
			together = nil
		}
	}
	for _, statement := range after {
		table, name, kind := constraintIn(statement)
		switch {
		case begins(statement, "CREATE", "EVENT", "TRIGGER"), begins(statement, "ALTER", "EVENT", "TRIGGER"):
			s.last = append(s.last, statement)
		case begins(statement, "CREATE", "INDEX"), begins(statement, "CREATE", "UNIQUE", "INDEX"),
			kind == "PRIMARY", kind == "UNIQUE", kind == "EXCLUDE":
			together = append(together, statement)
		case kind == "FOREIGN" && !strings.HasSuffix(statement, "NOT VALID") && !l.partitioned(statement):
			end()
			s.first = append(s.first, []string{statement + " NOT VALID"})
			s.foreign = append(s.foreign, unvalidated{table: table, name: name})
		default:
			end()
			s.first = append(s.first, []string{statement})
		}
	}
	end()
	return s
}

// step runs statements that may run at the same time. What a statement sets is for all connections.
func (l *loading) step(ctx context.Context, sessions []*loader, statements []string) error {
	if len(statements) == 1 && (begins(statements[0], "SET") || begins(statements[0], "SELECT")) {
		for _, s := range sessions {
			if err := s.perform(ctx, statements[0]); err != nil {
				return l.schemaFailed(statements[0], err)
			}
		}
		return nil
	}
	var jobs []job
	for _, statement := range statements {
		jobs = append(jobs, l.job(l.sizeOf(statement), statement))
	}
	if len(jobs) == 1 {
		return jobs[0].do(ctx, sessions[0])
	}
	return share(ctx, sessions, jobs)
}

// job runs statements one after the other.
func (l *loading) job(size int64, statements ...string) job {
	return job{size: size, do: func(ctx context.Context, s *loader) error {
		for _, statement := range statements {
			if err := s.perform(ctx, statement); err != nil {
				return l.schemaFailed(statement, err)
			}
		}
		return nil
	}}
}

// checks are a job for each table, which validates its foreign keys and then has the planner know it.
func (l *loading) checks(keys []unvalidated) (jobs []job) {
	byTable := map[int][]string{}
	for _, k := range keys {
		statement := fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", k.table, k.name)
		i := l.tablesIn(statement)[0] // order leaves out those of which nothing is known
		byTable[i] = append(byTable[i], statement)
	}
	for i, t := range l.catalog.Tables {
		statements := byTable[i]
		if !t.None {
			statements = append(statements, measure(t.catalogName))
		}
		if len(statements) > 0 {
			jobs = append(jobs, l.job(l.manifest.Tables[i].Bytes*int64(len(statements)), statements...))
		}
	}
	return jobs
}

// measure has the planner know a table or a view.
func measure(n catalogName) string { return "ANALYZE " + n.sql() }

func (l *loading) placeSequences(ctx context.Context, s *loader) error {
	for _, q := range l.catalog.Sequences {
		if err := s.perform(ctx, fmt.Sprintf("SELECT pg_catalog.setval(%s, %d, %t)", literal(q.sql()), q.Last, q.Called)); err != nil {
			return fmt.Errorf("place the sequence %s: %w", q.sql(), err)
		}
	}
	return nil
}

// refresh fills the materialized views. One may read another, in an order that no name tells, so those that can't be filled
// yet (SQLSTATE 55000) are tried again as long as others were.
func (l *loading) refresh(ctx context.Context, s *loader) error {
	for left := l.catalog.Views; len(left) > 0; {
		var later []catalogName
		var failed error
		for _, v := range left {
			err := s.perform(ctx, "REFRESH MATERIALIZED VIEW "+v.sql())
			switch {
			case code(err) == "55000":
				later, failed = append(later, v), err
			case err != nil:
				return problem.New(problem.Fail, "the materialized view %s can't be made of the masked rows: %w", ruleName(v.Schema, v.Name), withoutValues(err)).
					WithHint("the database was not touched")
			}
		}
		if len(later) == len(left) {
			return failed
		}
		left = later
	}
	return nil
}

// constraintIn reads ALTER TABLE [ONLY] table ADD CONSTRAINT name KIND …, as pg_dump writes it; kind is "" for any other
// statement. Table and name are as they stand there, and a table may be called add.
func constraintIn(statement string) (table, name, kind string) {
	words := lexemes(statement, 16)
	i := 2
	if len(words) > 3 && words[2].Text == "ONLY" {
		i++
	}
	if len(words) < i+1 || words[0].Text != "ALTER" || words[1].Text != "TABLE" {
		return "", "", ""
	}
	for ; i < len(words) && words[i].Text != "ADD"; i++ {
		table += words[i].Text
	}
	if i+3 >= len(words) || words[i+1].Text != "CONSTRAINT" {
		return "", "", ""
	}
	return table, words[i+2].Text, words[i+3].Text
}

// lexemes are the first pieces of a statement, without space.
func lexemes(statement string, most int) (all []sqltext.Token) {
	for t := range sqltext.Tokens(statement, sqltext.PostgreSQL) {
		if len(all) == most {
			break
		}
		if !t.Blank() {
			all = append(all, t)
		}
	}
	return all
}

// tablesIn are the tables of the snapshot that a statement names, in its order, also by the name of a partition: their
// places in the catalogue.
func (l *loading) tablesIn(statement string) (tables []int) {
	words := lexemes(statement, 256)
	for w := 0; w+2 < len(words); w++ {
		if !words[w+1].Is(".") {
			continue
		}
		if i, ok := l.places[catalogName{words[w].Value(), words[w+2].Value()}]; ok {
			tables = append(tables, i)
		}
	}
	return tables
}

// placesOf is where tables, and what holds rows below them, are in a catalogue.
func placesOf(c catalog) map[catalogName]int {
	places := map[catalogName]int{}
	for i, t := range c.Tables {
		places[t.catalogName] = i
		for _, h := range t.Heaps {
			places[h.catalogName] = i
		}
	}
	return places
}

func (l *loading) sizeOf(statement string) int64 {
	if tables := l.tablesIn(statement); len(tables) > 0 {
		return l.manifest.Tables[tables[0]].Bytes
	}
	return 0
}

// partitioned says whether a statement is about a table that is divided, or one that nothing is known of.
func (l *loading) partitioned(statement string) bool {
	tables := l.tablesIn(statement)
	return len(tables) == 0 || slices.ContainsFunc(tables, func(i int) bool {
		t := l.catalog.Tables[i]
		return t.Divided
	})
}
