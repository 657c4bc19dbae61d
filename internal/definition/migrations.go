package definition

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/human"
	"greenroom/internal/layout"
	"greenroom/internal/migration"
	"greenroom/internal/problem"
)

const defaultMigrationTimeout = 15 * time.Minute

// migrations reads how the schema changes, and finds the service that they belong to. The folder of migrations becomes one
// of that service's files, since it has to be where the release is.
func (d *document) migrations(c app.Contents) *app.Migrations {
	k := d.keys.Migrations
	if k == nil {
		return nil
	}
	m := &app.Migrations{
		Run: k.Run, Down: k.Down, Version: k.Version, Seed: k.Seed,
		Timeout: d.duration(k.Timeout, defaultMigrationTimeout, []string{"migrations", "timeout"}),
	}
	for key, command := range map[string]string{"run": k.Run, "down": k.Down, "seed": k.Seed} {
		d.command(command, []string{"migrations", key})
	}
	dialect := layout.Postgres
	if c.Database != nil {
		dialect = layout.Dialect(c.Database.Engine)
	}
	d.query(k.Version, dialect, []string{"migrations", "version"})
	m.Invariants = d.invariants(k.Invariants, dialect)
	d.oneWay(*k)
	m.Service = d.migrationService(k.Service, c)
	if k.At == "start" {
		m.AtStart = m.Service
		d.needsHealth(m.Service, c)
	}
	if _, given := d.given("migrations", "dir"); given {
		m.Dir, m.Tool = d.migrationFolder(*k, dialect, m.Service, c.Services)
	}
	d.needsDatabase(c)
	return m
}

// needsHealth reports a service that migrates as it starts and can't say when it is done.
func (d *document) needsHealth(service string, c app.Contents) {
	s, ok := c.Service(service)
	if h := s.Health; ok && h.HTTP == "" && !h.TCP && len(h.Command) == 0 && !d.report.failed() {
		d.report.fault(d.atKey("migrations", "at"), quote(service)+" has neither a port nor a `healthcheck`, so nobody knows when it has migrated",
			"give it a `healthcheck` in the Compose file, or run its migrations with `run`")
	}
}

// oneWay checks that migrations are run in one way, and that what stands beside it belongs to it.
func (d *document) oneWay(k migrationsKeys) {
	var ways []string
	for _, key := range []string{"run", "dir", "at"} {
		if _, given := d.given("migrations", key); given {
			ways = append(ways, key)
		}
	}
	const choices = "`run` for a command, `dir` for a folder in a known layout, or `at: start` for a service that migrates itself"
	switch {
	case len(ways) > 1:
		d.report.fault(d.atKey("migrations", ways[len(ways)-1]), "migrations have "+quoteAll(ways), "keep one of them: "+choices)
	case len(ways) == 0:
		d.report.fault(d.atKey("migrations"), "migrations have neither `run`, `dir` nor `at`", "write how they are run: "+choices)
	}
	dir := slices.Contains(ways, "dir")
	if at, given := d.given("migrations", "down"); given && dir {
		d.report.fault(at, "`down` is a command, and a folder of migrations has its own way down", "remove it")
	}
	if at, given := d.given("migrations", "tool"); given && !dir {
		d.report.fault(at, "`tool` says whose layout `dir` has, and there is no `dir`", "remove it, or name the folder with `dir:`")
	}
}

// needsDatabase reports keys that ask something of a database where there is none.
func (d *document) needsDatabase(c app.Contents) {
	if c.Database != nil || d.report.failed() {
		return
	}
	for _, key := range []string{"dir", "version", "invariants"} {
		if at, given := d.given("migrations", key); given {
			d.report.fault(at, "the app has no database that "+quote(key)+" could be about", "remove it, or add the database to the Compose file")
		}
	}
}

