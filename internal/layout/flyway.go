package layout

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// flywayVersion is a version in a file's name: V1_2__name.sql is 1.2.
var flywayVersion = regexp.MustCompile(`^[0-9]+([._][0-9]+)*$`)

// flywayNear is a name that was meant for Flyway, which passes over it in silence where it is spelt wrong.
var flywayNear = regexp.MustCompile(`^(V[0-9]|U[0-9]|B[0-9]|R_)`)

// flywayCallback is a script that Flyway runs at one of its events: beforeMigrate.sql, afterEachUndo__name.sql.
var flywayCallback = regexp.MustCompile(`^(before|after)[A-Z]|^createSchema`)

// flyway reads what Flyway does with its default names, in the folder and the ones below: V1_2__name.sql, U1_2__name.sql,
// R__name.sql, and script configuration beside them, V1_2__name.sql.conf.
func (r *reader) flyway() []Migration {
	versioned, undo, repeating := map[string]string{}, map[string]string{}, map[string]string{}
	var all []Migration
	undos := map[string]string{}
	err := fs.WalkDir(r.files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, ok := r.flywayName(name)
		if !ok {
			return nil
		}
		switch f.prefix {
		case 'V':
			if r.once(versioned, f.version, name) {
				all = append(all, Migration{Version: f.version, Name: f.description, File: name})
			}
		case 'U':
			if r.once(undo, f.version, name) {
				undos[canonical(f.version)] = name
			}
		case 'R':
			if earlier, ok := repeating[f.description]; ok {
				r.fault(name, fmt.Errorf("it has the same description as %s", earlier))
				return nil
			}
			repeating[f.description] = name
			all = append(all, Migration{Name: f.description, File: name, Repeating: true})
		}
		return nil
	})
	if err != nil {
		r.fault("the folder", err)
	}
	for i := range all {
		m := &all[i]
		m.Up, m.NoTx, m.Checksum = r.flywayFile(m.File)
		if down, ok := undos[canonical(m.Version)]; ok && !m.Repeating {
			m.DownFile = down
			m.Down, m.DownNoTx, m.DownChecksum = r.flywayFile(down)
		}
	}
	return all
}

type flywayParts struct {
	prefix      byte
	version     string
	description string
}

// flywayName takes a file's name apart. What Greenroom does not run is a fault; what Flyway has nothing to do with is false.
func (r *reader) flywayName(name string) (f flywayParts, ok bool) {
	base := path.Base(name)
	stem, isSQL := strings.CutSuffix(base, ".sql")
	if !isSQL {
		if ext := path.Ext(base); (ext == ".java" || ext == ".class" || ext == ".kt") && flywayNear.MatchString(base) {
			r.fault(name, errors.New("a migration in Java runs in the program that it is compiled into; say how Flyway is called with migrations: {run: …}"))
		}
		return f, false
	}
	if flywayCallback.MatchString(base) {
		r.fault(name, errors.New("callbacks of Flyway's are not run; say how Flyway is called with migrations: {run: …}"))
		return f, false
	}
	if base[0] == 'B' && flywayNear.MatchString(base) {
		r.fault(name, errors.New("baseline migrations (B…) are not run; say how Flyway is called with migrations: {run: …}"))
		return f, false
	}
	if base[0] != 'V' && base[0] != 'U' && base[0] != 'R' {
		return f, false
	}
	version, description, _ := strings.Cut(stem[1:], "__")
	f = flywayParts{base[0], strings.ReplaceAll(version, "_", "."), strings.ReplaceAll(description, "_", " ")}
	switch {
	case f.prefix == 'R' && version == "" && description != "":
		return f, true
	case f.prefix != 'R' && flywayVersion.MatchString(version):
		return f, true
	case flywayNear.MatchString(base):
		r.fault(name, fmt.Errorf("this name is one that Flyway would pass over in silence; it has to look like %s", map[byte]string{'V': "V1_2__name.sql", 'U': "U1_2__name.sql", 'R': "R__name.sql"}[f.prefix]))
	}
	return f, false
}

// flywayFile reads a script, its configuration, and what of it can run in a transaction.
func (r *reader) flywayFile(name string) ([]Statement, bool, string) {
	file, err := r.read(name)
	if err != nil {
		r.fault(name, err)
		return nil, false, ""
	}
	file = strings.TrimPrefix(file, mark)
	all, noTx, err := r.flywayStatements(name, file)
	if err != nil {
		r.fault(name, err)
	}
	return all, noTx, flywaySum(file)
}

func (r *reader) flywayStatements(name, file string) ([]Statement, bool, error) {
	conf, err := r.flywayConf(name + ".conf")
	if err != nil {
		return nil, false, err
	}
	if i := strings.Index(file, "${"); i >= 0 && !conf.placeholders {
		return nil, false, faulty(strings.Count(file[:i], "\n")+1,
			"placeholders such as %s are not replaced; write the value, or put placeholderReplacement=false into %s.conf", until(file[i:], "}\n")+"}", name)
	}
	all, err := Split(file, r.dialect)
	if err != nil {
		return nil, false, err
	}
	if all == nil {
		all = []Statement{}
	}
	noTx, err := flywayOutside(all, conf, r.dialect)
	return all, noTx, err
}

// flywayOutside says whether a script runs outside a transaction: where its configuration says so, else where one of its
// statements has to, and then all of them have to, as Flyway demands it (mixed is false).
func flywayOutside(all []Statement, conf flywayConf, d Dialect) (bool, error) {
	if conf.transaction != nil {
		if !*conf.transaction {
			return true, nil
		}
		return false, inside(all, d, "put executeInTransaction=false into its .conf file")
	}
	count := 0
	for _, s := range all {
		if alone(s.SQL, d) != "" {
			count++
		}
	}
	switch {
	case count == 0:
		return false, inside(all, d, "put executeInTransaction=false into its .conf file")
	case count < len(all):
		for _, s := range all {
			if what := alone(s.SQL, d); what != "" {
				return false, faulty(s.Line, "%s can't run inside a transaction, and the statements beside it would run in one; give it a migration of its own", what)
			}
		}
	}
	return true, nil
}

// flywayConf is a script's configuration.
type flywayConf struct {
	transaction  *bool // nil: not said
	placeholders bool  // that they are left as they are
}

func (r *reader) flywayConf(name string) (conf flywayConf, err error) {
	if _, err := fs.Stat(r.files, name); errors.Is(err, fs.ErrNotExist) {
		return conf, nil
	}
	file, err := r.read(name)
	if err != nil {
		return conf, err
	}
	lines := bufio.NewScanner(strings.NewReader(file))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		yes, err := strconv.ParseBool(strings.TrimSpace(value))
		switch key = strings.TrimSpace(key); {
		case key == "executeInTransaction" && err == nil:
			conf.transaction = &yes
		case key == "placeholderReplacement" && err == nil:
			conf.placeholders = !yes
		case key == "encoding" && strings.EqualFold(strings.TrimSpace(value), "UTF-8"):
		default:
			return conf, fmt.Errorf("%s:%d: %q is not understood; executeInTransaction and placeholderReplacement are, with true or false", name, n, line)
		}
	}
	return conf, lines.Err()
}

// flywaySum is Flyway's checksum: CRC-32 over the lines without their ends, as a signed number. A carriage return ends a
// line too.
func flywaySum(file string) string {
	crc := crc32.NewIEEE()
	_, _ = strings.NewReplacer("\n", "", "\r", "").WriteString(crc, file) // a hash takes everything
	return strconv.FormatInt(int64(int32(crc.Sum32())), 10)
}
