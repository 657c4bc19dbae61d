package layout

import (
	"errors"
	"regexp"
	"strconv"
)

// migrateName is golang-migrate's own pattern (source.Regex): 1_name.up.sql, with any ending.
var migrateName = regexp.MustCompile(`^([0-9]+)_(.*)\.(down|up)\.(.*)$`)

// golangMigrate reads what golang-migrate v4 does: files of the folder itself.
func (r *reader) golangMigrate() []Migration {
	byVersion := map[string]*Migration{}
	up, down := map[string]string{}, map[string]string{}
	for _, name := range r.top() {
		parts := migrateName.FindStringSubmatch(name)
		if parts == nil {
			continue
		}
		n, err := strconv.ParseUint(parts[1], 10, 63)
		if err != nil {
			r.fault(name, errors.New("its version is larger than the version table takes"))
			continue
		}
		version := strconv.FormatUint(n, 10)
		if byVersion[version] == nil {
			byVersion[version] = &Migration{Version: version, Name: parts[2]}
		}
		m := byVersion[version]
		if parts[3] == "down" {
			if r.once(down, version, name) {
				m.DownFile = name
			}
		} else if r.once(up, version, name) {
			m.File, m.Name = name, parts[2]
		}
	}
	var all []Migration
	for _, m := range byVersion {
		r.migratePair(m)
		all = append(all, *m)
	}
	return all
}

// migratePair reads both files of a version. One that has no way up is recorded like any other and does nothing.
func (r *reader) migratePair(m *Migration) {
	upAlone, downAlone := false, false
	if m.File != "" {
		m.Up, upAlone, m.Checksum = r.migrateFile(m.File)
	}
	if m.DownFile != "" {
		m.Down, downAlone, _ = r.migrateFile(m.DownFile)
	}
	if m.File == "" {
		m.File, m.Checksum = m.DownFile, sum("")
	}
	m.NoTx, m.DownNoTx = upAlone, downAlone
}

// migrateFile reads a file that the tool sends as one query. PostgreSQL makes one transaction of such a query unless it
// has its own; so here it is cut into statements for one transaction, and sent whole where it begins and ends some itself.
func (r *reader) migrateFile(name string) (all []Statement, alone bool, checksum string) {
	file, err := r.unmarked(name)
	if err == nil {
		all, err = Split(file, r.dialect)
	}
	if err == nil {
		all, alone, err = migrateStatements(file, all, r.dialect)
	}
	if err != nil {
		r.fault(name, err)
	}
	return all, alone, sum(file)
}

func migrateStatements(file string, all []Statement, d Dialect) ([]Statement, bool, error) {
	if all == nil {
		return []Statement{}, false, nil
	}
	if d == SQLite {
		return all, false, inside(all, d, "run it by hand")
	}
	if len(all) == 1 && alone(all[0].SQL, d) != "" {
		return all, true, nil
	}
	inner := all
	if len(all) > 1 && opens(all[0].SQL, d) && closes(all[len(all)-1].SQL, d) {
		inner = all[1 : len(all)-1]
	}
	own := false
	for _, s := range inner {
		if what := alone(s.SQL, d); what != "" {
			return nil, false, faulty(s.Line, "%s can't be sent together with other statements; give it a migration of its own", what)
		}
		own = own || controls(s.SQL, d) != ""
	}
	if own {
		return []Statement{{SQL: file, Line: all[0].Line}}, true, nil
	}
	return inner, false, nil
}