// query reports what is no single query that only reads.
func (d *document) query(q string, dialect layout.Dialect, path []string) {
	if !d.isText(path) {
		return
	}
	if strings.TrimSpace(q) == "" {
		d.report.fault(d.at(path...), "the query is empty", "write it in SQL, as `select …`")
	} else if _, err := layout.Question(q, dialect); err != nil {
		d.report.fault(d.at(path...), clipTo(problem.From(err).Message, 200), "write one query, as `select …`")
	}
}

func (d *document) invariants(keys map[string]string, dialect layout.Dialect) map[string]string {
	var out map[string]string
	for _, name := range d.names("migrations", "invariants") {
		at := []string{"migrations", "invariants", name}
		if what, instead := badName(name); what != "" {
			d.report.fault(d.atKey(at...), what, instead)
		}
		q, read := keys[name]
		if !read {
			continue
		}
		d.query(q, dialect, at)
		if out == nil {
			out = map[string]string{}
		}
		out[name] = q
	}
	return out
}

// migrationFolder is the folder as the service's files have it, and whose layout it is.
func (d *document) migrationFolder(k migrationsKeys, dialect layout.Dialect, service string, all []app.Service) (dir string, tool layout.Tool) {
	at := d.at("migrations", "dir")
	if !d.isText([]string{"migrations", "dir"}) { // the schema tells
		return "", ""
	}
	if what := escapes(k.Dir); what != "" {
		d.report.fault(at, what, "name a folder of the repository")
		return "", ""
	}
	named := path.Clean(filepath.ToSlash(k.Dir))
	full := filepath.Join(d.dir, filepath.FromSlash(named))
	if info, err := os.Stat(full); err != nil || !info.IsDir() {
		d.report.fault(at, quote(clip(k.Dir))+" is no folder of the repository", "name the folder that the migrations are in")
		return "", ""
	}
	tool = layout.Tool(k.Tool)
	if k.Tool == "" {
		var err error
		if tool, err = layout.Detect(os.DirFS(full)); err != nil {
			p := problem.From(err)
			d.report.fault(at, clip(k.Dir)+": "+clipTo(p.Message, 300), p.Hint)
		}
	}
	if tool == layout.Goose || tool == layout.Migrate || tool == layout.Flyway { // of others the schema tells
		d.migrationFiles(named, full, tool, dialect)
	}
	if i := slices.IndexFunc(all, func(s app.Service) bool { return s.Name == service }); i >= 0 {
		dir = d.travels(&all[i], named)
	}
	return dir, tool
}

// lineForm is how layout.Read says where a fault is.
var lineForm = regexp.MustCompile(`^(.+?)(?::(\d+))?: (.*)$`)

// migrationFiles reads the folder as its tool does, and reports what is wrong with the files in it.
func (d *document) migrationFiles(named, full string, tool layout.Tool, dialect layout.Dialect) {
	_, err := layout.Read(os.DirFS(full), tool, dialect)
	if err == nil {
		return
	}
	for line := range strings.Lines(problem.From(err).Message) {
		m := lineForm.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			d.report.fault(d.at("migrations", "dir"), clip(named)+": "+clipTo(line, 300), "")
			continue
		}
		n, _ := strconv.Atoi(m[2]) // 0: the file as a whole
		d.report.faults = append(d.report.faults, Fault{File: path.Join(named, m[1]), Line: n, What: clipTo(m[3], 300)})
	}
}

// travels makes a folder of the repository one of a service's files, and says what it is called among them.
func (d *document) travels(s *app.Service, folder string) string {
	if s.Build == nil { // its program is on the machine, and it has no files yet
		s.Build = &app.Build{Context: ".", Files: []string{folder}}
		return folder
	}
	rel, err := filepath.Rel(filepath.FromSlash(s.Build.Context), filepath.FromSlash(folder))
	if err != nil || !filepath.IsLocal(rel) {
		d.report.fault(d.at("migrations", "dir"), fmt.Sprintf("%s does not lie in %s, the build context of %s, so it can't travel with it", quote(clip(folder)), quote(clip(s.Build.Context)), s.Name),
			"move the folder there, or name another service with `service:`")
		return ""
	}
	rel = filepath.ToSlash(rel)
	covered := slices.ContainsFunc(s.Build.Files, func(f string) bool { return f == "." || f == rel || strings.HasPrefix(rel, f+"/") })
	if len(s.Build.Files) > 0 && !covered {
		s.Build.Files = sortedUnique(append(slices.Clone(s.Build.Files), rel))
	}
	return rel
}

