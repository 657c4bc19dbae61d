package definition

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"greenroom/internal/app"
)

// databaseVariable is where an app finds its database.
const databaseVariable = "DATABASE_URL"

// candidate is a database that the files speak of.
type candidate struct {
	app.Database
	at   place
	what string
}

// database finds the app's one database: a PostgreSQL service, an SQLite file, or an address that is given.
func (m *mapper) database() *app.Database {
	var all []candidate
	external := map[string]bool{}
	for _, s := range m.services {
		if s.stays {
			continue
		}
		if s.out.Kind == app.KindPostgres {
			all = append(all, m.postgres(s))
			continue
		}
		if s.own.SQLite != "" && !m.docker { // of a container it is told already
			all = append(all, m.sqlite(s, all)...)
		}
	}
	for _, s := range m.services {
		if c, ok := m.external(s); ok && !external[c.URL] {
			external[c.URL] = true
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil
	}
	for _, c := range all[1:] {
		m.report.fault(c.at, fmt.Sprintf("%s is a second database beside %s, and an app has one in this version", c.what, all[0].what), "keep one of them; leave the other out with "+skipLine("…"))
	}
	db := all[0].Database
	return &db
}

// postgres reads the variables of the official image, and Bitnami's names for them.
func (m *mapper) postgres(s service) candidate {
	env := func(names ...string) string {
		for _, n := range names {
			if v := s.out.Env[n]; v != "" {
				return v
			}
		}
		return ""
	}
	d := app.Database{Engine: app.Postgres, Service: s.Name, Variable: databaseVariable}
	d.User = cmp.Or(env("POSTGRES_USER", "POSTGRESQL_USERNAME"), "postgres")
	d.Name = cmp.Or(env("POSTGRES_DB", "POSTGRESQL_DATABASE"), d.User)
	d.Password = env("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
	if f := env("POSTGRES_PASSWORD_FILE", "POSTGRESQL_PASSWORD_FILE"); f != "" {
		name, ok := strings.CutPrefix(f, "/run/secrets/")
		if !ok || !slices.Contains(s.out.Secrets, name) {
			m.report.fault(m.at("services", s.Name, "environment", "POSTGRES_PASSWORD_FILE"), quote(clip(f))+" is no secret of "+s.Name, "name one of its `secrets:`, as /run/secrets/DB_PASSWORD")
		}
		d.PasswordSecret = name
	}
	for _, name := range []string{"POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"} {
		if slices.Contains(s.out.Secrets, name) {
			d.PasswordSecret = name
		}
	}
	for _, name := range []string{"POSTGRES_USER_FILE", "POSTGRES_DB_FILE"} {
		if s.out.Env[name] != "" {
			m.report.fault(m.at("services", s.Name, "environment", name), name+" is not read", "write "+strings.TrimSuffix(name, "_FILE")+"; it is no secret")
		}
	}
	return candidate{d, m.atKey("services", s.Name), "the service " + s.Name}
}

// sqlite is a file that one or several services share.
func (m *mapper) sqlite(s service, before []candidate) []candidate {
	at := m.at("services", s.Name, "x-greenroom", "sqlite")
	file := s.own.SQLite
	if what := escapes(file); what != "" || strings.ContainsAny(file, "/\\") {
		m.report.fault(at, cmp.Or(what, quote(clip(file))+" is a path"), "write a file's name alone, as app.db; SQLITE_PATH leads to it")
	}
	if !m.mentions(&s, "SQLITE_PATH") {
		m.report.notice(at, "nothing of "+s.Name+" names SQLITE_PATH, which says where the file is", "hand it over in the environment, as ${SQLITE_PATH:-"+file+"}")
	}
	for _, c := range before {
		if c.File == file {
			return nil
		}
	}
	d := app.Database{Engine: app.SQLite, Variable: databaseVariable, File: file}
	return []candidate{{d, at, "the SQLite file " + file}}
}

// external is a database that DATABASE_URL gives outside Greenroom's care: by a literal address whose host is no
// service, or by a secret.
func (m *mapper) external(s service) (candidate, bool) {
	if s.stays || s.out.Kind == app.KindPostgres {
		return candidate{}, false
	}
	d := app.Database{Engine: app.Postgres, Variable: databaseVariable, External: true}
	if slices.Contains(s.out.Secrets, databaseVariable) {
		return candidate{d, m.mention(s.Name, "secrets", databaseVariable), "the secret " + databaseVariable}, true
	}
	v := s.out.Env[databaseVariable]
	if v == "" || strings.Contains(v, "${") {
		return candidate{}, false
	}
	at := m.at("services", s.Name, "environment", databaseVariable)
	u, err := url.Parse(v)
	if err != nil || u.Scheme == "" {
		m.report.fault(at, databaseVariable+" is no address", "write it as postgres://user@host:5432/name, or make it a secret")
		return candidate{}, false
	}
	if u.Scheme == "sqlite" || u.Scheme == "sqlite3" || u.Scheme == "file" {
		if s.own.SQLite == "" && !m.docker {
			m.report.fault(at, databaseVariable+" leads to an SQLite file that Greenroom does not know", "add `x-greenroom: {sqlite: app.db}` and write "+quote(u.Scheme+":${SQLITE_PATH:-app.db}"))
		}
		return candidate{}, false
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		m.report.fault(at, quote(u.Scheme)+" is no database that this version can care for", "PostgreSQL and SQLite are")
		return candidate{}, false
	}
	if _, isService := m.model.Services[u.Hostname()]; isService { // told by addresses
		return candidate{}, false
	}
	if _, plain := u.User.Password(); plain {
		m.report.notice(at, databaseVariable+" has a password in it, and its value travels with every release", "name it under `secrets:` with `external: true`, and set it with `greenroom secret set`")
	}
	d.URL = v
	return candidate{d, at, "the address in " + databaseVariable}, true
}
