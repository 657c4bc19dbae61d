package migration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/human"
)

// Compare says what of a database is gone after a migration, and what is not what it was in columns that stayed; the worst
// first. A table or column that has the same values under another name was renamed, and is not gone. What the tools keep
// about their own work is left out.
//
// It can't see values that changed places between the rows of a column, and in a table that got rows it can't see values
// that changed: sums say that of all together.
func Compare(before, after Census) (lost, changed []Loss) {
	c := comparison{after: byName(after)}
	for _, t := range before.Tables {
		if !keptByTools(t.Name) {
			c.table(t, before)
		}
	}
	c.orphans(before, after)
	return c.sorted()
}

// CompareBack says what a rollback has lost, the worst first: of what was there before the migration, and of what there was
// in the end of the time that the new release was used.
func CompareBack(before, used, back Census) []Loss {
	lost, _ := Compare(used, back)
	since, _ := Compare(before, back)
	for _, l := range since {
		same := func(m Loss) bool { return m.Table == l.Table && m.Column == l.Column }
		if i := slices.IndexFunc(lost, same); i < 0 {
			lost = append(lost, l)
		} else if lost[i].Rows < l.Rows {
			lost[i] = l
		}
	}
	slices.SortStableFunc(lost, worst)
	return lost
}

// keptByTools says whether a table is a migration tool's own: what stands in it changes with every migration.
func keptByTools(table string) bool {
	_, name, ok := strings.Cut(table, ".")
	if !ok {
		name = table
	}
	return slices.Contains([]string{"goose_db_version", "schema_migrations", "flyway_schema_history", "ar_internal_metadata", "alembic_version",
		"django_migrations", "knex_migrations", "knex_migrations_lock", "_prisma_migrations", "databasechangelog", "databasechangeloglock",
		"SequelizeMeta", "__EFMigrationsHistory", "sqlite_sequence"}, name)
}

type comparison struct {
	after   map[string]Count
	lost    []Loss
	changed []Loss
}

func byName(c Census) map[string]Count {
	all := map[string]Count{}
	for _, t := range c.Tables {
		all[t.Name] = t
	}
	return all
}

func (c *comparison) table(t Count, before Census) {
	now, ok := c.after[t.Name]
	if !ok {
		if t.Rows > 0 && !c.renamed(t, byName(before)) {
			c.lost = append(c.lost, Loss{Table: t.Name, Rows: t.Rows, Text: "the table is gone, with " + human.Count(t.Rows, "row", "rows")})
		}
		return
	}
	if now.Rows < t.Rows {
		n := t.Rows - now.Rows
		c.lost = append(c.lost, Loss{Table: t.Name, Rows: n, Text: fmt.Sprintf("%s of %s %s gone", Thousands(n), human.Count(t.Rows, "row", "rows"), are(n))})
	}
	for _, column := range t.Columns {
		c.column(t, now, column)
	}
}

// renamed says whether a table that came has all the values of one that is gone.
func (c *comparison) renamed(t Count, before map[string]Count) bool {
	for name, now := range c.after {
		if _, old := before[name]; !old && now.Rows == t.Rows && !slices.ContainsFunc(t.Columns, func(column ColumnCount) bool {
			return !slices.ContainsFunc(now.Columns, func(other ColumnCount) bool { return other.Name == column.Name && other.same(column) })
		}) {
			return true
		}
	}
	return false
}

// same says whether two columns of as many rows have the same values.
func (c ColumnCount) same(other ColumnCount) bool {
	return c.Nulls == other.Nulls && c.Sum == other.Sum
}

func (c *comparison) column(t, now Count, column ColumnCount) {
	values := t.Rows - column.Nulls
	i := slices.IndexFunc(now.Columns, func(other ColumnCount) bool { return other.Name == column.Name })
	if i < 0 {
		if values > 0 && !moved(t, now, column) {
			c.lost = append(c.lost, Loss{Table: t.Name, Column: column.Name, Rows: values, Text: fmt.Sprintf("the column %s is gone, with %s", column.Name, human.Count(values, "value", "values"))})
		}
		return
	}
	is := now.Columns[i]
	if n := values - (now.Rows - is.Nulls); now.Rows > t.Rows && n > 0 { // rows that came hide nothing of that
		c.lost = append(c.lost, Loss{Table: t.Name, Column: column.Name, Rows: n, Text: fmt.Sprintf("at least %s of %s of %s %s gone: null is there now", Thousands(n), human.Count(values, "value", "values"), column.Name, are(n))})
	}
	if now.Rows != t.Rows || is.same(column) {
		return
	}
	if n := is.Nulls - column.Nulls; n > 0 {
		c.lost = append(c.lost, Loss{Table: t.Name, Column: column.Name, Rows: n, Text: fmt.Sprintf("%s of %s of %s %s gone: null is there now", Thousands(n), human.Count(values, "value", "values"), column.Name, are(n))})
		if is.Nulls == now.Rows {
			return
		}
	}
	if text := differs(column, is, values); text != "" {
		c.changed = append(c.changed, Loss{Table: t.Name, Column: column.Name, Rows: min(values, now.Rows-is.Nulls), Text: text})
	}
}

// moved says whether a column that came has all the values of one that is gone.
func moved(t, now Count, column ColumnCount) bool {
	return now.Rows == t.Rows && slices.ContainsFunc(now.Columns, func(other ColumnCount) bool {
		return other.same(column) && !slices.ContainsFunc(t.Columns, func(old ColumnCount) bool { return old.Name == other.Name })
	})
}

// differs is what there is to say of a column whose sum is another one. Of values some of which became null or were filled
// in nobody can say from the sums whether the others are what they were.
func differs(was, is ColumnCount, values int64) string {
	switch {
	case was.Type != is.Type:
		return fmt.Sprintf("the column %s changed its type from %s to %s, and its values are written another way now: compare %s by hand", was.Name, was.Type, is.Type, human.Count(values, "value", "values"))
	case is.Nulls < was.Nulls && values == 0:
		return ""
	case is.Nulls < was.Nulls:
		return fmt.Sprintf("%s of %s filled in, and the %s that there were may be others", human.Count(was.Nulls-is.Nulls, "null", "nulls"), was.Name, human.Count(values, "value", "values"))
	case is.Nulls > was.Nulls:
		return ""
	}
	return fmt.Sprintf("values of %s are not what they were, in up to %s", was.Name, human.Count(values, "row", "rows"))
}

// orphans adds rows that refer to nothing since the migration.
func (c *comparison) orphans(before, after Census) {
	for _, o := range after.Orphans {
		n := o.Rows
		for _, old := range before.Orphans {
			if old.Table == o.Table && old.Column == o.Column && old.Refers == o.Refers {
				n -= old.Rows
			}
		}
		if n > 0 {
			c.changed = append(c.changed, Loss{Table: o.Table, Column: o.Column, Rows: n,
				Text: fmt.Sprintf("%s in %s to %s, where nothing is", refer(n), o.Column, o.Refers)})
		}
	}
}

func refer(n int64) string {
	if n == 1 {
		return "1 row more refers"
	}
	return Thousands(n) + " rows more refer"
}

func (c *comparison) sorted() (lost, changed []Loss) {
	slices.SortStableFunc(c.lost, worst)
	slices.SortStableFunc(c.changed, worst)
	return c.lost, c.changed
}

// worst puts whole rows before values, and then more before fewer.
func worst(a, b Loss) int {
	whole := func(l Loss) int { return min(len(l.Column), 1) }
	return cmp.Or(whole(a)-whole(b), cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column))
}

func are(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