// migrating is the part of migrations that judges: what they may do to production.
func (d *document) migrating() app.Migrating {
	var m app.Migrating
	k := d.keys.Migrations
	if k == nil {
		return m
	}
	path := []string{"migrations"}
	if k.Budget != nil {
		m.Budget = d.budget(*k.Budget, append(path, "budget"))
	}
	m.LockTimeout = d.someTime(k.LockTimeout, append(path, "lock_timeout"), "a statement that waits for no time never gets a lock", "write how long it may wait, as 500ms")
	m.EndBlockers = k.Blockers == "end"
	if most := m.Budget.BlockedReads; most > 0 && m.LockTimeout > most {
		d.report.notice(d.at(append(path, "lock_timeout")...), fmt.Sprintf("whoever reads stands behind a statement that waits for a lock, so %s can be longer than `blocked_reads` allows", human.Written(m.LockTimeout)), "")
	}
	return m
}

func (d *document) budget(k budgetKeys, path []string) migration.Budget {
	const least = "no time at all can't be kept"
	b := migration.Budget{
		BlockedReads:  d.someTime(k.BlockedReads, append(path, "blocked_reads"), least, "write a short time, as 10ms"),
		BlockedWrites: d.someTime(k.BlockedWrites, append(path, "blocked_writes"), least, "write a short time, as 10ms"),
		Duration:      d.someTime(k.Duration, append(path, "duration"), least, "leave the key out for no limit"),
	}
	if k.Growth != "" {
		n, what, instead := size(k.Growth)
		if what == "" && n == 0 {
			what, instead = "every migration writes something", "leave the key out for no limit"
		}
		if what != "" {
			d.report.fault(d.at(append(path, "growth")...), what, instead)
		}
		b.Growth = n
	}
	switch n, err := strconv.ParseInt(string(k.RowsLost), 10, 64); {
	case k.RowsLost == "":
	case k.RowsLost == "any":
		b.RowsLost = -1
	case err != nil || n < 0:
		d.report.fault(d.at(append(path, "rows_lost")...), quote(clip(string(k.RowsLost)))+" is no number of rows", "write a number, or `any`")
	default:
		b.RowsLost = n
	}
	return b
}

// someTime is a duration that can't be 0, since 0 stands for one that is not given.
func (d *document) someTime(s text, path []string, none, instead string) time.Duration {
	v, what, right := duration(s, 0)
	if what == "" && s != "" && v == 0 {
		what, right = none, instead
	}
	if what != "" {
		d.report.fault(d.at(path...), what, right)
	}
	return v
}

func (d *document) migrationService(name string, c app.Contents) string {
	var own []string
	for _, s := range c.Services {
		if s.Kind != app.KindPostgres {
			own = append(own, s.Name)
		}
	}
	public, ok := c.Public()
	switch {
	case len(own) == 0: // told where Compose is read
		return ""
	case name != "" && !slices.Contains(own, name):
		d.report.fault(d.at("migrations", "service"), quote(clip(name))+" is no service that runs a command of the app", unless(name, own))
		return ""
	case name != "":
		return name
	case ok:
		return public.Name
	case len(own) == 1:
		return own[0]
	}
	d.report.fault(d.atKey("migrations"), "several services could own the migrations: "+quoteAll(own), "add `service:` with the one whose files and variables they need")
	return ""
}
