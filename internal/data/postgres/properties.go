package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// createLike makes an empty database with everything of this one that is not in it: owner, encoding, locale, place,
// limit, grants and settings. A backup does not hold those.
func (d *Database) createLike(ctx context.Context, conn *pgx.Conn, name string) error {
	create, err := d.createStatement(ctx, conn, name)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, create); err != nil {
		return err
	}
	return d.dress(ctx, conn, name)
}

// dress gives a database the grants, settings and limit of this one.
func (d *Database) dress(ctx context.Context, conn *pgx.Conn, name string) error {
	var statements []string
	for _, query := range []string{grantsQuery, settingsQuery, limitQuery} {
		rows, err := conn.Query(ctx, query, d.name, name)
		if err != nil {
			return err
		}
		more, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		statements = append(statements, more...)
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// The locale's columns changed from version to version, so the row is read as JSON: a column that is not there is null.
const createQuery = `SELECT pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
	coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''), t.spcname
	FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $1`

func (d *Database) createStatement(ctx context.Context, conn *pgx.Conn, name string) (string, error) {
	var owner, encoding, collate, ctype, provider, locale, space string
	err := conn.QueryRow(ctx, createQuery, d.name).Scan(&owner, &encoding, &collate, &ctype, &provider, &locale, &space)
	if err != nil {
		return "", err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "CREATE DATABASE %s TEMPLATE template0 OWNER %s ENCODING %s LC_COLLATE %s LC_CTYPE %s",
		quote(name), quote(owner), literal(encoding), literal(collate), literal(ctype))
	if space != "pg_default" { // which only a superuser may name
		fmt.Fprintf(&s, " TABLESPACE %s", quote(space))
	}
	switch provider {
	case "i":
		fmt.Fprintf(&s, " LOCALE_PROVIDER icu ICU_LOCALE %s", literal(locale))
	case "b":
		fmt.Fprintf(&s, " LOCALE_PROVIDER builtin BUILTIN_LOCALE %s", literal(locale))
	}
	return s.String(), nil
}

const limitQuery = `SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', $2::text, datconnlimit) FROM pg_database WHERE datname = $1`

// grantsQuery makes the statements that give the database $2 the grants on $1. A null list of grants is the default one;
// 0 is PUBLIC.
const grantsQuery = `SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $2::text) FROM pg_database WHERE datname = $1 AND datacl IS NOT NULL
	UNION ALL
	SELECT format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, $2::text,
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
		CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
	FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = $1 AND a.grantee <> d.datdba`

// settingsQuery makes the statements that give the database $2 the settings of $1, for all roles and for single ones.
// The value of a setting that is a list is kept as PostgreSQL quoted it; as one literal it would be a list of one.
const settingsQuery = `SELECT format(CASE WHEN s.setrole = 0 THEN 'ALTER DATABASE %2$I' ELSE 'ALTER ROLE %1$I IN DATABASE %2$I' END || ' SET %3$I TO %4$s',
		pg_get_userbyid(s.setrole), $2::text, split_part(c, '=', 1),
		CASE WHEN split_part(c, '=', 1) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries')
			THEN v.value ELSE quote_literal(v.value) END)
	FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c,
		substr(c, strpos(c, '=') + 1) AS v(value)
	WHERE d.datname = $1`
