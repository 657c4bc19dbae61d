package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/internal/api"
	"greenroom/internal/term"
)

// copiesPage lists snapshots or backups, the newest first.
func copiesPage(s term.Screen, kind api.CopyKind, all []api.CopyView, now time.Time) string {
	if len(all) == 0 {
		return fmt.Sprintf("there is no %[1]s yet\n  next: greenroom %[1]s create production\n", kind)
	}
	heads := []string{strings.ToUpper(string(kind)), "OF", "TAKEN", "SIZE", "WITH", "VERIFIED"}
	if kind == api.CopySnapshot {
		heads = append(heads, "FROM")
	}
	rows := [][]string{dim(s, heads...)}
	var refused strings.Builder
	for _, c := range all {
		row := []string{term.Clean(c.ID), term.Clean(c.Environment), when(c.Taken, now), bytesOf(c.Size), holds(c), verifiedAt(s, c, now)}
		switch {
		case kind == api.CopySnapshot && c.Taken.IsZero(): // nothing of it could be read
			row[2], row[3], row[4] = "?", "?", "?"
			row = append(row, "?")
		case kind == api.CopySnapshot:
			row = append(row, cameFrom(c, now))
		}
		rows = append(rows, row)
		if c.Refused != "" {
			refused.WriteString(refusal(s, c))
		}
	}
	return term.Columns("", rows) + refused.String()
}

// cameFrom tells where a snapshot was taken.
func cameFrom(c api.CopyView, now time.Time) string {
	if c.Brought.IsZero() {
		return "here"
	}
	by := c.By
	if by == "" {
		by = "nobody who counts"
	}
	return fmt.Sprintf("imported %s, signed by %s", when(c.Brought, now), term.Clean(by))
}

// refusal tells why nothing takes a snapshot.
func refusal(s term.Screen, c api.CopyView) string {
	head, rest, _ := strings.Cut(strings.TrimRight(term.CleanBlock(c.Refused), "\n"), "\n")
	return fmt.Sprintf("  %s refused: %s\n", s.Mark(term.Note), head) + term.Indent("      ", rest)
}

// holds tells what a copy is of.
func holds(c api.CopyView) string {
	if c.Kind == api.CopyBackup {
		if c.Undeclared {
			return "?"
		}
		return c.Release.Short()
	}
	rows, changed := rowsOf(c)
	return fmt.Sprintf("%s in %s, %s masked", count(int(rows), "row", "rows"), count(len(c.Tables), "table", "tables"),
		count(int(changed), "value", "values"))
}

func rowsOf(c api.CopyView) (rows, changed int64) {
	for _, t := range c.Tables {
		rows += t.Rows
		for _, n := range t.Changed {
			changed += n
		}
	}
	return rows, changed
}

// verifiedAt tells when a copy was last tried, and how.
func verifiedAt(s term.Screen, c api.CopyView, now time.Time) string {
	if c.Damaged != "" {
		return s.Paint(term.Red, "damaged")
	}
	if c.Refused != "" {
		return s.Paint(term.Yellow, "refused")
	}
	if c.Verified.IsZero() {
		return s.Paint(term.Yellow, "no")
	}
	switch {
	case c.Kind == api.CopyBackup:
		return when(c.Verified, now) + ": restored, and read to its end"
	case c.ReadBack.IsZero():
		return when(c.Verified, now) + ": loaded and counted"
	default:
		return when(c.ReadBack, now) + ": loaded, and every row read back"
	}
}

// maxCopyTables is how many tables a page lists; all of them are in --output json.
const maxCopyTables = 20

// copyPage is one copy: of a snapshot the tables with what the mask changed.
func copyPage(s term.Screen, c api.CopyView) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s of %s, %s\n", s.Mark(term.Pass), s.Paint(term.Bold, term.Clean(c.ID)), c.Kind, term.Clean(c.Environment), bytesOf(c.Size))
	if c.Kind == api.CopyBackup {
		fmt.Fprintf(&b, "  %s\n", term.Clean(c.Path))
		return b.String()
	}
	fmt.Fprintf(&b, "  %s\n", holds(c))
	if c.By != "" {
		fmt.Fprintf(&b, "  imported, signed by %s\n", term.Clean(c.By))
	}
	tables := slices.SortedStableFunc(slices.Values(c.Tables), func(a, b api.CopyTable) int { return int(b.Rows - a.Rows) })
	var rows [][]string
	for _, t := range tables[:min(maxCopyTables, len(tables))] {
		rows = append(rows, []string{term.Clean(t.Name), thousands(t.Rows), changedIn(t)})
	}
	b.WriteString(term.Columns("    ", rows))
	if n := len(tables) - maxCopyTables; n > 0 {
		fmt.Fprintf(&b, "    and %s more\n", count(n, "table", "tables"))
	}
	if c.Refused != "" {
		b.WriteString(refusal(s, c))
	}
	return b.String()
}

// changedIn tells the columns of a table that the mask changed.
func changedIn(t api.CopyTable) string {
	if t.Empty {
		return "its rows stay behind"
	}
	var words []string
	for column, n := range t.Changed {
		if n > 0 {
			words = append(words, fmt.Sprintf("%s %s", term.Clean(column), thousands(n)))
		}
	}
	if len(words) == 0 {
		return "kept as it is"
	}
	slices.Sort(words)
	return "masked: " + strings.Join(words, ", ")
}
