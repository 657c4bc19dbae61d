package layout

import (
	"fmt"
	"slices"
	"strings"

	"greenroom/internal/human"
)

// Verdict is how a database stands to a folder of migrations.
type Verdict string

// The verdicts, the worst first: where several hold, it is the first of them.
const (
	Half     Verdict = "half-migrated" // a migration began and did not come to its end
	Fresh    Verdict = "fresh"         // there is no version table: an empty database, or one that was made another way
	Diverged Verdict = "diverged"      // what was applied is not what the folder holds
	Ahead    Verdict = "ahead"         // migrations of a later release were applied
	Behind   Verdict = "behind"        // migrations are pending
	Current  Verdict = "current"
)

// Standing is where a database stands in a folder of migrations.
type Standing struct {
	Verdict Verdict  `json:"verdict"`
	Version string   `json:"version"`           // the highest that was applied; "" for none
	Pending []string `json:"pending,omitempty"` // files that are to run, in their order; see Pending
	Ahead   []string `json:"ahead,omitempty"`   // versions above all of the folder's
	Gone    []string `json:"gone,omitempty"`    // versions that were applied and that the folder lacks, below its highest
	Edited  []string `json:"edited,omitempty"`  // files that are not what was applied; only Flyway keeps checksums
	Late    []string `json:"late,omitempty"`    // files that were not applied, below the version; the tool does not run them
	Failed  string   `json:"failed,omitempty"`  // version of the one that failed; "none" where golang-migrate was on its way to none
	Text    string   `json:"text"`              // all that in a sentence
	Next    string   `json:"next,omitempty"`    // what to do, in words; "" where nothing is
}

// Judge says where a database stands, from what its version table says. It does not know whether a database without such a
// table is empty: whoever asks tells the two apart by its tables.
func Judge(files []Migration, s State) Standing {
	st := Standing{Version: s.Highest()}
	for _, m := range Pending(files, s) {
		st.Pending = append(st.Pending, m.File)
	}
	highest := ""
	for _, m := range files {
		if Compare(m.Version, highest) > 0 {
			highest = m.Version
		}
		if late(m, s) {
			st.Late = append(st.Late, m.File)
		}
	}
	for _, a := range s.Applied {
		st.applied(files, highest, a)
	}
	st.conclude(s)
	return st
}

// applied takes one row of the version table.
func (st *Standing) applied(files []Migration, highest string, a Applied) {
	if a.Failed {
		st.Failed = a.Version
		if a.Version == "" {
			st.Failed = "none"
			if a.Name != "" {
				st.Failed = a.Name
			}
		}
	}
	if a.Version == "" || a.Baseline {
		return
	}
	i := slices.IndexFunc(files, func(m Migration) bool { return !m.Repeating && a.same(m.Version, m.Name) })
	switch {
	case i < 0 && Compare(a.Version, highest) > 0:
		st.Ahead = append(st.Ahead, a.Version)
	case i < 0:
		st.Gone = append(st.Gone, a.Version)
	case a.Checksum != "" && a.Checksum != files[i].Checksum && !a.Failed:
		st.Edited = append(st.Edited, files[i].File)
	}
}

// Pending is what is to run next, in its order: what is above the highest version that was applied, and then what repeats
// and is not what it was. What the tool would pass over or refuse is not among it; Judge tells of that.
func Pending(files []Migration, s State) (all []Migration) {
	for _, m := range files {
		if !s.Has(m) && (m.Repeating || Compare(m.Version, s.Highest()) > 0) {
			all = append(all, m)
		}
	}
	return all
}

// Back is what has to be taken back, in its order, so that a database in the state now is where it was before. What repeats
// has no way back and is not among it.
func Back(files []Migration, before, now State) (all []Migration) {
	for _, m := range slices.Backward(files) {
		if !m.Repeating && now.Has(m) && !before.Has(m) {
			all = append(all, m)
		}
	}
	return all
}

// Has says whether a migration counts as applied: one that repeats only as it is now.
func (s State) Has(m Migration) bool {
	if s.Tool == Migrate {
		return len(s.Applied) > 0 && Compare(m.Version, s.Highest()) <= 0
	}
	return slices.ContainsFunc(s.Applied, func(a Applied) bool {
		switch {
		case m.Repeating:
			return a.same(m.Version, m.Name) && a.Checksum == m.Checksum && !a.Failed
		case a.Baseline:
			return Compare(m.Version, a.Version) <= 0
		}
		return a.same(m.Version, m.Name)
	})
}

func late(m Migration, s State) bool {
	return !m.Repeating && !s.Has(m) && Compare(m.Version, s.Highest()) < 0
}

// conclude puts it into words.
func (st *Standing) conclude(s State) {
	version := "at version " + st.Version
	if st.Version == "" {
		version = "at no version yet"
	}
	switch {
	case st.Failed != "":
		st.Verdict = Half
		st.Text = fmt.Sprintf("half-migrated: %s says that version %s began and did not come to its end", s.Table, st.Failed)
		st.Next = repair[s.Tool]
	case s.Missing:
		st.Verdict = Fresh
		st.Text = fmt.Sprintf("no table %s: %s has never run here, and %s would", s.Table, s.Tool, human.Count(len(st.Pending), "migration", "migrations"))
		st.Next = "if the database holds tables already, they were made another way: restore a backup that has the version table, or record with the tool what they are (" + adopt[s.Tool] + ")"
	case len(st.Edited)+len(st.Gone)+len(st.Late) > 0:
		st.Verdict = Diverged
		st.Text = version + ", but what was applied is not what the folder holds: " + strings.Join(st.differences(), "; ")
		st.Next = "bring the files back as they were applied, and put what is new into a new migration with the highest version"
	case len(st.Ahead) > 0:
		st.Verdict = Ahead
		st.Text = fmt.Sprintf("%s, newer than the release, which lacks %s", version, strings.Join(st.Ahead, ", "))
		st.Next = "promote a release that has these migrations, or take the database back to before them"
	case len(st.Pending) > 0:
		st.Verdict = Behind
		st.Text = fmt.Sprintf("%s, %d pending: %s", version, len(st.Pending), strings.Join(st.Pending, ", "))
	default:
		st.Verdict, st.Text = Current, version+", nothing is pending"
	}
}

func (st *Standing) differences() (all []string) {
	if len(st.Edited) > 0 {
		all = append(all, strings.Join(st.Edited, ", ")+" edited after it was applied")
	}
	if len(st.Gone) > 0 {
		all = append(all, "applied and gone from the folder: "+strings.Join(st.Gone, ", "))
	}
	if len(st.Late) > 0 {
		all = append(all, strings.Join(st.Late, ", ")+" came late, below the version, and never ran")
	}
	return all
}

// repair is how a half-migrated database is brought into order, by the tool's own means.
var repair = map[Tool]string{
	Migrate: "restore the backup from before it, or finish or undo by hand what the file began, and then say so with: migrate force VERSION",
	Flyway:  "restore the backup from before it, or finish or undo by hand what the file began, and then say so with: flyway repair",
}

// adopt is how a tool takes over a database that it didn't make.
var adopt = map[Tool]string{
	Goose:   "goose has no command for it: INSERT INTO goose_db_version (version_id, is_applied) VALUES (VERSION, true), for each version",
	Migrate: "migrate force VERSION",
	Flyway:  "flyway baseline",
}
