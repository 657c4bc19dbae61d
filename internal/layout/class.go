package layout

import (
	"slices"
	"strings"

	"greenroom/internal/problem"
	"greenroom/internal/sqltext"
)

// wordsSeen is how many words of a statement say what kind it is.
const wordsSeen = 12

// head is the first words of a statement in upper case. Names in quotes are none of them.
func head(sql string, d Dialect) []string {
	var words []string
	for t := range sqltext.Tokens(sql, d) {
		if len(words) == wordsSeen {
			break
		}
		if t.Kind == sqltext.Word || t.Kind == sqltext.Number {
			words = append(words, strings.ToUpper(t.Text))
		}
	}
	return words
}

// alone says what of a statement can't run inside a transaction: "CREATE INDEX CONCURRENTLY"; "" where all of it can.
func alone(sql string, d Dialect) string {
	words := head(sql, d)
	if len(words) == 0 {
		return ""
	}
	if d == SQLite {
		if words[0] == "VACUUM" {
			return "VACUUM"
		}
		return ""
	}
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	concurrently := slices.Contains(words[:min(len(words), 5)], "CONCURRENTLY")
	switch words[0] {
	case "VACUUM":
		return "VACUUM"
	case "CREATE", "DROP":
		if second == "DATABASE" || second == "TABLESPACE" || second == "SUBSCRIPTION" {
			return words[0] + " " + second
		}
		if concurrently && (second == "INDEX" || second == "UNIQUE") {
			return words[0] + " INDEX CONCURRENTLY"
		}
	case "REINDEX":
		if concurrently {
			return "REINDEX CONCURRENTLY"
		}
		for _, w := range words[1:min(len(words), 4)] {
			if w == "SCHEMA" || w == "DATABASE" || w == "SYSTEM" {
				return "REINDEX " + w
			}
		}
	case "ALTER":
		if second == "SYSTEM" {
			return "ALTER SYSTEM"
		}
		if second == "TABLE" && slices.Contains(words, "DETACH") && slices.Contains(words, "CONCURRENTLY") {
			return "ALTER TABLE … DETACH PARTITION … CONCURRENTLY"
		}
		if second == "DATABASE" && strings.HasSuffix(strings.Join(words[:len(words)-1], " "), "SET TABLESPACE") {
			return "ALTER DATABASE … SET TABLESPACE"
		}
	case "DISCARD":
		if second == "ALL" {
			return "DISCARD ALL"
		}
	case "CLUSTER":
		if strings.EqualFold(strings.TrimSpace(sql), "CLUSTER") {
			return "CLUSTER of all tables"
		}
	}
	return ""
}

// controls says which word of a statement begins or ends a transaction: "COMMIT"; "" for one that does neither.
func controls(sql string, d Dialect) string {
	words := head(sql, d)
	if len(words) == 0 {
		return ""
	}
	second := ""
	if len(words) > 1 {
		second = words[1]
	}
	switch words[0] {
	case "BEGIN", "COMMIT", "END", "ABORT":
		return words[0]
	case "START", "PREPARE":
		if second == "TRANSACTION" {
			return words[0] + " TRANSACTION"
		}
	case "ROLLBACK":
		if !slices.Contains(words, "TO") {
			return "ROLLBACK"
		}
	}
	return ""
}

// opens and closes are for the plain pair around a whole file.
func opens(sql string, d Dialect) bool {
	switch strings.Join(head(sql, d), " ") {
	case "BEGIN", "BEGIN TRANSACTION", "BEGIN WORK", "START TRANSACTION":
		return true
	}
	return false
}

func closes(sql string, d Dialect) bool {
	switch strings.Join(head(sql, d), " ") {
	case "COMMIT", "COMMIT TRANSACTION", "COMMIT WORK", "END", "END TRANSACTION", "END WORK":
		return true
	}
	return false
}

// inside refuses what can't be in a transaction that the tool makes. how says how the tool is told to make none.
func inside(all []Statement, d Dialect, how string) error {
	for _, s := range all {
		if what := alone(s.SQL, d); what != "" {
			return faulty(s.Line, "%s can't run inside a transaction; %s", what, how)
		}
		if what := controls(s.SQL, d); what != "" {
			return faulty(s.Line, "%s would end the transaction that the migration and its version are recorded in; leave it out, or %s", what, how)
		}
	}
	return nil
}

// Patient says whether a statement of PostgreSQL's waits for locks without standing in the way of reads and writes.
func Patient(sql string) bool {
	what := alone(sql, Postgres)
	return strings.HasSuffix(what, " INDEX CONCURRENTLY") || what == "REINDEX CONCURRENTLY"
}

// BuildsIndex is the name of the index that a statement of PostgreSQL's builds while the table is in use, as it stands
// there; "" for another statement, and for one that leaves the name to the server.
func BuildsIndex(sql string) string {
	if alone(sql, Postgres) != "CREATE INDEX CONCURRENTLY" {
		return ""
	}
	name := ""
	for t := range sqltext.Tokens(sql, Postgres) {
		switch {
		case t.Blank():
			continue
		case t.Kind == sqltext.Word:
			switch strings.ToUpper(t.Text) {
			case "CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS":
				continue
			case "ON":
				return name
			}
		}
		name += t.Text
	}
	return ""
}

// Question is a query that only reads, without what stands around it; anything else, and more than one, is Invalid.
func Question(sql string, d Dialect) (string, error) {
	all, err := Split(sql, d)
	if err != nil {
		return "", problem.New(problem.Invalid, "%w", err)
	}
	if len(all) != 1 {
		return "", problem.New(problem.Invalid, "one query is needed, and these are %d: %s", len(all), strings.TrimSpace(sql))
	}
	if words := head(all[0].SQL, d); len(words) == 0 || !slices.Contains([]string{"SELECT", "WITH", "VALUES"}, words[0]) {
		return "", problem.New(problem.Invalid, "it has to be a query, beginning with SELECT, WITH or VALUES: %s", all[0].SQL)
	}
	return all[0].SQL, nil
}
